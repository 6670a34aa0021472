"""Participants that a run set out to process and that have no complete result."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionprep.bids.run_record import Course, read_courses
from fusionprep.config import Execution
from fusionprep.config_file import read_logged

# what may differ between two runs without another result being asked for
_OF_NO_RESULT = {
    *("bids_dir", "output_dir", "work_dir", "analysis_level", "ratings_file"),
    *("participant_label", "bids_database_dir", "skip_bids_validation"),
    *(option.name for option in dataclasses.fields(Execution)),
}


@dataclass(frozen=True)
class Recorded:
    """What the records of all runs say of a participant.

    Attributes
    ----------
    errors
        Of the last run, where that one failed.
    unfinished
        Why no complete result is to be expected; empty where the last run came to its end, or an
        earlier one that was asked for the same.
    finished_by
        The run that finished it; empty where none did.
    """

    errors: tuple[str, ...] = ()
    unfinished: str = ""
    finished_by: str = ""


def read_recorded(output_dir: Path) -> dict[str, Recorded]:
    """What the records say, by participant label; those of whom there is no record are left out."""
    options: dict[str, Any] = {}
    return {
        label: _judge(output_dir, courses, options)
        for label, courses in read_courses(output_dir).items()
    }


def _judge(output_dir: Path, courses: Sequence[Course], options: dict[str, Any]) -> Recorded:
    last = courses[-1]
    if last.ended is not None:
        return Recorded(tuple(last.errors), finished_by=last.run if last.finished else "")
    asked = _asked(output_dir, last.run, options)
    before = next((course for course in reversed(courses) if course.ended is not None), None)
    if (
        before is not None
        and asked is not None
        and asked == _asked(output_dir, before.run, options)
    ):
        return Recorded(tuple(before.errors), finished_by=before.run if before.finished else "")
    earlier = "" if before is None else "; what is there is of an earlier run with other options"
    return Recorded(
        unfinished=f"not finished: run {last.run} was cut off or is still going on{earlier}"
    )


def _asked(output_dir: Path, run: str, known: dict[str, Any]) -> Mapping[str, Any] | None:
    """The options of a run that change results; None where they are not known."""
    if run not in known:
        values = read_logged(Path(output_dir) / "logs" / run)
        known[run] = values and {
            name: value for name, value in values.items() if name not in _OF_NO_RESULT
        }
    return known[run]
