"""Checking the header of an image before any voxel is read."""

import gzip
import math
import os
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError
from fusionprep.image.io import (
    UNREADABLE,
    holds_plain_numbers,
    in_millimetres,
    longest_side,
    misnamed,
    plain_shape,
)
from fusionprep.image.size import is_possible, size_problem, surplus_problem, unpacked_size
from fusionprep.plausibility import POSSIBLE_SIDE
from fusionprep.reading import unfetched

# Registration smooths along every axis, for which ITK needs as many voxels.
_FEWEST_SLICES = 4


@dataclass(frozen=True)
class HeaderInfo:
    """What a header says about an image that can be processed.

    Attributes
    ----------
    shape
        Without axes of length one beyond the third.
    voxel_sizes
        Of the three axes of space, mm.
    notes
        What was corrected or assumed, a phrase each.
    ras_sizes
        The same from left to right, back to front and feet to head.
    """

    shape: tuple[int, ...]
    voxel_sizes: tuple[float, float, float]
    notes: tuple[str, ...] = ()
    ras_sizes: tuple[float, float, float] = (1.0, 1.0, 1.0)


def check_header(
    path: Path,
    ndim_allowed: tuple[int, ...] = (3,),
    kind: str = "image",
    allowed_gb: float | None = None,
) -> HeaderInfo:
    """Read a NIfTI header and check that the image can be processed.

    Parameters
    ----------
    path
        A ``.nii`` or ``.nii.gz`` file.
    ndim_allowed
        Numbers of dimensions accepted; axes of length one beyond the third do not count.
    kind
        What the image is called in messages, e.g. ``"T1w"``.
    allowed_gb
        Memory that a volume of it must fit into; None refuses none for its size.

    Returns
    -------
    HeaderInfo

    Raises
    ------
    DataError
        When the file is missing, empty, truncated or not NIfTI, holds colours or complex numbers,
        has a number of dimensions that is not allowed, does not fit into memory, its affine is
        missing, singular or not finite, or its sides are in an unknown unit.
    """
    image = _load(path, kind)
    if not holds_plain_numbers(image):
        dtype = image.get_data_dtype()
        raise DataError(f"the {kind} does not hold plain numbers (data type {dtype}): {path}")
    shape = _check_shape(image.shape, ndim_allowed, path, kind)
    _check_memory(shape, path, kind, allowed_gb)
    _check_affine(image, path, kind)
    _check_complete(image, path, kind)
    affine, converted = in_millimetres(image)
    if problem := POSSIBLE_SIDE.problem(longest_side(affine, image)):
        raise DataError(
            f"the {kind} has lengths in an unknown unit, as {problem}: {path}; correct its voxel"
            " sizes and the unit in its header"
        )
    x, y, z = (float(size) for size in nib.affines.voxel_sizes(affine))
    notes = (converted, _sides_in_doubt(image))
    axes = nib.io_orientation(affine)[:, 0].tolist()
    right, front, up = ((x, y, z)[axes.index(axis)] for axis in range(3))
    told = tuple(note for note in notes if note)
    return HeaderInfo(shape, (x, y, z), told, (right, front, up))


def _load(path: Path, kind: str) -> nib.Nifti1Image:
    if problem := unfetched(path):
        raise DataError(f"the {kind} {problem}: {path}")
    if not path.exists():
        raise DataError(f"the {kind} does not exist: {path}")
    try:
        if problem := misnamed(path):
            raise DataError(f"cannot read the {kind} {path}: {problem}")
        # nibabel warns about what _check_affine reports in words of its own.
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            image = nib.load(path)
    except (*UNREADABLE, MemoryError) as error:
        # some of nibabel's messages begin with the path
        what = _one_line(error).removeprefix(f"File {path} ")
        raise DataError(f"cannot read the {kind} ({what}): {path}; copy it again") from error
    if not isinstance(image, nib.Nifti1Image):
        raise DataError(f"the {kind} is not a NIfTI image: {path}")
    return image


def _check_shape(
    shape: tuple[int, ...], ndim_allowed: tuple[int, ...], path: Path, kind: str
) -> tuple[int, ...]:
    shape = plain_shape([int(length) for length in shape])
    if len(shape) < 3 or min(shape) < 1 or min(shape[:3]) < _FEWEST_SLICES:
        raise DataError(
            f"the {kind} is not a volume of {_FEWEST_SLICES} or more slices along each axis"
            f" (shape {shape}): {path}; give a whole volume"
        )
    if len(shape) not in ndim_allowed:
        volumes = int(np.prod(shape[3:]))
        allowed = " or ".join(f"{ndim}-D" for ndim in ndim_allowed)
        raise DataError(
            f"the {kind} is {len(shape)}-D ({volumes} volumes): {path}; give a {allowed} image"
        )
    return shape


def _check_memory(shape: tuple[int, ...], path: Path, kind: str, allowed_gb: float | None) -> None:
    # frames are read one by one
    if allowed_gb is not None and (problem := size_problem(shape[:3], allowed_gb)):
        raise DataError(
            f"the {kind} {problem}: {path}; correct its header or convert it again, or give more"
            " memory (--mem) on a machine that has it"
        )


def _check_affine(image: nib.Nifti1Image, path: Path, kind: str) -> None:
    # Without a code nibabel falls back on a guess in which left and right may be swapped, and no
    # registration of a head reveals that.
    if int(image.header["sform_code"]) == 0 and int(image.header["qform_code"]) == 0:
        raise DataError(
            f"the {kind} has no orientation (sform and qform codes are 0), so left and right are "
            f"unknown: {path}; set its sform or convert it again"
        )
    if int(image.header["sform_code"]) == 0:
        _check_voxel_sizes(image, path, kind)
    affine = image.affine
    if not np.isfinite(affine).all():
        raise DataError(f"the affine of the {kind} is not finite: {path}; convert the image again")
    sizes = nib.affines.voxel_sizes(affine)
    # The determinant of the axes' directions is 1 for a rotation and 0 where axes coincide.
    degenerate = (sizes == 0).any() or abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-3
    if degenerate:
        raise DataError(
            f"the affine of the {kind} is zero or singular: {path}; convert the image again"
        )


def _sides_in_doubt(image: nib.Nifti1Image) -> str:
    """Whether tools that read the other of both orientations see left and right swapped."""
    header = image.header
    if int(header["sform_code"]) == 0 or int(header["qform_code"]) == 0:
        return ""
    sform, qform = header.get_sform()[:3, :3], header.get_qform()[:3, :3]
    if abs(np.linalg.det(qform)) == 0 or not np.isfinite(qform).all():
        return ""
    between = sform @ np.linalg.inv(qform)
    if np.linalg.det(between) < 0:
        how = "differ in handedness"
    elif between[0, 0] < 0:
        how = "point left and right the opposite way"
    else:
        return ""
    return (
        f"sform and qform of its header {how}: the sform is used, and tools that go by the qform"
        " may show the sides swapped"
    )


def _check_voxel_sizes(image: nib.Nifti1Image, path: Path, kind: str) -> None:
    # nibabel replaces voxel sizes of zero by one when it loads an image, so they are read again.
    with nib.openers.ImageOpener(str(path)) as stream:
        header = type(image.header).from_fileobj(stream, check=False)
    if (header["pixdim"][1:4] == 0).any():
        raise DataError(f"the {kind} has voxel sizes of zero: {path}; convert the image again")


def _check_complete(image: nib.Nifti1Image, path: Path, kind: str) -> None:
    stored: Any = image.dataobj  # an ArrayProxy, as in any image that was read
    offset = int(stored.offset)
    expected = offset + math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
    size = _uncompressed_size(path, expected, kind)
    if size < expected:
        raise DataError(
            f"the {kind} is truncated ({size} of {expected} bytes): {path}; copy it again"
        )
    if problem := surplus_problem(size, expected):
        raise DataError(f"the {kind} {problem}: {path}; copy or convert it again")


def _uncompressed_size(path: Path, expected: int, kind: str) -> int:
    """As far as it needs to be known: no further than a little beyond what is expected."""
    packed = path.stat().st_size
    if path.suffix != ".gz":
        return packed
    # A gzip file ends with its uncompressed size modulo 2**32: reading those four bytes replaces
    # decompressing the image. Files of several gzip members differ and are read in full.
    with path.open("rb") as stream:
        stream.seek(-4, os.SEEK_END)
        told = int.from_bytes(stream.read(), "little")
    if told == expected % 2**32 and is_possible(expected, packed):
        return expected
    try:
        with gzip.open(path) as unpacked:
            return unpacked_size(unpacked, expected)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"the {kind} is damaged ({_one_line(error)}): {path}; copy it again"
        ) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
