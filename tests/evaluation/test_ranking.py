import numpy as np
import pytest

from fusionprep.evaluation.ranking import estimate, rank


def test_constant_values_have_an_interval_without_width():
    (found,) = estimate(np.full((1, 12), 0.25))
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)


def test_the_interval_is_that_of_the_mean():
    values = np.random.default_rng(1).normal(5, 2, (1, 400))
    (found,) = estimate(values)
    error = values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.03)
    assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.03)
    assert estimate(values) == [found]


def test_patients_are_drawn_whole():
    values = np.repeat([[0.0, 1.0]], 50, axis=1).reshape(1, 100)
    values.sort()
    patients = ["A"] * 50 + ["B"] * 50
    (of_pairs,), (of_patients,) = estimate(values), estimate(values, patients)
    assert of_pairs.mean == of_patients.mean == 0.5
    assert of_pairs.high - of_pairs.low < 0.25
    assert (of_patients.low, of_patients.high) == (0, 1)


def test_patients_weigh_as_many_pairs_as_they_have():
    values = np.array([[0.0, 1.0, 1.0, 1.0]])
    (found,) = estimate(values, ["A", "B", "B", "B"])
    assert found.mean == 0.75
    assert (found.low, found.high) == (0, 1)


def test_one_pair_or_patient_has_no_interval():
    for found in (*estimate(np.ones((1, 1))), *estimate(np.ones((1, 5)), ["A"] * 5)):
        assert found.mean == 1
        assert np.isnan([found.low, found.high]).all()


def test_pairs_without_any_value_are_left_out():
    nan = np.nan
    full, gap, empty = estimate(np.array([[1, nan, 3], [1, nan, nan], [nan, nan, nan]]))
    assert full.mean == 2
    assert np.isnan([gap.mean, empty.mean]).all()
    assert all(np.isnan(found.mean) for found in estimate(np.full((2, 3), nan)))


def test_ranks_follow_the_better_side():
    everyone = [True] * 3
    assert rank([0.1, 0.3, 0.2], "higher", everyone).tolist() == [3, 1, 2]
    assert rank([0.1, 0.3, 0.2], "lower", everyone).tolist() == [1, 3, 2]


def test_ties_share_the_mean_rank():
    assert rank([0.5, 0.7, 0.5, 0.1], "higher", [True] * 4).tolist() == [2.5, 1, 2.5, 4]
    assert rank([0.1 + 0.2, 0.3], "higher", [True] * 2).tolist() == [1.5, 1.5]


def test_who_does_not_compete_moves_nobody():
    means, competes = [0.9, 0.8, 0.5, 0.5], [False, False, True, True]
    assert rank(means, "higher", competes).tolist() == [1, 1, 1.5, 1.5]
    assert rank([0.5, 0.6, 0.5], "higher", [False, True, True]).tolist() == [2.5, 1, 2]


def test_a_method_without_a_mean_is_last():
    assert rank([np.nan, -9.0, 5.0], "higher", [True] * 3).tolist() == [3, 2, 1]
    assert rank([np.nan, -9.0, 5.0], "lower", [True] * 3).tolist() == [3, 1, 2]
