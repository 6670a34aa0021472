"""Brain masks."""

import itertools
import warnings

import numpy as np

from fusionprep.choices import Device
from fusionprep.devices import gpu_turn, resolve_device
from fusionprep.errors import DataError
from fusionprep.machine import is_short_of_memory
from fusionprep.modalities import Modality

SMALLEST_BRAIN_ML = 300.0
LARGEST_BRAIN_ML = 2500.0
# Neighbouring voxels of a brain correlate at 0.7 or more in any T1w, those of noise at 0.
SMALLEST_COHERENCE = 0.3


def voxel_volume_ml(affine: np.ndarray) -> float:
    """Volume of one voxel in millilitres."""
    return float(abs(np.linalg.det(affine[:3, :3])) / 1000)


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest 6-connected part of `mask`; all False where `mask` is empty."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if count == 0:
        return np.zeros(mask.shape, dtype=bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def tight_box(inside: np.ndarray, margin: int | np.ndarray = 0) -> tuple[slice, ...]:
    """The box that holds a mask, `margin` voxels wider (of all or each axis) where the grid is.

    An empty mask has an empty box.
    """
    sides = []
    for axis, size in enumerate(inside.shape):
        others = tuple(other for other in range(inside.ndim) if other != axis)
        hits = np.flatnonzero(inside.any(axis=others))
        more = int(np.broadcast_to(margin, inside.ndim)[axis])
        first, last = (int(hits[0]), int(hits[-1])) if hits.size else (more, -more - 1)
        sides.append(slice(max(0, first - more), min(size, last + 1 + more)))
    return tuple(sides)


def ends_of(box: tuple[slice, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last voxel (3,) of a box that is not empty."""
    return np.array([side.start for side in box]), np.array([side.stop - 1 for side in box])


def box_corners(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The corners (8, 3) of a box from its lowest and highest coordinates (3,)."""
    return np.array(list(itertools.product(*zip(low, high, strict=True))))


def is_skull_stripped(data: np.ndarray, affine: np.ndarray) -> bool:
    """Tell whether a T1w shows a brain alone.

    A stripped image is exactly 0 outside one part that is brain-sized and touches no more than
    one side of the grid. A whole head is larger or leaves noise outside.

    Parameters
    ----------
    data
        (X, Y, Z) intensities.
    """
    support = data > 0
    if not SMALLEST_BRAIN_ML < support.sum() * voxel_volume_ml(affine) < LARGEST_BRAIN_ML:
        return False
    brain = largest_component(support)
    sides = [brain.take(end, axis=axis).any() for axis in range(3) for end in (0, -1)]
    return bool(brain.sum() > 0.95 * support.sum() and sum(sides) <= 1)


def mask_of_stripped(data: np.ndarray) -> np.ndarray:
    """The mask of a skull-stripped image: its largest part, holes filled."""
    from scipy import ndimage

    return ndimage.binary_fill_holes(largest_component(data > 0))


def find_brain(
    data: np.ndarray,
    affine: np.ndarray,
    *,
    method: str = "auto",
    device: Device = "cpu",
    n_threads: int = 1,
) -> tuple[np.ndarray, bool]:
    """Brain mask of a T1w, and whether the image was taken to be skull-stripped already.

    Parameters
    ----------
    data
        (X, Y, Z) float32 in RAS orientation.
    method
        ``auto`` takes a skull-stripped image (:func:`is_skull_stripped`) as its own mask, ``skip``
        any image, ``force`` none.
    device
        Where the network runs.

    Raises
    ------
    DataError, UsageError
        As :func:`extract_brain`.
    """
    if is_taken_as_stripped(data, affine, method):
        return mask_of_stripped(data), True
    return extract_brain(data, affine, device=device, n_threads=n_threads), False


def is_taken_as_stripped(data: np.ndarray, affine: np.ndarray, method: str) -> bool:
    """Whether :func:`find_brain` takes an image to be skull-stripped already."""
    return method == "skip" or (method == "auto" and is_skull_stripped(data, affine))


def extract_brain(
    data: np.ndarray, affine: np.ndarray, *, device: Device = "cpu", n_threads: int = 1
) -> np.ndarray:
    """Brain mask of a whole-head T1w by deepbet (Fisch et al., 2024).

    Parameters
    ----------
    data
        (X, Y, Z) float32 in RAS orientation.
    device
        Where the network runs, in float32; on the CPU, with a warning, where a GPU has too little
        memory for it.

    Returns
    -------
    numpy.ndarray
        (X, Y, Z) bool.

    Raises
    ------
    DataError
        When the network finds no brain.
    UsageError
        When CUDA is asked for and absent.
    """
    import torch

    torch.set_num_threads(n_threads)
    computed_on = resolve_device(device)
    if computed_on != "cpu":
        try:
            with gpu_turn(computed_on):
                return _deepbet(data, affine, computed_on)
        except RuntimeError as error:
            # TorchScript tells a lack of memory by an error of its own
            if not is_short_of_memory(f"{type(error).__name__}: {error}"):
                raise
        warnings.warn(
            "the GPU has too little memory for the brain mask: it is made on the CPU", stacklevel=2
        )
        # here, not above: the error holds on to what it was about
        torch.cuda.empty_cache()
    return _deepbet(data, affine, "cpu")


def _deepbet(data: np.ndarray, affine: np.ndarray, device: str) -> np.ndarray:
    import nibabel as nib
    from deepbet import BrainExtraction

    # by itself it would take any GPU that it finds
    network = BrainExtraction(no_gpu=True)
    network.model.to(device)
    network.bbox_model.to(device)
    try:
        _, mask, _ = network.run(nib.Nifti1Image(data, affine))
    except (AssertionError, ValueError, IndexError) as error:
        # deepbet has no error of its own for an image without foreground
        raise DataError(f"no brain was found in the T1w ({error})") from error
    return np.asarray(mask.dataobj) > 0


def made_by(*, stripped: bool) -> str:
    """What made a mask of :func:`find_brain`, for a sidecar."""
    from importlib.metadata import version

    return "support of the skull-stripped input" if stripped else f"deepbet {version('deepbet')}"


def check_brain_volume(
    mask: np.ndarray, affine: np.ndarray, path: str, *, remedy: str = "try --skull-strip-t1w"
) -> float:
    """Volume of `mask` in millilitres.

    Parameters
    ----------
    path
        What to call the image in the message.
    remedy
        What else to do about it.

    Raises
    ------
    DataError
        When no human brain can have that volume.
    """
    volume = float(mask.sum() * voxel_volume_ml(affine))
    if not SMALLEST_BRAIN_ML < volume < LARGEST_BRAIN_ML:
        raise DataError(
            f"the brain mask of {path} has {volume:.0f} ml, outside {SMALLEST_BRAIN_ML:.0f} to"
            f" {LARGEST_BRAIN_ML:.0f} ml; look at the image, or {remedy}"
        )
    return volume


def check_coherence(data: np.ndarray, mask: np.ndarray, path: str) -> None:
    """Refuse an image that is noise inside its brain mask.

    Parameters
    ----------
    data
        (X, Y, Z) intensities.
    mask
        (X, Y, Z) bool.
    path
        What to call the image in the message.

    Raises
    ------
    DataError
        When neighbouring voxels have nothing to do with each other.
    """
    pairs = mask[1:] & mask[:-1]
    coherence = np.corrcoef(data[1:][pairs], data[:-1][pairs])[0, 1]
    if not coherence > SMALLEST_COHERENCE:
        raise DataError(f"{path} shows noise where the brain should be; look at the image")


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice overlap of two masks, 2|A∩B| / (|A| + |B|) (Dice, Ecology 1945;26(3):297-302).

    Parameters
    ----------
    a, b
        Arrays of the same shape; nonzero is inside.

    Returns
    -------
    float
        In [0, 1]; 1 for two empty masks, which agree.

    Raises
    ------
    ValueError
        When the shapes differ.
    """
    a, b = np.asarray(a).astype(bool), np.asarray(b).astype(bool)
    if a.shape != b.shape:
        raise ValueError(f"masks of different shapes: {a.shape} and {b.shape}")
    size = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2.0 * int(np.count_nonzero(a & b)) / size if size else 1.0


def with_head(inside: np.ndarray, functional: np.ndarray, modality: Modality) -> np.ndarray:
    """Where to fuse: inside, and with a CT also in all of its head, whose bone it shows.

    Parameters
    ----------
    inside
        (X, Y, Z) or (H, W) bool, e.g. the brain mask.
    functional
        Same shape.
    """
    return inside | head_of_ct(functional) if modality.hounsfield else inside


def head_of_ct(hounsfield: np.ndarray) -> np.ndarray:
    """The head in a CT: its largest part denser than fat, air inside filled.

    Parameters
    ----------
    hounsfield
        (X, Y, Z) in Hounsfield units.
    """
    from scipy import ndimage

    tissue, core = _tissue_and_core(hounsfield)
    return ndimage.binary_fill_holes(_grown_back(largest_component(core), tissue))


def tissue_of_ct(hounsfield: np.ndarray) -> np.ndarray:
    """What is denser than fat in a CT, parted from what thin bridges tie to it.

    Parameters
    ----------
    hounsfield
        (X, Y, Z) or (H, W) in Hounsfield units.
    """
    tissue, core = _tissue_and_core(hounsfield)
    return _grown_back(core, tissue)


def _tissue_and_core(hounsfield: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy import ndimage

    tissue = hounsfield > -300
    # Opening cuts the thin bridges by which headrests and tubes touch the skin, and with them the
    # thin bones of the face, which grow back from what is left.
    return tissue, ndimage.binary_opening(tissue, iterations=2)


def _grown_back(core: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return core | (tissue & ndimage.binary_dilation(core, iterations=4))


def without_table(hounsfield: np.ndarray, air: float) -> np.ndarray:
    """A CT whose table, headrest and tubes are replaced by air.

    The air around the head keeps its values up to two voxels from it, so that the skin's edge stays
    as acquired. Where no head is found, nothing is replaced.

    Parameters
    ----------
    hounsfield
        (X, Y, Z) in Hounsfield units.
    air
        What takes their place, Hounsfield units.
    """
    from scipy import ndimage

    head = head_of_ct(hounsfield)
    if not head.any():
        return np.asarray(hounsfield, np.float32)
    near = ndimage.binary_dilation(head, iterations=2)
    return np.where(near, hounsfield, np.float32(air))
