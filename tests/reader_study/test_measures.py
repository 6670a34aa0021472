import numpy as np
import pytest

from fusionprep.reader_study.measures import Answered, curve, lroc_area

WITH_LESION = np.array([True, True, True, False, False])
ALL = np.ones((1, 5))


def test_a_perfect_reader_has_an_area_of_one():
    found = WITH_LESION.copy()
    ratings = np.array([5, 3, 1, 0, 0])
    assert lroc_area(ALL, ratings, found, WITH_LESION)[0] == 1


def test_a_lesion_counts_only_where_it_is_found():
    found = np.array([True, False, False, False, False])
    ratings = np.array([5, 5, 5, 0, 0])
    assert lroc_area(ALL, ratings, found, WITH_LESION)[0] == pytest.approx(1 / 3)


def test_ties_count_half_and_higher_ratings_of_none_count_against():
    found = WITH_LESION.copy()
    # against 2 and 4: .5 + 0, 1 + .5, 1 + 1 of two each
    ratings = np.array([2, 4, 5, 2, 4])
    assert lroc_area(ALL, ratings, found, WITH_LESION)[0] == pytest.approx((0.5 + 1.5 + 2) / 6)


def test_weights_leave_items_out():
    ratings, found = np.array([2, 4, 5, 2, 4]), WITH_LESION.copy()
    weights = np.array([[0, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    areas = lroc_area(weights, ratings, found, WITH_LESION)
    assert areas == pytest.approx([(1.5 + 2) / 4, (0.5 + 1 + 1) / 3])


def test_the_area_is_that_under_the_curve():
    rng = np.random.default_rng(0)
    with_lesion = np.arange(200) < 100
    ratings = np.clip(rng.integers(0, 4, 200) + 2 * with_lesion, 0, 5)
    found = (rng.random(200) < 0.7) & with_lesion & (ratings > 0)
    answered = Answered(
        "mark", np.arange(200), with_lesion, found[None, None], ratings[None, None], np.ones(1)
    )
    points = curve(answered, 0, range(6))
    x, y = np.array([*points, (1, points[-1][1])]).T
    area = lroc_area(np.ones((1, 200)), ratings, found, with_lesion)[0]
    assert np.trapezoid(y, x) == pytest.approx(area)


def test_guessing_gives_half_of_the_hits_by_chance():
    rng = np.random.default_rng(0)
    with_lesion = np.arange(4000) < 2000
    found = (rng.random(4000) < 0.1) & with_lesion
    area = lroc_area(np.ones((1, 4000)), rng.integers(1, 6, 4000), found, with_lesion)[0]
    assert area == pytest.approx(0.05, abs=0.01)
