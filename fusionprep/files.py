"""How files are read and written everywhere: atomic writes, tables, JSON, locks."""

import csv
import io
import json
import os
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UNFINISHED = ".writing-"
"""Prefix of files that are being written."""

_POINTER_BYTES = 512
# of git-annex where links are not used, of links checked out as text, of Git LFS
_POINTER = re.compile(
    rb"\s*(?:[./\\]*(?:\.git[/\\])?annex[/\\]objects[/\\]|version https://git-lfs)"
)

SECONDS_TO_WAIT = 30.0
SECONDS_BETWEEN = 0.05


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a name beside `path`, then rename: `path` is never half written.

    The temporary name keeps the suffixes of `path`, since writers choose the format by them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    suffixes = "".join(path.suffixes[-2:])
    handle, temporary_name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED, suffix=suffixes)
    os.close(handle)
    temporary = Path(temporary_name)
    try:
        write(temporary)
        # mkstemp makes files private to the user; derivatives follow the user's umask
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, be it through links; neither need exist."""
    try:
        return one.samefile(other)
    except OSError:
        # unlike Path.resolve, this does not fail for links in a ring
        return os.path.realpath(one) == os.path.realpath(other)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` as :func:`write_whole` does."""
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Write `text` in UTF-8 as :func:`write_whole` does."""
    write_bytes(path, text.encode())


def update_text(path: Path, text: str) -> None:
    """Write `text` unless the file holds it already.

    Other runs may be reading it; on a network file system a file replaced under them is lost.
    """
    if not (path.is_file() and path.read_bytes() == text.encode()):
        write_text(path, text)


def json_text(content: Any) -> str:
    """JSON as people read it: indented, any script, with a line break at the end."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def unfetched(path: Path) -> str:
    """Why a file that is listed has no content of its own; empty where it has or is absent.

    The content of datasets under git-annex (DataLad) or Git LFS is fetched file by file. Until
    then a link leads nowhere, or a short text stands for the content.

    Returns
    -------
    str
        The predicate of a sentence, e.g. ``"is an empty file (copy it again)"``.
    """
    if not path.is_file():
        dangling = path.is_symlink() and not path.exists()
        return "is a link to a file that is not there (not fetched yet?)" * dangling
    try:
        with path.open("rb") as stream:
            start = stream.read(_POINTER_BYTES)
    except OSError:
        # whoever reads it says why it cannot be read
        return ""
    if not start:
        return "is an empty file (copy it again)"
    if _POINTER.match(start):
        return "holds a pointer of git-annex or Git LFS to its content (not fetched yet?)"
    return ""


def decoded(content: bytes, errors: str = "strict") -> str:
    """Text in UTF-8, or in UTF-16 or UTF-32 as spreadsheets and Windows write it.

    Parameters
    ----------
    errors
        As for :meth:`bytes.decode`.

    Raises
    ------
    UnicodeDecodeError
        When it is neither.
    """
    # JSON's rule, which also finds UTF-16 without a mark: its first two characters are ASCII
    encoding = json.detect_encoding(content)
    text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors)
    return text.removeprefix("\ufeff")


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it is not JSON, or not an object.
    """
    content = json.loads(decoded(path.read_bytes()))
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a TSV file by column name; empty where there is no such file.

    BIDS tables quote nothing, and a table that is not Unicode must not cost a run its results.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it is not a table.
    """
    if not path.is_file():
        return []
    lines = io.StringIO(decoded(path.read_bytes(), errors="replace"), newline="")
    rows = csv.DictReader(lines, delimiter="\t", restval="", quoting=csv.QUOTE_NONE)
    try:
        return [{key: value for key, value in row.items() if isinstance(key, str)} for row in rows]
    except csv.Error as error:
        raise ValueError(f"not a table ({error})") from error


def table_text(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """A TSV table with a header line."""
    lines = ["\t".join(columns), *("\t".join(row[column] for column in columns) for row in rows)]
    return "\n".join(lines) + "\n"


@contextmanager
def taking_turns(path: Path, *, patience: float = SECONDS_TO_WAIT) -> Iterator[None]:
    """Hold the lock on a file while it is read, changed and written.

    The lock is a file that only one process can create, which also holds on NFS, where advisory
    locks need a service that many sites do not run. The package filelock's version of this takes a
    holder for dead when its process id cannot be found, as between containers on one machine.

    Parameters
    ----------
    path
        The file to change; it need not exist, but its folder must.
    patience
        Seconds after which a lock held by one other run all that time is taken for that of a run
        that was killed.

    Raises
    ------
    OSError
        When nothing can be written to the folder.
    """
    lock = path.with_name(f"{UNFINISHED}{path.name}.lock")
    own = uuid.uuid4().hex
    _acquire(lock, own, patience)
    try:
        yield
    finally:
        if _holder(lock) == own:
            lock.unlink(missing_ok=True)


def _acquire(lock: Path, own: str, patience: float) -> None:
    holder, since = None, time.monotonic()
    while not create_once(lock, own):
        present = _holder(lock)
        if present != holder:
            holder, since = present, time.monotonic()
        elif time.monotonic() - since > patience:
            lock.unlink(missing_ok=True)
        else:
            time.sleep(SECONDS_BETWEEN)


def create_once(path: Path, text: str) -> bool:
    """Create a file that only one process can create; False where there is something already.

    Raises
    ------
    OSError
        When it cannot be written; it then is not there.
    """
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
    except OSError:
        # the disk is full; it would be unclear whose file this is
        path.unlink(missing_ok=True)
        raise
    return True


def _holder(lock: Path) -> str | None:
    """Who holds a lock; None also where what is there is nobody's, such as a pipe or a link."""
    try:
        return lock.read_text("utf-8", "replace") if lock.is_file() else None
    except FileNotFoundError:
        return None
