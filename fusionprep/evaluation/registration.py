"""Scores of a registration against a known truth."""

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError


def target_registration_error(
    t1w_from_moving: np.ndarray,
    true_t1w_from_moving: np.ndarray,
    mask_image: nib.spatialimages.SpatialImage,
) -> np.ndarray:
    """Distance by which each brain voxel of the T1w is misplaced.

    For a voxel at x in T1w space, the anatomy found there lies at ``inv(true) @ x`` in the moving
    image, which the estimate brings to ``estimate @ inv(true) @ x``; the error is the distance of
    the two (target registration error; Fitzpatrick and West, IEEE Trans Med Imaging
    2001;20(9):917-927).

    Parameters
    ----------
    t1w_from_moving, true_t1w_from_moving
        Estimated and true transforms (4, 4) of world coordinates, RAS mm.
    mask_image
        Image (X, Y, Z) in T1w space; voxels above zero are evaluated.

    Returns
    -------
    float64 array (voxels,), mm, in the C order of the mask's voxels.

    Raises
    ------
    DataError
        When the mask is empty.
    """
    voxels = np.argwhere(np.asarray(mask_image.dataobj) > 0)
    if not len(voxels):
        raise DataError("the mask holds no voxel, so no registration error can be computed")
    points = nib.affines.apply_affine(mask_image.affine, voxels)
    misplacement = t1w_from_moving @ np.linalg.inv(true_t1w_from_moving)
    return np.linalg.norm(nib.affines.apply_affine(misplacement, points) - points, axis=1)
