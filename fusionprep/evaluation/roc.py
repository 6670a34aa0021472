"""How well scores tell classes apart: areas under ROC curves and rates, each with an interval.

Scores of a cross-validation are only compared within a fold, since every fold has a model of its
own. What each subject contributes to the area (its influence) then gives DeLong's variance, also of
differences and of means over classes, because the influences of one subject add up.

References
----------
DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the areas under two or more correlated receiver
operating characteristic curves. Biometrics 44:837-845, 1988. doi:10.2307/2531595

LeDell E, Petersen M, van der Laan M. Computationally efficient confidence intervals for
cross-validated area under the ROC curve estimates. Electronic Journal of Statistics 9:1583-1607,
2015. doi:10.1214/15-EJS1035

Nadeau C, Bengio Y. Inference for the generalization error. Machine Learning 52:239-281, 2003.
doi:10.1023/A:1024068626366
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.errors import DataError

Z = 1.959963984540054
"""Standard normal quantile of 95 % intervals."""


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Area:
    """An area under the ROC curve, or the mean of several.

    Attributes
    ----------
    value
        In [0, 1]; .5 is chance.
    influence
        (n,), what each subject contributes; the sum of squares is DeLong's variance.
    """

    value: float
    influence: np.ndarray


@dataclass(frozen=True)
class Difference:
    """A difference between two areas of the same subjects, and the two-sided p of its z test."""

    interval: Interval
    p: float


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Share of pairs of a positive and a negative that are in the right order; ties count half.

    Parameters
    ----------
    scores
        (n,), higher for positives.
    positive
        (n,) of bool, of both kinds.

    Examples
    --------
    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    return float(_wins(scores, positive).mean())


def _wins(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """(positives, negatives): 1 in the right order, 0 in the wrong one, .5 tied."""
    difference = scores[positive][:, None] - scores[~positive]
    return 0.5 + 0.5 * np.sign(difference)


def cross_validated_area(scores: np.ndarray, positive: np.ndarray, folds: np.ndarray) -> Area:
    """The area over pairs of subjects in one fold; with a single fold, the plain area.

    Parameters
    ----------
    scores, positive
        As in :func:`auc`.
    folds
        (n,), the fold in which each subject was tested.

    Raises
    ------
    DataError
        When a fold has fewer than two of a kind.
    """
    total, pairs, influence = 0.0, 0, np.zeros(len(scores))
    for fold in np.unique(folds):
        inside = np.flatnonzero(folds == fold)
        kind = positive[inside]
        wins = _wins(scores[inside], kind)
        if min(wins.shape) < 2:
            raise DataError(
                f"fold {fold} tests {len(kind)} subjects, {wins.shape[0]} of one class; two of "
                "each are needed: use fewer --folds"
            )
        total, pairs = total + wins.sum(), pairs + wins.size
        for axis, members in ((1, inside[kind]), (0, inside[~kind])):
            count = len(members)
            spread = wins.mean(axis=axis) - wins.mean()
            influence[members] = wins.size * spread / math.sqrt(count * (count - 1))
    return Area(float(total / pairs), influence / pairs)


def macro_area(scores: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> Area:
    """The mean area of each class against the others; of two classes, the area of the second.

    Parameters
    ----------
    scores
        (n, classes), higher for the class.
    labels
        (n,), number of the class.
    folds
        As in :func:`cross_validated_area`.
    """
    classes = range(scores.shape[1])
    areas = [
        cross_validated_area(scores[:, each], labels == each, folds)
        for each in (classes if len(classes) > 2 else [1])
    ]
    influence = np.mean([area.influence for area in areas], axis=0)
    return Area(float(np.mean([area.value for area in areas])), influence)


def inflation(folds: int) -> float:
    """By how much the variance of a cross-validated area exceeds that for independent scores.

    Models of different folds share most of their training subjects, and every two subjects serve
    to test each other. With m tests in n subjects, Nadeau and Bengio put the correlation between
    folds at m / n, so that the variance of one fold is divided by K / (1 + K / (K - 1)) rather than
    by K. For linear models and data without an effect this is the exact value; simulations in
    ``tests/evaluation/test_roc.py`` cover it, and with a strong effect it is on the safe side.

    Parameters
    ----------
    folds
        K; with one fold, scores are independent and the factor is 1.

    Examples
    --------
    >>> inflation(1), inflation(5)
    (1.0, 2.25)
    """
    return 1.0 if folds == 1 else 1 + folds / (folds - 1)


def area_interval(area: Area, labels: np.ndarray, folds: int = 1) -> Interval:
    """The interval of an area: Wilson's, of a proportion whose variance is that of the area.

    It stays within 0 and 1 and, unlike one on the logit scale, does not widen near them: there it
    is a fifth to a quarter narrower and covers the true area as often. Where the classes are apart
    without exception DeLong's variance is 0, and the proportion is one of as many subjects as the
    smallest class has.

    Parameters
    ----------
    labels
        (n,), class of each subject.
    folds
        In how many the scores were made, for :func:`inflation`.
    """
    value, factor = area.value, inflation(folds)
    variance = factor * float(np.sum(area.influence**2))
    if variance > 0 and 0 < value < 1:
        trials = value * (1 - value) / variance
    else:
        trials = np.unique(labels, return_counts=True)[1].min() / factor
    return wilson(value * trials, trials)


def area_difference(first: Area, second: Area, folds: int = 1) -> Difference:
    """The first area minus the second, of the same subjects in the same folds (DeLong)."""
    value = first.value - second.value
    variance = inflation(folds) * float(np.sum((first.influence - second.influence) ** 2))
    error = math.sqrt(variance)
    p = 1.0 if value == 0 else math.erfc(abs(value) / error / math.sqrt(2)) if error else 0.0
    return Difference(Interval(value, value - Z * error, value + Z * error), p)


def wilson(hits: float, trials: float) -> Interval:
    """A proportion with Wilson's interval.

    Wilson EB. Probable inference, the law of succession, and statistical inference. Journal of the
    American Statistical Association 22:209-212, 1927.

    Examples
    --------
    >>> found = wilson(9, 10)
    >>> round(found.low, 3), round(found.high, 3)
    (0.596, 0.982)
    """
    share = hits / trials
    shrunk = (share + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    spread = share * (1 - share) / trials + Z**2 / (4 * trials**2)
    reach = Z * math.sqrt(spread) / (1 + Z**2 / trials)
    return Interval(share, max(shrunk - reach, 0.0), min(shrunk + reach, 1.0))


def recalls(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[Interval]:
    """For each class, the share of its subjects that were recognised, with Wilson's interval.

    Of two classes the first is the specificity, the second the sensitivity.
    """
    return [
        wilson(int(np.sum(predicted[labels == each] == each)), int(np.sum(labels == each)))
        for each in range(classes)
    ]


def balanced_accuracy(rates: Sequence[Interval]) -> Interval:
    """Mean of the recalls, its interval from theirs.

    Their variances are recovered from the limits (MOVER): Zou GY, Donner A. Construction of
    confidence limits about effect measures. Statistics in Medicine 27:1693-1702, 2008.

    Examples
    --------
    >>> found = balanced_accuracy([wilson(9, 10), wilson(7, 10)])
    >>> round(found.low, 3), round(found.value, 3), round(found.high, 3)
    (0.585, 0.8, 0.905)
    """
    count = len(rates)
    value = sum(rate.value for rate in rates) / count
    below = math.sqrt(sum((rate.value - rate.low) ** 2 for rate in rates)) / count
    above = math.sqrt(sum((rate.high - rate.value) ** 2 for rate in rates)) / count
    return Interval(value, max(value - below, 0.0), min(value + above, 1.0))


def roc_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates from (0, 0) to (1, 1), a point for each different score."""
    levels, rank = np.unique(-scores, return_inverse=True)
    rates = []
    for kind in (~positive, positive):
        counts = np.bincount(rank[kind], minlength=len(levels))
        rates.append(np.concatenate([[0.0], np.cumsum(counts) / counts.sum()]))
    return rates[0], rates[1]


def brier(probabilities: np.ndarray, labels: np.ndarray) -> Interval:
    """Mean squared distance between probabilities and truth, summed over classes.

    Of two classes half of it, as is usual: 0 is best, .25 is what a coin gets. The interval is
    normal, from the spread over subjects.

    Parameters
    ----------
    probabilities
        (n, classes), rows adding up to 1.
    labels
        (n,), number of the class.
    """
    count = probabilities.shape[1]
    each = ((probabilities - np.eye(count)[labels]) ** 2).sum(axis=1) / (2 if count == 2 else 1)
    value, error = float(each.mean()), float(each.std(ddof=1)) / math.sqrt(len(each))
    return Interval(value, max(value - Z * error, 0.0), value + Z * error)


def reliability(
    probabilities: np.ndarray, positive: np.ndarray, bins: int = 5
) -> list[tuple[float, Interval]]:
    """Mean probability and observed share, with Wilson's interval, of equally large bins.

    Parameters
    ----------
    probabilities, positive
        (n,), of the positive class and whether it is.
    bins
        At most; each holds ten subjects or more where there are as many.
    """
    parts = np.array_split(np.argsort(probabilities, kind="stable"), _bins(len(positive), bins))
    return [
        (float(probabilities[part].mean()), wilson(int(positive[part].sum()), len(part)))
        for part in parts
    ]


def _bins(subjects: int, most: int) -> int:
    return min(most, max(subjects // 10, 1))
