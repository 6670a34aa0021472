"""Images as compressed NIfTI files that are the same to the byte for the same voxels."""

import gzip

import nibabel as nib
import numpy as np

SPACE_CODES = {"scanner": 1, "aligned": 2, "mni": 4}
"""What an affine means, as NIfTI numbers it."""


def stored_image(
    array: np.ndarray,
    affine: np.ndarray,
    dtype: type,
    *,
    slope: float = 1.0,
    space: str = "scanner",
) -> bytes:
    """The content of a ``.nii.gz`` file.

    Parameters
    ----------
    array
        Values, stored as `dtype` times `slope`; rounded where the slope is not 1.
    affine
        (4, 4), voxels to RAS millimetres.
    space
        Of :data:`SPACE_CODES`.
    """
    if slope != 1.0:
        array = np.rint(array / slope)
    image = nib.Nifti1Image(array.astype(dtype), affine)
    image.header.set_xyzt_units("mm", "sec")
    code = SPACE_CODES[space]
    image.set_qform(affine, code=code)
    image.set_sform(affine, code=code)
    # nibabel recomputes the scale when it saves; the stored integers are already scaled here
    header = image.header.copy()
    header["vox_offset"] = 352
    header["scl_slope"], header["scl_inter"] = slope, 0.0
    voxels = np.asarray(image.dataobj).tobytes(order="F")
    # without the time, which would differ from run to run
    return gzip.compress(header.binaryblock + b"\0\0\0\0" + voxels, 1, mtime=0)
