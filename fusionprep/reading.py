"""How small files of datasets are read: text, JSON, TSV.

Whatever lies under a name, reading it ends, takes bounded memory, and fails in one way only.
"""

import itertools
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from fusionprep.errors import UnreadableFileError

LARGEST_JSON = 16 << 20
LARGEST_TABLE = 64 << 20
MOST_COLUMNS = 10_000
LONGEST_CELL = 1 << 17
_BLOCK = 1 << 20
_DEEPEST = 100
_TOO_DEEP = "it is nested too deeply"
# the largest number of a float has 309
_MOST_DIGITS = 300
_HALF_CHARACTERS = re.compile("[\ud800-\udfff]")
_POINTER_BYTES = 512
# of git-annex where links are not used, of links checked out as text, of Git LFS
_POINTER = re.compile(
    rb"\s*(?:[./\\]*(?:\.git[/\\])?annex[/\\]objects[/\\]|version https://git-lfs)"
)


def unfetched(path: Path) -> str:
    """Why what is listed as a file has no content of its own; empty where it has or is absent.

    The content of datasets under git-annex (DataLad) or Git LFS is fetched file by file. Until
    then a link leads nowhere, or a short text stands for the content.

    Returns
    -------
    str
        The predicate of a sentence, e.g. ``"is an empty file (copy it again)"``.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        dangling = path.is_symlink()
        return "is a link to a file that is not there (not fetched yet?)" * dangling
    except (OSError, ValueError) as error:
        return f"cannot be read ({_reason(error)})"
    if problem := _other_kind(mode):
        return problem
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


def other_kind(path: Path) -> str:
    """What lies under a name in place of a file, as a predicate; empty for a file or nothing."""
    try:
        return _other_kind(path.stat().st_mode)
    except OSError:
        # opening it says so
        return ""


def _other_kind(mode: int) -> str:
    return "" if stat.S_ISREG(mode) else f"is {kind_of(mode)}, not a file"


def kind_of(mode: int) -> str:
    """What is not a regular file, by its mode, with an article."""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def read_bytes(path: Path, *, largest: int = LARGEST_TABLE) -> bytes:
    """The content of a small file, never of a pipe or a device.

    Parameters
    ----------
    largest
        Bytes; a larger file is not read.

    Raises
    ------
    UnreadableFileError
        When there is no such file, or something else under its name, or it is too large or closed.
    """
    try:
        # opening is enough for some devices to act
        _check_kind(path, path.stat().st_mode)
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _check_kind(path, os.fstat(handle).st_mode)
            return _read(handle, path, largest)
        finally:
            os.close(handle)
    except FileNotFoundError:
        what = "it is a link to a file that is not there" if path.is_symlink() else "no such file"
        raise UnreadableFileError(path, what, absent=True) from None
    except (OSError, ValueError) as error:
        raise UnreadableFileError(path, _reason(error)) from error


def _check_kind(path: Path, mode: int) -> None:
    if problem := _other_kind(mode):
        raise UnreadableFileError(path, f"it {problem}")


def _read(handle: int, path: Path, largest: int) -> bytes:
    blocks: list[bytes] = []
    size = 0
    while size <= largest:
        block = os.read(handle, _BLOCK)
        if not block:
            return b"".join(blocks)
        blocks.append(block)
        size += len(block)
    raise UnreadableFileError(path, f"it is larger than {largest >> 20} MB")


def read_text(path: Path, *, errors: str = "strict", largest: int = LARGEST_TABLE) -> str:
    """The text of a small file, as :func:`decoded` and :func:`read_bytes` have it.

    Raises
    ------
    UnreadableFileError
        Also when it is not text.
    """
    content = read_bytes(path, largest=largest)
    try:
        return decoded(content, errors)
    except UnicodeDecodeError as error:
        raise UnreadableFileError(path, str(error)) from error


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


def read_json(path: Path) -> Any:
    """What a JSON file holds; halves of characters in it become U+FFFD.

    Raises
    ------
    UnreadableFileError
        When it cannot be read, is not JSON, is nested deeply, or holds numbers of hundreds of
        digits.
    """
    text = read_text(path, largest=LARGEST_JSON)
    try:
        return _whole(json.loads(text, parse_int=_integer))
    except RecursionError:
        raise UnreadableFileError(path, _TOO_DEEP) from None
    except ValueError as error:
        raise UnreadableFileError(path, str(error)) from error


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"it holds a number of {len(text)} digits")
    return int(text)


def _whole(value: Any, depth: int = 0) -> Any:
    """A value of JSON that can be written again as UTF-8 and walked without care."""
    if depth > _DEEPEST:
        raise ValueError(_TOO_DEEP)
    if isinstance(value, str):
        return _HALF_CHARACTERS.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(item, depth + 1) for key, item in value.items()}
    return value


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file, as :func:`read_json` has it.

    Raises
    ------
    UnreadableFileError
        Also when it is JSON but not an object.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise UnreadableFileError(path, "not a JSON object")
    return content


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a TSV file by column name; empty where there is no such file.

    BIDS tables quote nothing, and a table that is not Unicode must not cost a run its results. Of
    columns with one name the last counts; cells beyond the columns are left out.

    Raises
    ------
    UnreadableFileError
        When the file cannot be read or is not a table.
    """
    try:
        text = read_text(path, errors="replace")
    except UnreadableFileError as error:
        if error.absent and not path.is_symlink():
            return []
        raise
    if "\0" in text:
        raise UnreadableFileError(path, "not text, it holds null characters")
    # other characters that Python takes for ends of lines may be part of a cell
    head, *lines = [line for line in re.split("\r\n|\r|\n", text) if line] or [""]
    longest = max(len(cell) for line in (head, *lines) for cell in line.split("\t"))
    if longest > LONGEST_CELL:
        raise UnreadableFileError(path, f"not a table, it has a cell of {longest} characters")
    columns = head.split("\t")
    if len(columns) > MOST_COLUMNS:
        raise UnreadableFileError(path, f"not a table, it has {len(columns)} columns")
    rows = (line.split("\t") for line in lines)
    return [dict(itertools.zip_longest(columns, row[: len(columns)], fillvalue="")) for row in rows]


def cell_number(text: str | None) -> float:
    """The number in a cell of a table; NaN where there is none."""
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
