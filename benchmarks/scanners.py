"""A head whose activity is known, and scanners of any resolution that see it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fusionprep.demo import phantom
from fusionprep.demo.subject import Traits, load_template, make_subject
from fusionprep.image.partial_volume import blur
from fusionprep.image.regions import CEREBELLAR_CORTEX
from fusionprep.image.resample import itk_from_ras, resample
from fusionprep.image.smoothing import BrainOnGrid
from tests.app.true_regions import labels_under

RIM_MM = 4.0
SMALLEST_ML = 1.0


@dataclass(frozen=True)
class Head:
    """The truth on the grid of the T1w; voxels are `size` mm wide along all axes."""

    activity: np.ndarray
    tissues: Mapping[str, np.ndarray]
    brain: np.ndarray
    labels: np.ndarray
    affine: np.ndarray
    size: float

    @property
    def image(self) -> nib.Nifti1Image:
        """The grid."""
        return nib.Nifti1Image(self.brain.astype(np.uint8), self.affine)

    @property
    def rim(self) -> np.ndarray:
        """The outermost part of the brain."""
        return self.brain & (ndimage.distance_transform_edt(self.brain) * self.size <= RIM_MM)


@dataclass(frozen=True)
class Scanner:
    """A point spread (mm), a grid, and where the head lies in it (4, 4)."""

    spread: float
    voxel: float
    shape: tuple[int, ...]
    affine: np.ndarray
    t1w_from_pet: np.ndarray

    @classmethod
    def around(cls, head: Head, spread: float, voxel: float, pose: np.ndarray) -> "Scanner":
        """Whose field of view holds the head."""
        shape = tuple(round(1.15 * n * head.size / voxel) for n in head.brain.shape)
        centre = nib.affines.apply_affine(head.affine, (np.array(head.brain.shape) - 1) / 2)
        centre = nib.affines.apply_affine(np.linalg.inv(pose), centre)
        corner = centre - voxel * (np.array(shape) - 1) / 2
        return cls(spread, voxel, shape, nib.affines.from_matvec(voxel * np.eye(3), corner), pose)

    @property
    def sizes(self) -> tuple[float, float, float]:
        return (self.voxel,) * 3

    def see(self, activity: np.ndarray, head: Head) -> np.ndarray:
        """An image without noise."""
        blurred = blur(activity, (self.spread,) * 3, (head.size,) * 3)
        matrix = np.linalg.inv(head.affine) @ self.t1w_from_pet @ self.affine
        # cubic splines hardly blur what is smooth
        return ndimage.affine_transform(
            blurred, matrix[:3, :3], matrix[:3, 3], self.shape, np.float32, 3, "nearest"
        )

    def brought(self, image: np.ndarray, head: Head) -> np.ndarray:
        """On the grid of the T1w, as the App brings it there."""
        own = nib.Nifti1Image(image, self.affine)
        moved = resample(own, head.image, itk_from_ras(self.t1w_from_pet))
        return np.asarray(moved.dataobj)

    def inside(self, head: Head, brain: np.ndarray | None = None) -> BrainOnGrid:
        """The brain on this grid."""
        mask = head.brain if brain is None else brain
        image = nib.Nifti1Image(mask.astype(np.uint8), head.affine)
        return BrainOnGrid.from_mask(image, self.affine, self.shape, self.t1w_from_pet)


def make_head(size: float) -> Head:
    """The head of the demo's first subject, with an activity of its own in each region."""
    rng = np.random.default_rng(0)
    subject = make_subject(load_template(), Traits((1.02, 0.97, 1.00), 1.0, 3.0), size, rng)
    affine = subject.t1w_grid.affine
    gray, white, csf = (np.ascontiguousarray(subject.crop_to_t1w(f)) for f in subject.fractions)
    field = np.moveaxis(subject.displacement, 0, -1)
    images = [nib.Nifti1Image(part, affine) for part in (gray, white)]
    labels = labels_under(*images, nib.Nifti1Image(field, subject.field_grid.affine))
    factors = np.ones(labels.max() + 1, np.float32)
    present = np.unique(labels[labels > 0])
    factors[present] = rng.uniform(0.7, 1.3, len(present))
    factors[list(CEREBELLAR_CORTEX)] = 0.8
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False,
                                             return_indices=True)  # fmt: skip
    of_region = factors[labels[tuple(nearest)]]
    activity = np.array(subject.crop_to_t1w(subject.signals["pet"]), np.float32)
    activity += phantom.GREY_MATTER.pet * (of_region - 1) * gray
    brain = gray + white + csf > 0.5
    return Head(activity, {"gray": gray, "white": white}, brain, labels, affine, size)


def regions(head: Head) -> list[int]:
    """Labels of those that are large enough."""
    found, counts = np.unique(head.labels[head.labels > 0], return_counts=True)
    return found[counts * head.size**3 / 1000 >= SMALLEST_ML].tolist()


def pose(seed: int, degrees: float = 10.0, mm: float = 12.0) -> np.ndarray:
    """From the world of a PET to that of the T1w, (4, 4)."""
    return phantom.random_rigid(np.random.default_rng(seed), degrees, mm)
