"""Training pairs from the outputs of fusionapp, so from the user's own cohort."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from fusionprep.bids import names
from fusionprep.errors import DataError, NoInputError, UnreadableFileError, UsageError
from fusionprep.image.io import read_volume, same_grid
from fusionprep.image.masks import with_head
from fusionprep.modalities import APP_FUSED, Modality
from fusionprep.models.pair import scale_pair
from fusionprep.reading import read_json_object
from fusionprep.spaces import NATIVE
from fusionprep.training.options import TrainingOptions
from fusionprep.training.pairs import SlicePair, padded

DESCRIPTION = "dataset_description.json"

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
    scans = find_scans(root)
    splits = split_subjects({_subject(root, path) for _, path in scans}, options)
    pairs = []
    for modality, path in scans:
        subject = _subject(root, path)
        scan = read_scaled(root, path, modality)
        told = (modality.name, splits[subject], subject, modality.name)
        for images in _slices(*scan.images, scan.mask, scan.voxel_sizes, options):
            pairs.append(SlicePair(*told, images[0], images[1]))
    return pairs


@dataclass(frozen=True)
class ScaledScan:
    """A PET or CT and the T1w that it was aligned to, on the grid of the T1w.

    Attributes
    ----------
    images
        T1w and scan, float32 in [0, 1], 0 outside the mask.
    mask
        Where the App fuses them: brain for a PET, head for a CT.
    brain
        The App's brain mask.
    voxel_sizes
        In mm.
    """

    images: tuple[np.ndarray, np.ndarray]
    mask: np.ndarray
    brain: np.ndarray
    voxel_sizes: tuple[float, ...]


def find_scans(root: Path) -> list[tuple[Modality, Path]]:
    """PET and CT in T1w space in an output folder of fusionapp.

    Of a PET this is ``desc-preproc``, which every scan has; SUV and SUVR are the same image times a
    factor, which the scaling removes.

    Raises
    ------
    NoInputError
        When the folder is not that of derivatives, or holds no PET or CT in T1w space.
    DataError
        When what describes the folder cannot be read.
    """
    _check_derivative(root)
    scans = []
    for modality in APP_FUSED:
        folder = names.BIDS[modality].datatype
        levels = ("sub-*", "sub-*/ses-*")
        images = (
            path for level in levels for path in root.glob(f"{level}/{folder}/*{names.IMAGE}")
        )
        for path in sorted(images):
            entities, suffix = names.parse_name(path.name)
            native = entities.get("space") == NATIVE and entities.get("desc") == names.PREPROC
            if native and suffix == names.BIDS[modality].suffix:
                scans.append((modality, path))
    if not scans:
        kinds = " or ".join(modality.label for modality in APP_FUSED)
        raise NoInputError(f"{root} holds no preprocessed {kinds} in {NATIVE} space")
    return scans


def _check_derivative(root: Path) -> None:
    path = root / DESCRIPTION
    try:
        kind = read_json_object(path).get("DatasetType")
    except UnreadableFileError as error:
        raise DataError(f"cannot read {path}: {error.reason}") from error
    if kind != "derivative":
        raise NoInputError(
            f"{path} describes no derivatives; what is needed is the output folder of fusionapp, "
            "not the BIDS dataset it was made from"
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


def read_scaled(root: Path, path: Path, modality: Modality) -> ScaledScan:
    """Read a scan that :func:`find_scans` found, and its T1w.

    Raises
    ------
    DataError
        When an image or sidecar cannot be used.
    """
    sidecar = _read_sidecar(path)
    t1w_path = _t1w_of(root, path, sidecar)
    anatomical = read_volume(t1w_path, "the T1w")
    brain = _read_on_grid(names.beside(t1w_path, names.MASK, desc=names.BRAIN), anatomical) > 0.5
    functional = _read_on_grid(path, anatomical, missing=modality.outside)
    mask = with_head(brain, functional, modality)
    array, tracer = anatomical.get_fdata(dtype=np.float32), sidecar.get("TracerName")
    try:
        scaled = scale_pair(array, functional, mask, modality, tracer=tracer)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    first, second = (np.where(mask, image, 0) for image in scaled.images)
    return ScaledScan((first, second), mask, brain, anatomical.header.get_zooms())


def _read_sidecar(path: Path) -> dict[str, Any]:
    sidecar = names.sidecar_path(path)
    try:
        return read_json_object(sidecar)
    except UnreadableFileError as error:
        raise DataError(f"cannot read {sidecar}: {error.reason}; run fusionapp again") from error


def _t1w_of(root: Path, path: Path, sidecar: dict) -> Path:
    """The T1w that an image was aligned to, which may be of another session."""
    reference = names.own_path(sidecar.get("SpatialReference"))
    if reference is None:
        raise DataError(
            f"the sidecar of {path} names no T1w as SpatialReference; run fusionapp again"
        )
    return root / reference


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
            yield [padded(volume.take(place, axis), options.crop) for volume in volumes]
