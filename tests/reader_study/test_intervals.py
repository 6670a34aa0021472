import math

import numpy as np
import pytest

from fusionprep.reader_study.intervals import (
    Uncertain,
    leave_one_out,
    over_readers,
    plain_interval,
    share_interval,
)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=30)
    weights = leave_one_out(np.arange(30))
    means = weights @ values / weights.sum(axis=1)
    found = over_readers(means[:, None])
    assert found.variance == pytest.approx(values.var(ddof=1) / 30)
    assert found.freedom == 29


def test_groups_are_left_out_whole():
    weights = leave_one_out(np.array(["a", "b", "a"]))
    assert weights.tolist() == [[1, 1, 1], [0, 1, 0], [1, 0, 1]]


def test_a_share_of_one_has_an_interval():
    found = share_interval(Uncertain(1.0, 0.0, 19.0), items=20)
    assert found.value == found.high == 1
    # Wilson's with a quantile of t: n / (n + t^2)
    assert found.low == pytest.approx(20 / (20 + 2.093024**2), abs=1e-5)


def test_what_does_not_vary_has_no_interval():
    found = plain_interval(Uncertain(0.0, 0.0, 19.0))
    assert math.isnan(found.low)
    assert math.isnan(share_interval(Uncertain(0.5, math.nan, math.nan), 20).low)


def _study(rng, readers, cases, sd_reader):
    """Scores of two equal conditions, with readers who differ and cases that are hard for all."""
    score = rng.normal(size=cases) + rng.normal(size=(2, 1, cases))
    score = score + 0.7 * rng.normal(size=(readers, cases)) + rng.normal(size=(2, readers, cases))
    return score + sd_reader * rng.normal(size=(2, readers, 1))


@pytest.mark.parametrize("readers", [1, 2, 4])
@pytest.mark.parametrize("sd_reader", [0.1, 0.5])
def test_intervals_cover_the_truth(readers, sd_reader):
    """About 95 % for other readers and cases, of two readers 90 %.

    A single reader's interval is for other cases alone, so that reader has no bias here.
    """
    rng = np.random.default_rng(readers)
    weights = leave_one_out(np.arange(24))
    sd_reader = 0 if readers == 1 else sd_reader
    hits = []
    for _ in range(400):
        right = _study(rng, readers, 24, sd_reader) > 0
        shares = np.tensordot(weights, right.astype(float), axes=(1, -1))
        shares = shares / weights.sum(axis=1)[:, None, None]
        alone = share_interval(over_readers(shares[:, 0]), 24)
        less = plain_interval(over_readers(shares[:, 0] - shares[:, 1]))
        hits.append((alone.low <= 0.5 <= alone.high, less.low <= 0 <= less.high))
    covered = np.mean(hits, axis=0)
    assert (covered > (0.87 if readers == 2 else 0.91)).all()
    assert (covered < 0.995).all()
