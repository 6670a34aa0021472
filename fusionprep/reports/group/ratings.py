"""Ratings of scans by people: ``ratings.tsv`` as the group report writes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionprep.errors import DataError, NoInputError
from fusionprep.given import read_once
from fusionprep.reports.group.columns import RATINGS
from fusionprep.reports.group.rows import IDENTITY, MISSING, ScanEntry, cell

LARGEST_FILE = 2**26
"""Bytes: some hundred thousand scans."""

_REQUIRED = ("participant_id", "rating")
_KNOWN = (*IDENTITY, "rating", "note")
_PREFIXES = {"participant_id": "sub-", "session_id": "ses-"}


@dataclass(frozen=True)
class Rating:
    """A person's rating of a scan.

    Attributes
    ----------
    rating
        ``pass``, ``review`` or ``fail``; None where there is a note only.
    note
        On one line; may be empty.
    """

    rating: str | None
    note: str


def read_ratings(path: Path, scans: Sequence[ScanEntry]) -> tuple[dict[int, Rating], list[str]]:
    """Read ratings and find the scans they are for.

    A row is for every scan that has its values of :data:`IDENTITY`; ``n/a`` stands for a scan
    without such a value, and a column the file does not have for any value. Of several rows for a
    scan the last one counts.

    Parameters
    ----------
    path
        TSV with columns ``participant_id`` and ``rating``, further ones of :data:`IDENTITY`, and
        ``note``.
    scans
        All scans of the cohort.

    Returns
    -------
    ratings
        By index of the scan.
    warnings
        One line for each row that matches no scan.

    Raises
    ------
    NoInputError
        When there is no such file.
    DataError
        When it is no such table, or holds anything else for a rating.
    """
    ratings: dict[int, Rating] = {}
    warnings = []
    by_participant: dict[str, list[int]] = {}
    for index, scan in enumerate(scans):
        by_participant.setdefault(scan.participant, []).append(index)
    for line, row in _rows(path):
        rating = row["rating"].strip().lower()
        if rating not in (*RATINGS, MISSING):
            raise DataError(
                f"{path.name}, line {line}: rating {cell(row['rating'])!r} is not one of "
                f"{', '.join(RATINGS)} and {MISSING}"
            )
        wanted = {name: _label(name, row[name]) for name in IDENTITY if name in row}
        matches = [
            index
            for index in by_participant.get(wanted["participant_id"], ())
            if all(_label(name, scans[index].values.get(name)) == wanted[name] for name in wanted)
        ]
        if not matches:
            named = " ".join(value for value in wanted.values() if value != MISSING)
            warnings.append(f"{path.name}, line {line}: no scan matches {named}")
        note = cell(row.get("note"))
        given = Rating(None if rating == MISSING else rating, "" if note == MISSING else note)
        ratings.update(dict.fromkeys(matches, given))
    return ratings, warnings


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and values of each row; every row has all columns of the head."""
    try:
        text = read_once(path, LARGEST_FILE)
    except FileNotFoundError as error:
        raise NoInputError(f"--ratings {path} does not exist; name ratings.tsv") from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the ratings {path}: {error}") from error
    # a note may hold characters that splitlines() takes for ends of lines
    head, *lines = [line.rstrip("\r").split("\t") for line in text.split("\n")]
    lacking = [name for name in _REQUIRED if name not in head]
    unknown = [cell(name) for name in head if name not in _KNOWN]
    if lacking:
        raise DataError(f"{path.name} has no column {' and no column '.join(lacking)}")
    if unknown:
        raise DataError(f"{path.name} has unknown columns: {', '.join(unknown)}")
    if len(set(head)) < len(head):
        raise DataError(f"{path.name} has a column twice: {', '.join(head)}")
    rows = []
    for number, values in enumerate(lines, start=2):
        if not any(values):
            continue
        if len(values) != len(head):
            raise DataError(
                f"{path.name}, line {number}: {len(values)} values for {len(head)} columns"
            )
        rows.append((number, dict(zip(head, values, strict=True))))
    return rows


def _label(column: str, value: object) -> str:
    """A value as it is compared; prefixes may be left out."""
    text = cell(value)
    prefix = _PREFIXES.get(column, "")
    return text if text == MISSING or text.startswith(prefix) else prefix + text
