"""Body weight at a scan, from its sidecar and the dataset's tables, with units and sessions."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionprep.bids.participants import age_in
from fusionprep.bids.subject_tables import (
    PARTICIPANTS,
    Participants,
    SubjectTable,
    same_session,
    session_of,
    tables_of,
)
from fusionprep.bids.types import ImageFile
from fusionprep.bids.units import in_unit, is_given, kilograms, number_and_unit
from fusionprep.plausibility import ADULT, ADULT_WEIGHT, BODY_WEIGHT, SAME_WEIGHT

_FIELDS = ("BodyWeight", "PatientWeight")
_COLUMN = re.compile(
    r"(?:body|patient|participant|subject)?_?weight(?:_?(kgs?|lbs?|pounds?|g|st))?"
)


@dataclass(frozen=True)
class BodyWeight:
    """Body weight at a scan.

    Attributes
    ----------
    kg
        None where it is not known.
    problem
        Why not; empty otherwise.
    notes
        What was assumed.
    doubts
        What has to be looked at.
    """

    kg: float | None
    problem: str = ""
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Stated:
    """A weight as one place states it; ``session`` is whose it is, empty where none is named."""

    kg: float | None
    where: str
    problem: str = ""
    session: str = ""


def body_weight(
    image: ImageFile, bids_dir: Path, participants: Participants | None = None
) -> BodyWeight:
    """Body weight at a scan.

    Of the scan's sidecar, else of ``scans.tsv``, ``sessions.tsv`` or ``participants.tsv``, in
    kilograms unless the table's JSON file, the column's name or the cell gives another unit.

    Parameters
    ----------
    image
        With its metadata read.
    bids_dir
        Root of the dataset.
    participants
        Its ``participants.tsv``, where that is read for many images.
    """
    tables = tables_of(image, bids_dir, participants)
    stated = [*_of_sidecar(image.metadata), *(s for table in tables for s in _in_table(table))]
    # a weight of 0 is how scanners write that none was entered
    zeros = [s for s in stated if s.kg == 0]
    stated = [s for s in stated if s.kg != 0]
    ignored = tuple(f"the weight of 0 kg in {s.where} is taken as not given" for s in zeros)
    of_scan = [
        s
        for s in stated
        if (same_session(s.session, image.session) if s.session else s.where != PARTICIPANTS)
    ]
    general = [s for s in stated if s not in of_scan]
    found = _agreed(of_scan, SAME_WEIGHT.high) if of_scan else _of_participant(general, image)
    if found.kg is None:
        unread = [table.problem for table in tables if table.problem and not stated]
        unset = [f"the body weight is 0 in {s.where}" for s in zeros]
        problem = found.problem or "; ".join(unread or unset) or "the body weight is not given"
        return BodyWeight(None, problem, ignored)
    doubts = []
    for other in general if of_scan else ():
        if other.kg is not None and not other.session and found.kg / other.kg not in SAME_WEIGHT:
            doubts.append(
                f"the body weight of {found.kg:.4g} kg is not that of {other.where},"
                f" {other.kg:.4g} kg"
            )
    notes, age = [*ignored, *found.notes], age_in(tables, image.get("PatientAge"))
    unlikely = ADULT_WEIGHT.problem(found.kg)
    if unlikely and age is not None and age >= ADULT:
        doubts.append(f"{unlikely} (age {age:g})")
    elif unlikely and age is None:
        notes.append(f"{unlikely}, and no age is given")
    return BodyWeight(found.kg, "", tuple(notes), tuple(doubts))


def _of_participant(stated: list[_Stated], image: ImageFile) -> BodyWeight:
    """Of rows of ``participants.tsv``, where nothing is of the scan's own session."""
    found = _agreed(stated, 1.02)
    if found.kg is None or image.session is None:
        return found
    other = next((s.session for s in stated if s.session), "")
    if not other:
        return found
    note = f"the body weight is that of session {other}: there is none of ses-{image.session}"
    return BodyWeight(found.kg, notes=(note,))


def _agreed(stated: list[_Stated], tolerance: float) -> BodyWeight:
    """The first of several weights, where they are within a ratio."""
    if problem := next((s.problem for s in stated if s.problem), ""):
        return BodyWeight(None, problem)
    weights = {s.kg: s for s in stated if s.kg is not None}
    if not weights:
        return BodyWeight(None)
    if max(weights) > tolerance * min(weights):
        listed = ", ".join(
            f"{kg:.4g} kg in {s.where}" + f" (session {s.session})" * bool(s.session)
            for kg, s in weights.items()
        )
        return BodyWeight(None, f"the body weight is not known, it is {listed}")
    return BodyWeight(next(iter(weights)))


def _state(value: Any, units: Iterable[Any], where: str, name: str, session: str = "") -> _Stated:
    """What a field or cell states; kilograms where no unit is given."""
    read = number_and_unit(value)
    units = [unit for unit in units if is_given(unit)]
    if not units and (read is None or not read[1]):
        units = ["kg"]
    kg, problem = in_unit(value, units, kilograms)
    if kg is None:
        return _Stated(None, where, f"{name} {problem}, in {where}", session)
    outside = "" if kg == 0 else BODY_WEIGHT.problem(kg)
    if outside:
        return _Stated(None, where, f"{outside}, in {where}", session)
    return _Stated(kg, where, "", session)


def _of_sidecar(metadata: Mapping[str, Any]) -> list[_Stated]:
    return [
        _state(
            metadata[key],
            [metadata.get(key + end) for end in ("Units", "Unit")],
            "the sidecar",
            key,
        )
        for key in _FIELDS
        if is_given(metadata.get(key))
    ]


def _in_table(table: SubjectTable) -> list[_Stated]:
    found = []
    for row in table.rows:
        for column, value in row.items():
            match = _COLUMN.fullmatch(re.sub(r"[^a-z]+", "_", column).strip("_"))
            if match and is_given(value):
                beside = [row.get(column + ending) for ending in ("_units", "_unit")]
                units = [table.unit(column, kilograms), match[1], *beside]
                stated = _state(value, units, table.name, column, session_of(row))
                if table.problem:
                    stated = _Stated(None, table.name, table.problem, stated.session)
                found.append(stated)
    return found
