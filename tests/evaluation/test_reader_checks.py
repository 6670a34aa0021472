import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from fusionprep.evaluation.reader_checks import (
    FAR,
    far_influence,
    kept_alone,
    outside_influence,
    reader_checks,
)
from fusionprep.modalities import PET
from tests.evaluation.images import sources

SIZE = 128


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    anatomical, functional = sources(SIZE)
    return anatomical / 255, functional / 255


def check(fuse, pair):
    brain = np.maximum(*pair) > 0
    return reader_checks(fuse, *pair, brain, PET, rng=np.random.default_rng(0))


def test_the_maximum_passes_what_a_pixelwise_rule_can(pair) -> None:
    found = check(np.maximum, pair)
    assert found.identity == found.anatomical_alone == found.functional_alone == 0
    assert found.outside == found.far == 0


def test_the_average_halves_what_one_source_shows_alone(pair) -> None:
    head = np.maximum(*pair) > 0
    found = check(lambda a, b: (a + b) / 2, pair)
    assert found.identity == pytest.approx(0, abs=1e-4)
    for off, image in zip((found.anatomical_alone, found.functional_alone), pair, strict=True):
        assert off == pytest.approx(255 * np.percentile(image[head], 99) / 2, rel=1e-4)


def test_brightening_shows_in_gray_levels(pair) -> None:
    assert check(lambda a, b: np.maximum(a, b) + 0.1, pair).identity == pytest.approx(25.5)


def test_a_fusion_that_scales_by_the_whole_image_depends_on_what_is_outside(pair) -> None:
    def scaled(a, b):
        return 0.5 * np.maximum(a, b) / (1 + a.mean() + b.mean())

    head = np.maximum(*pair) > 0
    square = (SIZE // 12) ** 2 / SIZE**2
    total = 1 + sum(image.mean() for image in pair)
    expected = 255 * 0.5 * np.maximum(*pair).max() * (1 / total - 1 / (total + square))
    assert outside_influence(scaled, pair, head) == pytest.approx(expected, rel=1e-6)
    assert far_influence(scaled, pair, head) > 0.1


def test_no_influence_is_claimed_where_there_is_no_room() -> None:
    full = np.ones((24, 24), bool)
    images = (np.full((24, 24), 0.5),) * 2
    assert np.isnan(outside_influence(np.maximum, images, full))
    assert np.isnan(far_influence(np.maximum, images, full))


def test_only_what_is_near_may_change(pair) -> None:
    head = np.maximum(*pair) > 0

    def blur(a, b):
        return uniform_filter(a + b, FAR // 2)

    assert far_influence(blur, pair, head) == pytest.approx(0, abs=1e-3)


def test_what_is_kept_where_the_other_source_is_dark() -> None:
    source = np.array([0.4, 0.8, 0.8, 0.05])
    other = np.array([0.0, 0.05, 0.9, 0.0])
    assert kept_alone(np.array([0.2, 0.4, 0, 9]), source, other) == pytest.approx(0.5)
    assert np.isnan(kept_alone(source, source, np.ones(4)))


def test_a_copy_keeps_its_lesions_however_the_other_image_is_degraded(pair) -> None:
    degraded = check(lambda a, _: a, pair).degraded
    assert [kept for kept, _ in degraded.values()] == pytest.approx([1.0] * len(degraded))
    assert [kept for _, kept in degraded.values()] == pytest.approx([0.0] * len(degraded))


def test_dimmer_uptake_hides_less_of_the_anatomy_in_a_maximum(pair) -> None:
    degraded = check(np.maximum, pair).degraded
    dimmed = [degraded[name] for name in ("unchanged", "half as bright", "a quarter as bright")]
    anatomical, functional = zip(*dimmed, strict=True)
    assert anatomical[0] < anatomical[1] <= anatomical[2] + 0.02
    assert functional[0] > functional[1] > functional[2] - 1e-9
