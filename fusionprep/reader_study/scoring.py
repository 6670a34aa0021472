"""The answers of readers scored: figures of each condition, differences, agreement."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.choices import ReaderTask
from fusionprep.reader_study.agreement import intraclass_correlation, kappa, with_interval
from fusionprep.reader_study.answers import (
    RATINGS,
    Key,
    ReaderAnswers,
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
        narrow = " Of two readers they hold the truth in about 90% rather than 95%."
        few = narrow if len(self.readers) == 2 else ""
        return f"Intervals say what {readers} would find in {cases}.{few}"


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
