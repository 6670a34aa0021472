"""Training pairs from the outputs of fusionapp: one's own cohort."""

import json
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.image.intensity import AIR, functional_scaling, mri_scaling
from fusionprep.image.io import read_volume, same_grid
from fusionprep.image.masks import head_of_ct
from fusionprep.training.options import TrainingOptions
from fusionprep.training.pairs import SlicePair

DESCRIPTION = "dataset_description.json"

FUNCTIONAL = {
    "pet": "*_space-T1w_desc-preproc_pet.nii.gz",
    "ct": "*_space-T1w_desc-preproc_ct.nii.gz",
}
"""Modality, which is also its folder, to the files taken. Of a PET this is ``desc-preproc``, which
every scan has; SUV and SUVR are the same image times a factor, which the scaling removes."""

ENOUGH_BRAIN = 0.25
"""A slice counts when the mask covers this share of what it covers in the fullest slice."""

MOST_OBLONG = 1.5
"""Slices whose pixels are more oblong than this are left out: thick slices seen from the side."""


def read_derivative_pairs(root: Path, options: TrainingOptions) -> list[SlicePair]:
    """Slices in three orientations of every PET and CT with the T1w that it was aligned to.

    Each volume is scaled to [0, 1] and masked as for fusion by the App: brain for a PET, head for a
    CT. Slices are cropped to the mask and padded with zeros to at least ``options.crop``.

    Parameters
    ----------
    root
        Output folder of fusionapp.

    Returns
    -------
    list of SlicePair
        ``dataset`` is the modality, so that PET and CT are drawn equally often.

    Raises
    ------
    NoInputError
        When the folder is not that of derivatives, or holds no PET or CT in T1w space.
    UsageError
        When ``options.validation_subjects`` names a subject that is not there.
    DataError
        When an image or sidecar cannot be used, or there are fewer than two subjects.
    """
    _check_derivative(root)
    scans = [
        (modality, path)
        for modality, pattern in FUNCTIONAL.items()
        for path in sorted(
            {
                *root.glob(f"sub-*/{modality}/{pattern}"),
                *root.glob(f"sub-*/ses-*/{modality}/{pattern}"),
            }
        )
    ]
    if not scans:
        raise NoInputError(f"{root} holds no image {' or '.join(FUNCTIONAL.values())}")
    splits = split_subjects({_subject(root, path) for _, path in scans}, options)
    pairs = []
    for modality, path in scans:
        subject = _subject(root, path)
        for images in _slices(*_read_scaled(root, path, modality), options):
            pairs.append(SlicePair(modality, splits[subject], subject, modality, *images))
    return pairs


def _check_derivative(root: Path) -> None:
    path = root / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        kind = description.get("DatasetType")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if kind != "derivative":
        raise NoInputError(
            f"{path} describes no derivatives; training needs the output folder of fusionapp, not "
            "the BIDS dataset it was made from"
        )


def _subject(root: Path, path: Path) -> str:
    return path.relative_to(root).parts[0]


def split_subjects(subjects: set[str], options: TrainingOptions) -> dict[str, str]:
    """``train`` or ``val`` for each subject.

    The validation subjects are those that the options name, else a share drawn with their seed.

    Parameters
    ----------
    subjects
        Labels with ``sub-``.

    Raises
    ------
    UsageError
        When a subject that the options name is not there.
    DataError
        When there are fewer than two subjects.
    """
    ordered = sorted(subjects)
    if len(ordered) < 2:
        raise DataError(
            f"only {', '.join(ordered)} can be trained on; a split by patient needs two subjects"
        )
    validation = {f"sub-{name.removeprefix('sub-')}" for name in options.validation_subjects}
    if unknown := sorted(validation - subjects):
        raise UsageError(
            f"validation_subjects names {', '.join(unknown)}; there are: {', '.join(ordered)}"
        )
    if not validation:
        count = round(options.validation_share * len(ordered))
        drawn = np.random.default_rng(options.seed).permutation(ordered)
        validation = set(drawn[: min(max(count, 1), len(ordered) - 1)].tolist())
    return {subject: "val" if subject in validation else "train" for subject in ordered}


def _read_scaled(
    root: Path, path: Path, modality: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, ...]]:
    """Both volumes in [0, 1], 0 outside the mask, the mask and the voxel sizes."""
    sidecar = _read_sidecar(path)
    t1w_path = _t1w_of(root, path, sidecar)
    anatomical = read_volume(t1w_path, "the T1w")
    mask = _read_on_grid(_mask_of(t1w_path), anatomical) > 0.5
    functional = _read_on_grid(path, anatomical, missing=AIR if modality == "ct" else 0.0)
    if modality == "ct":
        mask |= head_of_ct(functional)
    array = anatomical.get_fdata(dtype=np.float32)
    try:
        scalings = (
            mri_scaling(array, mask),
            functional_scaling(functional, mask, modality, sidecar.get("TracerName")),
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    images = (
        np.where(mask, scaling.apply(image), 0)
        for scaling, image in zip(scalings, (array, functional), strict=True)
    )
    return *images, mask, anatomical.header.get_zooms()


def _read_sidecar(path: Path) -> dict:
    sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
    try:
        return dict(json.loads(sidecar.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"cannot read {sidecar}: {error}; run fusionapp again") from error


def _t1w_of(root: Path, path: Path, sidecar: dict) -> Path:
    """The T1w that an image was aligned to, which may be of another session."""
    reference = str(sidecar.get("SpatialReference"))
    if not reference.startswith("bids::"):
        raise DataError(
            f"the sidecar of {path} names no T1w as SpatialReference; run fusionapp again"
        )
    return root / reference.removeprefix("bids::")


def _mask_of(t1w_path: Path) -> Path:
    return t1w_path.with_name(t1w_path.name.replace("_desc-preproc_T1w", "_desc-brain_mask"))


def _read_on_grid(path: Path, reference: nib.Nifti1Image, missing: float = 0.0) -> np.ndarray:
    image = read_volume(path, path.name, missing=missing)
    if not same_grid(image, reference):
        raise DataError(f"{path} is not on the grid of its T1w; run fusionapp again")
    return image.get_fdata(dtype=np.float32)


def _slices(
    anatomical: np.ndarray,
    functional: np.ndarray,
    mask: np.ndarray,
    zooms: tuple[float, ...],
    options: TrainingOptions,
) -> Iterator[list[np.ndarray]]:
    """Pairs of slices (H, W) uint8, every n-th of those with enough brain."""
    hits = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    box = tuple(slice(places[0], places[-1] + 1) for places in hits)
    volumes = [np.rint(255 * image[box]).astype(np.uint8) for image in (anatomical, functional)]
    for axis in range(3):
        sides = [zooms[other] for other in range(3) if other != axis]
        if max(sides) > MOST_OBLONG * min(sides):
            continue
        area = np.moveaxis(mask[box], axis, 0).sum(axis=(1, 2))
        for place in np.flatnonzero(area >= ENOUGH_BRAIN * area.max())[:: options.slice_step]:
            yield [_padded(volume.take(place, axis), options.crop) for volume in volumes]


def _padded(image: np.ndarray, side: int) -> np.ndarray:
    missing = [max(side - length, 0) for length in image.shape]
    return np.pad(image, [(short // 2, short - short // 2) for short in missing])
