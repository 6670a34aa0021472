"""Distributions of quality over a cohort, and the scans that lie outside them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.modalities import T1W
from fusionprep.reports.group.columns import MEASURES, METRIC_PREFIX, Measure
from fusionprep.reports.group.rows import ScanEntry, rank_of_kind

LIMIT = 3.0
"""Robust z at which a value becomes an outlier."""

ENOUGH = 10
"""Values below which nothing is called an outlier."""

_NORMAL_MAD = 1.4826
_NORMAL_MEAN_DEVIATION = 1.2533


def robust_z(
    values: np.ndarray, reference: np.ndarray | None = None, least_spread: float = 0.0
) -> np.ndarray:
    """Distance from the median in robust standard deviations, (x - median) / (1.4826 MAD).

    Where more than half of the values are the same, so that the MAD is 0, the spread is 1.2533
    times the mean absolute deviation from the median; where all are the same, z is 0 for them and
    infinite for any other value.

    Parameters
    ----------
    values
        (n,) values to judge.
    reference
        (m,) finite values that median and spread are taken from; `values` by default.
    least_spread
        Smallest spread, in the units of the values.

    Returns
    -------
    numpy.ndarray
        (n,) signed.

    References
    ----------
    Iglewicz B, Hoaglin DC. How to Detect and Handle Outliers. ASQC, 1993.
    """
    values = np.asarray(values, dtype=float)
    reference = values if reference is None else np.asarray(reference, dtype=float)
    middle = np.median(reference)
    deviations = np.abs(reference - middle)
    spread = _NORMAL_MAD * np.median(deviations)
    if spread == 0:
        spread = _NORMAL_MEAN_DEVIATION * deviations.mean()
    spread = max(spread, least_spread)
    away = values - middle
    if spread == 0:
        return np.where(away == 0, 0.0, np.copysign(np.inf, away))
    return away / spread


@dataclass(frozen=True)
class Distribution:
    """Values of one measure in one group of scans.

    Attributes
    ----------
    measure
        What was measured.
    group
        Modality and tracer, T1w, or template; with the model for fusion metrics.
    scans
        For each value the scans it belongs to, as indices.
    values
        (n,) finite.
    median
        Of the values z refers to.
    z
        (n,) robust z; None where there are too few values to tell.
    """

    measure: Measure
    group: str
    scans: tuple[tuple[int, ...], ...]
    values: np.ndarray
    median: float
    z: np.ndarray | None

    def z_of(self, index: int) -> float:
        """Robust z of a value; NaN where there are too few values to say."""
        return math.nan if self.z is None else float(self.z[index])

    def outliers(self) -> list[int]:
        """Indices of the values that are outliers, the farthest first."""
        if self.z is None:
            return []
        away = np.abs(self.z)
        return [int(i) for i in np.argsort(-away, kind="stable") if away[i] > LIMIT]


@dataclass(frozen=True)
class Outlier:
    """One value of a scan that lies far from the others.

    Attributes
    ----------
    measure
        What was measured.
    group
        What the scan was compared with.
    value, median, z
        The value, the median of the group, and the distance in robust standard deviations.
    """

    measure: Measure
    group: str
    value: float
    median: float
    z: float


def distributions(scans: Sequence[ScanEntry], left_out: Iterable[int] = ()) -> list[Distribution]:
    """The distribution of every measure in every group that has values of it.

    Scans are compared with those of the same modality and tracer; where these are too few, with
    all of the modality.

    Parameters
    ----------
    left_out
        Indices of scans to leave out.
    """
    kept = sorted(set(range(len(scans))) - set(left_out))
    found = []
    for measure in MEASURES:
        groups: dict[str, dict[tuple, tuple[float, list[int]]]] = {}
        for index in kept:
            for group, unit, value in _observed(measure, scans[index], index):
                groups.setdefault(group, {}).setdefault(unit, (value, []))[1].append(index)
        found += _judged(measure, groups)
    return found


def metric_distributions(
    scans: Sequence[ScanEntry], left_out: Iterable[int] = ()
) -> list[Distribution]:
    """The distribution of every fusion metric, by model and by modality and tracer.

    Parameters
    ----------
    left_out
        As in :func:`distributions`.
    """
    kept = sorted(set(range(len(scans))) - set(left_out))
    groups: dict[str, dict[str, dict[tuple, tuple[float, list[int]]]]] = {}
    for index in kept:
        for fused in scans[index].judged:
            group = f"{scans[index].kind}, {fused.title}"
            for name, value in fused.metrics.items():
                members = groups.setdefault(name, {}).setdefault(group, {})
                members[(index,)] = (value, [index])
    found = []
    for metric in known_metrics(groups):
        measure = Measure(METRIC_PREFIX + metric, metric, "Fusion metrics")
        found += _judged(measure, groups[metric], pool=False)
    return found


def known_metrics(names: Iterable[str]) -> list[str]:
    """Those of some names that are fusion metrics, in their usual order."""
    from fusionprep.evaluation.metrics import METRICS

    given = set(names)
    return [metric.name for metric in METRICS if metric.name in given]


def outliers_by_scan(found: Iterable[Distribution], n_scans: int) -> list[list[Outlier]]:
    """For each scan its outliers, the farthest first."""
    lists: list[list[Outlier]] = [[] for _ in range(n_scans)]
    for item in found:
        for index in item.outliers():
            outlier = Outlier(
                item.measure,
                item.group,
                float(item.values[index]),
                item.median,
                item.z_of(index),
            )
            for scan in item.scans[index]:
                lists[scan].append(outlier)
    return [sorted(items, key=lambda item: -abs(item.z)) for items in lists]


def common_outliers(outliers: Sequence[Outlier], n_models: int) -> list[Outlier]:
    """Of a scan's outlying fusion metrics those that more than half of its models share.

    A metric that is off for one model says something about the model; for most, about the scan.
    The farthest stands for all.
    """
    by_metric: dict[str, list[Outlier]] = {}
    for item in outliers:
        by_metric.setdefault(item.measure.column, []).append(item)
    return [items[0] for items in by_metric.values() if 2 * len(items) > n_models]


def _observed(measure: Measure, scan: ScanEntry, index: int) -> Iterable[tuple[str, tuple, float]]:
    """Group, what the value belongs to, and value."""
    if measure.of == "template":
        for fused in scan.fused:
            value = fused.values.get(measure.column)
            if value is not None:
                yield fused.space, (scan.participant, scan.anatomy, fused.space), value
        return
    value = scan.values.get(measure.column)
    if value is None:
        return
    if measure.of == "anatomy":
        yield T1W.label, (scan.participant, scan.anatomy), value
    else:
        yield scan.kind, (index,), value


def _judged(
    measure: Measure,
    groups: dict[str, dict[tuple, tuple[float, list[int]]]],
    *,
    pool: bool = True,
) -> list[Distribution]:
    found = []
    for group in sorted(groups, key=rank_of_kind):
        members = groups[group]
        values = np.array([value for value, _ in members.values()])
        reference = values
        if pool and measure.of == "scan" and values.size < ENOUGH:
            modality = group.split(" ", 1)[0]
            alike = [others for name, others in groups.items() if name.split(" ", 1)[0] == modality]
            reference = np.array([value for others in alike for value, _ in others.values()])
        enough = reference.size >= ENOUGH
        found.append(
            Distribution(
                measure,
                group,
                tuple(tuple(dict.fromkeys(scans)) for _, scans in members.values()),
                values,
                float(np.median(reference)),
                robust_z(values, reference, measure.least_spread) if enough else None,
            )
        )
    return found
