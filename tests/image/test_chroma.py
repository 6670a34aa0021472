"""Colour beside a luma that is fused."""

import numpy as np
import pytest
from PIL import Image

from fusionprep.image.chroma import chroma_of, joined_chroma, with_chroma
from fusionprep.image.pictures import LUMA


@pytest.fixture
def colours():
    """Every eighth colour of the RGB cube."""
    axis = np.arange(0, 256, 8, dtype=np.uint8)
    return np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(64, -1, 3)


def test_luma_and_chroma_are_the_colour_again(colours):
    again = with_chroma(colours @ LUMA / 255, chroma_of(colours))
    assert np.abs(again.astype(int) - colours).max() <= 1


def test_chroma_is_that_of_jpeg(colours):
    expected = np.asarray(Image.fromarray(colours).convert("YCbCr")).astype(float)[..., 1:] - 128
    assert np.abs(chroma_of(colours) - expected).max() <= 1.1


def test_the_luma_is_the_fused_one_whatever_the_chroma(colours):
    rng = np.random.default_rng(0)
    luma = rng.random(colours.shape[:2])
    found = with_chroma(luma, chroma_of(colours))
    assert np.abs(found @ LUMA - 255 * luma).max() <= 0.6
    assert not with_chroma(np.zeros(colours.shape[:2]), chroma_of(colours)).any()


def test_traces_of_colour_are_none():
    gray = np.full((50, 50, 3), 90, np.uint8)
    gray[..., 2] += 4
    assert chroma_of(gray) is None
    gray[10:20, 10:20] = (200, 40, 40)
    assert chroma_of(gray) is not None
    assert chroma_of(gray[..., 0]) is None


def test_of_two_the_more_saturated_weighs_more():
    strong, weak = np.array([[40.0, 0.0]]), np.array([[0.0, 10.0]])
    np.testing.assert_allclose(joined_chroma(strong, weak), [[32.0, 2.0]])
    np.testing.assert_allclose(joined_chroma(strong, np.zeros((1, 2))), strong)
    np.testing.assert_allclose(joined_chroma(np.zeros((1, 2)), np.zeros((1, 2))), 0)
    assert joined_chroma(None, weak) is weak
    assert joined_chroma(None, None) is None
