"""What the command lines have in common."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fusionprep.streams import sound_streams

READER_GONE = 141
"""Exit code of a program whose output nobody reads any more, as shells have it."""


def quietly(run: Callable[[], int]) -> int:
    """Run a command, and end without a word when the reader of its output has had enough.

    Parameters
    ----------
    run
        Prints, and returns the exit code.

    Returns
    -------
    int
        Of the command, or :data:`READER_GONE`, e.g. after ``| head``.
    """
    with sound_streams():
        return _until_reader_leaves(run)


def _until_reader_leaves(run: Callable[[], int]) -> int:
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_has_gone():
            raise
    # what is left in the buffer would fail once more when the interpreter closes it
    send_nowhere(sys.stdout.fileno())
    return READER_GONE


def send_nowhere(descriptor: int) -> None:
    """Have what is written to a file descriptor vanish, since nobody is there to read it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _reader_has_gone() -> bool:
    """Whether it is standard output that is broken rather than the pipe of another process."""
    try:
        print(flush=True)
    except BrokenPipeError:
        return True
    return False


class NamedPaths(argparse.Action):
    """Collects ``NAME=PATH``, each name once, from an option that may be repeated."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        _option: str | None = None,
    ) -> None:
        # a string, since no option that collects sets ``nargs``
        name, _, path = str(values).partition("=")
        if not name or not path:
            raise argparse.ArgumentError(self, f"{values!r} is not {self.metavar}")
        collected = getattr(namespace, self.dest, {})
        if name in collected:
            raise argparse.ArgumentError(self, f"{name} is given twice; each needs its own name")
        setattr(namespace, self.dest, {**collected, name: Path(path)})


def at_least(smallest: int) -> Callable[[str], int]:
    """An argparse type: integers of at least `smallest`."""

    def integer(text: str) -> int:
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"must be at least {smallest}, not {value}")
        return value

    return integer


def memory(text: str) -> float:
    """An argparse type: an amount of memory such as ``8`` or ``8000M``, in GB."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)B?", text.strip().upper())
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount of memory such as 8 or 8000M")
    return float(match[1]) * {"K": 1e-6, "M": 1e-3, "": 1, "G": 1, "T": 1e3}[match[2]]
