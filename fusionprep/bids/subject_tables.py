"""What tables of a dataset say about a subject or one of its scans, with the units they give."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fusionprep.bids.types import ImageFile
from fusionprep.bids.units import is_given
from fusionprep.errors import UnreadableFileError
from fusionprep.reading import read_json_object, read_table, unfetched

PARTICIPANTS = "participants.tsv"
_SESSION_COLUMNS = ("session_id", "session", "ses", "visit", "timepoint")

_Row = Mapping[str, str]


@dataclass(frozen=True)
class SubjectTable:
    """Rows of a table about one subject or scan.

    Attributes
    ----------
    name
        Of the file.
    rows
        With names of columns in lower case.
    described
        What JSON files beside the table or further up say of each column.
    problem
        Why the table or its description cannot be read; empty otherwise.
    """

    name: str
    rows: tuple[_Row, ...]
    described: Mapping[str, Any]
    problem: str = ""

    def unit(self, column: str, scale_of: Callable[[str], float | None] | None = None) -> Any:
        """The unit of a column by its description; None where that has none.

        Parameters
        ----------
        column
            In lower case.
        scale_of
            E.g. :func:`fusionprep.bids.units.kilograms`: without ``Units`` a word of the text that
            it knows counts, if there is just one.
        """
        about = self.described.get(column)
        if isinstance(about, str) and scale_of is not None and scale_of(about) is not None:
            return about
        if not isinstance(about, Mapping):
            return None
        plain = {str(key).lower(): value for key, value in about.items()}
        unit = next((plain[key] for key in ("units", "unit") if is_given(plain.get(key))), None)
        if unit is not None or scale_of is None:
            return unit
        words = set(re.findall(r"[a-z]{2,}", str(plain.get("description", "")).lower()))
        named = [word for word in words if scale_of(word) is not None]
        return named[0] if len(named) == 1 else None


class Participants:
    """``participants.tsv`` of a dataset, which is read once for all subjects.

    Parameters
    ----------
    bids_dir
        Root of the dataset.
    """

    def __init__(self, bids_dir: Path) -> None:
        self._bids_dir = bids_dir

    @cached_property
    def _table(self) -> SubjectTable:
        return _read(self._bids_dir / PARTICIPANTS, self._bids_dir)

    @cached_property
    def _rows(self) -> Mapping[str, tuple[_Row, ...]]:
        found: dict[str, list[_Row]] = {}
        for row in self._table.rows:
            label = row.get("participant_id", "").strip().removeprefix("sub-")
            found.setdefault(label, []).append(row)
        return {label: tuple(rows) for label, rows in found.items()}

    def of(self, subject: str) -> SubjectTable:
        """The rows of a subject (label without ``sub-``)."""
        return replace(self._table, rows=self._rows.get(subject, ()))


def tables_of(
    image: ImageFile, bids_dir: Path, participants: Participants | None = None
) -> list[SubjectTable]:
    """Tables that may say something of a scan, the nearest first: of scans, sessions, participants.

    Parameters
    ----------
    image
        The scan.
    bids_dir
        Root of the dataset.
    participants
        Shared by the images of a dataset, it saves reading a table as long as the cohort for each.
    """
    prefix, session = f"sub-{image.subject}", image.session
    folder = bids_dir / prefix
    scans, sessions = [folder / f"{prefix}_scans.tsv"], []
    if session:
        ses = f"ses-{session}"
        scans.insert(0, folder / ses / f"{prefix}_{ses}_scans.tsv")
        sessions.append(folder / f"{prefix}_sessions.tsv")

    def of_scan(row: _Row) -> bool:
        return Path(row.get("filename", "")).name == image.path.name

    def of_session(row: _Row) -> bool:
        return same_session(row.get("session_id", ""), session)

    return [
        *(_read(path, bids_dir, of_scan) for path in scans),
        *(_read(path, bids_dir, of_session) for path in sessions),
        (participants or Participants(bids_dir)).of(image.subject),
    ]


def session_of(row: _Row) -> str:
    """The session that a row names; empty where it names none."""
    return next((row[name].strip() for name in _SESSION_COLUMNS if is_given(row.get(name))), "")


def same_session(written: str, session: str | None) -> bool:
    """Whether a table means a session, whose number it may write without zeros in front."""
    one, other = written.strip().removeprefix("ses-").casefold(), (session or "").casefold()
    return one == other or (
        one.isdecimal() and other.isdecimal() and one.lstrip("0") == other.lstrip("0")
    )


def _read(
    path: Path, bids_dir: Path, wanted: Callable[[_Row], bool] = lambda _: True
) -> SubjectTable:
    if problem := unfetched(path):
        return SubjectTable(path.name, (), {}, f"{path.name} {problem}")
    try:
        read = read_table(path)
    except UnreadableFileError as error:
        return SubjectTable(path.name, (), {}, f"{path.name} cannot be read ({error.reason})")
    every = [{key.strip().lower(): value for key, value in row.items()} for row in read]
    rows = tuple(row for row in every if wanted(row))
    described: dict[str, Any] = {}
    general = path.stem.rsplit("_", 1)[-1] + ".json"
    for about in (bids_dir / general, path.parent / general, path.with_suffix(".json")):
        if problem := unfetched(about):
            return SubjectTable(path.name, rows, {}, f"{about.name} {problem}")
        try:
            content = read_json_object(about)
        except UnreadableFileError as error:
            if error.absent:
                continue
            return SubjectTable(
                path.name, rows, {}, f"{about.name} cannot be read ({error.reason})"
            )
        described |= {key.strip().lower(): value for key, value in content.items()}
    return SubjectTable(path.name, rows, described)
