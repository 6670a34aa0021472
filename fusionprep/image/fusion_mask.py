"""Where to fuse two images when nobody says: the head, or the brain, that either of them shows."""

from dataclasses import dataclass

import numpy as np

from fusionprep.errors import DataError
from fusionprep.image.masks import tissue_of_ct
from fusionprep.modalities import Modality

CORNER = 16
"""Corners of the image, this part of each side, are taken for background."""

NOISE_SIGMAS = 4.0
"""Differences from the background up to this many of its standard deviations are noise."""

FAINT = 0.15
"""Differences below this share of a typical one of the head are not the head's."""

OUTLIER = 3.0
"""Differences count as at most this many typical ones: a bright thing cannot set the level."""

GAP = 64
"""Gaps narrower than twice this part of the smaller side of a slice are closed: sulci, the skull's
dark ring where it is open."""

SIZEABLE = 0.1
"""In a single slice, parts of this share of the largest one count as well: temporal poles beside
the cerebellum."""

COARSE = 96
"""Voxels along each side, at most twice as many, in which levels are looked for."""

ROUNDS = 6
"""How often, at most, levels are read again in the head that the last ones gave."""

_MAD_PER_SIGMA = 0.6745


@dataclass(frozen=True)
class _Limit:
    """What differs by more from the background is shown; intensities."""

    background: float
    difference: float

    def passed(self, image: np.ndarray) -> np.ndarray:
        return np.abs(image - np.float32(self.background)) > self.difference


def fusion_mask(anatomical: np.ndarray, functional: np.ndarray, modality: Modality) -> np.ndarray:
    """Where to fuse when no mask is given: the head or brain that either image shows.

    What an image shows differs from its background, whose level is found in the corners; so the
    sign of the intensities and a constant added to them play no role. Gaps are closed and holes
    filled: neither a dark skull nor the dark ventricles of a z-scored MRI become holes. Only the
    part that both images show most of counts, in a single slice every sizeable one; what one of
    them shows apart from it, such as a label, does not, nor does it change the levels.
    A stripped MRI does not confine the functional image: uptake beyond its edge is shown as it is,
    while scatter, which is faint, is not.

    Parameters
    ----------
    anatomical, functional
        (X, Y, Z), the last axis inferior-superior, or (H, W), in any unit; a CT in Hounsfield
        units, of which everything denser than fat counts.
    modality
        Of the functional image.

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
    return _not_empty(_head([anatomical], [tissue_of_ct(functional)]))


def shown_by_either(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """As :func:`fusion_mask`, for images in whichever unit, such as pictures of a CT.

    Raises
    ------
    DataError
        When neither image shows anything.
    """
    return _not_empty(_head([first, second]))


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
    return _head([image])


def _not_empty(mask: np.ndarray) -> np.ndarray:
    if not mask.any():
        raise DataError("neither image shows anything: both are constant; check the files")
    return mask


def _head(images: list[np.ndarray], shown: list[np.ndarray] | None = None) -> np.ndarray:
    """The head in images of any unit and in maps, bool, of what others show."""
    given = shown or []
    finite = [np.nan_to_num(image.astype(np.float32), posinf=0, neginf=0) for image in images]
    step = tuple(slice(None, None, max(1, side // COARSE)) for side in images[0].shape)
    limits = _limits([image[step] for image in finite], [tissue[step] for tissue in given])
    pairs = zip(finite, limits, strict=True)
    maps = [_without_specks(limit.passed(image)) for image, limit in pairs]
    return _main_parts([*maps, *given])


def _limits(images: list[np.ndarray], given: list[np.ndarray]) -> list[_Limit]:
    """What the head is found by in each image, read where the head is."""
    limits = [_limit(image) for image in images]
    for _ in range(ROUNDS):
        maps = [limit.passed(image) for image, limit in zip(images, limits, strict=True)]
        head = _main_parts([*map(_without_specks, maps), *given])
        again = [_limit(image, passed, head) for image, passed in zip(images, maps, strict=True)]
        if again == limits:
            break
        limits = again
    return limits


def _limit(
    image: np.ndarray, shown: np.ndarray | None = None, head: np.ndarray | None = None
) -> _Limit:
    """Background of an image, and the difference from it that counts.

    ``shown`` is not background; typical differences are those in the ``head``.
    """
    corners = _corners(image)
    if shown is not None:
        corners = corners[~_corners(shown)] if not _corners(shown).all() else corners
    background = np.median(corners)
    difference = np.abs(image - background)
    noise = float(NOISE_SIGMAS * np.median(np.abs(corners - background)) / _MAD_PER_SIGMA)
    varying = difference[difference > 1e-6 * difference.max()]
    if not varying.size:
        return _Limit(float(background), np.inf)
    if noise >= _typical(varying):
        # no background: tissue reaches the corners
        return _Limit(float(background), -1.0)
    if head is not None and head.any():
        difference = difference[head]
    typical = _typical(difference[difference > noise])
    return _Limit(float(background), max(noise, FAINT * typical))


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

    Nor do few bright ones: from the median on, what is far above the value found so far is cut.
    """
    if not values.size:
        return 0.0
    ordered = np.sort(values)
    typical = float(ordered[ordered.size // 2])
    for _ in range(20):
        total = np.cumsum(np.minimum(ordered, OUTLIER * typical), dtype=np.float64)
        found = float(ordered[np.searchsorted(total, total[-1] / 2)])
        if found <= typical:
            break
        typical = min(found, OUTLIER * typical)
    return typical


def _main_parts(maps: list[np.ndarray]) -> np.ndarray:
    """What maps show, without gaps and holes: of a volume the part that all have most of.

    Of a slice all parts that have not much less.
    """
    from scipy import ndimage

    shown = _filled(_closed(np.logical_or.reduce(maps)))
    labels, count = ndimage.label(shown)
    if count == 0:
        return shown
    common = np.logical_and.reduce(maps)
    sizes = np.bincount(labels[common if common.any() else shown], minlength=count + 1)
    sizes[0] = 0
    if shown.ndim == 3:
        return labels == sizes.argmax()
    return np.isin(labels, np.flatnonzero(sizes >= SIZEABLE * sizes.max()))


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """A mask without specks of noise, which must not lead away from the head, but with its edge."""
    opened = _in_slices("binary_opening", mask, 1)
    return opened | (mask & _in_slices("binary_dilation", opened, 1))


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
