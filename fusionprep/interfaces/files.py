"""What nodes hand to each other: images and transforms in files, and inputs that may be absent."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import isdefined

from fusionprep.image.io import load_image


def load(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels in their stored type, in memory, and the affine."""
    image = load_image(path)
    return np.array(image.dataobj), image.affine


def load_moves(path: str | Path) -> np.ndarray:
    """Where the head of each frame lies in the reference, (T, 4, 4) ``reference_from_frame``."""
    return np.load(path, allow_pickle=False)


def save(image: nib.Nifti1Image, folder: str | Path, name: str) -> str:
    """Write ``folder/name.nii`` and return its path."""
    path = Path(folder, f"{name}.nii")
    # in the order of the file: nibabel would gather each slice of other arrays from far apart
    voxels = np.asfortranarray(image.dataobj)
    nib.save(type(image)(voxels, None, image.header), path)
    return str(path)


def given(inputs: Any, name: str) -> Any:
    """What an input holds, as plain Python; None where nothing was given."""
    value = getattr(inputs, name)
    if not isdefined(value):
        return None
    return list(value) if isinstance(value, list) else value


def given_image(inputs: Any, name: str) -> nib.Nifti1Image | None:
    """The image in the file that an input names; None where nothing was given."""
    path = given(inputs, name)
    return None if path is None else load_image(path)


def given_moves(inputs: Any) -> np.ndarray | None:
    """:func:`load_moves` of the input ``moves``; None where the head is taken to be still."""
    path = given(inputs, "moves")
    return None if path is None else load_moves(path)
