"""The age of a subject."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fusionprep.bids.subject_tables import Participants, SubjectTable
from fusionprep.bids.units import number_and_unit
from fusionprep.plausibility import AGE

_AGE_COLUMNS = ("age", "age_years", "age_at_scan", "ageatentry", "patient_age")
_YEARS = {"y": 1.0, "m": 1 / 12, "w": 1 / 52.18, "d": 1 / 365.25}


def participant_age(bids_dir: Path, subject: str) -> float | None:
    """Age in years; None where no plausible one is given."""
    return age_in([Participants(bids_dir).of(subject)])


def age_in(tables: Iterable[SubjectTable], patient_age: Any = None) -> float | None:
    """Age in years by tables, the nearest first; None where no plausible one is given.

    Parameters
    ----------
    tables
        Of the subject.
    patient_age
        What the scan's sidecar says, which comes first: a number of years, or DICOM's ``038Y``.
    """
    found = [_years(patient_age, None)]
    found += [
        _years(row.get(name), table.unit(name))
        for table in tables
        for row in table.rows
        for name in _AGE_COLUMNS
    ]
    return next((age for age in found if age is not None and age in AGE), None)


def _years(value: Any, unit: Any) -> float | None:
    """Years of ``38``, ``"038Y"``, ``"89+"``, ``"60-65"``, or of a number in another unit."""
    # what is left of a range or a limit is its lower end
    plain = (
        re.sub(r"^\s*[<>≥≤=~]+|\+\s*$|\s*[-–].*$", "", value) if isinstance(value, str) else value
    )
    read = number_and_unit(plain)
    scale = None if read is None else _years_of(read[1] or str(unit or "y"))
    return None if read is None or scale is None else read[0] * scale


def _years_of(unit: str) -> float | None:
    word = unit.strip().lower()
    known = word in ("y", "m", "w", "d") or word.startswith(("year", "yr", "month", "week", "day"))
    return _YEARS[word[0]] if known else None
