"""Thumbnails and planes for the group report."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Picture

from fusionprep.errors import DataError
from fusionprep.image.colour import fuse_colour, rgb24_image
from fusionprep.image.template import TemplateSpace, load_template
from fusionprep.reports.figures.thumbnails import (
    centred_planes,
    draw_planes,
    draw_thumbnail,
    template_planes,
)

SHAPE, ZOOM = (80, 100, 80), 2.5
CONTOUR = (34, 201, 144)


def image(array: np.ndarray, affine: np.ndarray | None = None) -> nib.Nifti1Image:
    if affine is None:
        affine = np.diag([ZOOM, ZOOM, ZOOM, 1.0])
        affine[:3, 3] = -ZOOM * (np.array(array.shape) - 1) / 2
    return nib.Nifti1Image(array, affine)


def ball(radius_mm: float, shift_mm: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """1 inside a ball around the world's origin, moved by so much."""
    offsets = ZOOM * (np.indices(SHAPE) - (np.array(SHAPE) - 1)[:, None, None, None] / 2)
    offsets -= np.array(shift_mm, float)[:, None, None, None]
    return (np.sqrt((offsets**2).sum(axis=0)) < radius_mm).astype(np.float32)


def drawn(path, shift=(0, 0, 0), *, colour=True, affine_of=None) -> np.ndarray:
    """The thumbnail of a fused PET of a ball of 70 mm, whose PET is displaced."""
    mask, pet = ball(70), ball(66, shift)
    fused = mask * 0.4 + 0.5 * mask * pet
    images = [image(array) for array in (fused, pet, mask.astype(np.uint8))]
    in_colour = rgb24_image(fuse_colour(0.5 * mask, pet, mask), images[0].affine)
    if affine_of is not None:
        images, in_colour = [affine_of(item) for item in images], affine_of(in_colour)
    draw_thumbnail(*images, path, colour=in_colour if colour else None)
    return np.asarray(Picture.open(path))


def outside(picture: np.ndarray) -> np.ndarray:
    """Pixels more than 76 mm from the middle of their tile: beyond the contour's line."""
    y, x = np.mgrid[:96, :96] - 47.5
    return picture[np.tile(np.hypot(y, x) * 2.2 > 76, (1, 3))]


def test_a_displaced_pet_shows_beyond_the_contour(tmp_path):
    in_place = drawn(tmp_path / "a.png")
    moved = drawn(tmp_path / "b.png", (30, 0, 0))
    assert in_place.shape == moved.shape == (96, 288, 3)
    assert not outside(in_place).any()
    assert (outside(moved).max(axis=-1) > 100).sum() > 50
    # To the subject's right, which is on the right of axial and coronal tiles.
    axial = moved[:, :96].max(axis=-1)
    assert axial[48, 86] > 100
    assert axial[48, 9] == 0


def test_the_contour_is_that_of_the_brain_mask(tmp_path):
    for colour in (True, False):
        picture = drawn(tmp_path / "a.png", colour=colour).astype(int)
        green = (np.abs(picture - CONTOUR).sum(axis=-1) < 120).nonzero()
        distance = np.hypot(green[0] - 47.5, green[1] % 96 - 47.5) * 2.2
        assert len(distance) > 200
        assert np.abs(distance - 70).max() < 3.5


def test_in_colour_it_is_the_colour_image(tmp_path):
    picture = drawn(tmp_path / "a.png")
    expected = fuse_colour(np.array(0.5), np.array(1.0))
    assert np.array_equal(picture[48, 48], expected)


def test_without_colour_it_is_the_fused_image(tmp_path):
    picture = drawn(tmp_path / "a.png", (30, 0, 0), colour=False)
    assert (picture[48, 48] == round(0.9 * 255)).all()
    assert not outside(picture).any()


@pytest.mark.parametrize("axes", ["LPS", "PIR"])
def test_neither_orientation_nor_time_changes_a_byte(tmp_path, axes):
    def turned(item):
        wanted = nib.orientations.axcodes2ornt(axes)
        own = nib.io_orientation(item.affine)
        return item.as_reoriented(nib.orientations.ornt_transform(own, wanted))

    drawn(tmp_path / "a.png", (30, 0, 0))
    drawn(tmp_path / "b.png", (30, 0, 0), affine_of=turned)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_pet_without_uptake_in_the_brain_is_drawn(tmp_path):
    assert drawn(tmp_path / "a.png", (90, 0, 0)).any()
    nothing = image(np.zeros(SHAPE, np.float32))
    mask = image(ball(70).astype(np.uint8))
    black = rgb24_image(np.zeros((*SHAPE, 3), np.uint8), mask.affine)
    draw_thumbnail(nothing, nothing, mask, tmp_path / "b.png", colour=black)
    with pytest.raises(DataError, match="brain mask is empty"):
        draw_thumbnail(nothing, nothing, nothing, tmp_path / "c.png", colour=black)


def test_square_planes_cut_the_middle_of_the_brain():
    mask = image(ball(60, (20, -10, 5)).astype(np.uint8))
    axial, coronal, sagittal = centred_planes(mask, 96, 2.2)
    assert [plane.label for plane in (axial, coronal, sagittal)] == ["z = 5", "y = -10", "x = 20"]
    for plane in (axial, coronal, sagittal):
        assert np.linalg.norm(plane.down) == np.linalg.norm(plane.right) == pytest.approx(2.2)


@pytest.fixture(scope="module")
def template():
    return load_template(TemplateSpace("MNI152NLin2009aSym", "2")).mask


def ramp(axis: int, zoom: float) -> nib.Nifti1Image:
    """An image whose value is its world coordinate along an axis, 0 at -100 mm and 1 at 100 mm."""
    shape = tuple(int(288 / zoom) for _ in range(3))
    affine = np.diag([-zoom, zoom, zoom, 1.0])
    affine[:3, 3] = (144, -144, -144)
    world = affine[axis, axis] * np.indices(shape)[axis] + affine[axis, 3]
    return image(((world + 100) / 200).astype(np.float32), affine)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes_are_where_they_should_be_whatever_the_grid(tmp_path, template, axis):
    pictures = []
    for name, zoom in (("a", 2.0), ("b", 3.0)):
        draw_planes(ramp(axis, zoom), template, tmp_path / f"{name}.png")
        pictures.append(Picture.open(tmp_path / f"{name}.png"))
        assert (pictures[-1].mode, pictures[-1].size) == ("L", (744, 108))
    first, second = (np.asarray(picture).astype(int) for picture in pictures)
    assert np.abs(first - second).max() <= 1
    planes, left = template_planes(template), 0
    for plane in planes:
        rows, columns = plane.shape
        top = (108 - rows) // 2
        tile = first[top : top + rows, left : left + columns]
        left += columns
        corners = [plane.origin, plane.origin + plane.down * (rows - 1)]
        corners += [point + plane.right * (columns - 1) for point in corners]
        expected = [255 * np.clip((point[axis] + 100) / 200, 0, 1) for point in corners]
        found = [tile[0, 0], tile[-1, 0], tile[0, -1], tile[-1, -1]]
        np.testing.assert_allclose(found, expected, atol=1)
    assert left == 744


def test_planes_in_colour_are_those_of_the_colour_image(tmp_path, template):
    gray = ramp(2, 3.0)
    levels = np.asarray(gray.dataobj)
    rgb = fuse_colour(levels, 1 - levels)
    draw_planes(gray, template, tmp_path / "a.png")
    draw_planes(gray, template, tmp_path / "b.png", colour=rgb24_image(rgb, gray.affine))
    heights, picture = (Picture.open(tmp_path / f"{name}.png") for name in "ab")
    assert (picture.mode, picture.size) == ("RGB", (744, 108))
    heights, picture = np.asarray(heights) / 255, np.asarray(picture).astype(int)
    # Axial planes, each of one colour.
    for left in range(0, 4 * 88, 88):
        tile = picture[:, left : left + 88]
        assert not np.ptp(tile, axis=(0, 1)).any()
        expected = fuse_colour(heights[54, left], 1 - heights[54, left])
        assert np.abs(tile[54, 0] - expected).max() <= 6


def test_the_planes_of_a_template_hold_its_brain_at_any_resolution(template):
    fine = load_template(TemplateSpace("MNI152NLin2009aSym", "1")).mask
    for a, b in zip(template_planes(template), template_planes(fine), strict=True):
        np.testing.assert_array_equal(a.origin, b.origin)
        assert a.shape == b.shape
    names = [plane.name for plane in template_planes(template)]
    assert names == ["axial"] * 4 + ["coronal"] * 2 + ["sagittal"] * 2
    from fusionprep.reports.figures.slices import Volume

    for plane in template_planes(fine):
        inside = Volume.of_mask(fine).sample(plane) > 0.5
        assert inside.sum() > 0.2 * inside.size
        edge = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
        assert not edge.any()
