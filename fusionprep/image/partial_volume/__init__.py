"""Partial-volume correction: what the blur of a PET has mixed between regions is parted again.

A grid is shared out among regions (:class:`Partition`): tissue fractions, labels, or tissues split
by labels, and what is outside of them, so that the shares of every voxel sum to 1. The PET is
taken for the regions' activities, blurred. From this the methods find

- the mean activity of each region: :func:`transfer_matrix_means` (GTM);
- the activity of gray matter in each voxel: :func:`muller_gartner` (MG);
- a sharper image: :func:`region_based_voxelwise` (RBV), :func:`iterative_yang` (IY).

The point spread is a Gaussian, given by its full width at half maximum in millimetres along each
axis of the voxel grid (:func:`moved_fwhm` turns it from the PET's axes to those of another grid).
At the edges of the grid what lies beyond is taken to go on as it is there; voxels outside of the
PET's field of view are left out by the argument `field`. Negative values of the PET are used as
they are, in means and differences; where an image is multiplied by a ratio, no region has a
negative activity.

Examples
--------
>>> import numpy as np
>>> gm = np.zeros((24, 24, 24), np.float32)
>>> gm[8:16, 8:16, 8:16] = 1
>>> sizes, psf = (2.0, 2.0, 2.0), (6.0, 6.0, 6.0)
>>> pet = blur(4.0 * gm, psf, sizes)
>>> brain = Partition.from_fractions({"GM": gm}, sizes).blurred(psf)
>>> found = transfer_matrix_means(pet, brain)
>>> found.names, found.observed.round(1).tolist(), abs(found.values).round(3).tolist()
(('GM', 'outside'), [2.7, 0.0], [4.0, 0.0])
>>> gray = muller_gartner(pet, brain, found.by_name())
>>> gray[gray != 0].min().round(3), gray.max().round(3)
(np.float32(4.0), np.float32(4.0))
"""

from fusionprep.image.partial_volume.methods import (
    RegionMeans,
    eroded_mean,
    iterative_yang,
    muller_gartner,
    region_based_voxelwise,
    transfer_matrix_means,
)
from fusionprep.image.partial_volume.partition import (
    Blurred,
    Partition,
    Region,
    blur,
    moved_fwhm,
)

__all__ = [
    "Blurred",
    "Partition",
    "Region",
    "RegionMeans",
    "blur",
    "eroded_mean",
    "iterative_yang",
    "moved_fwhm",
    "muller_gartner",
    "region_based_voxelwise",
    "transfer_matrix_means",
]
