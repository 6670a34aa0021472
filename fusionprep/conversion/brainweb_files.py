"""Volumes of BrainWeb: MINC, and numbers without a header, both perhaps compressed."""

import gzip
import math
import tempfile
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from fusionprep.conversion.extra import needed
from fusionprep.demo.subject import Grid
from fusionprep.errors import DataError
from fusionprep.image.io import check_affine
from fusionprep.image.size import check_size

MINC, RAW_BYTE, RAW_SHORT = ".mnc", ".rawb", ".raws"
ENDINGS = (MINC, RAW_BYTE, RAW_SHORT)
"""Of files that are read, each also with ``.gz``."""

_GZIP, _HDF = b"\x1f\x8b", b"\x89HDF"
_LARGEST = 2**29
# Voxels along x, y and z, their size, and the first voxel's centre in mm. The site shows them on
# its pages; raw files hold numbers only, x fastest.
_GRIDS = (
    ((181, 217, 181), 1.0, (-90.0, -126.0, -72.0)),
    ((362, 434, 362), 0.5, (-90.25, -126.25, -72.25)),
    ((256, 256, 181), 1.0, (-127.75, -145.75, -72.25)),
)
_LARGEST_SHORT = 4095
"""Of 12 bits, to which the site scales shorts."""

_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zlib.error)


def plain_name(path: Path) -> str:
    """A file's name without the ending of a compressed file."""
    return path.name.lower().removesuffix(".gz")


def is_volume(path: Path) -> bool:
    """Whether a file is of BrainWeb's formats, by its name."""
    return plain_name(path).endswith(ENDINGS) and not path.name.startswith(".")


def read_brainweb(path: Path) -> tuple[np.ndarray, Grid]:
    """The values of a volume, (X, Y, Z) with axes to the right, the front and the top.

    Raises
    ------
    DataError
        When it cannot be read, or holds as many numbers as none of BrainWeb's grids.
    """
    try:
        content = _unpacked(path)
        if plain_name(path).endswith(MINC):
            values, affine = _of_minc(path, content)
        else:
            values, affine = _of_numbers(path, content)
    except _UNREADABLE as error:
        what = " ".join(str(error).split())
        raise DataError(
            f"cannot read {path}: {what or type(error).__name__}; get it again"
        ) from error
    check_affine(affine, path)
    return values, Grid(values.shape, affine)


def _unpacked(path: Path) -> bytes:
    with path.open("rb") as stream:
        packed = stream.read(2) == _GZIP
    with gzip.open(path) if packed else path.open("rb") as stream:
        content = stream.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise DataError(f"{path} is larger than any volume of BrainWeb")
    return content


def _of_minc(path: Path, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    if content.startswith(_HDF):
        needed("h5py")
    with tempfile.NamedTemporaryFile(suffix=MINC) as file:
        file.write(content)
        file.flush()
        image: Any = nib.load(file.name)
        check_size(path, image.shape)
        values = np.asarray(image.dataobj, np.float32)
        if values.ndim != 3:
            raise ValueError(f"it has {values.ndim} dimensions, not 3")
        upright = nib.as_closest_canonical(nib.Nifti1Image(values, image.affine))
    return np.ascontiguousarray(upright.dataobj), upright.affine


def _of_numbers(path: Path, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    short = plain_name(path).endswith(RAW_SHORT)
    count = len(content) // (2 if short else 1)
    grid = next((grid for grid in _GRIDS if math.prod(grid[0]) == count), None)
    if grid is None:
        known = ", ".join("x".join(map(str, shape)) for shape, *_ in _GRIDS)
        raise ValueError(f"it holds {count} numbers, not those of {known}; MINC has any size")
    shape, size, start = grid
    numbers = _shorts(content) if short else np.frombuffer(content, np.uint8)
    affine = np.diag([size, size, size, 1.0])
    affine[:3, 3] = start
    return numbers.reshape(shape[::-1]).T.astype(np.float32), affine


def _shorts(content: bytes) -> np.ndarray:
    """Shorts of 12 bits in the order of bytes in which they are such."""
    for order in ("<u2", ">u2"):
        numbers = np.frombuffer(content, order)
        if numbers.max() <= _LARGEST_SHORT:
            return numbers
    raise ValueError("its shorts are not of 12 bits in either order of bytes")
