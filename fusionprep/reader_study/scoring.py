"""The answers of readers scored: figures of each condition, differences, agreement."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusionprep._version import __version__
from fusionprep.choices import ReaderTask
from fusionprep.errors import OutputError
from fusionprep.files import json_text, table_text, write_text
from fusionprep.reader_study.agreement import intraclass_correlation, kappa, with_interval
from fusionprep.reader_study.answers import (
    MISSING,
    RATINGS,
    Key,
    ReaderAnswers,
    read_answers,
    read_key,
)
from fusionprep.reader_study.intervals import (
    Estimate,
    leave_one_out,
    over_readers,
    plain_interval,
    share_interval,
)
from fusionprep.reader_study.measures import (
    Answered,
    Measure,
    arrange,
    by_patient,
    curve,
    measures,
    patients,
)

TABLE_COLUMNS = (
    "measure", "condition", "compared_with", "reader", "value", "low", "high", "chance",
)  # fmt: skip

ALL_READERS = "all"

AGREEMENT = {
    "choose": {"kappa_correct": "kappa: the image with the lesion was chosen"},
    "mark": {
        "kappa_marked": "kappa: marked, or no lesion",
        "icc_ratings": "ICC(2,1): ratings, 0 to 5",
    },
}
"""Name and title of the measures of agreement, by task."""


@dataclass(frozen=True)
class Difference:
    """One condition less another; of times, the ratio of both.

    Attributes
    ----------
    first, second
        Numbers of the conditions.
    """

    first: int
    second: int
    estimate: Estimate


@dataclass(frozen=True)
class Scored:
    """A measure of all conditions.

    Attributes
    ----------
    measure
        What was measured.
    conditions
        The mean over readers in each condition.
    readers
        (conditions, readers).
    differences
        Of every two conditions.
    """

    measure: Measure
    conditions: tuple[Estimate, ...]
    readers: np.ndarray
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Agreement:
    """A measure of how far readers agree, in each condition."""

    name: str
    title: str
    conditions: tuple[Estimate, ...]


@dataclass(frozen=True)
class Scores:
    """All that is found of a study.

    Attributes
    ----------
    key
        Of the study.
    readers
        Their names.
    radius
        Within which a mark has found a lesion, in mm or, of pictures, pixels.
    scored
        Measures, in the order of the tasks.
    agreement
        Empty for one reader.
    curves
        Localisation ROC of each condition; empty where no place was asked for.
    """

    key: Key
    readers: tuple[str, ...]
    radius: float
    scored: tuple[Scored, ...]
    agreement: tuple[Agreement, ...]
    curves: tuple[list[tuple[float, float]], ...]

    @property
    def titles(self) -> list[str]:
        """Of the conditions."""
        return [each["Title"] for each in self.key.told["Conditions"]]

    def holds_for(self) -> str:
        """What the intervals say, in a sentence."""
        count = patients(self.key)
        if by_patient(self.key):
            cases = f"other patients like these {count}"
        elif count is None:
            cases = "other slices like these (whose patients are not known)"
        else:
            cases = (
                f"other slices of the same {count} patients"
                if count > 1
                else "other slices of the same patient"
            )
        if len(self.readers) == 1:
            return f"Intervals say what this reader would find in {cases}; nothing about others."
        readers = f"other readers like these {len(self.readers)}"
        return f"Intervals say what {readers} would find in {cases}."


def score_files(
    key_path: Path, answer_paths: Sequence[Path], out: Path, radius: float | None = None
) -> list[str]:
    """Score answers and write ``scores.html``, ``.tsv`` and ``.json``.

    Returns
    -------
    list of str
        What to print.

    Raises
    ------
    UsageError, NoInputError, DataError
        When key or answers cannot be used.
    OutputError
        When nothing can be written.
    """
    from fusionprep.reader_study.score_page import html

    key = read_key(key_path)
    scores = score(key, read_answers(answer_paths, key), radius)
    texts = {
        "scores.html": html(scores),
        "scores.tsv": _table(scores),
        "scores.json": json_text(_record(scores)),
    }
    try:
        for name, text in texts.items():
            write_text(out / name, text)
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error}") from error
    return [*_lines(scores), scores.holds_for(), f"summary: {out / 'scores.html'}"]


def score(key: Key, readers: Sequence[ReaderAnswers], radius: float | None = None) -> Scores:
    """Score the answers of readers.

    Parameters
    ----------
    radius
        Within which a mark has found a lesion, in mm or, of pictures, pixels; None takes that of
        the study.
    """
    pixel = float(key.told["PixelSize"])
    radius = float(key.told["Radius"]) * pixel if radius is None else radius
    # the area of a circle, as far as it lies inside the brain
    by_chance = key.told["HitByChance"] * (radius / (key.told["Radius"] * pixel)) ** 2
    scored: list[Scored] = []
    agreement: list[Agreement] = []
    curves: list[list[tuple[float, float]]] = []
    for task in key.told["Tasks"]:
        answered = arrange(task, key, readers, radius / pixel)
        weights = leave_one_out(answered.groups)
        scored += [_scored(measure) for measure in measures(answered, weights, min(by_chance, 1.0))]
        if len(readers) > 1:
            agreement += _agreement(task, answered)
        if task == "mark":
            curves = [curve(answered, number, RATINGS) for number in range(len(key.conditions))]
    names = tuple(reader.reader for reader in readers)
    return Scores(key, names, radius, tuple(scored), tuple(agreement), tuple(curves))


def _scored(measure: Measure) -> Scored:
    count = measure.values.shape[1]
    conditions, differences = [], []
    for number in range(count):
        found = over_readers(measure.values[:, number])
        plain = plain_interval(found)
        conditions.append(
            _exponential(plain) if measure.logarithmic else share_interval(found, measure.items)
        )
    for first, second in itertools.combinations(range(count), 2):
        found = over_readers(measure.values[:, first] - measure.values[:, second])
        plain = plain_interval(found)
        estimate = _exponential(plain) if measure.logarithmic else plain
        differences.append(Difference(first, second, estimate))
    own = np.exp(measure.values[0]) if measure.logarithmic else measure.values[0]
    return Scored(measure, tuple(conditions), own, tuple(differences))


def _exponential(found: Estimate) -> Estimate:
    return Estimate(*(math.exp(number) for number in (found.value, found.low, found.high)))


def _agreement(task: ReaderTask, answered: Answered) -> list[Agreement]:
    found = []
    for name, title in AGREEMENT[task].items():
        measure = intraclass_correlation if name == "icc_ratings" else kappa
        estimates = [
            with_interval(
                measure, ratings if name == "icc_ratings" else ratings > 0, answered.groups
            )
            for ratings in answered.ratings
        ]
        found.append(Agreement(name, title, tuple(estimates)))
    return found


def figures(scores: Scores) -> Iterator[tuple[str | float | None, ...]]:
    """Every figure, in the order of :data:`TABLE_COLUMNS`; None for what does not apply."""
    names = scores.key.conditions
    for scored in scores.scored:
        name, chance = scored.measure.name, scored.measure.chance
        for condition, found in zip(names, scored.conditions, strict=True):
            yield name, condition, None, ALL_READERS, found.value, found.low, found.high, chance
        for condition, values in zip(names, scored.readers, strict=True):
            for reader, value in zip(scores.readers, values, strict=True):
                yield name, condition, None, reader, float(value), None, None, chance
        kind = "ratio" if scored.measure.logarithmic else "difference"
        for each in scored.differences:
            pair, found = (names[each.first], names[each.second]), each.estimate
            yield f"{name}_{kind}", *pair, ALL_READERS, found.value, found.low, found.high, None
    for agreement in scores.agreement:
        name = agreement.name
        for condition, found in zip(names, agreement.conditions, strict=True):
            yield name, condition, None, ALL_READERS, found.value, found.low, found.high, None


def _cell(value: str | float | None) -> str:
    if isinstance(value, str):
        return value
    return MISSING if value is None or not math.isfinite(value) else f"{value:.6g}"


def _table(scores: Scores) -> str:
    rows = [dict(zip(TABLE_COLUMNS, map(_cell, figure), strict=True)) for figure in figures(scores)]
    return table_text(TABLE_COLUMNS, rows)


def _record(scores: Scores) -> dict[str, Any]:
    told = scores.key.told
    return {
        "Study": scores.key.study,
        "GeneratedBy": f"fusionprep {__version__}",
        "Readers": list(scores.readers),
        "Tasks": told["Tasks"],
        "Conditions": told["Conditions"],
        "Lesions": told["Lesions"],
        "Units": told["Units"],
        "Radius": scores.radius,
        "Images": len({image.case for image in scores.key.images.values()}),
        "Patients": patients(scores.key),
        "IntervalsHoldFor": scores.holds_for(),
        "Measures": [dict(zip(TABLE_COLUMNS, each, strict=True)) for each in figures(scores)],
        "LocalisationROC": dict(zip(scores.key.conditions, scores.curves, strict=False)),
    }


def _lines(scores: Scores) -> list[str]:
    """The main measure of each task, to be printed."""
    lines = []
    for scored in scores.scored:
        if scored.measure.name in ("proportion_correct", "lroc_area"):
            lines.append(f"{scored.measure.title} (chance: {scored.measure.chance:.2f})")
            for title, found in zip(scores.titles, scored.conditions, strict=True):
                lines.append(f"  {title}: {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]")
    return lines
