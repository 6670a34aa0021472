"""Where the intensities of an MRI begin."""

import numpy as np
import pytest

from fusionprep.image.zero_level import from_zero

RADIUS = np.sqrt(((np.indices((40, 40, 40)) - 19.5) ** 2).sum(axis=0))
TISSUE = np.select([RADIUS < 9, RADIUS < 13, RADIUS < 15], [900.0, 600.0, 150.0], 0.0)


@pytest.fixture
def t1w():
    """A head in noise as magnitude images have it, never below 0."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 10, (2, *TISSUE.shape))
    return np.hypot(TISSUE + noise[0], noise[1]).astype(np.float32)


@pytest.fixture
def stripped():
    return np.where(RADIUS < 15, TISSUE + np.random.default_rng(0).normal(0, 8, RADIUS.shape), 0)


def correlation(one, other):
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


def test_an_image_that_begins_at_zero_is_left_alone(t1w, stripped):
    few = t1w.copy()
    few[0, 0, :20] = -300  # ringing
    for image in (t1w, stripped.astype(np.float32), few, np.rint(t1w)):
        moved, note = from_zero(image)
        assert moved is image
        assert not note


@pytest.mark.parametrize("offset", [-500, -1000, -30000])
def test_an_offset_is_taken_back(t1w, stripped, offset):
    for image in (t1w, stripped):
        moved, note = from_zero((image + offset).astype(np.float32))
        assert "was subtracted" in note
        np.testing.assert_allclose(moved, np.clip(image, 0, None), atol=10)
        assert correlation(moved, image) > 0.999


@pytest.mark.parametrize("background", [200.0, 50.0])
def test_a_constant_background_is_air(stripped, background):
    image = np.where(RADIUS < 15, np.clip(stripped, 0, None) + background, background)
    moved, note = from_zero(image.astype(np.float32))
    assert f"{background:g} was subtracted" in note
    assert not moved[RADIUS > 15].any()
    assert correlation(moved, stripped) > 0.999


def test_standardised_images(t1w, stripped):
    head = RADIUS < 15
    for image, where in ((t1w, np.ones_like(head)), (t1w, head), (stripped, head)):
        z = (image - image[where].mean()) / image[where].std()
        for outside in (z, np.where(where, z, 0), np.where(where, z, -10)):
            moved, note = from_zero(outside.astype(np.float32))
            assert note
            assert moved.min() == 0
            assert correlation(moved[head], image[head]) > 0.99
            assert moved[~where].max(initial=0) < 0.1 * moved.max()


def test_an_mp2rage_from_minus_to_plus_one_half(t1w):
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, RADIUS.shape)
    uni = np.where(RADIUS < 15, t1w / 1000 - 0.5, noise).astype(np.float32)
    moved, note = from_zero(uni)
    assert note
    assert correlation(moved[RADIUS < 15], t1w[RADIUS < 15]) > 0.99
    assert np.mean(moved[RADIUS < 15] == 0) < 0.01


@pytest.mark.parametrize("scale", [1e18, 1e-9, 1e12])
def test_a_scale_that_cannot_be_computed_with_is_changed(t1w, scale):
    moved, note = from_zero((t1w.astype(np.float64) * scale).astype(np.float32))
    assert "multiplied" in note
    assert 100 < np.percentile(moved, 99.9) < 10_000
    assert correlation(moved, t1w) > 0.9999
