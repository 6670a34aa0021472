"""Images with known truth: what each effect does, and what it must not do."""

from dataclasses import replace

import numpy as np
import pytest

from fusionprep.cohort.anatomy import Anatomy
from fusionprep.cohort.design import Design, Person, Strengths, draw_people
from fusionprep.cohort.people import NO_VARIATION, Images, simulate_person, smooth_field
from fusionprep.cohort.regions import region_rows, tissue_volumes
from fusionprep.cohort.scanners import SCANNERS
from fusionprep.demo.disease import ATROPHY_PER_SD, OLD_AGE

SILENT = replace(SCANNERS[0], t1w_noise=0.0, pet_noise=0.0)
COUNT = 120


def person(atrophy: float = 0.0, hypometabolism: float = 0.0) -> Person:
    return Person("01", 70, "F", "CN", SILENT, atrophy, hypometabolism)


def plain(anatomy: Anatomy, **severities: float) -> Images:
    return simulate_person(anatomy, person(**severities), np.random.default_rng(0), NO_VARIATION)


@pytest.fixture(scope="module")
def healthy(anatomy) -> Images:
    return plain(anatomy)


@pytest.fixture(scope="module")
def drawn(anatomy):
    """People with atrophy of d' = 1 and hypometabolism of 1.5, and a null cohort."""

    def draw(strengths: Strengths) -> tuple[list[Person], list[Images]]:
        people = draw_people(Design(COUNT, strengths, seed=5))
        rngs = [np.random.default_rng([5, index]) for index in range(COUNT)]
        return people, [
            simulate_person(anatomy, one, rng) for one, rng in zip(people, rngs, strict=True)
        ]

    return draw(Strengths(1.0, 1.5, 0.0)), draw(Strengths(0.0, 0.0))


def region(anatomy: Anatomy, *ends: str) -> np.ndarray:
    labels = [label for label, name in anatomy.names.items() if name.endswith(ends)]
    return np.isin(anatomy.labels, labels)


def test_the_t1w_carries_no_hypometabolism(anatomy, healthy):
    ill = plain(anatomy, hypometabolism=3.0)
    assert np.array_equal(ill.t1w, healthy.t1w)
    assert np.array_equal(ill.gm, healthy.gm)


def test_atrophy_takes_gray_matter_of_the_hippocampus_and_leaves_other_lobes(anatomy, healthy):
    ill = plain(anatomy, atrophy=1.0)
    hippocampus = region(anatomy, "Hippocampus")
    lost = 1 - ill.gm[hippocampus].sum() / healthy.gm[hippocampus].sum()
    # voxels at its border hold other gray matter, too
    assert 0.7 * ATROPHY_PER_SD < lost < ATROPHY_PER_SD / (1 - OLD_AGE[0] * ATROPHY_PER_SD)
    frontal = region(anatomy, "superiorfrontal", "pericalcarine")
    assert ill.gm[frontal].sum() == pytest.approx(healthy.gm[frontal].sum(), rel=1e-3)
    assert ill.t1w[hippocampus].mean() < 0.97 * healthy.t1w[hippocampus].mean()


def test_atrophy_changes_volumes_of_the_table(anatomy, healthy):
    before, after = (tissue_volumes(anatomy, each) for each in (healthy, plain(anatomy, atrophy=1)))
    label = next(k for k, name in anatomy.names.items() if name == "Left-Hippocampus")
    assert after[label] < 0.92 * before[label]
    rows = {row["name"]: row for row in region_rows(anatomy, healthy)}
    assert float(rows["Left-Hippocampus"]["volume-mm3"]) == pytest.approx(before[label], rel=1e-4)


def change_of(ill: Images, healthy: Images) -> np.ndarray:
    """Relative change of the SUVR; 0 in air."""
    return ill.suvr / np.maximum(healthy.suvr, 1e-3) - (healthy.suvr > 1e-3)


def test_hypometabolism_lowers_the_suvr_where_it_should(anatomy, healthy):
    change = change_of(plain(anatomy, hypometabolism=1.0), healthy)
    typical = change[region(anatomy, "posteriorcingulate", "precuneus", "inferiorparietal")].mean()
    spared = change[region(anatomy, "precentral", "pericalcarine", "Cerebellum-Cortex")].mean()
    assert -0.14 < typical < -0.06
    # the mean of the brain is 1, so what is spared rises a little
    assert 0 < spared < 0.04


def test_atrophy_reaches_the_pet_through_partial_volume_alone(anatomy, healthy):
    leaked = change_of(plain(anatomy, atrophy=1.0), healthy)
    meant = change_of(plain(anatomy, hypometabolism=1.0), healthy)
    parietal = region(anatomy, "posteriorcingulate", "precuneus", "inferiorparietal")
    assert abs(leaked[parietal].mean()) < 0.1 * abs(meant[parietal].mean())
    assert -0.15 < leaked[region(anatomy, "Hippocampus")].mean() < -0.01


def test_effects_are_linear_in_severity(anatomy, healthy):
    one, two = (plain(anatomy, atrophy=severity).gm - healthy.gm for severity in (1.0, 2.0))
    assert np.allclose(two, 2 * one, atol=1e-5)


def pattern_scores(images: list[Images], one: np.ndarray, kind: str, mask: np.ndarray):
    """Each image on the true pattern of an effect, less what all have in common."""
    stack = np.array([getattr(each, kind)[mask] for each in images])
    return (stack - stack.mean(axis=0)) @ one[mask]


def detectability(scores: np.ndarray, people: list[Person]) -> float:
    ill = np.array([one.diagnosis == "AD" for one in people])
    pooled = np.sqrt((scores[ill].var(ddof=1) + scores[~ill].var(ddof=1)) / 2)
    return float((scores[ill].mean() - scores[~ill].mean()) / pooled)


@pytest.mark.parametrize(
    ("kind", "effect", "strength"),
    [("gm", "atrophy", 1.0), ("suvr", "hypometabolism", 1.5)],
)
def test_the_true_pattern_has_the_strength_that_was_set(
    anatomy, healthy, drawn, kind, effect, strength
):
    pattern = getattr(plain(anatomy, **{effect: 1.0}), kind) - getattr(healthy, kind)
    error = np.sqrt(4 / COUNT * (1 + strength**2 / 8))
    (people, images), (null_people, null_images) = drawn
    found = detectability(pattern_scores(images, pattern, kind, healthy.mask), people)
    assert found == pytest.approx(strength, abs=2 * error)
    found = detectability(pattern_scores(null_images, pattern, kind, healthy.mask), null_people)
    assert found == pytest.approx(0.0, abs=2.5 * error)


def test_scores_of_images_follow_the_severities(anatomy, healthy, drawn):
    (people, images), _ = drawn
    for kind, effect in (("gm", "atrophy"), ("suvr", "hypometabolism")):
        pattern = getattr(plain(anatomy, **{effect: 1.0}), kind) - getattr(healthy, kind)
        scores = pattern_scores(images, pattern, kind, healthy.mask)
        truth = [getattr(one, effect) for one in people]
        assert np.corrcoef(scores, truth)[0, 1] > 0.85


def test_scanners_differ_in_resolution_and_noise(anatomy):
    edges = []
    for scanner in SCANNERS:
        one = replace(person(), scanner=replace(scanner, pet_noise=0.0, t1w_noise=0.0))
        images = simulate_person(anatomy, one, np.random.default_rng(0), NO_VARIATION)
        edges.append(np.abs(np.diff(images.suvr, axis=0)).mean())
    assert edges[0] > 1.2 * edges[1]


def test_suvr_is_1_on_average_in_the_brain(healthy):
    assert healthy.suvr[healthy.mask].mean() == pytest.approx(1.0, abs=1e-5)


def test_a_random_field_has_unit_variance():
    rng = np.random.default_rng(0)
    fields = np.array([smooth_field((30, 30, 30), 8.0, 12.0, rng) for _ in range(40)])
    assert fields.std() == pytest.approx(1.0, abs=0.05)
