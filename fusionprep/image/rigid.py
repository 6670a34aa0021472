"""What rigid registrations share: the brain they are about, small moves, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from fusionprep.image.masks import box_corners

RADIUS_MM = 60.0
"""Turns a rotation in radians into a shift of the brain's surface."""

BRAIN_POINTS = 2000

MASK_MM = 3.0
"""Voxels of a mask that distances from it are measured on."""


@dataclass(frozen=True)
class Brain:
    """Where the brain is in T1w space, in mm.

    Its centre (3,), the corners (8, 3) of its box, and points (N, 3) all over it.
    """

    centre: np.ndarray
    corners: np.ndarray
    points: np.ndarray

    @classmethod
    def from_mask(cls, mask: nib.Nifti1Image) -> "Brain":
        """Read a brain mask."""
        voxels = np.argwhere(np.asarray(mask.dataobj) > 0)
        corners = box_corners(voxels.min(axis=0), voxels.max(axis=0))
        return cls(
            nib.affines.apply_affine(mask.affine, voxels.mean(axis=0)),
            nib.affines.apply_affine(mask.affine, corners),
            nib.affines.apply_affine(mask.affine, voxels[:: max(1, len(voxels) // BRAIN_POINTS)]),
        )

    def distance(self, first: np.ndarray, second: np.ndarray) -> float:
        """Largest distance in mm between where two transforms (4, 4) bring the brain's box."""
        moved = nib.affines.apply_affine(first @ np.linalg.inv(second), self.corners)
        return float(np.linalg.norm(moved - self.corners, axis=1).max())


def moved(start: np.ndarray, move: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """An alignment, then a rotation about `centre` and a shift; all six numbers in mm."""
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_rotvec(move[:3] / RADIUS_MM).as_matrix()
    return nib.affines.from_matvec(rotation, centre - rotation @ centre + move[3:]) @ start


def near_brain(
    points: np.ndarray, alignment: np.ndarray, mask: nib.Nifti1Image, reach_mm: float
) -> np.ndarray:
    """Which points of the moving image an alignment brings near the brain, (N,) bool."""
    from scipy import ndimage

    sizes = nib.affines.voxel_sizes(mask.affine)
    thinned = mask.slicer[tuple(slice(None, None, max(1, round(MASK_MM / size))) for size in sizes)]
    distance = ndimage.distance_transform_edt(
        np.asarray(thinned.dataobj) == 0, nib.affines.voxel_sizes(thinned.affine)
    )
    voxels = nib.affines.apply_affine(np.linalg.inv(thinned.affine) @ alignment, points)
    found = ndimage.map_coordinates(distance, voxels.T, order=1, mode="nearest")
    return found <= reach_mm


def standard_error(pairs: Sequence[tuple[np.ndarray, np.ndarray]], brain: Brain) -> float:
    """Standard error of an alignment where it is largest in the brain, mm.

    A half has twice the variance of the whole, and the difference between two halves twice that
    again.

    Parameters
    ----------
    pairs
        Moves (4, 4) to where two halves of the samples are aligned best.
    """
    variances = []
    for pair in pairs:
        first, second = (nib.affines.apply_affine(move, brain.points) for move in pair)
        variances.append(((first - second) ** 2).sum(axis=1) / 4)
    return float(np.sqrt(np.mean(variances, axis=0).max()))
