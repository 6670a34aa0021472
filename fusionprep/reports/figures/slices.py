"""Planes through the brain, and images sampled on them.

Pictures are sampled slice by slice in world coordinates, so images on different grids can be shown
together without resampling a volume.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError

# In-plane axes of sagittal, coronal and axial planes of a RAS grid: (left to right, bottom to top).
_IN_PLANE = {0: (1, 2), 1: (0, 2), 2: (0, 1)}
_PLANE_NAMES = {0: "sagittal", 1: "coronal", 2: "axial"}
_AXIS_LETTERS = "xyz"


@dataclass(frozen=True)
class Plane:
    """A rectangle of square pixels in world space, as seen by the reader.

    Attributes
    ----------
    axis
        0 sagittal, 1 coronal, 2 axial (of the closest RAS axes).
    origin, down, right
        World coordinates (mm, RAS) of the top left pixel, and the steps to the next row and column.
    shape
        Rows and columns. Left of the subject is on the left; anterior or superior is at the top.
    """

    axis: int
    origin: np.ndarray
    down: np.ndarray
    right: np.ndarray
    shape: tuple[int, int]

    @property
    def name(self) -> str:
        return _PLANE_NAMES[self.axis]

    @property
    def label(self) -> str:
        """The world coordinate of the plane's centre along its normal, e.g. ``z = 12``."""
        rows, columns = self.shape
        centre = self.origin + self.down * (rows - 1) / 2 + self.right * (columns - 1) / 2
        return f"{_AXIS_LETTERS[self.axis]} = {round(float(centre[self.axis])):d}"


@dataclass(frozen=True)
class Volume:
    """Voxels ready for sampling, (X, Y, Z[, channels]), and the voxel-to-world affine."""

    voxels: np.ndarray
    affine: np.ndarray

    @classmethod
    def from_image(cls, image: nib.spatialimages.SpatialImage) -> "Volume":
        """Read an image; RGB24 voxels become three channels, a fourth axis of length 1 is dropped.

        Raises
        ------
        DataError
            When the image is not three-dimensional.
        """
        voxels = np.asanyarray(image.dataobj)
        if voxels.dtype.names is not None:
            voxels = np.stack([voxels[name] for name in voxels.dtype.names], axis=-1)
        elif voxels.ndim == 4 and voxels.shape[3] == 1:
            voxels = voxels[..., 0]
        elif voxels.ndim != 3:
            name = image.get_filename() or "an image in memory"
            raise DataError(f"cannot draw {name}: expected 3 dimensions, found {voxels.ndim}")
        return cls(voxels, image.affine)

    @classmethod
    def of_mask(cls, mask: nib.spatialimages.SpatialImage) -> "Volume":
        """Read a mask or a probability map: 1 above 0.5, else 0."""
        volume = cls.from_image(mask)
        return cls((volume.voxels > 0.5).astype(np.uint8), volume.affine)

    def sample(self, plane: Plane, *, order: int = 1) -> np.ndarray:
        """Interpolate linearly on a plane, or with order 0 take the nearest voxel, for labels.

        Returns
        -------
        numpy.ndarray
            float32, (rows, columns) or (rows, columns, channels); 0 outside the volume and where
            a voxel is not finite.
        """
        from scipy.ndimage import map_coordinates

        rows, columns = plane.shape
        to_voxel = np.linalg.inv(self.affine)
        start = to_voxel[:3, :3] @ plane.origin + to_voxel[:3, 3]
        down, right = to_voxel[:3, :3] @ plane.down, to_voxel[:3, :3] @ plane.right
        coordinates = (
            start[:, None, None]
            + down[:, None, None] * np.arange(rows)[None, :, None]
            + right[:, None, None] * np.arange(columns)[None, None, :]
        )
        channels = self.voxels if self.voxels.ndim == 4 else self.voxels[..., None]
        sampled = [
            map_coordinates(channels[..., c], coordinates, output=np.float32, order=order, cval=0.0)
            for c in range(channels.shape[-1])
        ]
        values = np.nan_to_num(np.stack(sampled, axis=-1), nan=0.0, posinf=0.0, neginf=0.0)
        return values if self.voxels.ndim == 4 else values[..., 0]


def canonical_inside(
    mask: nib.spatialimages.SpatialImage, what: str = "the brain mask"
) -> tuple[np.ndarray, np.ndarray]:
    """Where a mask is above 0.5, (X, Y, Z) bool along the axes closest to RAS, and its affine.

    Raises
    ------
    DataError
        When the mask, named `what` where it has no file, is empty.
    """
    canonical = nib.as_closest_canonical(mask)
    inside = np.asanyarray(canonical.dataobj) > 0.5
    if not inside.any():
        raise DataError(f"cannot draw figures: {mask.get_filename() or what} is empty")
    return inside, canonical.affine


def brain_planes(
    mask: nib.spatialimages.SpatialImage,
    axis: int,
    count: int,
    *,
    pixel_mm: float = 0.8,
    margin_mm: float = 6.0,
    span: tuple[float, float] = (0.14, 0.88),
) -> tuple[Plane, ...]:
    """Evenly spaced planes through a brain, cropped to it.

    Parameters
    ----------
    mask
        Brain mask (> 0.5) in any orientation; its grid gives the directions of the planes.
    axis
        0 sagittal, 1 coronal, 2 axial.
    count
        Number of planes, starting left, posterior or inferior.
    pixel_mm
        Edge of the square pixels, whatever the shape of the voxels.
    margin_mm
        Space left around the brain.
    span
        First and last plane as fractions of the brain's extent along the axis.

    Raises
    ------
    DataError
        When the mask is empty.
    """
    inside, affine = canonical_inside(mask)
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / zooms
    low, high = _extent_mm(inside, zooms)
    across, up = _IN_PLANE[axis]
    size = high - low + 2 * margin_mm
    shape = (round(size[up] / pixel_mm), round(size[across] / pixel_mm))
    planes = []
    for fraction in np.linspace(span[0], span[1], count):
        corner = np.empty(3)
        corner[axis] = low[axis] + fraction * (high[axis] - low[axis])
        corner[across] = low[across] - margin_mm + pixel_mm / 2
        corner[up] = high[up] + margin_mm - pixel_mm / 2
        origin = directions @ corner + affine[:3, 3]
        step_down, step_right = -directions[:, up] * pixel_mm, directions[:, across] * pixel_mm
        planes.append(Plane(axis, origin, step_down, step_right, shape))
    return tuple(planes)


def spans_of(
    region: nib.spatialimages.SpatialImage, mask: nib.spatialimages.SpatialImage
) -> dict[int, tuple[float, float]]:
    """Where planes cut a region, as fractions of the brain's extent along each axis.

    Parameters
    ----------
    region, mask
        Masks (> 0.5) on one grid, of the region and of the brain.

    Returns
    -------
    dict
        0 sagittal, 1 coronal, 2 axial to the ``span`` of :func:`brain_planes`.

    Raises
    ------
    DataError
        When either mask is empty.
    """
    extents = []
    for image, what in ((region, "the region"), (mask, "the brain mask")):
        inside, affine = canonical_inside(image, what)
        extents.append(_extent_mm(inside, np.linalg.norm(affine[:3, :3], axis=0)))
    (low, high), (brain_low, brain_high) = extents
    # the outermost slices of a region show hardly any of it
    inset = 0.1 * (high - low)
    first = (low + inset - brain_low) / (brain_high - brain_low)
    last = (high - inset - brain_low) / (brain_high - brain_low)
    return {axis: (float(first[axis]), float(last[axis])) for axis in range(3)}


def _extent_mm(inside: np.ndarray, zooms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of a mask in mm along the voxel axes, from the centre of the first voxel."""
    low, high = np.empty(3), np.empty(3)
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        hit = np.flatnonzero(inside.any(axis=others))
        low[axis], high[axis] = (hit[0] - 0.5) * zooms[axis], (hit[-1] + 0.5) * zooms[axis]
    return low, high


def window(
    slices: Sequence[np.ndarray],
    masks: Sequence[np.ndarray] | None = None,
    percentiles: tuple[float, float] = (1.0, 99.7),
) -> tuple[float, float]:
    """Display range of sampled slices: percentiles of the values above zero.

    Parameters
    ----------
    slices
        Sampled slices of one image.
    masks
        Slices of the brain mask; only pixels above 0.5 count. None counts all.

    Returns
    -------
    tuple of float
        Low and high; high > low even for a constant image.
    """
    if masks is None:
        values = np.concatenate([item.ravel() for item in slices])
    else:
        pairs = zip(slices, masks, strict=True)
        values = np.concatenate([item[inside > 0.5] for item, inside in pairs])
    values = values[values != 0]
    if values.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(values, percentiles)
    return float(low), float(max(high, low + 1e-6 * max(abs(low), 1.0)))


def to_gray(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map [low, high] to uint8 [0, 255], clipped."""
    scaled = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.round(255.0 * scaled).astype(np.uint8)


def outlines(inside: np.ndarray, *, tolerance: float = 0.35) -> list[np.ndarray]:
    """Contours of a sampled mask at 0.5.

    Parameters
    ----------
    inside
        Linearly interpolated mask slice, [0, 1].
    tolerance
        Largest distance (pixels) by which a simplified contour may depart from the exact one.

    Returns
    -------
    list of numpy.ndarray
        (N, 2) arrays of (row, column); specks shorter than 6 points are left out.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.measure import find_contours

    # Linear interpolation of a binary mask is a staircase; half a pixel of blur removes it.
    smooth = gaussian_filter(np.pad(inside, 1), 0.6)
    return simplified(
        [line - 1 for line in find_contours(smooth, 0.5) if len(line) >= 6], tolerance
    )


def simplified(lines: Sequence[np.ndarray], tolerance: float) -> list[np.ndarray]:
    """Lines without the points that lie near the chord of others.

    Douglas and Peucker, Cartographica 1973;10(2):112-122, as ``approximate_polygon`` of
    scikit-image, but all lines at once: hundreds of short ones take it seconds.

    Parameters
    ----------
    lines
        (N, 2) each, at least two points.
    tolerance
        Largest distance of a point that is left out from the line that is left.

    Returns
    -------
    list of numpy.ndarray
        For each line, some of its points; the first and the last always.
    """
    if not lines:
        return []
    points = np.concatenate(lines)
    ends = np.cumsum([len(line) for line in lines])
    kept = np.zeros(len(points), bool)
    kept[ends - 1] = kept[ends - [len(line) for line in lines]] = True
    while True:
        corners = np.flatnonzero(kept)
        chord = np.searchsorted(corners, np.arange(len(points)), side="right") - 1
        start, stop = corners[chord], corners[np.minimum(chord + 1, len(corners) - 1)]
        distances = np.where(kept, 0.0, _distances(points, points[start], points[stop]))
        farthest = np.maximum.reduceat(distances, corners)
        split = (distances > tolerance) & (distances == farthest[chord])
        if not split.any():
            break
        # of points equally far from a chord, the first
        _, first = np.unique(chord[split], return_index=True)
        kept[np.flatnonzero(split)[first]] = True
    return [part[chosen] for part, chosen in zip(lines, np.split(kept, ends[:-1]), strict=True)]


def _distances(points: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Distance of each point from its own segment; all (N, 2)."""
    along, offset = stop - start, points - start
    squared = np.maximum((along**2).sum(axis=1), np.finfo(float).tiny)
    share = np.clip((offset * along).sum(axis=1) / squared, 0.0, 1.0)
    return np.linalg.norm(offset - share[:, None] * along, axis=1)
