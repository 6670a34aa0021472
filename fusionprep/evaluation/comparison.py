"""The methods of a benchmark compared: means, intervals and ranks of one dataset."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.evaluation.metrics import RANKED, get_metric
from fusionprep.evaluation.ranking import Estimate, estimate, rank
from fusionprep.evaluation.scoring import CHECKS, FLICKER, GUARDS, TIME, DatasetScores, Method
from fusionprep.evaluation.visibility import Visibility, VisibilitySummary, combine

UNRANKED = (*GUARDS, *CHECKS, FLICKER, TIME)
"""What is not one of the field's metrics."""


@dataclass(frozen=True)
class DatasetSummary:
    """The methods of one dataset compared.

    Attributes
    ----------
    estimates
        Metric, guard, check, ``through_plane`` or ``ms`` to one estimate per method. Time is
        the median over the pairs, without an interval.
    ranks
        Metric with a better direction to the rank of each method. Probes do not compete.
    mean_ranks
        (methods,), over the metrics of ``RANKED`` that were computed; NaN when none was.
    seen
        What a reader can see in the fused images of each method; None where that is not known.
    """

    scores: DatasetScores
    estimates: dict[str, list[Estimate]]
    ranks: dict[str, np.ndarray]
    mean_ranks: np.ndarray
    seen: tuple[VisibilitySummary | None, ...]

    @property
    def name(self) -> str:
        return self.scores.pair_set.name

    @property
    def methods(self) -> tuple[Method, ...]:
        return self.scores.methods

    def metrics(self) -> list[str]:
        """Names of the metrics alone."""
        return [name for name in self.estimates if name not in UNRANKED]

    def order(self) -> list[int]:
        """Indices of the methods by mean rank, the probes last."""
        return sorted(
            range(len(self.methods)),
            key=lambda row: (self.methods[row].kind == "probe", self.mean_ranks[row]),
        )


def summarise(scores: DatasetScores) -> DatasetSummary:
    """Means, intervals and ranks of one dataset."""
    groups = scores.pair_set.patients()
    competes = [method.kind != "probe" for method in scores.methods]
    estimates = {name: estimate(array, groups) for name, array in scores.values.items()}
    estimates[TIME] = [
        Estimate(median, math.nan, math.nan) for median in _medians(scores.values[TIME])
    ]
    ranks = {}
    for name in estimates:
        if name not in UNRANKED and get_metric(name).better != "neither":
            means = [found.mean for found in estimates[name]]
            ranks[name] = rank(means, get_metric(name).better, competes)
    ranked = [ranks[name] for name in RANKED if name in ranks]
    mean_ranks = np.mean(ranked, axis=0) if ranked else np.full(len(competes), np.nan)
    seen = tuple(_seen(row, groups) for row in scores.seen) or (None,) * len(competes)
    return DatasetSummary(scores, estimates, ranks, mean_ranks, seen)


def _medians(values: np.ndarray) -> list[float]:
    """Of the finite values of each method; NaN where it has none."""
    finite = (row[np.isfinite(row)] for row in values)
    return [float(np.median(row)) if row.size else math.nan for row in finite]


def _seen(
    results: Sequence[Visibility | None], groups: Sequence[str] | None
) -> VisibilitySummary | None:
    """Pairs whose brain has no room for lesions are left out."""
    known = [index for index, result in enumerate(results) if result is not None]
    if not known:
        return None
    return combine(
        (result for result in results if result is not None),
        None if groups is None else [groups[index] for index in known],
    )


def patient_count(scores: DatasetScores) -> int | None:
    """How many patients the pairs come from; None unless all are known."""
    subjects = {pair.subject for pair in scores.pair_set.pairs}
    return None if None in subjects else len(subjects)


def lesions_file(dataset: str) -> str:
    """Name of the pictures of a dataset's pair with lesions."""
    return f"lesions-{dataset}.png"


def montage_file(dataset: str) -> str:
    """Name of the montage of a dataset."""
    return f"montage-{dataset}.png"
