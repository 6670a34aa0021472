"""Checks of brain masks, tissues and transforms that other software made of the same T1w.

Each function raises :class:`~fusionprep.errors.DataError` with the reason, a phrase, where what was
made cannot be of this T1w.
"""

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from fusionprep import freesurfer
from fusionprep.errors import DataError
from fusionprep.image.atlases import is_mgh, read_mgh, read_names
from fusionprep.image.io import new_image, plain_shape, read_image, same_grid
from fusionprep.image.masks import (
    check_brain_volume,
    dice,
    is_skull_stripped,
    largest_component,
    mask_of_stripped,
)
from fusionprep.image.resample import downsample, remove_shear, resample
from fusionprep.image.segmentation import GRAY, TISSUES, WHITE, Tissues

COARSE_SIDE = 128
"""Voxels along each side of the grid on which the brain is looked for roughly."""

LEAST_DICE = 0.9
"""Of a brain mask and the rough one of our own. Those of one real head overlap by 0.98, by 0.96
when shifted by 4 mm and 0.89 to 0.90 by 10 mm; that of another head by 0.84 to 0.97 where both are
centred."""

LEAST_LIKENESS = 0.9
"""Correlation in the brain, at 4 mm, of the T1w and the T1w that something was made of. One real
head has 0.999 with and without N4, 0.94 to 0.97 when shifted by 2 mm and 0.77 to 0.90 by 4 mm; two
heads have 0.2 to 0.55, two in the space of one template 0.87 to 0.90."""

LIKENESS_MM, FLAT_MM = 4.0, 24.0
"""Voxel size, and standard deviation of the Gaussian that stands for non-uniformity."""

SUM_TOLERANCE = 0.02
"""By which fractions may leave 0 to 1, alone or added up: those of eight bits are rounded."""

LEAST_INSIDE, LEAST_FILLED = 0.9, 0.6
"""Share of the tissues that must lie in the brain mask, and of the mask that must hold tissue:
structures of FreeSurfer leave out the CSF around them."""


_CLASS_NAMES = {
    **dict.fromkeys(("gm", "graymatter", "greymatter"), 1),
    **dict.fromkeys(("wm", "whitematter"), 2),
    **dict.fromkeys(("csf", "cerebrospinalfluid"), 3),
}


def read_of_t1w(path: Path) -> nib.Nifti1Image:
    """Read an image in the space of a T1w, NIfTI or FreeSurfer's, float32, closest to RAS.

    Raises
    ------
    DataError
        When it cannot be read, is not one volume, or holds what is not finite.
    """
    image = read_mgh(path) if is_mgh(path) else read_image(path)
    data = np.asarray(image.dataobj, np.float32)
    data = data.reshape(plain_shape(data.shape))
    if data.ndim != 3:
        raise DataError(f"{path.name} is {data.ndim}-D, not one volume")
    if not np.isfinite(data).all():
        raise DataError(f"{path.name} holds numbers that are not finite")
    return new_image(data, image.affine)


def on_grid(
    image: nib.Nifti1Image, reference: nib.Nifti1Image, *, interpolation: str, n_threads: int = 1
) -> np.ndarray:
    """The voxels (X, Y, Z) of an image on the grid of another, at the same places in the scanner.

    As they are where the grids agree to 0.001 mm, else interpolated once.
    """
    if same_grid(image, reference):
        return np.asarray(image.dataobj)
    upright = remove_shear(image, order=0 if interpolation == "nearest" else 1)
    moved = resample(upright, reference, interpolation=interpolation, n_threads=n_threads)
    return np.asarray(moved.dataobj)


def coarse_brain(data: np.ndarray, affine: np.ndarray, *, n_threads: int = 1) -> np.ndarray:
    """Where the brain is roughly, in a small part of the time that :func:`extract_brain` takes.

    By the first of deepbet's two networks (Fisch et al., 2024), which sees the T1w at 128 voxels a
    side; a skull-stripped T1w shows it by itself.

    Parameters
    ----------
    data
        (X, Y, Z) float32 in RAS orientation.

    Returns
    -------
    numpy.ndarray
        (128, 128, 128) bool; see :func:`coarsely`.

    Raises
    ------
    DataError
        When there is none.
    """
    if is_skull_stripped(data, affine):
        return coarsely(mask_of_stripped(data))
    import torch
    from deepbet.utils import DATA_PATH, load_model, normalize

    torch.set_num_threads(n_threads)
    model = load_model(f"{DATA_PATH}/models/bbox_model.pt", no_gpu=True)
    small = torch.from_numpy(np.nan_to_num(coarsely(data)))
    with torch.no_grad():
        scaled = normalize(small, small.quantile(0.005), small.quantile(0.995))
        found = largest_component(model(scaled[None, None])[0, 1].numpy() > 0.5)
    if not found.any():
        raise DataError("no brain was found in the T1w")
    return found


def coarsely(volume: np.ndarray) -> np.ndarray:
    """A volume (X, Y, Z) by the voxels nearest to the points of a grid of 128 a side."""
    places = [
        np.floor((np.arange(COARSE_SIDE) + 0.5) * size / COARSE_SIDE).astype(int)
        for size in volume.shape
    ]
    return np.ascontiguousarray(volume[np.ix_(*places)])


def likeness(
    other: nib.Nifti1Image, t1w: nib.Nifti1Image, mask: np.ndarray, *, n_threads: int = 1
) -> float:
    """Correlation in the brain of two T1w at 4 mm, by their places in the scanner.

    Both are divided by what a Gaussian makes of them in the brain, so that one may be corrected for
    intensity non-uniformity.

    Parameters
    ----------
    mask
        (X, Y, Z) brain on the grid of `t1w`.
    """
    coarse, inside = (
        downsample(image, LIKENESS_MM)
        for image in (t1w, new_image(mask.astype(np.float32), t1w.affine))
    )
    brain = np.asarray(inside.dataobj) > 0.5
    moved = resample(downsample(remove_shear(other), LIKENESS_MM), coarse, n_threads=n_threads)
    first, second = (_flat(np.asarray(image.dataobj), brain) for image in (coarse, moved))
    if brain.sum() < 2 or first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _flat(data: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Values (N,) in the brain over those around them."""
    from scipy import ndimage

    sigma = FLAT_MM / LIKENESS_MM
    smooth = ndimage.gaussian_filter(np.where(brain, data, 0).astype(np.float64), sigma)[brain]
    return data[brain] / np.maximum(smooth, 1e-6 * max(float(smooth.max(initial=0)), 1e-6))


def check_likeness(
    other: nib.Nifti1Image, t1w: nib.Nifti1Image, mask: np.ndarray, *, n_threads: int = 1
) -> float:
    """The :func:`likeness`, where it is that of one head in one place.

    Raises
    ------
    DataError
        Where it is less than :data:`LEAST_LIKENESS`.
    """
    found = likeness(other, t1w, mask, n_threads=n_threads)
    if found < LEAST_LIKENESS:
        raise DataError(
            f"the T1w it was made of is another, or lies elsewhere: they correlate by {found:.2f}"
            f" in the brain, at least {LEAST_LIKENESS} is wanted"
        )
    return found


def brain_of_freesurfer(
    brain: nib.Nifti1Image, structures: nib.Nifti1Image | None
) -> nib.Nifti1Image:
    """The brain mask of FreeSurfer's ``brainmask`` and, where it is there, ``aseg``.

    Both together, without what somebody erased, holes filled.
    """
    from scipy import ndimage

    mask = np.asarray(brain.dataobj) > freesurfer.ERASED
    if structures is not None and same_grid(structures, brain):
        mask |= np.asarray(structures.dataobj) > 0
    filled = ndimage.binary_fill_holes(mask)
    return new_image(filled.astype(np.float32), brain.affine)


def check_brain(mask: np.ndarray, t1w: nib.Nifti1Image, *, n_threads: int = 1) -> dict[str, float]:
    """Scores of a brain mask that is said to be of a T1w.

    Parameters
    ----------
    mask
        (X, Y, Z) bool on the grid of the T1w.

    Returns
    -------
    dict
        ``Dice`` with :func:`coarse_brain`, as the sidecar has it.

    Raises
    ------
    DataError
        Where no brain has its volume, or it is not where the T1w shows one.
    """
    check_brain_volume(mask, t1w.affine, "the T1w")
    data = np.asarray(t1w.dataobj, np.float32)
    overlap = dice(coarsely(mask), coarse_brain(data, t1w.affine, n_threads=n_threads))
    if overlap < LEAST_DICE:
        raise DataError(
            f"its overlap with a rough mask of our own is {overlap:.2f} (Dice), at least"
            f" {LEAST_DICE} is wanted"
        )
    return {"Dice": round(overlap, 4)}


def as_mask(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """A mask of 0 and 1 from one of any other numbers, or from probabilities.

    Raises
    ------
    DataError
        When nothing is in it.
    """
    data = np.asarray(image.dataobj)
    mask = data >= 0.5 if data.max() <= 1 else data > 0
    if not mask.any():
        raise DataError("it is empty")
    return new_image(mask.astype(np.float32), image.affine)


def classes_of(
    labels: nib.Nifti1Image, *, table: Path | None = None, from_freesurfer: bool = False
) -> nib.Nifti1Image:
    """Classes (1 GM, 2 WM, 3 CSF, 0 none) of an image of labels.

    Parameters
    ----------
    table
        Names of the labels, as BIDS has them; None for labels that are these classes.

    Raises
    ------
    DataError
        When the labels are not whole numbers, or nothing says which tissues they are.
    """
    numbers = np.asarray(labels.dataobj)
    if (numbers != np.rint(numbers)).any() or numbers.min() < 0:
        raise DataError("its labels are not whole numbers from 0")
    if from_freesurfer:
        classes = freesurfer_classes(numbers)
    elif table is not None:
        named = {index: _CLASS_NAMES.get(_plain(name)) for index, name in read_names(table).items()}
        known = {index: number for index, number in named.items() if number is not None}
        if set(known.values()) != {1, 2, 3}:
            raise DataError(f"{table.name} does not name gray matter, white matter and CSF")
        classes = labels_to_classes(numbers, known)
    else:
        if numbers.max() > len(TISSUES):
            raise DataError("it has more than three labels, and no table that says what they are")
        classes = numbers.astype(np.uint8)
    return new_image(classes, labels.affine)


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalpha())


def labels_to_classes(labels: np.ndarray, classes: dict[int, int]) -> np.ndarray:
    """Classes (1 GM, 2 WM, 3 CSF, 0 none) of labels (X, Y, Z) by the numbers of these."""
    whole = np.rint(labels).astype(np.int64)
    table = np.zeros(max(int(whole.max(initial=0)), *classes) + 1, np.uint8)
    for label, number in classes.items():
        table[label] = number
    return table[np.maximum(whole, 0)]


def freesurfer_classes(labels: np.ndarray) -> np.ndarray:
    """Classes (1 GM, 2 WM, 3 CSF, 0 none) of FreeSurfer's ``aseg`` or ``aparc+aseg``."""
    kinds = (freesurfer.GRAY_LABELS, freesurfer.WHITE_LABELS, freesurfer.FLUID_LABELS)
    table = {label: number for number, kind in enumerate(kinds, start=1) for label in kind}
    classes = labels_to_classes(np.where(labels < freesurfer.FIRST_CORTICAL, labels, 0), table)
    return np.where(labels >= freesurfer.FIRST_CORTICAL, np.uint8(1), classes)


def fractions_of_classes(
    classes: nib.Nifti1Image, t1w: nib.Nifti1Image, *, n_threads: int = 1
) -> np.ndarray:
    """Fractions (3, X, Y, Z) on the grid of a T1w: what linear interpolation makes of hard labels.

    Parameters
    ----------
    classes
        1 GM, 2 WM, 3 CSF, 0 none, on any grid of T1w space.
    """
    numbers = np.asarray(classes.dataobj)
    alone = (
        new_image((numbers == number).astype(np.float32), classes.affine)
        for number in range(1, len(TISSUES) + 1)
    )
    moved = [on_grid(one, t1w, interpolation="linear", n_threads=n_threads) for one in alone]
    return np.stack(moved)


def fractions_of_maps(
    maps: Mapping[str, nib.Nifti1Image], t1w: nib.Nifti1Image, *, n_threads: int = 1
) -> np.ndarray:
    """Fractions (3, X, Y, Z) on the grid of a T1w from one map of each tissue, by its name.

    Raises
    ------
    DataError
        When they are below 0, or more than 1 together.
    """
    moved = np.stack(
        [on_grid(maps[name], t1w, interpolation="linear", n_threads=n_threads) for name in TISSUES]
    )
    least, total = float(moved.min()), moved.sum(axis=0)
    if least < -SUM_TOLERANCE or total.max() > 1 + SUM_TOLERANCE:
        raise DataError(
            f"its fractions reach from {least:.3g}, and to {total.max():.3g} added up, not 0 to 1"
        )
    return np.clip(moved, 0, None) / np.maximum(total, 1.0)


def confined(
    fractions: np.ndarray, t1w: np.ndarray, mask: np.ndarray, *, rest_is_fluid: bool = False
) -> Tissues:
    """Tissues inside a brain mask, where they fit it and the T1w.

    Parameters
    ----------
    fractions
        (3, X, Y, Z) in the order of :data:`~fusionprep.image.segmentation.TISSUES`.
    t1w
        (X, Y, Z), before or after bias correction.
    mask
        (X, Y, Z) bool.
    rest_is_fluid
        Count what no tissue fills of the mask as CSF, which labels of structures leave out.

    Raises
    ------
    DataError
        When they lie elsewhere, or gray matter is not darker than white and brighter than CSF.
    """
    total = fractions.sum(axis=0)
    inside = float(total[mask].sum() / max(total.sum(), 1e-6))
    if inside < LEAST_INSIDE:
        raise DataError(f"only {inside:.0%} of its tissues lie in the brain mask")
    filled = float(total[mask].mean())
    if filled < LEAST_FILLED:
        raise DataError(f"its tissues fill only {filled:.0%} of the brain mask")
    kept = (fractions * mask).astype(np.float32)
    if rest_is_fluid:
        kept[TISSUES.index("CSF")] += np.where(mask, np.clip(1 - total, 0, 1), 0)
    labels = np.where(kept.any(axis=0), kept.argmax(axis=0) + 1, 0).astype(np.uint8)
    means = [float(t1w[labels == n].mean(dtype=np.float64)) for n in (3, GRAY, WHITE)]
    if not means[0] < means[1] < means[2]:
        raise DataError(
            "the T1w's mean intensities do not rise from its CSF to gray to white matter"
            f" ({means[0]:.4g}, {means[1]:.4g}, {means[2]:.4g}): are its labels in another order?"
        )
    return Tissues(dict(zip(TISSUES, kept, strict=True)), labels)
