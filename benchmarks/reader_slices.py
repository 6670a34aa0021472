"""The slices of the shared test data on which fused images are judged for a reader."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from fusionprep.evaluation.regions import UPTAKE, brain_mask
from fusionprep.image.pictures import read_colormap, read_level, read_luminance
from fusionprep.modalities import CT, PET, SPECT, Modality
from fusionprep.models.pair import scale_pair

SMALLEST_BRAIN = 2500
COLOUR_MAP = "slices/pet_colormap128.csv"
FAINT = 0.1
"""From this luma on there is uptake in a pseudo-colour SPECT, whose darkest colours are blue."""

SOFT_TISSUE = (0.1, 0.9)
"""Luma between air and bone in the CT, whose window is not stated."""

VOLUMES = (
    ("normal_T1w", "normal_trc-18FFDG_pet", (30, 36, 42, 48, 54, 60), 1),
    ("spm_T1", "spm_PET", (36, 46, 54), 2),
)
"""T1w, PET, indices along the last axis, and enlargement."""


@dataclass(frozen=True)
class Slice:
    """An aligned pair (H, W) in [0, 1], and the brain."""

    name: str
    anatomical: np.ndarray
    functional: np.ndarray
    brain: np.ndarray


@dataclass(frozen=True)
class Folder:
    """A dataset of PNG: every ``step``-th of the sorted pairs from ``first`` on."""

    name: str
    modality: Modality
    first: int
    step: int

    def files(self, root: Path) -> list[tuple[Path, Path]]:
        """(MRI, functional image) of each pair."""
        folder = root / "slices" / self.name
        functional = sorted((folder / self.modality.name).glob("*.png"))
        if not functional:
            raise SystemExit(f"there is no PNG in {folder / self.modality.name}")
        return [(folder / "mri" / path.name, path) for path in functional[self.first :: self.step]]


PET_FOLDER = Folder("pet-mri/train", PET, 20, 48)
FOLDERS = {
    CT: Folder("ct-mri/val", CT, 2, 4),
    SPECT: Folder("spect-mri/val", SPECT, 5, 6),
}
RANKED_FOLDERS = (
    Folder("ct-mri/val", CT, 0, 2),
    Folder("spect-mri/val", SPECT, 0, 4),
    Folder("pet-mri/train", PET, 0, 27),
)
RANKED_PAIRS = 10


def reader_slices(root: Path, modality: Modality) -> list[Slice]:
    """The slices of one modality that lesions are planted in; small brains are left out.

    Volumes are scaled as ``fusionprep fuse`` scales them. The colours of PET are decoded to
    levels, those of SPECT, whose map is not known, are turned into luma.
    """
    if modality is PET:
        slices = [*_volume_slices(root), *_decoded(root)]
    else:
        folder = FOLDERS[modality]
        levels = SOFT_TISSUE if modality.hounsfield else (FAINT, np.inf)
        slices = [
            Slice(path.stem, *images, brain_mask(images[1], modality, levels=levels))
            for (_, path), images in gray_pairs(root, folder)
        ]
    return [each for each in slices if np.count_nonzero(each.brain) >= SMALLEST_BRAIN]


def gray_pairs(
    root: Path, folder: Folder
) -> Iterator[tuple[tuple[Path, Path], tuple[np.ndarray, np.ndarray]]]:
    """Paths and images (luma, float32 in [0, 1]) of the pairs of a folder."""
    for paths in folder.files(root):
        yield paths, (_unit(read_luminance(paths[0])), _unit(read_luminance(paths[1])))


def _volume_slices(root: Path) -> Iterator[Slice]:
    for t1w, pet, indices, enlarged in VOLUMES:
        arrays = [
            nib.load(root / "volumes" / f"{name}.nii.gz").get_fdata(dtype=np.float32)
            for name in (t1w, pet)
        ]
        scaled = scale_pair(*arrays, arrays[0] > 0, PET, tracer="18FFDG").images
        for index in indices:
            planes = [np.rot90(image[:, :, index]) for image in scaled]
            if enlarged > 1:
                planes = [ndimage.zoom(plane, enlarged, order=1).clip(0, 1) for plane in planes]
            yield _pet_slice(f"{t1w}-{index}", *planes)


def _decoded(root: Path) -> Iterator[Slice]:
    colours = read_colormap(root / COLOUR_MAP)
    for mri, pet in PET_FOLDER.files(root):
        yield _pet_slice(pet.stem, _unit(read_luminance(mri)), _unit(read_level(pet, colours)))


def _pet_slice(name: str, anatomical: np.ndarray, functional: np.ndarray) -> Slice:
    brain = brain_mask(functional, PET, levels=(UPTAKE, np.inf))
    return Slice(name, np.ascontiguousarray(anatomical), np.ascontiguousarray(functional), brain)


def _unit(levels: np.ndarray) -> np.ndarray:
    return levels.astype(np.float32) / 255
