"""Areas under ROC curves against closed forms and brute force; coverage without an effect."""

import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.evaluation import roc


def delong_covariance(scores, positive):
    """Straight from the paper: loops over all pairs."""
    positives, negatives = scores[:, positive], scores[:, ~positive]
    m, n = positives.shape[1], negatives.shape[1]
    v10, v01 = np.zeros((len(scores), m)), np.zeros((len(scores), n))
    for r in range(len(scores)):
        for i in range(m):
            for j in range(n):
                x, y = positives[r, i], negatives[r, j]
                psi = 1.0 if x > y else 0.5 if x == y else 0.0
                v10[r, i] += psi / n
                v01[r, j] += psi / m
    return v10.mean(axis=1), np.cov(v10) / m + np.cov(v01) / n


@pytest.fixture(name="paired")
def _paired():
    rng = np.random.default_rng(3)
    positive = np.arange(40) < 17
    scores = np.round(rng.normal(size=(2, 40)) + positive * [[1.0], [0.5]] + rng.normal(size=40), 1)
    return scores, positive


def test_variances_and_covariances_are_those_of_delong(paired):
    scores, positive = paired
    areas, covariance = delong_covariance(scores, positive)
    one_fold = np.zeros(40)
    found = [roc.cross_validated_area(row, positive, one_fold) for row in scores]
    assert [area.value for area in found] == pytest.approx(areas)
    influences = np.stack([area.influence for area in found])
    # the sums over positives and over negatives are 0, so no mean has to be removed
    assert influences @ influences.T == pytest.approx(covariance)


def test_the_paired_difference_is_that_of_delong(paired):
    from scipy.stats import norm

    scores, positive = paired
    areas, covariance = delong_covariance(scores, positive)
    found = roc.area_difference(
        *(roc.cross_validated_area(row, positive, np.zeros(40)) for row in scores)
    )
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert found.interval.value == pytest.approx(areas[0] - areas[1])
    assert found.p == pytest.approx(2 * norm.sf(abs(areas[0] - areas[1]) / error))
    assert found.interval.high - found.interval.low == pytest.approx(2 * norm.ppf(0.975) * error)


def test_without_spread_the_variance_is_that_of_hanley_and_mcneil():
    # exponential scores: the paper's closed form Q1 = A / (2 - A), Q2 = 2 A^2 / (1 + A)
    rng = np.random.default_rng(0)
    m = n = 4000
    scores = np.concatenate([rng.exponential(3, m), rng.exponential(1, n)])
    area = roc.cross_validated_area(scores, np.arange(m + n) < m, np.zeros(m + n))
    expected = 0.75
    q1, q2 = expected / (2 - expected), 2 * expected**2 / (1 + expected)
    variance = expected * (1 - expected) + (m - 1) * (q1 + q2 - 2 * expected**2)
    assert area.value == pytest.approx(expected, abs=0.02)
    assert np.sum(area.influence**2) == pytest.approx(variance / (m * n), rel=0.05)


def test_areas_and_curves_agree_with_scikit_learn(paired):
    from sklearn.metrics import roc_auc_score

    scores, positive = paired
    assert roc.auc(scores[0], positive) == pytest.approx(roc_auc_score(positive, scores[0]))
    false, true = roc.roc_curve(scores[0], positive)
    assert np.trapezoid(true, false) == pytest.approx(roc.auc(scores[0], positive))


def test_scores_are_compared_within_folds_only():
    positive = np.array([True, True, False, False] * 2)
    folds = np.repeat([0, 1], 4)
    scores = np.array([2.0, 3, 0, 1, 102, 103, 100, 101])
    assert roc.cross_validated_area(scores, positive, folds).value == 1
    assert roc.auc(scores, positive) == 0.75


def test_a_fold_without_two_of_a_kind_is_refused():
    with pytest.raises(DataError, match="fewer --folds"):
        roc.cross_validated_area(np.arange(6.0), np.arange(6) < 3, np.array([0, 0, 1, 0, 1, 1]))


def test_the_interval_of_three_classes_is_that_of_the_bootstrap():
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1, 2], 40)
    scores = rng.normal(size=(120, 3)) + np.eye(3)[labels]
    area = roc.macro_area(scores, labels, np.zeros(120))
    drawn = []
    for _ in range(600):
        rows = np.concatenate([rng.choice(np.flatnonzero(labels == c), 40) for c in range(3)])
        drawn.append(roc.macro_area(scores[rows], labels[rows], np.zeros(120)).value)
    found = roc.area_interval(area, labels)
    assert [found.low, found.high] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.015)


def test_perfect_separation_still_has_an_interval():
    labels = np.repeat([0, 1], 20)
    area = roc.cross_validated_area(np.arange(40.0), labels == 1, np.arange(40) % 5)
    found = roc.area_interval(area, labels, folds=5)
    assert found.value == found.high == 1
    assert found.low == pytest.approx(20 / 2.25 / (20 / 2.25 + roc.Z**2))


def test_intervals_of_rates():
    from scipy.stats import binomtest

    found = roc.wilson(17, 21)
    expected = binomtest(17, 21).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    rates = roc.recalls(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]), 2)
    assert [rate.value for rate in rates] == pytest.approx([1 / 2, 2 / 3])
    assert roc.balanced_accuracy(rates).value == pytest.approx(7 / 12)


def test_brier_score_and_reliability():
    labels = np.array([0, 1, 1, 0])
    sure = np.eye(2)[labels]
    assert roc.brier(sure, labels).value == 0
    assert roc.brier(np.full((4, 2), 0.5), labels).value == 0.25
    rng = np.random.default_rng(0)
    chances = rng.uniform(size=5000)
    for told, seen in roc.reliability(chances, rng.uniform(size=5000) < chances):
        assert told == pytest.approx(seen.value, abs=0.05)
        assert seen.low < seen.value < seen.high


def linear_scores(gram, truth, folds):
    """Ridge regression on a Gram matrix, centred by the training subjects."""
    scores = np.zeros(len(truth))
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        block, cross = gram[np.ix_(train, train)], gram[np.ix_(test, train)]
        mean = block.mean(axis=0)
        cross = cross - cross.mean(axis=1, keepdims=True) - mean + mean.mean()
        block = block - mean - mean[:, None] + mean.mean()
        strength = np.trace(block) / len(block)
        target = truth[train] - truth[train].mean()
        scores[test] = cross @ np.linalg.solve(block + strength * np.eye(len(block)), target)
    return scores


@pytest.mark.parametrize("features", [1, 8, 500])
def test_without_an_effect_intervals_of_a_linear_model_contain_chance(features):
    """Independent scores would not: DeLong's own intervals hold it in fewer than 92 %."""
    rng = np.random.default_rng(features)
    truth = np.arange(100) % 2
    inside, narrow, values = [], [], []
    for _ in range(150):
        images = rng.normal(size=(100, features))
        folds = np.zeros(100, int)
        for kind in (0, 1):
            folds[truth == kind] = rng.permutation(np.arange(50) % 5)
        scores = linear_scores(images @ images.T, 2.0 * truth - 1, folds)
        area = roc.cross_validated_area(scores, truth == 1, folds)
        wide = roc.area_interval(area, truth, folds=5)
        plain = roc.area_interval(area, truth)
        inside.append(wide.low <= 0.5 <= wide.high)
        narrow.append(plain.low <= 0.5 <= plain.high)
        values.append(area.value)
    assert np.mean(values) == pytest.approx(0.5, abs=0.02)
    assert np.mean(inside) >= 0.92
    assert np.mean(narrow) < 0.92
