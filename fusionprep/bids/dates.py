"""How many days lie between two images of a subject, as far as the dataset says."""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fusionprep.bids.types import ImageFile
from fusionprep.files import read_table

DAYS_PER_MONTH = 30.44
_DATE_COLUMNS = ("acq_time", "examination_date")


@dataclass(frozen=True)
class SubjectDates:
    """Acquisition dates of a subject by file name and by session label (without ``ses-``)."""

    scans: Mapping[str, datetime.date] = field(default_factory=dict)
    sessions: Mapping[str, datetime.date] = field(default_factory=dict)


def read_dates(bids_dir: Path, subject: str) -> SubjectDates:
    """Read the acquisition dates of a subject's ``sessions.tsv`` and ``scans.tsv`` files.

    Dates may be shifted for anonymity as BIDS recommends: only differences within the subject
    are used.
    """
    folder = bids_dir / f"sub-{subject}"
    sessions = {
        row.get("session_id", "").removeprefix("ses-"): date
        for row in read_table(folder / f"sub-{subject}_sessions.tsv")
        if (date := _date(row)) is not None
    }
    tables = [*folder.glob("sub-*_scans.tsv"), *folder.glob("ses-*/sub-*_scans.tsv")]
    scans = {
        Path(row.get("filename", "")).name: date
        for table in sorted(tables)
        for row in read_table(table)
        if (date := _date(row)) is not None
    }
    return SubjectDates(scans, sessions)


def _date(row: Mapping[str, str]) -> datetime.date | None:
    for column in _DATE_COLUMNS:
        try:
            return datetime.datetime.fromisoformat((row.get(column) or "").strip()).date()
        except ValueError:
            continue
    return None


def day_gap(dates: SubjectDates, first: ImageFile, second: ImageFile) -> int | None:
    """Days between two images of a subject, or None where the dataset does not say.

    Acquisition dates come first, then sessions named by days (OASIS-3, ``ses-d0129``), then
    sessions named by months (Clinica, ``ses-M006``; 30.44 days each, so approximate).
    """
    date, other_date = _image_date(dates, first), _image_date(dates, second)
    if date is not None and other_date is not None:
        return abs((date - other_date).days)
    day, other_day = _label_number(first.session, "d"), _label_number(second.session, "d")
    if day is not None and other_day is not None:
        return abs(day - other_day)
    month, other_month = _label_number(first.session, "m"), _label_number(second.session, "m")
    # Two images of one visit may lie weeks apart, so the same month says nothing about days.
    if month is None or other_month is None or month == other_month:
        return None
    return round(abs(month - other_month) * DAYS_PER_MONTH)


def days(count: int) -> str:
    """A number of days in words."""
    return f"{count} day{'s' * (count != 1)}"


def _image_date(dates: SubjectDates, image: ImageFile) -> datetime.date | None:
    session_date = dates.sessions.get(image.session) if image.session else None
    return dates.scans.get(image.path.name) or session_date


def _label_number(session: str | None, letter: str) -> int | None:
    match = re.fullmatch(rf"{letter}(\d+)", session or "", flags=re.IGNORECASE)
    return int(match[1]) if match else None
