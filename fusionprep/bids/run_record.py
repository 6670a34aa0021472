"""Which subjects each run set out to process and how each ended: ``logs/<run>/subjects.tsv``.

Written before the first step, so that a subject whose run was cut off is known to be incomplete.
Each run has its own file: runs that share an output folder do not disturb each other.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fusionprep.files import write_text

SUBJECTS = "subjects.tsv"
_COLUMNS = ("participant_id", "status", "time", "message")
_STARTED, _FINISHED, _FAILED = "started", "finished", "failed"
_PREFIX = "sub-"
# thousands of subjects take a megabyte: what is larger is no such record
_MOST_BYTES = 2**26


@dataclass
class Course:
    """What one run did with one subject.

    Attributes
    ----------
    run
        Name of its folder below ``logs/``.
    started, ended
        UTC, as ISO 8601 has it; `ended` is None where the run was cut off or is still going on.
    errors
        What failed, one line each.
    """

    run: str
    started: str
    ended: str | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether the subject was processed to its end, and nothing failed."""
        return self.ended is not None and not self.errors


def record_start(output_dir: Path, run_uuid: str, labels: Iterable[str]) -> None:
    """Write down whom a run is about to process.

    Parameters
    ----------
    labels
        Participant labels without ``sub-``.

    Raises
    ------
    OSError
        When the record cannot be written.
    """
    rows = [_line(label, _STARTED) for label in labels]
    write_text(_path(output_dir, run_uuid), "\t".join(_COLUMNS) + "\n" + "".join(rows))


def record_end(output_dir: Path, run_uuid: str, label: str, errors: Sequence[str] = ()) -> None:
    """Write down that a subject is done with: its outputs are whole and its report is written.

    Parameters
    ----------
    label
        Participant label without ``sub-``.
    errors
        What failed; empty where the subject finished.

    Raises
    ------
    OSError
        When the record cannot be written; the subject then counts as unfinished.
    """
    lines = [_line(label, _FAILED, error) for error in errors] or [_line(label, _FINISHED)]
    content = "".join(lines).encode("utf-8", "backslashreplace")
    with _path(output_dir, run_uuid).open("ab+") as file:
        if file.tell() and not _ends_in_a_line(file.fileno(), file.tell()):
            # the disk was full while another subject was recorded
            content = b"\n" + content
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_courses(output_dir: Path) -> dict[str, list[Course]]:
    """What all runs did with each subject, by label and in the order of their starts.

    A record that cannot be read says nothing; runs of earlier versions have left none.
    """
    found: dict[str, list[Course]] = {}
    for path in sorted(Path(output_dir).glob(f"logs/*/{SUBJECTS}")):
        for label, course in _read(path).items():
            found.setdefault(label, []).append(course)
    return {
        label: sorted(courses, key=lambda course: (course.started, course.run))
        for label, courses in found.items()
    }


def _path(output_dir: Path, run_uuid: str) -> Path:
    return Path(output_dir) / "logs" / run_uuid / SUBJECTS


def _line(label: str, status: str, message: str = "") -> str:
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return "\t".join((f"{_PREFIX}{label}", status, now, " ".join(message.split()))) + "\n"


def _ends_in_a_line(descriptor: int, size: int) -> bool:
    return os.pread(descriptor, 1, size - 1) == b"\n"


def _read(path: Path) -> dict[str, Course]:
    found: dict[str, Course] = {}
    for label, status, time, message in _rows(path):
        if status == _STARTED:
            found.setdefault(label, Course(path.parent.name, time))
        elif status in (_FINISHED, _FAILED):
            course = found.setdefault(label, Course(path.parent.name, time))
            course.ended = time
            if status == _FAILED:
                course.errors.append(message or "no message")
    return found


def _rows(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Whole lines: the last may be half written."""
    try:
        if not path.is_file():
            return
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        # as without a record: the outputs alone tell what is missing
        return
    for line in text.split("\n")[:-1]:
        name, status, time, message, *_ = [*line.rstrip("\r").split("\t"), "", "", ""]
        label = name.removeprefix(_PREFIX)
        if label and label != name and label.isprintable() and not set("/. ") & set(label):
            yield label, status, time, message
