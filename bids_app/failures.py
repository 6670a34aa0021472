"""What went wrong, read from Nipype's crash files."""

import re
from dataclasses import dataclass
from pathlib import Path

from bids_app.exitcodes import ExitCode
from bids_app.progress import describe_node

OWN_ERROR = re.compile(r"^fusionprep\.errors\.(\w+): (.*)$")
LAST_LINE = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt)\b.*$")
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


def read_failures(crash_dir: Path) -> list[Failure]:
    """One failure for each crash file, in order of time."""
    return [_read(path) for path in sorted(crash_dir.glob("crash-*.txt"))]


def _read(path: Path) -> Failure:
    text = path.read_text(encoding="utf-8", errors="replace")
    node = re.search(r"^Node: (\S+)", text, re.MULTILINE)
    subject, *steps = describe_node(node[1]) if node else ["unknown subject"]
    lines = [line.strip() for line in text.splitlines()]
    for line in reversed(lines):
        if own := OWN_ERROR.match(line):
            code = CODES.get(own[1], ExitCode.FAILURE)
            return Failure(subject, own[2], code, path)
    last = next((line for line in reversed(lines) if LAST_LINE.match(line)), "no message")
    return Failure(subject, f"{' '.join(steps)} failed: {last}", ExitCode.FAILURE, path)


def overall_code(failures: list[Failure]) -> ExitCode:
    """The exit code of a run: the failures' common code, else plain failure."""
    codes = {failure.code for failure in failures}
    if not codes:
        return ExitCode.SUCCESS
    return codes.pop() if len(codes) == 1 else ExitCode.FAILURE
