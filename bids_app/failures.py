"""What went wrong, read from Nipype's crash files."""

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_app.exitcodes import ExitCode
from bids_app.progress import describe_node
from fusionprep.errors import UnreadableFileError, one_line
from fusionprep.machine import is_short_of_memory
from fusionprep.reading import read_text

IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP)
"""A folder in the place of a file, a file in the place of a folder."""
DISK_ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.ESTALE,
    errno.EFBIG, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE, errno.ENOTCONN, errno.ENODEV,
    *IN_THE_WAY,
)  # fmt: skip
OWN_ERROR = re.compile(r"^fusionprep\.errors\.(\w+): (.*)$")
LAST_LINE = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt)\b.*$")
UNKNOWN = "unknown subject"
ERRNO = re.compile(r"\[Errno (\d+)\]")
RUN_AGAIN = "run again with the same work directory"
MORE_MEMORY = (
    "lower --nprocs or give more memory (the limit of the container, the job or ulimit -v, and"
    f" --mem), then {RUN_AGAIN}"
)
LESS_ON_GPU = f"lower --batch-size or give --device cpu, then {RUN_AGAIN}"
CODES = {
    "DataError": ExitCode.DATA,
    "UnreadableFileError": ExitCode.DATA,
    "OutputError": ExitCode.IO_ERROR,
}


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", one_line(self.message))


def read_failures(crash_dir: Path, labels: Sequence[str] = ()) -> list[Failure]:
    """One failure for each crash file, in order of time.

    Parameters
    ----------
    labels
        Participant labels as BIDS has them; names of nodes have no plus sign.
    """
    paths = _crash_files(crash_dir)
    if not paths:
        return []
    subjects = _subjects(labels)
    return [_read(path, subjects) for path in paths]


class CrashFiles:
    """The crash files of a run while it is going on, each read once.

    Parameters
    ----------
    folder, labels
        As for :func:`read_failures`.
    """

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        self._folder = folder
        self._subjects = _subjects(labels)
        self._seen: set[Path] = set()
        self._failures: dict[str, list[Failure]] = {}

    def of(self, subject: str) -> list[Failure]:
        """What failed of a subject, in order of time; of none that is known, too."""
        for path in _crash_files(self._folder):
            if path not in self._seen:
                self._seen.add(path)
                failure = _read(path, self._subjects)
                self._failures.setdefault(failure.subject, []).append(failure)
        return [*self._failures.get(subject, ()), *self._failures.pop(UNKNOWN, ())]


def _crash_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("crash-*.txt") if path.is_file())


def _subjects(labels: Sequence[str]) -> dict[str, str]:
    """Participants by what names of nodes, which have no plus sign, make of them."""
    return {f"sub-{label.replace('+', '_')}": f"sub-{label}" for label in labels}


def _read(path: Path, subjects: dict[str, str]) -> Failure:
    try:
        text = read_text(path, errors="replace")
    except UnreadableFileError as error:
        return Failure("unknown subject", f"{error}", ExitCode.IO_ERROR, path)
    node = re.search(r"^Node: (\S+)", text, re.MULTILINE)
    if node is None:
        # the disk was full when Nipype wrote it
        message = "the record of a failed step is incomplete; look for a full disk and run again"
        return Failure(UNKNOWN, message, ExitCode.IO_ERROR, path)
    subject, *steps = describe_node(node[1])
    subject = subjects.get(subject, subject)
    lines = [line.strip() for line in text.splitlines()]
    for line in reversed(lines):
        if own := OWN_ERROR.match(line):
            code = CODES.get(own[1], ExitCode.FAILURE)
            return Failure(subject, own[2], code, path)
    at = next((n for n in reversed(range(len(lines))) if LAST_LINE.match(lines[n])), None)
    last = "no message" if at is None else lines[at]
    # ITK and PyTorch give the reason in the lines that follow
    reason = next(filter(is_short_of_memory, lines[at:] if at is not None else ()), None)
    if reason is not None:
        # of a worker that was killed the cause is a guess, and comes with advice
        sure = " for lack of memory" * (RUN_AGAIN not in reason)
        message = f"{' '.join(steps)} failed{sure}: {memory_advice(reason)}"
        return Failure(subject, message, ExitCode.FAILURE, path)
    number = ERRNO.search(last)
    on_disk = number is not None and int(number[1]) in DISK_ERRORS
    code = ExitCode.IO_ERROR if on_disk else ExitCode.FAILURE
    return Failure(subject, f"{' '.join(steps)} failed: {last}", code, path)


def memory_advice(reason: str) -> str:
    """What an error about memory says, and what to do about it.

    Parameters
    ----------
    reason
        One line, with or without the class of the error.
    """
    what = reason.removeprefix("MemoryError: ")
    if RUN_AGAIN in what:
        return what
    return f"{what}; {LESS_ON_GPU if 'CUDA' in reason else MORE_MEMORY}"


def overall_code(failures: Sequence[Failure]) -> ExitCode:
    """The exit code of a run: the failures' common code, else plain failure."""
    codes = {failure.code for failure in failures}
    if not codes:
        return ExitCode.SUCCESS
    return codes.pop() if len(codes) == 1 else ExitCode.FAILURE


def failure_lines(failures: Sequence[Failure], output_dir: Path) -> list[str]:
    """A line for each failure; those of a subject of one cause share one.

    A full disk, or too little memory, makes many steps fail.
    """
    kinds: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        kind = _cause(failure)
        kinds.setdefault((failure.subject, kind), []).append(failure)
    return [_line(shared, output_dir) for shared in kinds.values()]


def _cause(failure: Failure) -> str:
    if failure.code == ExitCode.IO_ERROR:
        return "disk"
    return "memory" if failure.message.endswith(MORE_MEMORY) else failure.message


def _line(shared: list[Failure], output_dir: Path) -> str:
    first, more = shared[0], len(shared) - 1
    named = first.message.startswith(f"{first.subject} ")
    line = first.message if named else f"{first.subject}: {first.message}"
    if more:
        line += f"; {more} more step{'s' * (more > 1)} failed in the same way"
    if first.crash_file is not None:
        line += f" (details: {first.crash_file.relative_to(output_dir)})"
    return one_line(line)
