"""The two-dimensional tables: order, gray, black, what sRGB shows, and reading back."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab

from fusionprep.choices import ColourMapName, choices
from fusionprep.errors import DataError, UsageError
from fusionprep.image.colour import (
    COLOUR_MAPS,
    DEFAULT_COLOUR_MAP,
    colour_table,
    decode_colour,
    describe_colours,
    fuse_colour,
)
from fusionprep.image.colour_key import draw_key
from fusionprep.image.colour_space import (
    DEUTERANOPIA,
    deuteranopic,
    lab_to_linear,
    linear_to_srgb,
    srgb_to_lab,
)
from fusionprep.image.colour_table import make_table

LEVEL = np.linspace(0, 1, 256)
ANATOMICAL, FUNCTIONAL = np.meshgrid(LEVEL, LEVEL, indexing="ij")


@pytest.fixture(params=COLOUR_MAPS)
def name(request) -> ColourMapName:
    return request.param


@pytest.fixture
def lab(name) -> np.ndarray:
    return rgb2lab(colour_table(name))


def test_every_choice_has_a_map():
    assert tuple(COLOUR_MAPS) == choices(ColourMapName)
    assert choices(ColourMapName)[0] == DEFAULT_COLOUR_MAP


def test_conversions_are_those_of_scikit_image():
    rgb = np.random.default_rng(0).integers(0, 256, (500, 3), np.uint8)
    lab = srgb_to_lab(rgb)
    np.testing.assert_allclose(lab, rgb2lab(rgb), atol=0.02)
    assert np.array_equal(linear_to_srgb(lab_to_linear(lab)), rgb)


def test_a_deuteranope_sees_grays_as_they_are_and_confuses_red_with_green():
    gray = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    assert np.abs(deuteranopic(gray).astype(int) - gray).max() <= 1
    # The confusion line: the direction that the simulation maps to nothing.
    values, vectors = np.linalg.eig(DEUTERANOPIA)
    lost = np.real(vectors[:, np.argmin(np.abs(values))])
    assert abs(values).min() < 0.05
    assert lost[0] * lost[1] < 0


def test_lightness_rises_with_both_levels_and_mostly_with_the_anatomical(name, lab):
    lightness = lab[..., 0]
    # One 8-bit step of sRGB is up to 0.9 in lightness.
    assert np.diff(lightness[::8], axis=0).min() > 0
    assert np.diff(lightness[:, ::8], axis=1).min() > 0
    of_anatomy = np.ptp(lightness, axis=0).mean()
    of_uptake = np.ptp(lightness, axis=1).mean()
    assert of_anatomy > 1.8 * of_uptake
    assert COLOUR_MAPS[name].lightest - 1 < lightness[-1, -1] < COLOUR_MAPS[name].lightest + 1


def test_black_is_where_both_are_black_and_gray_where_there_is_no_uptake(name, lab):
    assert not colour_table(name)[0, 0].any()
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    assert chroma[:, 0].max() < 0.5
    # 1% of uptake does not tint a skull.
    assert chroma[:, 3].max() < 2
    assert chroma[100:230, 64:].min() > 22


def test_hue_turns_steadily_with_the_uptake(lab):
    for row in lab[60:240:20, 40:]:
        hue = np.degrees(np.unwrap(np.arctan2(row[:, 2], row[:, 1])))
        turns = np.diff(hue[::8])
        assert turns.min() > 0
        assert turns.max() < 20


def test_steps_along_both_axes_are_even(lab):
    """No step looks more than four times as large as another, once the colour has faded in."""
    for first in (lab[::16, 40::16], lab[16::16, 40::16].swapaxes(0, 1)):
        steps = np.linalg.norm(np.diff(first, axis=1), axis=-1)[4:-4]
        assert steps.max() < 4 * steps.min()


def test_the_default_is_inside_srgb():
    _, shown = make_table(COLOUR_MAPS[DEFAULT_COLOUR_MAP])
    likely = (ANATOMICAL > 0.2) & (ANATOMICAL < 0.9)
    assert np.mean(shown[likely] < 0.99) < 0.02


def test_what_is_in_the_table_is_read_back(name):
    read = decode_colour(colour_table(name), name)
    error = 255 * np.maximum(
        *(abs(a - b) for a, b in zip(read, (ANATOMICAL, FUNCTIONAL), strict=True))
    )
    readable = (srgb_to_lab(colour_table(name))[..., 0] >= 10) & (FUNCTIONAL >= 0.1)
    assert error[readable].max() < (3.01 if name == DEFAULT_COLOUR_MAP else 4.5)
    assert np.mean(error[readable] < 2.01) > 0.99
    assert error.max() < 8


def test_both_images_are_read_off_a_smooth_volume(name):
    rng = np.random.default_rng(0)
    pair = [gaussian_filter(rng.normal(size=(20, 24, 12)), 2) for _ in range(2)]
    pair = [(image - image.min()) / np.ptp(image) for image in pair]
    read = decode_colour(fuse_colour(*pair, colour_map=name), name)
    for image, found in zip(pair, read, strict=True):
        assert found.dtype == np.float32
        assert found.shape == image.shape
        assert 1 - np.mean((image - found) ** 2) / np.var(image) > 0.99


def test_colours_that_are_not_in_the_table_are_read_as_the_nearest(name):
    table = colour_table(name)
    shifted = table[40:220:5, 60:250:5] + np.array([2, -2, 2])
    noisy = np.clip(shifted, 0, 255).astype(np.uint8)
    read = decode_colour(noisy, name)
    true = ANATOMICAL[40:220:5, 60:250:5], FUNCTIONAL[40:220:5, 60:250:5]
    for image, found in zip(true, read, strict=True):
        assert np.abs(image - found).mean() < 0.05


def test_outside_the_mask_it_is_black():
    anatomical, functional = np.array([[0.0, 0.5], [1.0, 0.5]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    colours = fuse_colour(anatomical, functional, np.array([[True, True], [True, False]]))
    assert colours.dtype == np.uint8
    assert colours[0, 1].tolist() == colour_table()[128, 255].tolist()
    assert colours[1, 0].tolist() == colour_table()[255, 0].tolist()
    assert colours[1, 1].tolist() == [0, 0, 0]
    assert not colour_table().flags.writeable


def test_a_sidecar_tells_how_to_compute_the_colours(name):
    told = json.loads(json.dumps(describe_colours(name)))
    numbers = told["Parameters"]
    assert told["Name"] == name
    m, f = 0.6, 0.4
    lightness = numbers["lightest"] * ((1 - numbers["share"]) * m + numbers["share"] * f)
    h0, h1 = numbers["hues"]
    hue = h0 + (h1 - h0) * f ** numbers["hue_bend"]
    hue += numbers["hue_tilt"] * f * (lightness - 50) / 50
    c0, c1 = numbers["chromas"]
    chroma = (c0 + (c1 - c0) * f ** numbers["chroma_bend"]) * min(
        1, lightness / numbers["full_chroma_from"]
    )
    chroma *= 1 - numbers["paler"] * 4 * f * (1 - f) * m**4
    expected = lightness, chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))
    found = srgb_to_lab(fuse_colour(np.array(m), np.array(f), colour_map=name))
    np.testing.assert_allclose(found, expected, atol=1)


def test_what_cannot_be_decoded_is_said():
    with pytest.raises(DataError, match=r"8-bit RGB .* not float64 of shape \(4, 3\)"):
        decode_colour(np.zeros((4, 3)))
    with pytest.raises(DataError, match="8-bit RGB"):
        decode_colour(np.zeros((4, 4), np.uint8))
    with pytest.raises(UsageError, match="unknown colour map 'hot'; there are: clear, vivid"):
        fuse_colour(np.zeros(3), np.zeros(3), colour_map="hot")


def test_the_key_shows_the_table_upright():
    key = draw_key(colour_table(), "MRI", "PET", side=256, font_size=10)
    edge = (key.shape[0] - 256) // 2
    square = key[edge : edge + 256, edge : edge + 256]
    assert np.array_equal(square[2:-2, 2:-2], colour_table()[::-1][2:-2, 2:-2])
    # names stand below and beside
    assert key[-edge:].max() > 150
    assert key[:, :edge].max() > 150
