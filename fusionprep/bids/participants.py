"""What ``participants.tsv`` says about a subject."""

from collections.abc import Mapping
from pathlib import Path

from fusionprep.bids.metadata import number_value
from fusionprep.files import read_table
from fusionprep.plausibility import AGE

_AGE_COLUMNS = ("age", "age_years", "age_at_scan", "ageatentry")


def participant_rows(bids_dir: Path, subject: str) -> list[Mapping[str, str]]:
    """The rows of a subject (label without ``sub-``), names of columns in lower case."""
    return [
        {name.strip().lower(): value for name, value in row.items()}
        for row in read_table(bids_dir / "participants.tsv")
        if row.get("participant_id", "").removeprefix("sub-") == subject
    ]


def participant_age(bids_dir: Path, subject: str) -> float | None:
    """Age in years; None where no plausible one is given."""
    found = [
        number_value(row, name)
        for row in participant_rows(bids_dir, subject)
        for name in _AGE_COLUMNS
    ]
    return next((age for age in found if age is not None and age in AGE), None)
