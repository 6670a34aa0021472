"""Where on a grid another image was acquired."""

import nibabel as nib
import numpy as np

from fusionprep.image.masks import tight_box


def field_of_view(
    image: nib.Nifti1Image, grid: nib.Nifti1Image, grid_from_image: np.ndarray
) -> np.ndarray:
    """Voxels of a grid whose centres lie in what another image covers.

    Parameters
    ----------
    image
        3-D; slices at its ends that hold nothing but 0 were not acquired.
    grid
        3-D, of which the shape and the affine are used.
    grid_from_image
        (4, 4), from the world of the image to that of the grid.

    Returns
    -------
    numpy.ndarray
        (X, Y, Z) bool.
    """
    box = tight_box(np.asarray(image.dataobj) != 0)
    voxels = np.linalg.inv(image.affine) @ np.linalg.inv(grid_from_image) @ grid.affine
    places = np.ogrid[tuple(slice(size) for size in grid.shape)]
    inside = np.ones(grid.shape, bool)
    for row, side in zip(voxels, box, strict=False):
        position = row[3] + sum(step * place for step, place in zip(row, places, strict=False))
        inside &= (position > side.start - 0.5) & (position < side.stop - 0.5)
    return inside
