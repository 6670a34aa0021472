"""Means, bootstrap intervals and ranks of methods over the pairs of a dataset."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
SEED = 20190515


@dataclass(frozen=True)
class Estimate:
    """A mean over pairs with its 95 % bootstrap interval; NaN where there is none."""

    mean: float
    low: float
    high: float


def estimate(values: np.ndarray, groups: Sequence[str] | None = None) -> list[Estimate]:
    """Mean and 95 % percentile bootstrap interval of each method.

    Pairs for which no method has a finite value (bone in a slice without any) are left out; a
    method without a value for another pair has no mean.

    Parameters
    ----------
    values
        (methods, pairs).
    groups
        Patient of each pair: whole patients are drawn, since slices of one are not independent.
        None draws pairs. One group or pair alone gives no interval.

    References
    ----------
    Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall, 1993, chapter 13.
    """
    usable = np.isfinite(values).any(axis=0)
    values = values[:, usable]
    if not values.size:
        return [Estimate(np.nan, np.nan, np.nan)] * len(values)
    labels = np.arange(usable.size) if groups is None else np.asarray(groups)
    _, member = np.unique(labels[usable], return_inverse=True)
    counts = np.bincount(member)
    sums = np.stack([np.bincount(member, row) for row in values])
    means = values.mean(axis=1)
    if len(counts) < 2:
        return [Estimate(float(mean), np.nan, np.nan) for mean in means]
    drawn = np.random.default_rng(SEED).integers(0, len(counts), (RESAMPLES, len(counts)))
    resampled = sums[:, drawn].sum(axis=-1) / counts[drawn].sum(axis=-1)
    low, high = np.percentile(resampled, (2.5, 97.5), axis=1)
    return [Estimate(*map(float, row)) for row in zip(means, low, high, strict=True)]


def rank(means: Sequence[float], better: str, competes: Sequence[bool]) -> np.ndarray:
    """Rank of each method, 1 the best; equal means share the mean of their ranks.

    A method that does not compete gets the rank it would have as the only one added, and does not
    move the others. A method without a mean is last.

    Parameters
    ----------
    better
        ``higher`` or ``lower``.
    """
    # The order of the pairs alone changes the last digits of sums of floats.
    scores = np.round(means, 10) * (1 if better == "higher" else -1)
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    ranks = np.empty(len(scores))
    for index, score in enumerate(scores):
        rivals = np.asarray(competes, bool).copy()
        rivals[index] = False
        ranks[index] = 1 + np.sum(scores[rivals] > score) + np.sum(scores[rivals] == score) / 2
    return ranks
