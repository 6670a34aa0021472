import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from fusionprep.cohort.design import Design, Strengths, area_of, draw_people, draw_severities
from fusionprep.cohort.options import THREE_CLASSES
from fusionprep.cohort.truth import best_weights, ceilings, sample_areas
from fusionprep.errors import UsageError


def test_ceilings_in_closed_form():
    strengths = Strengths(1.2, 0.7, 0.3)
    found = ceilings(strengths)
    means, covariance = np.array([1.2, 0.7]), np.array([[1.0, 0.3], [0.3, 1.0]])
    mahalanobis = math.sqrt(means @ np.linalg.inv(covariance) @ means)
    for name, d in (("atrophy", 1.2), ("hypometabolism", 0.7), ("both", mahalanobis)):
        assert found[name]["d"] == pytest.approx(d)
        assert found[name]["area"] == pytest.approx(stats.norm.cdf(d / math.sqrt(2)))


def test_two_sources_that_agree_add_less():
    assert Strengths(1, 1, -0.5).both > Strengths(1, 1, 0).both > Strengths(1, 1, 0.5).both > 1


def test_best_weights_reach_the_ceiling():
    strengths = Strengths(1.2, 0.7, 0.3)
    rng = np.random.default_rng(0)
    severities = [draw_severities(strengths, np.full(200_000, ill), rng) for ill in (0.0, 1.0)]
    well, ill = (each @ best_weights(strengths) for each in severities)
    pooled = math.sqrt((well.var() + ill.var()) / 2)
    assert (ill.mean() - well.mean()) / pooled == pytest.approx(strengths.both, abs=0.01)


def test_severities_have_the_means_and_the_spread_that_were_set():
    rng = np.random.default_rng(1)
    drawn = draw_severities(Strengths(1.5, 0.5, -0.4), np.repeat([0.0, 0.5, 1.0], 50_000), rng)
    for index, ill in enumerate((0.0, 0.5, 1.0)):
        group = drawn[50_000 * index : 50_000 * (index + 1)]
        assert np.allclose(group.mean(axis=0), [1.5 * ill, 0.5 * ill], atol=0.02)
        assert np.allclose(np.cov(group.T), [[1, -0.4], [-0.4, 1]], atol=0.02)


def test_scanners_are_crossed_with_diagnosis():
    people = draw_people(Design(240, classes=THREE_CLASSES))
    counts = Counter((person.diagnosis, person.scanner.name) for person in people)
    assert set(counts.values()) == {40}
    assert len({person.label for person in people}) == 240


def test_age_and_sex_tell_nothing():
    people = draw_people(Design(4000, Strengths(3, 3)))
    ill = np.array([person.diagnosis == "AD" for person in people])
    for value in ([person.age for person in people], [person.sex == "F" for person in people]):
        one, other = np.array(value, float)[ill], np.array(value, float)[~ill]
        assert stats.ttest_ind(one, other).pvalue > 0.01


def test_the_order_tells_nothing_about_the_class():
    people = draw_people(Design(2000))
    ill = np.array([person.diagnosis == "AD" for person in people])
    assert stats.ttest_ind(np.flatnonzero(ill), np.flatnonzero(~ill)).pvalue > 0.01


def test_without_strength_areas_are_a_half():
    strengths = Strengths(0, 0)
    assert {told["area"] for told in ceilings(strengths).values()} == {0.5}
    areas = sample_areas(draw_people(Design(2000, strengths)), strengths)
    assert all(abs(area - 0.5) < 0.05 for area in areas.values())


def test_areas_of_a_sample_are_near_those_that_were_set():
    strengths = Strengths(1, 1)
    areas = sample_areas(draw_people(Design(4000, strengths)), strengths)
    for name, told in ceilings(strengths).items():
        assert areas[name] == pytest.approx(told["area"], abs=0.02)


def test_same_seed_same_people():
    assert draw_people(Design(20, seed=3)) == draw_people(Design(20, seed=3))
    assert draw_people(Design(20, seed=3)) != draw_people(Design(20, seed=4))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Strengths(-1), "MRI must be between 0 and 3, not -1"),
        (lambda: Strengths(pet=9), "PET must be between"),
        (lambda: Strengths(correlation=1.0), "between -1 and 1"),
        (lambda: Strengths(float("nan")), "MRI"),
        (lambda: Design(3), "subjects must be at least 4"),
    ],
)
def test_what_cannot_be_is_refused(make, told):
    with pytest.raises(UsageError, match=told):
        make()


def test_area_of_no_difference():
    assert area_of(0.0) == 0.5
