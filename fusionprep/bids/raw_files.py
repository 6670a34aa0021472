"""How images and sidecars of a dataset are written: whole, and in the same bytes each time."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from fusionprep.bids.names import IMAGE
from fusionprep.errors import OutputError
from fusionprep.files import json_text, write_bytes

SIDECAR = ".json"
SPACE_CODES = {"scanner": 1, "aligned": 2, "mni": 4}
"""What an affine means, as NIfTI numbers it."""
TRUTH_DIR = Path("sourcedata") / "truth"
"""Where a dataset keeps what was simulated, a folder for each subject."""


@dataclass(frozen=True)
class RawImage:
    """An image as it is stored.

    Attributes
    ----------
    voxels
        (X, Y, Z) or (X, Y, Z, frames), of the type in which they are stored.
    affine
        Voxel to world, (4, 4), RAS mm.
    slope, intercept
        The image's values are ``voxels * slope + intercept``.
    space
        Of :data:`SPACE_CODES`.
    """

    voxels: np.ndarray
    affine: np.ndarray
    slope: float = 1.0
    intercept: float = 0.0
    space: str = "scanner"

    @classmethod
    def rounded(
        cls,
        array: np.ndarray,
        affine: np.ndarray,
        dtype: type,
        *,
        slope: float = 1.0,
        space: str = "scanner",
    ) -> "RawImage":
        """Values stored as a type, times a slope; rounded where the slope is not 1."""
        stored = array if slope == 1.0 else np.rint(array / slope)
        return cls(stored.astype(dtype), affine, slope, space=space)

    @property
    def n_frames(self) -> int:
        return self.voxels.shape[3] if self.voxels.ndim == 4 else 1


def write_image(
    stem: str | Path, image: RawImage, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write a NIfTI file at ``stem``.nii.gz, and its sidecar.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    write(Path(f"{stem}{IMAGE}"), nifti_bytes(image))
    if metadata is not None:
        write_json(Path(f"{stem}{SIDECAR}"), metadata)


def nifti_bytes(image: RawImage) -> bytes:
    """The content of a compressed NIfTI file."""
    # the header of a new image says the machine's order of bytes
    voxels = image.voxels.astype(image.voxels.dtype.newbyteorder("="), copy=False)
    nifti = nib.Nifti1Image(voxels, image.affine, dtype=voxels.dtype)
    nifti.set_qform(image.affine, code=SPACE_CODES[image.space])
    nifti.set_sform(image.affine, code=SPACE_CODES[image.space])
    # nibabel recomputes the scale when it saves; the stored numbers are already scaled here
    header = nifti.header.copy()
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"] = 352
    header["scl_slope"], header["scl_inter"] = image.slope, image.intercept
    content = header.binaryblock + b"\0\0\0\0" + voxels.tobytes(order="F")
    return gzip.compress(content, 1, mtime=0)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object; raises as :func:`write`."""
    write(path, json_text(values).encode())


def write(path: Path, content: bytes) -> None:
    """Write a file whole.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
