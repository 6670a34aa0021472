"""What the command lines have in common."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from fusionprep.errors import UsageError, one_line
from fusionprep.given import check_path, check_text, outside, shown
from fusionprep.streams import point_nowhere, sound_streams

USAGE = 64
"""Exit code for a wrong use of the command line, of sysexits.h and of BIDS Apps."""
LONGEST_MESSAGE = 1000
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
    point_nowhere(sys.stdout.fileno())
    return READER_GONE


def _reader_has_gone() -> bool:
    """Whether it is standard output that is broken rather than the pipe of another process."""
    try:
        print(flush=True)
    except BrokenPipeError:
        return True
    return False


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, short whatever was given, and exit 64."""

    def error(self, message: str) -> NoReturn:
        self.print_usage()
        self.exit(USAGE, f"{self.prog}: error: {shortened(one_line(message))}\n")


def shortened(message: str) -> str:
    """A message without the middle of what makes it very long."""
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[: LONGEST_MESSAGE // 2]} … {message[-LONGEST_MESSAGE // 2 :]}"


class NamedPaths(argparse.Action):
    """Collects ``NAME=PATH``, each name once, from an option that may be repeated."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        _option: str | None = None,
    ) -> None:
        for value in values if isinstance(values, (list, tuple)) else [values]:
            self._collect(namespace, str(value))

    def _collect(self, namespace: argparse.Namespace, text: str) -> None:
        name, _, given = text.partition("=")
        if not name or not given:
            raise argparse.ArgumentError(self, f"{shown(text)} is not {self.metavar}")
        collected = getattr(namespace, self.dest, {})
        if name in collected:
            raise argparse.ArgumentError(self, f"{name} is given twice; each needs its own name")
        try:
            setattr(namespace, self.dest, {**collected, name: path(given)})
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from error


def whole_number(smallest: int, largest: int) -> Callable[[str], int]:
    """An argparse type: whole numbers from `smallest` to `largest`."""

    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number") from error
        if problem := outside(value, smallest, largest):
            raise argparse.ArgumentTypeError(problem)
        return value

    return integer


def number(smallest: float, largest: float) -> Callable[[str], float]:
    """An argparse type: numbers above `smallest`, at most `largest`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{shown(text)} is not a number") from error
        if not smallest < value <= largest:
            raise argparse.ArgumentTypeError(
                f"must be above {smallest:g} and at most {largest:g}, not {shown(text)}"
            )
        return value

    return read


def path(text: str) -> Path:
    """An argparse type: a path that a file can have."""
    try:
        check_text("the path", text)
        check_path("the path", Path(text))
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return Path(text)


def folder(text: str) -> Path:
    """An argparse type: a folder to write to, which need not exist."""
    found = path(text)
    if found.exists() and not found.is_dir():
        raise argparse.ArgumentTypeError(f"{found} is not a folder; choose another")
    return found


def file(text: str) -> Path:
    """An argparse type: a file to write, which need not exist."""
    found = path(text)
    if found.is_dir():
        raise argparse.ArgumentTypeError(f"{found} is a folder; name a file")
    return found


def memory(text: str) -> float:
    """An argparse type: an amount of memory such as ``8`` or ``8000M``, in GB."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)B?", text.strip().upper())
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not an amount of memory such as 8 or 8000M"
        )
    return float(match[1]) * {"K": 1e-6, "M": 1e-3, "": 1, "G": 1, "T": 1e3}[match[2]]
