"""The regions of the packaged atlas in a simulated head, through its true displacement."""

import nibabel as nib
import numpy as np
from scipy import ndimage

from fusionprep.demo.dataset import SubjectTruth
from fusionprep.image.atlases import FIRST_CORTICAL, WHITE_MATTER, packaged_labels
from fusionprep.image.regions import CEREBELLAR_CORTEX


def true_labels(truth: SubjectTruth) -> np.ndarray:
    """Labels on the T1w grid, confined to the true tissues as the app confines them to its own."""
    return labels_under(*map(nib.load, (truth.gm, truth.wm, truth.template_displacement)))


def labels_under(gm: nib.Nifti1Image, wm: nib.Nifti1Image, field: nib.Nifti1Image) -> np.ndarray:
    """The same from true fractions of tissue and from the displacement itself."""
    points = nib.affines.apply_affine(gm.affine, np.moveaxis(np.indices(gm.shape), 0, -1))
    nodes = np.moveaxis(nib.affines.apply_affine(np.linalg.inv(field.affine), points), -1, 0)
    vectors = field.get_fdata(dtype=np.float32)
    for axis in range(3):
        points[..., axis] += ndimage.map_coordinates(
            vectors[..., axis], nodes, order=1, mode="nearest"
        )
    atlas = packaged_labels()
    voxels = nib.affines.apply_affine(np.linalg.inv(atlas.affine), points)
    labels = ndimage.map_coordinates(
        np.asarray(atlas.dataobj), np.moveaxis(voxels, -1, 0), order=0, output=np.int32
    )
    gray, white = (np.asarray(tissue.dataobj) > 0.5 for tissue in (gm, wm))
    cortical = (labels >= FIRST_CORTICAL) | np.isin(labels, CEREBELLAR_CORTEX)
    labels[(cortical & ~gray) | (np.isin(labels, WHITE_MATTER) & ~white)] = 0
    return labels
