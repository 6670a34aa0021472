"""Lesions that people have drawn on a T1w: brought to its grid, checked, kept in the brain mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError
from fusionprep.image.io import same_grid
from fusionprep.image.masks import tight_box, voxel_volume_ml
from fusionprep.image.resample import remove_shear, resample

INSIDE = 0.5
"""Level above which a voxel of a mask is inside: of any integers, and of a probability."""

LEAST_IN_BRAIN = 0.5
"""Share of a lesion that must lie in the brain."""

LARGEST_SHARE = 0.5
"""Share of the brain that a lesion may cover."""

CLOSING_MM = 30.0
"""What a lesion may have cut out of a brain mask is filled by a closing of this radius."""


@dataclass(frozen=True)
class PlacedLesion:
    """A lesion and the brain that it is in, on one grid.

    Attributes
    ----------
    mask
        (X, Y, Z) bool; empty where there is no lesion.
    brain
        (X, Y, Z) bool, brain mask with the lesion in it.
    volume_ml
        Of the lesion.
    """

    mask: np.ndarray
    brain: np.ndarray
    volume_ml: float


def lesion_on_grid(masks: Sequence[nib.Nifti1Image], reference: nib.Nifti1Image) -> np.ndarray:
    """What any of some masks marks, on the grid of a T1w: the nearest voxel, by world coordinates.

    Parameters
    ----------
    masks
        3-D, above 0.5 inside; values that are not finite are outside.

    Returns
    -------
    numpy.ndarray
        (X, Y, Z) bool.

    Raises
    ------
    DataError
        When a mask is not 3-D, or nothing that is marked lies on the grid; the message is a
        predicate of it.
    """
    marked, empty = np.zeros(reference.shape, dtype=bool), True
    for mask in masks:
        if mask.ndim != 3:
            raise DataError(f"has {mask.ndim} dimensions, not 3")
        inside = np.nan_to_num(mask.get_fdata(dtype=np.float32)) > INSIDE
        image = nib.Nifti1Image(inside.astype(np.float32), mask.affine)
        if not same_grid(image, reference):
            image = resample(remove_shear(image, order=0), reference, interpolation="nearest")
        empty = empty and not inside.any()
        marked |= np.asarray(image.dataobj) > INSIDE
    if not empty and not marked.any():
        raise DataError("marks no voxel of the T1w")
    return marked


def place_lesion(lesion: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> PlacedLesion:
    """Check a lesion against a brain mask, and add to that what it lacks of the lesion.

    A fluid-filled lesion at the surface may have been taken for what surrounds the brain. Only what
    lies inside the brain's outline is added, not what a mask holds of skull and scalp.

    Parameters
    ----------
    lesion, brain
        (X, Y, Z) bool.

    Raises
    ------
    DataError
        When most of the lesion lies outside of the brain, or it covers most of the brain. The
        message is a predicate of the lesion's mask.
    """
    if not lesion.any():
        return PlacedLesion(lesion, brain, 0.0)
    whole = brain | (lesion & _outline(lesion, brain, nib.affines.voxel_sizes(affine)))
    inside = np.count_nonzero(lesion & whole)
    if inside < LEAST_IN_BRAIN * np.count_nonzero(lesion):
        share = inside / np.count_nonzero(lesion)
        raise DataError(f"lies outside of the brain ({share:.0%} of it inside)")
    if inside > LARGEST_SHARE * np.count_nonzero(whole):
        raise DataError(f"covers {inside / np.count_nonzero(whole):.0%} of the brain")
    volume = float(np.count_nonzero(lesion) * voxel_volume_ml(affine))
    return PlacedLesion(lesion, whole, volume)


def _outline(lesion: np.ndarray, brain: np.ndarray, voxel_sizes: np.ndarray) -> np.ndarray:
    """The brain with its bays filled, where that is looked at: around the lesion."""
    from scipy import ndimage

    filled = brain.copy()
    # what lies further away has no part in the closing there
    box = tight_box(lesion, np.ceil(2 * CLOSING_MM / voxel_sizes).astype(int) + 1)
    part = brain[box]
    if part.any():
        near = ndimage.distance_transform_edt(~part, sampling=voxel_sizes) <= CLOSING_MM
        # distances are those between centres of voxels; without any background there are none
        back = CLOSING_MM + voxel_sizes.max()
        deep = near.all() or ndimage.distance_transform_edt(near, sampling=voxel_sizes) > back
        filled[box] |= deep
    return filled
