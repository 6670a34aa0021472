"""Small volumes of 8 bits on a coarse grid along the world axes, for showing in a browser."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError
from fusionprep.image.masks import box_corners, ends_of, tight_box
from fusionprep.image.resample import line_weights
from fusionprep.reports.figures.slices import Volume, to_gray, window

Image = nib.spatialimages.SpatialImage

SPACING_MM = 2.0
BEYOND_BRAIN_MM = 5.0
"""How far from the brain an image is shown. The skin of a forehead lies twice as far from it."""
_MARGIN_MM = BEYOND_BRAIN_MM + SPACING_MM
_ROUNDING = 1e-5  # voxels


@dataclass(frozen=True)
class Grid:
    """Voxels along the world axes: the voxel-to-world affine and the shape."""

    affine: np.ndarray
    shape: tuple[int, int, int]


def brain_grid(mask: Image, *, spacing: float = SPACING_MM, margin_mm: float = _MARGIN_MM) -> Grid:
    """A grid along the world axes around the voxels of an image above 0.5.

    Parameters
    ----------
    mask
        Brain mask in any orientation.
    spacing
        Edge of the voxels, mm; their centres lie on multiples of it.
    margin_mm
        Space left around the brain.

    Raises
    ------
    DataError
        When the mask is empty.
    """
    box = tight_box(Volume.of_mask(mask).voxels > 0)
    if not all(side.stop > side.start for side in box):
        raise DataError(f"cannot crop to {mask.get_filename() or 'the brain mask'}: it is empty")
    corners = box_corners(*ends_of(box))
    world = nib.affines.apply_affine(mask.affine, corners)
    low = np.floor((world.min(axis=0) - margin_mm) / spacing)
    high = np.ceil((world.max(axis=0) + margin_mm) / spacing)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = low * spacing
    x, y, z = (int(n) + 1 for n in high - low)
    return Grid(affine, (x, y, z))


def sample(image: Image, grid: Grid, *, outside: float | None = None) -> np.ndarray:
    """Resample an image, blurred to the resolution of the grid where the grid is the coarser.

    Parameters
    ----------
    image
        Three-dimensional image on any grid.
    outside
        Value outside the image; None takes the lowest of the image, or 0 where that is positive.

    Returns
    -------
    numpy.ndarray
        float32, of the grid's shape.
    """
    from scipy.ndimage import affine_transform, gaussian_filter

    volume = Volume.from_image(image)
    to_voxel = np.linalg.inv(volume.affine) @ grid.affine
    ends = box_corners(np.zeros(3, int), np.array(grid.shape) - 1)
    corners = nib.affines.apply_affine(to_voxel, ends)
    # Only what the grid covers is blurred; the volume may hold ten times as many voxels.
    first = np.clip(np.floor(corners.min(axis=0)) - 4, 0, volume.voxels.shape).astype(int)
    last = np.clip(np.ceil(corners.max(axis=0)) + 5, 0, volume.voxels.shape).astype(int)
    part = _finite(volume.voxels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))])
    if outside is None:
        outside = min(0.0, float(part.min(initial=0.0)))
    if not part.size:
        return np.full(grid.shape, outside, np.float32)
    zooms = nib.affines.voxel_sizes(volume.affine)
    spacing = nib.affines.voxel_sizes(grid.affine)
    widths = np.sqrt(np.maximum(spacing**2 - zooms**2, 0.0)) / zooms / 2.355
    start, matrix = to_voxel[:3, 3] - first, to_voxel[:3, :3]
    if _is_along_axes(matrix):
        return _along_axes(part, np.diag(matrix), start, widths, grid, outside)
    part = gaussian_filter(part, widths, mode="nearest", truncate=2.5)
    return affine_transform(part, matrix, start, output_shape=grid.shape, order=1, cval=outside)


def _finite(voxels: np.ndarray) -> np.ndarray:
    """In float32, with 0 for what is no number."""
    values = voxels.astype(np.float32)
    # the sum shows in a fraction of the time whether there is any
    if not np.isfinite(values.sum(dtype=np.float64)):
        np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return values


def _is_along_axes(matrix: np.ndarray) -> bool:
    """Whether the axes of the grid are those of the image."""
    return bool(np.allclose(matrix, np.diag(np.diag(matrix)), rtol=0.0, atol=_ROUNDING))


def _along_axes(
    voxels: np.ndarray,
    steps: np.ndarray,
    start: np.ndarray,
    widths: np.ndarray,
    grid: Grid,
    outside: float,
) -> np.ndarray:
    """Blur and interpolate one axis after the other, in a quarter of the time of any other way.

    Parameters
    ----------
    steps, start
        Voxels from one point of the grid to the next, and where the first is.
    widths
        Standard deviations of the blur, voxels.
    outside
        Value beyond the outermost voxels.
    """
    beyond = np.zeros(grid.shape, bool)
    # the last axis first: what lies in a row is multiplied fastest
    for axis in (2, 1, 0):
        length = voxels.shape[axis]
        places = start[axis] + steps[axis] * np.arange(grid.shape[axis])
        weights = line_weights(length, places, float(widths[axis]), truncate=2.5)
        voxels = np.moveaxis(np.tensordot(voxels, weights, axes=(axis, 1)), -1, axis)
        out = (places < -_ROUNDING) | (places > length - 1 + _ROUNDING)
        beyond |= out.reshape([-1 if other == axis else 1 for other in range(3)])
    return np.where(beyond, np.float32(outside), voxels)


def near_brain(inside: np.ndarray, *, spacing: float = SPACING_MM) -> np.ndarray:
    """Where an image can be shown without its face: the brain and a little around it.

    Parameters
    ----------
    inside
        Brain mask on the grid, above 0.5 in the brain.
    spacing
        Edge of the voxels, mm.

    Returns
    -------
    numpy.ndarray
        bool, of the same shape: within :data:`BEYOND_BRAIN_MM` of the brain.
    """
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(inside <= 0.5, sampling=spacing) <= BEYOND_BRAIN_MM


def small_volume(
    image: Image, grid: Grid, inside: np.ndarray, *, from_zero: bool
) -> nib.Nifti1Image:
    """An image for the viewer: on the grid, and 8 bits over the display range of its brain.

    What lies farther from the brain is blank (:func:`near_brain`).

    Parameters
    ----------
    inside
        Brain mask on the grid; only voxels above 0.5 set the range. A mask that meets nothing but
        zeros leaves it to the whole image.
    from_zero
        Let the range begin at 0, as is right for PET and for fused images.

    Returns
    -------
    nibabel.Nifti1Image
        uint8. Read from a file, its slope and intercept give the image's own values, clipped to
        the range that ``cal_min`` and ``cal_max`` hold.
    """
    values = sample(image, grid)
    chosen = [inside] if np.any(values[inside > 0.5]) else None
    low, high = window([values], chosen)
    low = 0.0 if from_zero and low > 0 else low
    shown = near_brain(inside)
    small = _in_mm(np.where(shown, to_gray(values, low, high), np.uint8(0)), grid)
    small.header.set_slope_inter((high - low) / 255.0, low)
    small.header["cal_min"], small.header["cal_max"] = low, high
    return small


def small_colour(image: Image, grid: Grid, inside: np.ndarray) -> nib.Nifti1Image:
    """An image in colour for the viewer, on the grid.

    What lies farther from the brain is black (:func:`near_brain`).

    Parameters
    ----------
    image
        RGB24 voxels.
    inside
        Brain mask on the grid.

    Returns
    -------
    nibabel.Nifti1Image
        RGBA32, opaque: a browser would take the levels of RGB24 for its opacity as well.
    """
    channels = np.asanyarray(image.dataobj)
    small = np.empty(grid.shape, [(name, np.uint8) for name in "RGBA"])
    shown = near_brain(inside)
    for name in "RGB":
        values = sample(nib.Nifti1Image(channels[name], image.affine), grid, outside=0.0)
        small[name] = np.rint(values) * shown
    small["A"] = 255
    return _in_mm(small, grid)


def _in_mm(voxels: np.ndarray, grid: Grid) -> nib.Nifti1Image:
    image = nib.Nifti1Image(voxels, grid.affine)
    image.header.set_xyzt_units("mm")
    return image
