"""Errors a user can cause. ``str(error)`` is the one line to show: what, where, what to do."""

import re
from pathlib import Path

# Control characters, which terminals obey, what turns the direction of writing or ends a line, and
# halves of characters, which stand for bytes of file names.
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST_LINE = 4000


def one_line(text: str) -> str:
    r"""Text from outside as a terminal may show it: one line of bounded length, nothing obeyed.

    Examples
    --------
    >>> print(one_line("sub-\udcff_\x1b[31m\nT1w"))
    sub-\xff_\x1b[31m\nT1w
    """
    if len(text) > _LONGEST_LINE:
        half = _LONGEST_LINE // 2
        text = f"{text[:half]} [… {len(text) - 2 * half} characters …] {text[-half:]}"
    return _NOT_SHOWN.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    # how Python's file system encoding writes the bytes 128 to 255 that are not UTF-8
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return match[0].encode("unicode_escape").decode("ascii")


class FusionPrepError(Exception):
    """Base of every error whose message is meant for the user."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class UsageError(FusionPrepError):
    """The command line or a configuration file asks for something impossible."""


class AnalysisLevelError(UsageError):
    """The command line asks for a level of analysis that there is not."""


class NoInputError(FusionPrepError):
    """An input that was named does not exist, or holds nothing to process."""


class NotBIDSError(FusionPrepError):
    """A folder that should be a BIDS dataset is not one."""


class DataError(FusionPrepError):
    """An image or a sidecar cannot be used as it is."""


class UnreadableFileError(DataError):
    """A text file cannot be read, for whatever reason.

    Attributes
    ----------
    path, reason
        The file, and why in a phrase.
    absent
        Whether there is none.
    """

    def __init__(self, path: Path, reason: str, absent: bool = False) -> None:
        # all of them, so that it survives being sent from process to process
        super().__init__(path, reason, absent)
        self.path, self.reason, self.absent = path, one_line(reason), absent

    def __str__(self) -> str:
        return one_line(f"cannot read {self.path}: {self.reason}")


class OutputError(FusionPrepError):
    """An output cannot be written."""


class NothingSelectedError(FusionPrepError):
    """The filters leave no image to process."""
