"""What users give on a command line or in a file of options: paths, text, small files."""

import errno
import os
import select
import stat
import time
from pathlib import Path

from fusionprep.errors import UsageError
from fusionprep.reading import decoded

LARGEST_FILE = 2**22
"""Bytes of a file of options; what is larger is another kind of file."""

SECONDS_TO_WAIT = 60.0
"""For the program at the other end of a pipe."""

_LONGEST_SHOWN = 80
_UNUSABLE = (errno.ENAMETOOLONG, errno.ELOOP)


def shown(value: object) -> str:
    """A value as a message can quote it, however long or deep it is.

    Examples
    --------
    >>> shown("a" * 100) == "'" + "a" * 79 + "…"
    True
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        # of an integer with more digits than Python writes, and of lists in lists in lists
        return f"a {type(value).__name__} too large to be shown"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def outside(value: int, smallest: int, largest: int) -> str:
    """How a number is out of its range, as the predicate of a sentence; empty when it is not.

    Examples
    --------
    >>> outside(0, 1, 9)
    'must be at least 1, not 0'
    """
    if value < smallest:
        return f"must be at least {smallest}, not {shown(value)}"
    return f"must be at most {largest}, not {shown(value)}" if value > largest else ""


def check_text(what: str, text: str) -> None:
    """Refuse text that no file name, table or program takes.

    Parameters
    ----------
    what
        Names the text in the message.

    Raises
    ------
    UsageError
        When it is empty, holds a NUL character, or is not Unicode.
    """
    if not text:
        raise UsageError(f"{what} is empty; give it a value, or leave it out")
    if "\0" in text:
        raise UsageError(f"{what} holds a NUL character: {shown(text)}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{what} is not in UTF-8: {shown(text)}; rename it, or link to it by another name"
        ) from error


def check_path(what: str, path: Path) -> None:
    """Refuse a path that no file can have; nothing need exist there.

    Raises
    ------
    UsageError
        As :func:`check_text`, and when the path is too long, or a link in it leads to itself.
    """
    check_text(what, str(path))
    try:
        path.stat()
    except OSError as error:
        if error.errno in _UNUSABLE:
            raise UsageError(f"{what} {shown(str(path))}: {error.strerror}") from error


def read_given(path: Path, what: str, *, largest: int = LARGEST_FILE) -> str:
    """The text of a file that a user names, which may be a pipe: it is read once, as it is named.

    Parameters
    ----------
    path
        Not resolved: ``/dev/fd/63``, a shell's ``<(…)``, leads to nothing else.
    what
        Names the file in messages, e.g. ``"plugin file"``.
    largest
        Bytes that it may hold.

    Raises
    ------
    UsageError
        When it cannot be read, holds other than Unicode, is larger than `largest`, or is
        a pipe into which nothing comes for :data:`SECONDS_TO_WAIT`.
    """
    try:
        text = read_once(path, largest)
    except OSError as error:
        raise UsageError(f"cannot read the {what} {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"cannot read the {what} {shown(str(path))}: {error}") from error
    if not text:
        raise UsageError(f"cannot read the {what} {path}: it is empty")
    return text


def read_once(path: Path, largest: int) -> str:
    """The text of a file or a pipe, which is opened and read once.

    Raises
    ------
    OSError
        When it cannot be read.
    ValueError
        When it is a folder, too large or not text; ``str(error)`` is a whole sentence.
    """
    # otherwise opening a pipe that nobody writes to would wait forever
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise ValueError("it is a folder")
        content = bytearray()
        while chunk := _read_chunk(handle):
            content += chunk
            if len(content) > largest:
                raise ValueError(f"it is larger than {largest // 1024} kB")
    finally:
        os.close(handle)
    try:
        return decoded(bytes(content))
    except UnicodeDecodeError as error:
        raise ValueError("it is not text in Unicode") from error


def _read_chunk(handle: int) -> bytes:
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    limit = time.monotonic() + SECONDS_TO_WAIT
    while time.monotonic() < limit:
        try:
            return os.read(handle, 2**16)
        except BlockingIOError:
            waiting.poll(1000 * SECONDS_TO_WAIT)
    raise ValueError(f"nothing came out of it for {SECONDS_TO_WAIT:.0f} s")
