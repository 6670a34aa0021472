"""Folders of aligned image pairs: which images belong together, and their gray levels.

A dataset is a folder with two subfolders of same-named images, slices (PNG, JPEG, TIFF) or
NIfTI volumes::

    ct-mri/val/mri/20001.png
    ct-mri/val/ct/20001.png
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.image.ct_units import to_hounsfield
from fusionprep.image.fusion_mask import fusion_mask
from fusionprep.image.io import read_mask, read_volume, same_grid
from fusionprep.image.pictures import is_picture, read_luminance
from fusionprep.modalities import CONTRASTS, FUSED, PET, Modality
from fusionprep.models.pair import scale_pair

ANATOMICAL_FOLDERS = (
    *("anatomical", "mri", "mr"),
    *dict.fromkeys(name for contrast in CONTRASTS for name in (contrast.short_name, contrast.name)),
)
FUNCTIONAL_FOLDERS = ("functional", *(modality.name for modality in FUSED))
SPLIT_FOLDERS = ("train", "training", "val", "valid", "validation", "test", "testing")
"""Folder names for parts of a dataset, which do not say which dataset it is."""

VOLUMES = (".nii", ".nii.gz")


@dataclass(frozen=True)
class Pair:
    """Two aligned images with the same file name.

    Attributes
    ----------
    subject
        The patient according to ``slices.csv``; None when no such table lists the image.
    """

    anatomical: Path
    functional: Path
    subject: str | None = None

    @property
    def file(self) -> str:
        return self.anatomical.name

    @property
    def name(self) -> str:
        return _stem(self.file)


@dataclass(frozen=True)
class PairSet:
    """The pairs of one dataset, in the order of their names."""

    name: str
    anatomical_folder: str
    functional_folder: str
    pairs: tuple[Pair, ...]

    @property
    def modality(self) -> Modality:
        """Of the functional images."""
        return _modality(self.functional_folder)

    def patients(self) -> list[str] | None:
        """The patient of each pair; None unless all are known and there is more than one."""
        subjects = [pair.subject for pair in self.pairs if pair.subject is not None]
        if len(subjects) < len(self.pairs) or len(set(subjects)) < 2:
            return None
        return subjects


@dataclass(frozen=True)
class GrayPair:
    """Both images of a pair as whole gray levels, as all fusion metrics take them.

    Attributes
    ----------
    anatomical, functional
        (H, W) slices or (X, Y, Z) volumes, uint8, 0..255.
    mask
        Where a volume is fused; None for slices.
    voxel_sizes
        Along the axes of a volume, in mm.
    """

    anatomical: np.ndarray
    functional: np.ndarray
    mask: np.ndarray | None = None
    voxel_sizes: Sequence[float] = (1.0, 1.0, 1.0)

    @property
    def sizes(self) -> Sequence[float] | None:
        """Voxel sizes of a volume; None for slices, which do not say."""
        return None if self.anatomical.ndim < 3 else self.voxel_sizes

    @property
    def empty(self) -> bool:
        """Whether one of the images shows nothing, so that there is nothing to fuse."""
        return bool(np.ptp(self.anatomical) == 0 or np.ptp(self.functional) == 0)

    def unit_images(self) -> tuple[np.ndarray, np.ndarray]:
        """Both images as float32 in [0, 1]."""
        return self.anatomical.astype(np.float32) / 255, self.functional.astype(np.float32) / 255


def find_pair_sets(
    folders: Sequence[Path],
    *,
    anatomical: str | None = None,
    functional: str | None = None,
    stride: int = 1,
) -> list[PairSet]:
    """The datasets in the given folders.

    Parameters
    ----------
    anatomical, functional
        Names of the two subfolders; None looks for the usual ones.
    stride
        Take every ``stride``-th pair.

    Raises
    ------
    UsageError
        When a folder is given twice, or it is unclear which subfolders to compare.
    NoInputError
        When a folder is missing or holds no image.
    DataError
        When an image has no partner with the same name.
    """
    if stride < 1:
        raise UsageError(f"a stride of {stride} takes no pair; give 1 or more")
    folders = [Path(folder).resolve() for folder in folders]
    for folder in folders:
        if not folder.is_dir():
            raise NoInputError(f"there is no folder {folder}")
        if folders.count(folder) > 1:
            raise UsageError(f"the folder {folder} is given twice")
    sets = []
    for name, folder in zip(_names(folders), folders, strict=True):
        first = _subfolder(folder, anatomical, ANATOMICAL_FOLDERS, "anatomical")
        second = _subfolder(folder, functional, FUNCTIONAL_FOLDERS, "functional")
        pairs = _pairs(folder, first, second)
        sets.append(PairSet(name, first.name, second.name, pairs[::stride]))
    return sets


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest path ends that tell the datasets apart, if possible without the split."""
    names = [
        next((part for part in folder.parts[:0:-1] if part.lower() not in SPLIT_FOLDERS), "pairs")
        for folder in folders
    ]
    for depth in (2, 3):
        if len(set(names)) == len(names):
            return names
        names = ["-".join(folder.parts[1:][-depth:]) for folder in folders]
    if len(set(names)) < len(names):
        names = [f"{name}-{number}" for number, name in enumerate(names, start=1)]
    return names


def _subfolder(folder: Path, wanted: str | None, usual: Sequence[str], role: str) -> Path:
    present = sorted(path for path in folder.iterdir() if path.is_dir())
    names = ", ".join(path.name for path in present) or "none"
    found = [
        path
        for path in present
        if (path.name.lower() in usual if wanted is None else path.name == wanted)
    ]
    if len(found) == 1:
        return found[0]
    sought = wanted or "one of " + ", ".join(usual)
    what = "more than one" if found else "no"
    raise UsageError(
        f"{folder} has {what} subfolder of {role} images (sought: {sought}; there are: {names}); "
        f"name it with --{role}"
    )


def _pairs(folder: Path, first: Path, second: Path) -> tuple[Pair, ...]:
    files = [
        {p.name for p in side.iterdir() if _is_image(p) and p.name[0] != "."}
        for side in (first, second)
    ]
    if not files[0] | files[1]:
        raise NoInputError(f"no PNG, JPEG, TIFF or NIfTI image in {first} and {second}")
    lonely = sorted(files[0] ^ files[1])
    if lonely:
        raise DataError(
            f"{len(lonely)} image(s) are only in one of {first} and {second}, e.g. {lonely[0]}; "
            "both images of a pair need the same name"
        )
    subjects = _subjects(folder)
    return tuple(Pair(first / file, second / file, subjects.get(file)) for file in sorted(files[0]))


def _subjects(folder: Path) -> dict[str, str]:
    """File name to patient, from the nearest ``slices.csv`` above that lists this folder."""
    for parent in (folder, *folder.parents):
        table = parent / "slices.csv"
        if not table.is_file():
            continue
        try:
            with table.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
        except (OSError, ValueError, csv.Error) as error:
            raise DataError(f"cannot read {table}: {error}") from error
        parts = folder.relative_to(parent).parts
        here = [
            row
            for row in rows
            if all(row[column] in parts for column in ("dataset", "split") if column in row)
        ]
        if here and {"file", "subject"} <= set(here[0]):
            return {row["file"]: row["subject"] for row in here}
    return {}


def read_pair(pair: Pair, functional_folder: str, mask: Path | None = None) -> GrayPair:
    """Read both images as whole gray levels.

    Colours of pictures become BT.601 luma. NIfTI volumes are scaled as for fusion and rounded to 8
    bits: the MRI by percentiles inside the mask, CT (by the name of its folder) by the wide window
    of Hounsfield units, others from 0 to a percentile inside the mask.

    Parameters
    ----------
    mask
        Of a volume, on its grid; None takes the head that either image shows.

    Raises
    ------
    DataError
        When an image cannot be read or the two differ in size or grid.
    """
    if is_picture(pair.anatomical):
        images = read_luminance(pair.anatomical), read_luminance(pair.functional)
        _check_same_size(images[1].shape, images[0].shape, pair.functional)
        return GrayPair(*images)
    modality = _modality(functional_folder)
    anatomical = read_volume(pair.anatomical, pair.file)
    functional = read_volume(pair.functional, pair.file, missing=modality.outside)
    _check_same_size(functional.shape, anatomical.shape, pair.functional)
    if not same_grid(functional, anatomical):
        raise DataError(f"{pair.functional} is not on the grid of {pair.anatomical}")
    first, second = (image.get_fdata(dtype=np.float32) for image in (anatomical, functional))
    if modality.hounsfield:
        second, _ = to_hounsfield(second, str(pair.functional))
    if mask is None:
        inside = fusion_mask(first, second, modality)
    else:
        inside = read_scored_mask(mask, first.shape)
    scaled = scale_pair(first, second, inside, modality)
    levels = [to_gray_levels(np.where(inside, 255 * image, 0)) for image in scaled.images]
    return GrayPair(levels[0], levels[1], inside, nib.affines.voxel_sizes(anatomical.affine))


def _modality(functional_folder: str) -> Modality:
    """The modality a folder is named after; PET where it tells nothing."""
    named = (modality for modality in FUSED if modality.name == functional_folder.lower())
    return next(named, PET)


def read_fused(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read an image that was fused elsewhere, in gray levels 0..255.

    A NIfTI image with no value above 1 is taken to be in [0, 1], as ``fusionprep fuse`` writes it.

    Raises
    ------
    DataError
        When it cannot be read, is not of that shape, or has values outside 0..255.
    """
    if is_picture(path):
        fused: np.ndarray = read_luminance(path)
    else:
        fused = read_volume(path, path.name).get_fdata(dtype=np.float32)
        if fused.min() < 0 or fused.max() > 255:
            raise DataError(f"{path} has values outside 0..255; fused images are gray levels")
        fused = fused * 255 if fused.max() <= 1 else fused
    _check_same_size(fused.shape, shape, path)
    return fused


def read_scored_mask(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read where images were fused: bool, above 0 in a picture or volume of that shape.

    Raises
    ------
    DataError
        When it cannot be read, is not of that shape or is empty.
    """
    mask = read_luminance(path) if is_picture(path) else read_mask(path).get_fdata()
    _check_same_size(mask.shape, shape, path)
    if not (mask > 0).any():
        raise DataError(f"the mask {path} is black everywhere; draw where to fuse in white")
    return np.asarray(mask > 0)


def to_gray_levels(image: np.ndarray) -> np.ndarray:
    """Round to uint8; what lies outside 0..255 is clipped."""
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


def _check_same_size(shape: tuple[int, ...], expected: tuple[int, ...], path: Path) -> None:
    if shape != expected:
        sizes = ["x".join(map(str, sides)) for sides in (shape, expected)]
        raise DataError(f"{path} is {sizes[0]} in size, its sources or partner {sizes[1]}")


def _is_image(path: Path) -> bool:
    return path.name.endswith(VOLUMES) or is_picture(path)


def _stem(file: str) -> str:
    if is_picture(Path(file)):
        return Path(file).stem
    return file.removesuffix(".gz").removesuffix(".nii")
