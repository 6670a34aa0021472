"""Where to fuse two images when nobody says: the head, or the brain, that either of them shows."""

import numpy as np

from fusionprep.errors import DataError
from fusionprep.image.masks import largest_component, with_head
from fusionprep.modalities import Modality

CORNER = 16
"""Corners of the image, one part in so many of each side, are taken for background."""

NOISE_SIGMAS = 4.0
"""Differences from the background up to so many of its standard deviations are noise."""

FAINT = 0.15
"""Differences below this share of a typical one of the head are not the head's."""

GAP = 64
"""Gaps narrower than twice this part of the smaller side of a slice are closed: sulci, the skull's
dark ring where it is open."""

SIZEABLE = 0.1
"""In a single slice, parts of this share of the largest one count as well: temporal poles beside
the cerebellum."""

_MAD_PER_SIGMA = 0.6745


def fusion_mask(anatomical: np.ndarray, functional: np.ndarray, modality: Modality) -> np.ndarray:
    """Where to fuse when no mask is given: the head or brain that either image shows.

    What an image shows differs from its background, whose level is found in the corners; so the
    sign of the intensities and a constant added to them play no role. Of each image only the
    largest part counts, with gaps closed and holes filled: neither a dark skull nor the dark
    ventricles of a z-scored MRI become holes, and a bright thing outside the head is left out.
    A stripped MRI does not confine the functional image: uptake beyond its edge is shown as it is,
    while scatter, which is faint, is not.

    Parameters
    ----------
    anatomical, functional
        (X, Y, Z), the last axis inferior-superior, or (H, W), in any unit.
    modality
        Of the functional image; see :func:`~fusionprep.image.masks.with_head`.

    Returns
    -------
    numpy.ndarray
        bool, same shape.

    Raises
    ------
    DataError
        When neither image shows anything.
    """
    if not modality.hounsfield:
        return shown_by_either(anatomical, functional)
    return _filled(with_head(head_of(anatomical), functional, modality))


def shown_by_either(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """As :func:`fusion_mask`, for images in whichever unit, such as pictures of a CT.

    Raises
    ------
    DataError
        When neither image shows anything.
    """
    inside = head_of(first) | head_of(second)
    if not inside.any():
        raise DataError("neither image shows anything: both are constant; check the files")
    return _filled(inside)


def head_of(image: np.ndarray) -> np.ndarray:
    """What an image shows: its largest part that is not background, closed and filled.

    Parameters
    ----------
    image
        (X, Y, Z) or (H, W), in any unit.

    Returns
    -------
    numpy.ndarray
        bool, same shape; all False for a constant image, all True where the corners vary as much as
        the rest, as in a picture that was cut to the head.
    """
    image = np.nan_to_num(image.astype(np.float32, copy=False))
    corners = _corners(image)
    background = np.median(corners)
    difference = np.abs(image - background)
    noise = NOISE_SIGMAS * np.median(np.abs(corners - background)) / _MAD_PER_SIGMA
    varying = difference[difference > 1e-6 * difference.max()]
    if not varying.size or noise >= _typical(varying):
        return np.full(image.shape, varying.size > 0)
    above = varying[varying > noise]
    shown = difference > max(noise, FAINT * _typical(above))
    # Specks of noise that touch the head must not lead away from it; its own edge comes back.
    parts = _main_parts(_in_slices("binary_opening", shown, 1))
    return _filled(_closed(parts | (shown & _in_slices("binary_dilation", parts, 1))))


def _corners(image: np.ndarray) -> np.ndarray:
    """The values in the corners of an image, (n,)."""
    sides = [max(1, side // CORNER) for side in image.shape]
    values = image
    for axis, side in enumerate(sides):
        ends = [*range(side), *range(image.shape[axis] - side, image.shape[axis])]
        values = np.take(values, sorted(set(ends) & set(range(image.shape[axis]))), axis=axis)
    return values.ravel()


def _typical(values: np.ndarray) -> float:
    """The value above which half of the sum of all lies; faint voxels, however many, count little.

    A few bright ones do not move it either.
    """
    ordered = np.sort(values)
    total = np.cumsum(ordered, dtype=np.float64)
    return float(ordered[np.searchsorted(total, total[-1] / 2)])


def _main_parts(mask: np.ndarray) -> np.ndarray:
    """The largest part of a volume; of a slice, all that are not much smaller."""
    from scipy import ndimage

    if mask.ndim == 3:
        return largest_component(mask)
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.isin(labels, np.flatnonzero(sizes >= SIZEABLE * sizes.max()))


def _closed(mask: np.ndarray) -> np.ndarray:
    """A mask without gaps, slice by slice."""
    radius = max(1, round(min(mask.shape[:2]) / GAP))
    room = [(radius, radius)] * 2 + [(0, 0)] * (mask.ndim - 2)
    closed = _in_slices("binary_closing", np.pad(mask, room), radius)
    return closed[radius:-radius, radius:-radius]


def _filled(mask: np.ndarray) -> np.ndarray:
    """A mask without holes, slice by slice: cavities are open below, where the image ends."""
    from scipy import ndimage

    if mask.ndim == 2:
        return ndimage.binary_fill_holes(mask)
    return ndimage.binary_fill_holes(mask, structure=_in_plane(mask.ndim))


def _in_slices(operation: str, mask: np.ndarray, iterations: int) -> np.ndarray:
    from scipy import ndimage

    return getattr(ndimage, operation)(mask, _in_plane(mask.ndim), iterations)


def _in_plane(dimensions: int) -> np.ndarray:
    """The four neighbours within a slice."""
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    return cross if dimensions == 2 else cross[..., None]
