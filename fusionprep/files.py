"""How files are written everywhere: atomic writes, tables, JSON, locks."""

import json
import math
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UNFINISHED = ".writing-"
"""Prefix of files that are being written."""

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
    """Write `text` in UTF-8 as :func:`write_whole` does; halves of characters become ``?``."""
    write_bytes(path, text.encode("utf-8", "replace"))


def update_text(path: Path, text: str) -> None:
    """Write `text` unless the file holds it already.

    Other runs may be reading it; on a network file system a file replaced under them is lost.
    """
    if not (path.is_file() and path.read_bytes() == text.encode("utf-8", "replace")):
        write_text(path, text)


def json_text(content: Any) -> str:
    """JSON as people read it: indented, any script, with a line break at the end.

    Numbers that are not finite, for which JSON has no word, become null.
    """
    finite = _finite(content)
    return json.dumps(finite, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


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
