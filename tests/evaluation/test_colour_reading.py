"""Lesions in colour images, and levels read off their colours, on made images."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from fusionprep.errors import DataError
from fusionprep.evaluation.colour_reading import combine_colours, decoded_share, read_colours
from fusionprep.image.colour import colour_table
from fusionprep.modalities import PET

SHAPE = (96, 96)
LEVELS = np.arange(256)


@pytest.fixture(scope="module")
def pair():
    """Two smooth images that have nothing in common, and a disc of brain."""
    rng = np.random.default_rng(0)
    images = [gaussian_filter(rng.normal(size=SHAPE), 3) for _ in range(2)]
    images = [0.2 + 0.6 * (image - image.min()) / np.ptp(image) for image in images]
    brain = np.hypot(*(np.indices(SHAPE) - 47.5)) < 44
    return *images, brain


def reading(table, pair):
    return read_colours(table, *pair, PET, rng=np.random.default_rng(0))


def gray(levels) -> np.ndarray:
    """A table whose colours are gray."""
    table = np.broadcast_to(levels, (256, 256)).astype(np.uint8)
    return np.repeat(table[..., None], 3, axis=-1)


def test_a_gray_picture_of_one_source_shows_its_lesions_and_none_of_the_other(pair):
    for index, levels in enumerate((LEVELS[:, None], LEVELS[None])):
        found = reading(gray(levels), pair)
        for score in found.lesions:
            own = score.condition.index == index
            # L* is not quite linear in sRGB levels
            assert score.printed == pytest.approx(1 if own else 0, abs=0.12)
            assert score.difference == pytest.approx(score.printed, abs=0.02)
        assert found.decoded[index] > 0.999
        assert found.decoded[1 - index] < 0.3


def test_the_packaged_maps_show_and_tell_both(pair):
    summary = combine_colours([reading(colour_table(), pair)] * 2)
    assert summary.images == 2
    assert summary.difference > 0.5
    assert min(summary.printed) > 0.25
    assert summary.printed[0] > summary.printed[1]
    assert min(summary.decoded) > 0.995
    assert min(summary.deuteranopic) > 0.98


def test_red_and_green_are_one_for_a_deuteranope(pair):
    table = np.zeros((256, 256, 3), np.uint8)
    table[..., 0] = 150 - (LEVELS // 2)[None]
    table[..., 1] = 100 + (LEVELS // 6)[None]
    table[..., 2] = LEVELS[:, None] // 2
    found = reading(table, pair)
    assert found.decoded[1] > 0.99
    assert found.deuteranopic[1] < 0.9


def test_a_constant_source_has_no_share(pair):
    assert np.isnan(decoded_share(colour_table(), pair[0], np.full(SHAPE, 0.5))[1])


def test_nothing_to_combine():
    with pytest.raises(DataError, match="no image"):
        combine_colours([])
