"""Fusion models compared over a cohort by their fusion metrics."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.reports.group.outliers import known_metrics
from fusionprep.reports.group.rows import ScanEntry


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of a figure over the scans."""

    first: float
    median: float
    third: float
    best: bool = False


@dataclass(frozen=True)
class ModelRow:
    """A model among others.

    Attributes
    ----------
    title
        Its name.
    n
        Scans that it fused and that have metrics.
    mean_rank
        Over the ranked metrics and the scans that all models have; NaN where there are none.
    spreads
        By metric; a metric without values is absent.
    run_time
        Seconds; None where it was not recorded.
    """

    title: str
    n: int
    mean_rank: float
    spreads: Mapping[str, Spread]
    run_time: Spread | None


@dataclass(frozen=True)
class Comparison:
    """The models that fused scans of one modality, the best mean rank first.

    Attributes
    ----------
    modality
        ``PET`` or ``CT``.
    metrics
        Names, the ranked ones first, with their direction: ``higher``, ``lower`` or ``neither``.
    ranked
        Names of those the mean rank is over.
    n_common
        Scans with all of the models, over which ranks are taken.
    rows
        The models.
    """

    modality: str
    metrics: Mapping[str, str]
    ranked: tuple[str, ...]
    n_common: int
    rows: tuple[ModelRow, ...]


def compare_models(scans: Sequence[ScanEntry], left_out: Iterable[int] = ()) -> list[Comparison]:
    """Compare the models of each modality; without metrics or run times there is no comparison.

    Parameters
    ----------
    left_out
        Indices of scans that do not take part.
    """
    skipped = set(left_out)
    by_modality: dict[str, list[ScanEntry]] = {}
    for index, scan in enumerate(scans):
        if scan.judged and index not in skipped:
            by_modality.setdefault(scan.values["modality"], []).append(scan)
    found = (_compare(modality, members) for modality, members in by_modality.items())
    return [item for item in found if item is not None]


def _compare(modality: str, scans: Sequence[ScanEntry]) -> Comparison | None:
    from fusionprep.evaluation.metrics import METRICS, RANKED

    titles = sorted({fused.title for scan in scans for fused in scan.judged})
    names = known_metrics({name for scan in scans for f in scan.judged for name in f.metrics})
    ranked = tuple(name for name in RANKED if name in names)
    order = [*ranked, *(name for name in names if name not in ranked)]
    better = {metric.name: metric.better for metric in METRICS}
    # (metrics and run time, models, scans)
    table = np.full((len(order) + 1, len(titles), len(scans)), np.nan)
    for column, scan in enumerate(scans):
        for fused in scan.judged:
            row = titles.index(fused.title)
            for i, name in enumerate(order):
                table[i, row, column] = fused.metrics.get(name, np.nan)
            seconds = fused.values["run_time"]
            table[-1, row, column] = np.nan if seconds is None else seconds
    if np.isnan(table).all():
        return None
    common = np.isfinite(table[: len(ranked)]).all(axis=(0, 1)) & bool(ranked)
    mean_ranks = _mean_ranks(table[: len(ranked)][:, :, common], [better[n] for n in ranked])
    best = [_best(table[i], better[name]) for i, name in enumerate(order)]
    rows = [
        ModelRow(
            title=title,
            n=int(np.isfinite(table[:-1, row]).any(axis=0).sum()),
            mean_rank=float(mean_ranks[row]),
            spreads={
                name: found
                for i, name in enumerate(order)
                if (found := _spread(table[i, row], best=best[i] == row)) is not None
            },
            run_time=_spread(table[-1, row]),
        )
        for row, title in enumerate(titles)
    ]
    rows.sort(key=lambda row: (np.isnan(row.mean_rank), row.mean_rank, row.title))
    directions = {name: better[name] for name in order}
    return Comparison(modality, directions, ranked, int(common.sum()), tuple(rows))


def _mean_ranks(values: np.ndarray, better: Sequence[str]) -> np.ndarray:
    """Mean rank of each model, 1 the best; equal values share the mean of their ranks.

    Parameters
    ----------
    values
        (metrics, models, scans), all finite.
    better
        Direction of each metric.
    """
    if not values.size:
        return np.full(values.shape[1], np.nan)
    from scipy.stats import rankdata

    signs = np.array([1.0 if direction == "lower" else -1.0 for direction in better])
    return rankdata(signs[:, None, None] * values, axis=1).mean(axis=(0, 2))


def _spread(values: np.ndarray, *, best: bool = False) -> Spread | None:
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    low, middle, high = map(float, np.percentile(known, (25, 50, 75)))
    return Spread(low, middle, high, best)


def _best(values: np.ndarray, better: str) -> int | None:
    """The model with the best median of a metric that may be ranked by; None for a single one."""
    known = np.isfinite(values)
    if better == "neither" or len(values) < 2 or not known.any(axis=1).all():
        return None
    medians = np.array(
        [np.median(row[row_known]) for row, row_known in zip(values, known, strict=True)]
    )
    return int(np.argmin(medians) if better == "lower" else np.argmax(medians))
