"""Standard streams that are closed, or that nobody can write to."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

STREAMS = ("stdin", "stdout", "stderr")


@contextmanager
def sound_streams() -> Iterator[None]:
    """Open standard streams that are closed, and go on where standard error cannot be written.

    Whoever starts a process may have closed some (``>&-``). Python then has None in their place,
    and the next file that is opened gets the number of a standard stream, and what libraries say.
    """
    for number, name in enumerate(STREAMS):
        if getattr(sys, name) is None:
            point_nowhere(number)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w"))
    before = sys.stderr
    unheard = _Unheard(before)
    sys.stderr = unheard
    try:
        yield
    finally:
        sys.stderr = before
        if unheard.failed:
            # what is left in the buffer would fail once more when the interpreter closes it
            point_nowhere(before.fileno())


class _Unheard:
    """Standard error that loses what it cannot write: a run does not end for want of a listener."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self.failed = True
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self.failed = True


def point_nowhere(number: int) -> None:
    """Have what is written to a file descriptor vanish, since nobody is there to read it."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
    os.set_inheritable(number, True)


@contextmanager
def quiet_library(name: str, level: str = "ERROR", *, module: str = "") -> Iterator[None]:
    """Hide a library's remarks for developers, on which users cannot act.

    Parameters
    ----------
    name
        Of its logger.
    level
        The least that its logger still says.
    module
        Pattern of the modules whose warnings are hidden; by default those of all.
    """
    import logging

    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=module)
            yield
    finally:
        logger.setLevel(before)
