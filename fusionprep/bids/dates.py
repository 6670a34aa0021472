"""How many days lie between two images of a subject, as far as the dataset says."""

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fusionprep.bids.types import ImageFile
from fusionprep.bids.units import is_given
from fusionprep.errors import UnreadableFileError
from fusionprep.reading import read_table

DAYS_PER_MONTH = 30.44
_DATE_COLUMNS = ("acq_time", "examination_date")


@dataclass(frozen=True)
class SubjectDates:
    """When a subject was scanned.

    Attributes
    ----------
    scans, sessions
        Dates by file name and by session label (without ``ses-``).
    notes
        Lines for people about dates that cannot be read.
    """

    scans: Mapping[str, datetime.date] = field(default_factory=dict)
    sessions: Mapping[str, datetime.date] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_dates(bids_dir: Path, subject: str) -> SubjectDates:
    """Read the acquisition dates of a subject's ``sessions.tsv`` and ``scans.tsv`` files.

    Dates may be shifted for anonymity as BIDS recommends: only differences within the subject
    are used.
    """
    folder = bids_dir / f"sub-{subject}"
    scans: dict[str, datetime.date] = {}
    sessions: dict[str, datetime.date] = {}
    notes: list[str] = []
    table = folder / f"sub-{subject}_sessions.tsv"
    for row, date in _dated_rows(table, notes):
        sessions[row.get("session_id", "").removeprefix("ses-")] = date
    tables = [*folder.glob("sub-*_scans.tsv"), *folder.glob("ses-*/sub-*_scans.tsv")]
    for table in sorted(tables):
        for row, date in _dated_rows(table, notes):
            scans[Path(row.get("filename", "")).name] = date
    return SubjectDates(scans, sessions, tuple(notes))


def _dated_rows(table: Path, notes: list[str]) -> list[tuple[Mapping[str, str], datetime.date]]:
    """Rows of a table with their dates; adds a line on those that are not as BIDS writes them."""
    try:
        rows = read_table(table)
    except UnreadableFileError as error:
        notes.append(f"{table.name} cannot be read ({error.reason}); its dates do not count")
        return []
    notes += _unreadable(table.name, rows)
    return [(row, date) for row in rows if (date := _date(row)) is not None]


def _date(row: Mapping[str, str]) -> datetime.date | None:
    dates = (_parsed(row.get(column) or "") for column in _DATE_COLUMNS)
    return next((date for date in dates if date is not None), None)


def _parsed(text: str) -> datetime.date | None:
    try:
        return datetime.datetime.fromisoformat(text.strip()).date()
    except ValueError:
        return None


def _unreadable(name: str, rows: Sequence[Mapping[str, str]]) -> list[str]:
    """A line about the dates of a table that are not as BIDS writes them."""
    wrong = [
        (column, text)
        for row in rows
        for column in _DATE_COLUMNS
        if is_given(text := (row.get(column) or "").strip())
        if _parsed(text) is None
    ]
    if not wrong:
        return []
    (column, text), more = wrong[0], len(wrong) - 1
    others = f", nor {'are' if more > 1 else 'is'} {more} more" if more else ""
    return [
        f"{name}: {column} {text!r} is not an ISO date such as 2024-12-31{others};"
        " it does not count"
    ]


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
