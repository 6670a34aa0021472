"""Figures for notebooks show what they were given."""

import io

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fusionprep import plots
from fusionprep.errors import DataError

SHAPE = (12, 16, 10)


def _pixels(figure) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def _ball() -> np.ndarray:
    places = np.indices(SHAPE) - np.reshape(SHAPE, (3, 1, 1, 1)) / 2 + 0.5
    return (np.square(places).sum(axis=0) < 20).astype(np.float32)


def test_a_row_for_each_volume_and_a_column_for_each_slice():
    figure = plots.plot_slices({"MRI": _ball(), "PET": 3 * _ball()}, count=4)
    assert len(figure.axes) == 8
    assert [text.get_text() for text in figure.texts] == ["MRI", "PET"]


def test_the_front_of_the_head_is_at_the_top():
    volume = np.zeros(SHAPE)
    volume[:, SHAPE[1] // 2 :, :] = 1
    (axes,) = plots.plot_slices({"front": volume}, count=1).axes
    (image,) = axes.images
    shown = image.get_array()[..., 0]
    assert image.origin == "lower"
    assert shown[-1].max() > 0.99
    assert shown[0].max() == 0


def test_colours_are_shown_as_they_are_and_gray_as_gray():
    rgb = np.zeros((*SHAPE, 3), np.uint8)
    rgb[..., 0] = 255
    figure = plots.plot_slices({"gray": _ball(), "colour": rgb}, count=1)
    gray, colour = (axes.images[0].get_array() for axes in figure.axes)
    assert np.ptp(gray, axis=-1).max() < 1e-6
    np.testing.assert_allclose(colour[..., 0], 1)
    np.testing.assert_allclose(colour[..., 1:], 0)


def test_volumes_of_different_shapes_are_refused():
    with pytest.raises(DataError, match="one shape"):
        plots.plot_slices({"a": np.zeros(SHAPE), "b": np.zeros((3, 4, 5))})
    with pytest.raises(DataError, match="one shape"):
        plots.plot_slices({})


def test_overlay_and_key_are_drawn_without_pyplot():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    image = nib.Nifti1Image(_ball(), np.diag([5.0, 5.0, 5.0, 1.0]))
    overlay = plots.plot_overlay(image, image, places_mm=(20, 25), threshold=0.5)
    key = plots.plot_key()
    assert np.ptp(_pixels(overlay)) > 200
    # red, orange or yellow on the right, gray on the left
    pixels = _pixels(key)
    right = pixels[:, 3 * pixels.shape[1] // 4]
    assert (right[:, 0] - right[:, 2]).max() > 60
    assert pyplot.get_fignums() == before
