"""Means over readers, with intervals that say what other readers would find in other cases.

References
----------
Obuchowski NA, Rockette HE. Hypothesis testing of diagnostic accuracy for multiple readers and
multiple tests. Commun Stat Simul Comput 1995;24:285-308. Hillis SL. A comparison of denominator
degrees of freedom methods for multiple observer ROC analysis. Stat Med 2007;26:596-619. Wilson EB.
Probable inference, the law of succession, and statistical inference. JASA 1927;22:209-212; with an
effective sample size as in Korn EL, Graubard BI. Surv Methodol 1998;24:193-201.
"""

import math
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over readers with its interval; NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Uncertain:
    """A mean over readers, its variance, and the degrees of freedom of that."""

    mean: float
    variance: float
    freedom: float


def leave_one_out(groups: np.ndarray) -> np.ndarray:
    """Weights of all items, then of those without each group in turn, (groups + 1, items)."""
    names, member = np.unique(groups, return_inverse=True)
    kept = np.arange(len(names))[:, None] != member
    return np.vstack([np.ones(len(member)), kept])


def over_readers(values: np.ndarray) -> Uncertain:
    """The mean over readers, and how it would vary with other readers and other cases.

    The variance of readers is taken between them, and the covariance of their errors, from cases
    that are hard for all, by the jackknife. A single reader's is that of other cases alone.

    Parameters
    ----------
    values
        (groups + 1, readers): a measure, or a difference of two, of each reader; then the same with
        each group of cases left out.
    """
    own, jackknifed = values[0], values[1:]
    count, readers = jackknifed.shape
    if count < 2:
        return Uncertain(float(own.mean()), math.nan, math.nan)
    centred = jackknifed - jackknifed.mean(axis=0)
    covariance = (count - 1) / count * (centred.T @ centred)
    if readers == 1:
        return Uncertain(float(own[0]), float(covariance[0, 0]), count - 1.0)
    between = float(np.var(own, ddof=1))
    shared = (covariance.sum() - np.trace(covariance)) / (readers * (readers - 1))
    total = between + max(readers * shared, 0.0)
    # no more than the cases have, from which the covariance comes
    freedom = count - 1.0
    if between > 0:
        freedom = min(freedom, total**2 / (between**2 / (readers - 1)))
    return Uncertain(float(own.mean()), total / readers, freedom)


def share_interval(found: Uncertain, items: int) -> Estimate:
    """The interval of a share or an area, from 0 to 1: Wilson's, of an effective sample size.

    Parameters
    ----------
    items
        The sample size where the share is 0 or 1, so that no variance is seen.
    """
    mean = min(max(found.mean, 0.0), 1.0)
    if not math.isfinite(found.variance):
        return Estimate(found.mean, math.nan, math.nan)
    seen = found.variance > 0 and 0 < mean < 1
    sample = mean * (1 - mean) / found.variance if seen else items
    square = _quantile(found.freedom) ** 2
    centre = (mean + square / (2 * sample)) / (1 + square / sample)
    spread = mean * (1 - mean) / sample + square / (4 * sample**2)
    half = math.sqrt(square * spread) / (1 + square / sample)
    return Estimate(found.mean, max(centre - half, 0.0), min(centre + half, 1.0))


def plain_interval(found: Uncertain) -> Estimate:
    """The interval of a difference, or of any other mean; none where nothing varies."""
    if not found.variance > 0:
        return Estimate(found.mean, math.nan, math.nan)
    half = _quantile(found.freedom) * math.sqrt(found.variance)
    return Estimate(found.mean, found.mean - half, found.mean + half)


def _quantile(freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, freedom))
