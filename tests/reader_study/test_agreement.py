import math

import numpy as np
import pytest

from fusionprep.reader_study.agreement import intraclass_correlation, kappa, with_interval

# Shrout and Fleiss (1979), table 2: six targets, four judges.
RATINGS = np.array(
    [[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7]]
)


def test_the_correlation_is_that_of_the_paper():
    assert intraclass_correlation(RATINGS) == pytest.approx(0.29, abs=0.005)


def test_kappa_is_that_of_a_table():
    """Cohen's classical table: 20 yes, 15 no in common of 50; .7 agreement, .5 by chance."""
    first = np.repeat([True, True, False, False], [20, 5, 10, 15])
    second = np.repeat([True, False, True, False], [20, 5, 10, 15])
    assert kappa(np.array([first, second])) == pytest.approx(0.4)


def test_full_agreement_and_none():
    decisions = np.random.default_rng(0).random((3, 400)) < 0.5
    assert kappa(np.array([decisions[0]] * 3)) == 1
    assert abs(kappa(decisions)) < 0.1
    assert intraclass_correlation(np.tile(np.arange(6), (3, 1))) == pytest.approx(1)


def test_where_nothing_varies_there_is_no_agreement_to_measure():
    assert math.isnan(kappa(np.ones((2, 10), bool)))
    assert math.isnan(intraclass_correlation(np.full((2, 10), 3)))


def test_the_interval_holds_the_value():
    found = with_interval(intraclass_correlation, RATINGS, np.arange(6))
    assert found.low < found.value < found.high
