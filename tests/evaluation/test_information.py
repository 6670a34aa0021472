import numpy as np
import pytest

from fusionprep.evaluation.information import (
    entropy,
    feature_mutual_information,
    mutual_information,
    normalised_mutual_information,
)
from tests.evaluation.images import sources


def test_entropy_of_four_equally_frequent_levels():
    assert entropy(np.array([[0.0, 0, 80, 80], [9, 9, 255, 255]])) == pytest.approx(2)


def test_mutual_information_by_hand():
    a = np.array([[0.0, 0, 255, 255]])
    # One of two levels agrees by half: I = ln 2 - H(1/4, 3/4)-weighted conditional entropy.
    b = np.array([[0.0, 255, 255, 255]])
    joint = {(0, 0): 0.25, (0, 1): 0.25, (1, 1): 0.5}
    p_a, p_b = (0.5, 0.5), (0.25, 0.75)
    expected = sum(p * np.log(p / (p_a[i] * p_b[j])) for (i, j), p in joint.items())
    assert mutual_information(a, b) == pytest.approx(expected)
    entropies = np.log(2) - 0.25 * np.log(0.25) - 0.75 * np.log(0.75)
    assert normalised_mutual_information(a, b) == pytest.approx(2 * expected / entropies)


def test_normalised_information_ignores_the_range_of_levels():
    image, _ = sources()
    assert normalised_mutual_information(image // 4, image // 4 * 3 + 20) == pytest.approx(1)


def _literal_window(a, f):
    """Fast FMI of one window by loops over its pixels, as the paper states it."""
    p, q = ([(v - min(w)) / (max(w) - min(w)) if max(w) > min(w) else 1 for v in w] for w in (a, f))
    p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
    n = range(len(p))
    cdf_p, cdf_q = ([sum(w[: i + 1]) for i in n] for w in (p, q))
    centred_p, centred_q = ([v - sum(w) / len(w) for v in w] for w in (p, q))
    product = sum(x * y for x, y in zip(centred_p, centred_q, strict=True))
    scale = (sum(x * x for x in centred_p) * sum(y * y for y in centred_q)) ** 0.5
    correlation = product / scale if scale > 1e-12 else 0.0

    def bound(i, j):
        if i < 0 or j < 0:
            return 0.0
        if correlation >= 0:
            return min(cdf_p[i], cdf_q[j])
        return max(cdf_p[i] + cdf_q[j] - 1, 0.0)

    def deviation(w):
        mean = sum(i * v for i, v in enumerate(w))
        return (sum(i * i * v for i, v in enumerate(w)) - mean**2) ** 0.5

    covariance = sum(bound(i, j) - cdf_p[i] * cdf_q[j] for i in n for j in n)
    weight = correlation / (covariance / (deviation(p) * deviation(q)))

    def bits(x):
        return -x * np.log2(abs(x)) if x else 0.0

    joint = 0.0
    for i in n:
        for j in n:
            cell = bound(i, j) - bound(i - 1, j) - bound(i, j - 1) + bound(i - 1, j - 1)
            joint += bits(weight * cell + (1 - weight) * p[i] * q[j])
    marginals = sum(map(bits, p)) + sum(map(bits, q))
    return 2 * (marginals - joint) / marginals


def test_feature_information_is_that_of_literal_loops():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 20, (9, 8)).astype(float)
    f = np.round(0.6 * a + rng.integers(0, 9, a.shape))
    a[:4, :4] = f[:4, :4]
    windows = []
    for row in range(7):
        for column in range(6):
            pair = [x[row : row + 3, column : column + 3].T.ravel().tolist() for x in (a, f)]
            windows.append(1.0 if pair[0] == pair[1] else _literal_window(*pair))
    assert feature_mutual_information(a, f) == pytest.approx(np.mean(windows), rel=1e-9)


def test_feature_information_across_chunks_is_the_mean_of_its_parts():
    a, f = sources(96, seed=3)
    top, bottom = (
        feature_mutual_information(a[part], f[part]) for part in (np.s_[:49], np.s_[47:])
    )
    whole = feature_mutual_information(a, f)
    # 47 rows of windows each, 94 together.
    assert whole == pytest.approx((top + bottom) / 2, rel=1e-9)
