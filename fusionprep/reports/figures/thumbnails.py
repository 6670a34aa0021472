"""Small pictures for the group report: a thumbnail of each scan, and planes of a template."""

from pathlib import Path

import nibabel as nib
import numpy as np

from fusionprep.choices import ColourMapName
from fusionprep.image.colour import DEFAULT_COLOUR_MAP, fuse_colour, gray_as_rgb
from fusionprep.image.masks import box_corners, ends_of, tight_box
from fusionprep.reports.figures.slices import (
    Plane,
    Volume,
    canonical_inside,
    outlines,
    to_gray,
    window,
)

Image = nib.spatialimages.SpatialImage

SIDE = 96
PIXEL_MM = 2.2
"""A thumbnail shows 211 mm: the longest brain with at least 15 mm around it."""

PLANES_PIXEL_MM = 2.0
PLANES_BOX_MM = (176.0, 216.0, 176.0)
"""Field of view along x, y and z: an adult head in MNI space without its face."""

PLANES_MM = {2: (-20.0, 0.0, 20.0, 40.0), 1: (-32.0, 12.0), 0: (-8.0, 28.0)}
"""Where axial, coronal and sagittal planes lie, from the middle of the template's brain."""

_CENTRE_STEP_MM = 4.0
_FINER = 4
_CONTOUR = (34, 201, 144)


def draw_thumbnail(
    fused: Image,
    functional: Image,
    mask: Image,
    out_file: Path,
    *,
    colour: Image | None = None,
    colour_map: ColourMapName = DEFAULT_COLOUR_MAP,
) -> Path:
    """Draw the middle axial, coronal and sagittal slice of a fused image, 288 x 96 pixels.

    A fused PET ends at the brain mask; around it the PET alone is shown, so that a PET beside the
    brain can be seen. Scale and size are the same for all subjects.

    Parameters
    ----------
    fused
        Scalar fused image, in [0, 1].
    functional
        PET or CT; any grid, sampled in world coordinates.
    mask
        Brain mask, whose contour is drawn.
    out_file
        The PNG to write.
    colour
        The image in colour (RGB24 voxels), for a PET; without it the fused image is drawn in
        gray.
    colour_map
        Of `colour`.

    Returns
    -------
    pathlib.Path
        ``out_file``.

    Raises
    ------
    DataError
        When the mask is empty.
    """
    planes = centred_planes(mask, SIDE, PIXEL_MM)
    inside = [Volume.of_mask(mask).sample(plane) for plane in planes]
    if colour is None:
        tiles = [gray_as_rgb(Volume.from_image(fused).sample(plane)) for plane in planes]
    else:
        rgb = [Volume.from_image(colour).sample(plane) for plane in planes]
        uptake = [Volume.from_image(functional).sample(plane) for plane in planes]
        _, high = window(uptake, inside)
        tiles = [
            _with_surroundings(tile, level / max(high, 1e-12), brain, colour_map)
            for tile, level, brain in zip(rgb, uptake, inside, strict=True)
        ]
    strip = np.concatenate(
        [_with_contour(tile, brain) for tile, brain in zip(tiles, inside, strict=True)], axis=1
    )
    return _save(strip, out_file)


def draw_planes(
    fused: Image, template_mask: Image, out_file: Path, *, colour: Image | None = None
) -> Path:
    """Draw fixed planes of a template: four axial, two coronal, two sagittal, 744 x 108 pixels.

    In gray, a level is 255 times the fused value. All images in the space of one template show the
    same planes at the same size, so that means and deviations can be taken pixel by pixel.

    Parameters
    ----------
    fused
        Scalar fused image, in [0, 1]; any grid, sampled in world coordinates.
    template_mask
        Brain mask of the template, which sets the planes.
    out_file
        The PNG to write: 8-bit RGB with `colour`, else 8-bit gray.
    colour
        The image in colour (RGB24 voxels), for a PET; without it the fused image is drawn in
        gray.

    Returns
    -------
    pathlib.Path
        ``out_file``.
    """
    volume = Volume.from_image(fused if colour is None else colour)
    high = 1 if colour is None else 255
    tiles = [to_gray(volume.sample(plane), 0, high) for plane in template_planes(template_mask)]
    height = max(len(tile) for tile in tiles)
    room = [(height - len(tile)) // 2 for tile in tiles]
    padded = [
        np.pad(tile, ((above, height - len(tile) - above), *[(0, 0)] * (tile.ndim - 1)))
        for tile, above in zip(tiles, room, strict=True)
    ]
    return _save(np.concatenate(padded, axis=1), out_file)


def template_planes(mask: Image) -> tuple[Plane, ...]:
    """The planes of :func:`draw_planes`; the same for a template at any resolution."""
    # templates lie along the axes of the world, and so does the box of their brain
    corners = box_corners(*ends_of(tight_box(np.asarray(mask.dataobj) > 0.5)))
    points = nib.affines.apply_affine(mask.affine, corners)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    # The middle of a mask depends a little on the size of its voxels.
    middle = _CENTRE_STEP_MM * np.round(middle / _CENTRE_STEP_MM)
    planes = []
    for axis, offsets in PLANES_MM.items():
        across, up = (other for other in range(3) if other != axis)
        rows, columns = (round(PLANES_BOX_MM[side] / PLANES_PIXEL_MM) for side in (up, across))
        for offset in offsets:
            centre = middle.copy()
            centre[axis] += offset
            planes.append(_plane(axis, centre, np.eye(3), (rows, columns), PLANES_PIXEL_MM))
    return tuple(planes)


def centred_planes(mask: Image, side: int, pixel_mm: float) -> tuple[Plane, Plane, Plane]:
    """Axial, coronal and sagittal square planes through the middle of a brain.

    Parameters
    ----------
    mask
        Brain mask (> 0.5) in any orientation; its grid gives the directions of the planes.
    side
        Rows and columns.
    pixel_mm
        Edge of a pixel.

    Raises
    ------
    DataError
        When the mask is empty.
    """
    inside, affine = canonical_inside(mask)
    first, last = ends_of(tight_box(inside))
    middle = (first + last) / 2
    centre = nib.affines.apply_affine(affine, middle)
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    axial, coronal, sagittal = (
        _plane(axis, centre, directions, (side, side), pixel_mm) for axis in (2, 1, 0)
    )
    return axial, coronal, sagittal


def _plane(
    axis: int, centre: np.ndarray, directions: np.ndarray, shape: tuple[int, int], pixel_mm: float
) -> Plane:
    """A plane around a point (3,), along the columns of `directions` (3, 3)."""
    across, up = (other for other in range(3) if other != axis)
    down, right = -directions[:, up] * pixel_mm, directions[:, across] * pixel_mm
    origin = centre - down * (shape[0] - 1) / 2 - right * (shape[1] - 1) / 2
    return Plane(axis, origin, down, right, shape)


def _with_surroundings(
    rgb: np.ndarray, uptake: np.ndarray, inside: np.ndarray, colour_map: ColourMapName
) -> np.ndarray:
    """The slice in colour, and around the brain the uptake alone, as bright as it is high."""
    around = fuse_colour(uptake, uptake, colour_map=colour_map)
    return np.where(inside[..., None] > 0.5, np.rint(np.clip(rgb, 0, 255)), around).astype(np.uint8)


def _with_contour(tile: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Draw the contour of a sampled mask over an RGB slice, smoothly: at a finer scale first."""
    from PIL import Image as Picture
    from PIL import ImageDraw

    rows, columns = inside.shape
    canvas = Picture.new("L", (columns * _FINER, rows * _FINER))
    draw = ImageDraw.Draw(canvas)
    for line in outlines(inside):
        points = [tuple(point) for point in (line[:, ::-1] + 0.5) * _FINER]
        draw.line(points, fill=255, width=_FINER)
    opacity = np.asarray(canvas.resize((columns, rows), Picture.Resampling.BOX)) / 255
    mixed = tile * (1 - opacity[..., None]) + np.array(_CONTOUR) * opacity[..., None]
    return np.rint(mixed).astype(np.uint8)


def _save(picture: np.ndarray, out_file: Path) -> Path:
    from PIL import Image as Picture

    Picture.fromarray(picture).save(out_file, format="PNG", optimize=True)
    return out_file
