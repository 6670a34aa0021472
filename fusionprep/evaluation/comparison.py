"""The methods of a benchmark compared: means, intervals and ranks of one dataset."""

import math
from dataclasses import dataclass

import numpy as np

from fusionprep.evaluation.benchmark import FLICKER, GUARDS, TIME, DatasetScores, Method
from fusionprep.evaluation.metrics import RANKED, get_metric
from fusionprep.evaluation.ranking import Estimate, estimate, rank


@dataclass(frozen=True)
class DatasetSummary:
    """The methods of one dataset compared.

    Attributes
    ----------
    estimates
        Metric, guard, ``through_plane`` or ``ms`` to one estimate per method. Time is the median
        over the pairs, without an interval.
    ranks
        Metric with a better direction to the rank of each method. Probes do not compete.
    mean_ranks
        (methods,), over the metrics of ``RANKED`` that were computed; NaN when none was.
    """

    scores: DatasetScores
    estimates: dict[str, list[Estimate]]
    ranks: dict[str, np.ndarray]
    mean_ranks: np.ndarray

    @property
    def name(self) -> str:
        return self.scores.pair_set.name

    @property
    def methods(self) -> tuple[Method, ...]:
        return self.scores.methods

    def metrics(self) -> list[str]:
        """Names of the metrics, without guards, flicker and time."""
        return [name for name in self.estimates if name not in (*GUARDS, FLICKER, TIME)]

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
        Estimate(float(median), math.nan, math.nan)
        for median in np.median(scores.values[TIME], axis=1)
    ]
    ranks = {}
    for name in estimates:
        if name not in (*GUARDS, FLICKER, TIME) and get_metric(name).better != "neither":
            means = [found.mean for found in estimates[name]]
            ranks[name] = rank(means, get_metric(name).better, competes)
    ranked = [ranks[name] for name in RANKED if name in ranks]
    mean_ranks = np.mean(ranked, axis=0) if ranked else np.full(len(competes), np.nan)
    return DatasetSummary(scores, estimates, ranks, mean_ranks)


def patient_count(scores: DatasetScores) -> int | None:
    """How many patients the pairs come from; None unless all are known."""
    subjects = {pair.subject for pair in scores.pair_set.pairs}
    return None if None in subjects else len(subjects)


def montage_file(dataset: str) -> str:
    """Name of the montage of a dataset."""
    return f"montage-{dataset}.png"
