"""Regions in which fused images are judged."""

from collections.abc import Sequence

import numpy as np

from fusionprep.image.masks import largest_component
from fusionprep.modalities import Modality

_AIR = 10

UPTAKE = 0.2
"""Share of the white level above which there is uptake of the brain."""

SOFT_TISSUE = (0.1, 0.9)
"""Levels of a windowed image of Hounsfield units between which there is brain, not air or bone."""

BRAIN_HU = (0.0, 100.0)
"""Hounsfield units of the brain and its fluid, blood in it included (grey matter: 37 to 41)."""

SMOOTHING_MM = 1.5
NECK_MM = 4.0
"""What joins the brain to muscles and orbits, through foramina, is thinner than twice this."""

RIM = 5.0
"""Pixels (mm in volumes) by which uptake and soft tissue reach beyond the brain: point spread, and
scalp."""


def head_mask(anatomical: np.ndarray, functional: np.ndarray) -> np.ndarray:
    """The head: largest part brighter than 10 gray levels in either image, holes filled.

    Parameters
    ----------
    anatomical, functional
        Same shape, gray levels 0..255.

    Returns
    -------
    numpy.ndarray
        bool, same shape; all False for black images.
    """
    from scipy import ndimage

    bright = np.maximum(anatomical, functional) > _AIR
    return ndimage.binary_fill_holes(largest_component(bright))


def uptake_mask(smoothed_functional: np.ndarray) -> np.ndarray:
    """The brain by its uptake: at least 30 % of the largest, holes filled.

    Parameters
    ----------
    smoothed_functional
        Functional image at PET resolution, at least 0.

    Returns
    -------
    numpy.ndarray
        bool, same shape; all False for an image of zeros.
    """
    from scipy import ndimage

    largest = smoothed_functional.max()
    return ndimage.binary_fill_holes(
        (smoothed_functional >= 0.3 * largest) & (smoothed_functional > 0)
    )


def brain_mask(
    functional: np.ndarray,
    modality: Modality,
    *,
    levels: tuple[float, float] | None = None,
    voxel_sizes: Sequence[float] | None = None,
) -> np.ndarray:
    """The brain as the functional image shows it, for pairs that come without a mask.

    The largest part within `levels`, holes filled, less a rim of ``RIM``. In a volume of Hounsfield
    units, scaled by the modality's window, it is the largest part that has the brain's units and
    hangs together by more than a neck.

    Parameters
    ----------
    functional
        Slice (H, W) or volume (X, Y, Z) in [0, 1].
    levels
        None takes those of the modality: uptake, or what is between air and bone.
    voxel_sizes
        Along each axis in mm; None counts in pixels.

    Returns
    -------
    numpy.ndarray
        bool, same shape; all False where nothing is left.
    """
    from scipy import ndimage

    if functional.ndim == 3 and modality.window and levels is None:
        return _brain_in_ct(functional, modality.window, voxel_sizes)
    usual = SOFT_TISSUE if modality.hounsfield else (UPTAKE, np.inf)
    low, high = usual if levels is None else levels
    tissue = (functional > low) & (functional < high)
    filled = ndimage.binary_fill_holes(largest_component(tissue))
    return depth(filled, voxel_sizes) > RIM


def _brain_in_ct(
    windowed: np.ndarray, window: tuple[float, float], voxel_sizes: Sequence[float] | None
) -> np.ndarray:
    from scipy import ndimage

    sizes = np.ones(3) if voxel_sizes is None else np.asarray(voxel_sizes, float)
    smoothed = ndimage.gaussian_filter(windowed, SMOOTHING_MM / sizes)
    low, high = ((units - window[0]) / (window[1] - window[0]) for units in BRAIN_HU)
    tissue = (smoothed > low) & (smoothed < high)
    core = largest_component(depth(tissue, sizes) > NECK_MM)
    near = ndimage.distance_transform_edt(~core, sampling=sizes) <= NECK_MM
    return np.asarray(ndimage.binary_fill_holes(near & tissue))


def depth(mask: np.ndarray, voxel_sizes: Sequence[float] | np.ndarray | None = None) -> np.ndarray:
    """How far inside a mask each voxel lies; beyond the edge of the picture nothing is inside.

    Parameters
    ----------
    mask
        bool, any number of axes.
    voxel_sizes
        Along each axis, the unit of the result; None counts in voxels.
    """
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(np.pad(mask, 1), sampling=voxel_sizes)
    return np.asarray(distance[(slice(1, -1),) * mask.ndim])
