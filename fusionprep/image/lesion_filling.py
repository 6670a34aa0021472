"""A lesion in a T1w filled with what may have been there, for its registration to a template."""

from typing import TYPE_CHECKING

import numpy as np

from fusionprep.image.resample import itk_from_ras

if TYPE_CHECKING:
    import SimpleITK as sitk

LEAST_SHARE = 0.1
"""Share of a voxel above which it is the lesion's."""

AROUND_VOXELS = 10
"""How far around the lesion it is looked at what resembles the head."""

EDGE_SIGMA = 0.7
"""Voxels over which what fills the lesion fades out beyond its edge."""

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


def fill_lesion(
    fixed: "sitk.Image", moving: "sitk.Image", share: "sitk.Image", affine: np.ndarray
) -> "sitk.Image":
    """Fill a lesion from the other side of the brain, or with the template.

    What has no counterpart in a template pulls a warp for as far as the metric reaches: leaving the
    lesion's own voxels out of it does not help much, as the patches of a local correlation around
    it still hold its edge. A healthy look-alike has nothing to pull with (Nachev et al., 2008). The
    brain's other side is taken (of a template whose midline is at x = 0), and the template in its
    intensities where that is part of the lesion as well, or resembles more what is around it.

    Parameters
    ----------
    fixed, moving
        Brain of the template and of the T1w, 0 outside.
    share
        On the grid of `moving`, how much of each voxel the lesion takes, 0 to 1.
    affine
        (4, 4), RAS points of `fixed` to `moving`.
    """
    import SimpleITK as sitk
    from scipy import ndimage

    def seen(image: "sitk.Image", from_moving: np.ndarray) -> np.ndarray:
        """An image on the grid of `moving`, whose points (RAS) are brought to its own."""
        transform = itk_from_ras(np.linalg.inv(from_moving))
        return sitk.GetArrayFromImage(sitk.Resample(image, moving, transform, sitk.sitkLinear, 0.0))

    across = affine @ MIRROR @ np.linalg.inv(affine)
    head, lesion = (sitk.GetArrayFromImage(image) for image in (moving, share))
    lesion = lesion > LEAST_SHARE
    template, mirrored = seen(fixed, np.linalg.inv(affine)), seen(moving, across)
    mirrored[seen(share, across) > 0] = 0
    around = ndimage.binary_dilation(lesion, iterations=AROUND_VOXELS) & ~lesion & (head > 0)
    common = around & (template > 0) & (mirrored > 0)
    filled = np.where(template > 0, _in_intensities_of(head, template, common), 0)
    if _likeness(head, mirrored, common) > _likeness(head, template, common):
        filled = np.where(mirrored > 0, mirrored, filled)
    weight = np.maximum(ndimage.gaussian_filter(lesion.astype(np.float32), EDGE_SIGMA), lesion)
    result = sitk.GetImageFromArray((head + weight * (filled - head)).astype(np.float32))
    result.CopyInformation(moving)
    return result


def _in_intensities_of(head: np.ndarray, other: np.ndarray, where: np.ndarray) -> np.ndarray:
    """An image, linearly in the intensities of another by what both show in some voxels."""
    from numpy.polynomial import Polynomial

    return Polynomial.fit(other[where], head[where], 1)(other)


def _likeness(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float:
    return float(np.corrcoef(one[where], other[where])[0, 1])
