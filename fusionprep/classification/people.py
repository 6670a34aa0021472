"""Who takes part, by ``participants.tsv``: class, group, age and sex."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionprep.bids.participants import age_in
from fusionprep.bids.subject_tables import SubjectTable
from fusionprep.bids.units import is_given
from fusionprep.errors import DataError, NoInputError, UnreadableFileError, UsageError
from fusionprep.given import shown
from fusionprep.reading import read_table

ID = "participant_id"
MOST_CLASSES = 3
_CONTROLS = frozenset({"cn", "nc", "hc", "control", "controls", "healthy", "normal"})
_SEXES = {"m": 0.0, "male": 0.0, "f": 1.0, "female": 1.0}


@dataclass(frozen=True)
class Classes:
    """The classes of subjects.

    Attributes
    ----------
    names
        In their order; of two the second is the positive one.
    of
        Number of the class of each subject (label with ``sub-``).
    """

    names: tuple[str, ...]
    of: Mapping[str, int]


def read_people(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a table of participants by label, names of columns in lower case.

    Raises
    ------
    NoInputError, DataError
        When the table is missing or has no participants, or a subject is in it twice.
    """
    try:
        rows = read_table(path)
    except UnreadableFileError as error:
        raise DataError(f"cannot read {path}: {error.reason}; write it again") from error
    people: dict[str, dict[str, str]] = {}
    for row in rows:
        plain = {key.strip().lower(): value.strip() for key, value in row.items()}
        if not is_given(plain.get(ID)):
            continue
        label = "sub-" + plain[ID].removeprefix("sub-")
        if label in people:
            raise DataError(
                f"{path} lists {label} twice; a subject must be in one fold only, so leave one row"
            )
        people[label] = plain
    if not people:
        raise NoInputError(f"{path} lists no participants; name the table with --participants")
    return people


def classes_of(
    people: Mapping[str, Mapping[str, str]], column: str, wanted: Sequence[str] = ()
) -> Classes:
    """The classes in a column of the table.

    Parameters
    ----------
    column
        E.g. ``diagnosis``.
    wanted
        Which of its values are classes, in that order; all, controls first, when empty. Subjects
        with another value are left out.

    Raises
    ------
    UsageError
        When the column is missing, does not hold what is wanted, or has fewer than two classes or
        more than three.
    """
    found = _column(people, column)
    values = sorted(set(found.values()), key=lambda value: (value.lower() not in _CONTROLS, value))
    if missing := [name for name in wanted if name not in values]:
        raise UsageError(
            f"no participant has {column} {shown(missing[0])}; there are {_list(values)}"
        )
    names = tuple(wanted or values)
    if len(set(names)) != len(names) or not 2 <= len(names) <= MOST_CLASSES:
        raise UsageError(
            f"{column} has {len(values)} values, {_list(values)}; name two or three of them with "
            "--classes"
        )
    return Classes(names, {who: names.index(v) for who, v in found.items() if v in names})


def groups_of(people: Mapping[str, Mapping[str, str]], column: str) -> dict[str, str]:
    """What stands in a column, e.g. ``site``, for each subject that has something there.

    Raises
    ------
    UsageError
        When the column is missing.
    """
    return _column(people, column)


def _column(people: Mapping[str, Mapping[str, str]], column: str) -> dict[str, str]:
    columns = sorted({name for row in people.values() for name in row})
    if column.lower() not in columns:
        raise UsageError(
            f"the table of participants has no column {shown(column)}: {_list(columns)}"
        )
    values = {who: row.get(column.lower(), "") for who, row in people.items()}
    return {who: value for who, value in values.items() if is_given(value)}


def age_and_sex(people: Mapping[str, Mapping[str, str]], subjects: Sequence[str]) -> np.ndarray:
    """(subjects, 2): years, and 1 for women and 0 for men; NaN where the table does not say."""
    rows = [people.get(subject, {}) for subject in subjects]
    ages = [age_in([SubjectTable("", (row,), {})]) for row in rows]
    sexes = [_SEXES.get(row.get("sex", row.get("gender", "")).lower(), np.nan) for row in rows]
    return np.array(list(zip(ages, sexes, strict=True)), float).reshape(-1, 2)


def _list(words: Sequence[str]) -> str:
    return ", ".join(words[:8]) + (", …" if len(words) > 8 else "")
