"""How far readers agree, beyond what chance gives.

References
----------
Light RJ. Measures of response agreement for qualitative data. Psychol Bull 1971;76:365-377 (mean of
Cohen's kappa over pairs of readers). Shrout PE, Fleiss JL. Intraclass correlations: uses in
assessing rater reliability. Psychol Bull 1979;86:420-428.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np

from fusionprep.evaluation.ranking import RESAMPLES, SEED
from fusionprep.reader_study.intervals import LEVEL, Estimate


def kappa(decisions: np.ndarray) -> float:
    """Cohen's kappa of yes and no, the mean over all pairs of readers that both vary.

    Parameters
    ----------
    decisions
        bool (readers, items).

    Returns
    -------
    float
        1 where all agree; NaN where every reader always says the same.
    """
    found = []
    for first, second in itertools.combinations(np.asarray(decisions, bool), 2):
        a, b = first.mean(), second.mean()
        expected = a * b + (1 - a) * (1 - b)
        if expected < 1:
            found.append((np.mean(first == second) - expected) / (1 - expected))
    return float(np.mean(found)) if found else math.nan


def intraclass_correlation(ratings: np.ndarray) -> float:
    """ICC(2,1): absolute agreement of single ratings by readers who stand for others.

    Parameters
    ----------
    ratings
        (readers, items).

    Returns
    -------
    float
        At most 1; NaN for fewer than two readers or items, or where nothing varies.
    """
    table = np.asarray(ratings, float)
    readers, items = table.shape
    if readers < 2 or items < 2 or np.ptp(table) == 0:
        return math.nan
    mean = table.mean()
    of_items, of_readers = table.mean(axis=0), table.mean(axis=1)
    rest = table - of_items - of_readers[:, None] + mean
    between = readers * np.sum((of_items - mean) ** 2) / (items - 1)
    bias = items * np.sum((of_readers - mean) ** 2) / (readers - 1)
    error = np.sum(rest**2) / ((items - 1) * (readers - 1))
    whole = between + (readers - 1) * error + readers * (bias - error) / items
    return float((between - error) / whole) if whole > 0 else math.nan


def with_interval(
    measure: Callable[[np.ndarray], float], answers: np.ndarray, groups: np.ndarray
) -> Estimate:
    """A measure of agreement with its 95 % bootstrap interval over groups of items.

    Parameters
    ----------
    answers
        (readers, items).
    groups
        Of the items.
    """
    names, member = np.unique(groups, return_inverse=True)
    value = measure(answers)
    if len(names) < 2 or not math.isfinite(value):
        return Estimate(value, math.nan, math.nan)
    items = [np.flatnonzero(member == group) for group in range(len(names))]
    rng = np.random.default_rng(SEED)
    drawn = rng.integers(0, len(names), (RESAMPLES, len(names)))
    found = [measure(answers[:, np.concatenate([items[g] for g in row])]) for row in drawn]
    tail = 50 * (1 - LEVEL)
    low, high = np.nanpercentile(found, (tail, 100 - tail))
    return Estimate(value, float(low), float(high))
