"""What went wrong, read from Nipype's crash files."""

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_app.exitcodes import ExitCode
from bids_app.progress import describe_node

DISK_ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM,
    errno.EFBIG, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE, errno.ENOTCONN, errno.ENODEV,
)  # fmt: skip
OWN_ERROR = re.compile(r"^fusionprep\.errors\.(\w+): (.*)$")
LAST_LINE = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt)\b.*$")
ERRNO = re.compile(r"\[Errno (\d+)\]")
CODES = {"DataError": ExitCode.DATA, "OutputError": ExitCode.IO_ERROR}


@dataclass(frozen=True)
class Failure:
    """A step that failed.

    Attributes
    ----------
    message
        One line for the user.
    crash_file
        Where the traceback and the inputs of the step are; None where nothing crashed.
    """

    subject: str
    message: str
    code: ExitCode
    crash_file: Path | None = None


def read_failures(crash_dir: Path, labels: Sequence[str] = ()) -> list[Failure]:
    """One failure for each crash file, in order of time.

    Parameters
    ----------
    labels
        Participant labels as BIDS has them; names of nodes have no plus sign.
    """
    subjects = {f"sub-{label.replace('+', '_')}": f"sub-{label}" for label in labels}
    return [_read(path, subjects) for path in sorted(crash_dir.glob("crash-*.txt"))]


def _read(path: Path, subjects: dict[str, str]) -> Failure:
    text = path.read_text(encoding="utf-8", errors="replace")
    node = re.search(r"^Node: (\S+)", text, re.MULTILINE)
    if node is None:
        # the disk was full when Nipype wrote it
        message = "the record of a failed step is incomplete; look for a full disk and run again"
        return Failure("unknown subject", message, ExitCode.IO_ERROR, path)
    subject, *steps = describe_node(node[1])
    subject = subjects.get(subject, subject)
    lines = [line.strip() for line in text.splitlines()]
    for line in reversed(lines):
        if own := OWN_ERROR.match(line):
            code = CODES.get(own[1], ExitCode.FAILURE)
            return Failure(subject, own[2], code, path)
    last = next((line for line in reversed(lines) if LAST_LINE.match(line)), "no message")
    number = ERRNO.search(last)
    on_disk = number is not None and int(number[1]) in DISK_ERRORS
    code = ExitCode.IO_ERROR if on_disk else ExitCode.FAILURE
    return Failure(subject, f"{' '.join(steps)} failed: {last}", code, path)


def overall_code(failures: Sequence[Failure]) -> ExitCode:
    """The exit code of a run: the failures' common code, else plain failure."""
    codes = {failure.code for failure in failures}
    if not codes:
        return ExitCode.SUCCESS
    return codes.pop() if len(codes) == 1 else ExitCode.FAILURE


def failure_lines(failures: Sequence[Failure], output_dir: Path) -> list[str]:
    """A line for each failure; those of a subject that a full disk caused share one."""
    kinds: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        kind = "disk" if failure.code == ExitCode.IO_ERROR else failure.message
        kinds.setdefault((failure.subject, kind), []).append(failure)
    return [_line(shared, output_dir) for shared in kinds.values()]


def _line(shared: list[Failure], output_dir: Path) -> str:
    first, more = shared[0], len(shared) - 1
    named = first.message.startswith(f"{first.subject} ")
    line = first.message if named else f"{first.subject}: {first.message}"
    if more:
        line += f"; {more} more step{'s' * (more > 1)} failed in the same way"
    if first.crash_file is not None:
        line += f" (details: {first.crash_file.relative_to(output_dir)})"
    return line
