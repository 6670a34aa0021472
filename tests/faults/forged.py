"""NIfTI files whose headers, extensions or gzip trailers lie."""

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

MEGABYTE = 1 << 20


def header(shape: Sequence[int], *, version: int = 1, offset: float | None = None) -> bytes:
    """The header of an int16 volume at 2 mm, up to where its voxels begin.

    Parameters
    ----------
    shape
        As it is written, possible or not.
    offset
        Where the header says that the voxels begin; None for the truth.
    """
    kind = nib.Nifti1Header if version == 1 else nib.Nifti2Header
    content = kind()
    content.set_data_shape((4, 4, 4))
    content.set_data_dtype(np.int16)
    content.set_sform(np.diag([2.0, 2.0, 2.0, 1.0]), code=1)
    content.set_xyzt_units("mm", "sec")
    content["magic"] = b"n+1" if version == 1 else b"n+2"
    start = 352 if version == 1 else 544
    content["vox_offset"] = start if offset is None else offset
    content["dim"][: len(shape) + 1] = (len(shape), *shape)
    content["dim"][len(shape) + 1 :] = 1
    return content.binaryblock + bytes(4)


def packed(content: bytes, told: int | None = None) -> bytes:
    """Gzip, whose trailer says that it holds `told` bytes."""
    whole = gzip.compress(content, 1, mtime=0)
    return whole if told is None else whole[:-4] + struct.pack("<I", told % 2**32)


def voxels(shape: Sequence[int]) -> bytes:
    return np.arange(np.prod(shape), dtype=np.int16).tobytes()


def t1w_of(bids: Path) -> Path:
    return bids / "sub-01" / "anat" / "sub-01_T1w.nii.gz"


def pet_of(bids: Path) -> Path:
    return next(bids.glob("sub-01/pet/*_pet.nii.gz"))
