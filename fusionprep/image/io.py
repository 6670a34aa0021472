"""Reading images with errors a user can act on."""

import errno
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.spatialimages import SpatialImage

from fusionprep.errors import DataError
from fusionprep.image.size import check_size, start_problem, surplus_problem, unpacked_size
from fusionprep.plausibility import LONGEST_SIDE
from fusionprep.reading import other_kind

UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    OverflowError,  # numbers of a header that are not finite
    TypeError,  # voxels that are not numbers, as in colour images
    zlib.error,
    cast("type[Exception]", isal_zlib.error),  # its stub takes it for an instance
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
)
_MILLIMETRES = {"meter": 1e3, "micron": 1e-3}
HEADER_BYTES = 540
_GZIP = b"\x1f\x8b"
_PACKED = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zX": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
# 348 and 540 bytes of header, the first number of NIfTI-1 and NIfTI-2 in either order of bytes
_NIFTI = tuple(size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big"))


def load_image(path: str | Path, **options: Any) -> nib.Nifti1Image:
    """Open a NIfTI image; nibabel's own type for it promises neither voxels nor an affine.

    The affine is in millimetres, whatever unit of length the header gives.

    Parameters
    ----------
    path
        The image; its voxels are not read yet.
    options
        Of :func:`nibabel.load`, such as ``keep_file_open``.

    Raises
    ------
    DataError
        When a volume of it does not fit into memory.
    """
    image = cast(nib.Nifti1Image, nib.load(path, **options))
    check_size(path, image.shape[:3])
    affine, note = in_millimetres(image)
    return type(image)(image.dataobj, affine, image.header) if note else image


def in_millimetres(image: SpatialImage) -> tuple[np.ndarray, str]:
    """The affine (4, 4) of an image in millimetres, and what was done about its unit of length.

    A header in micrometres or metres is converted, unless only its numbers as they stand make an
    image that a person fits into: then the unit is the mistake.

    Returns
    -------
    affine
    note
        For people; empty where the header is in millimetres or does not say.
    """
    unit = _length_unit(image)
    if unit not in _MILLIMETRES:
        return image.affine, ""
    scale = np.diag([_MILLIMETRES[unit]] * 3 + [1.0])
    as_stored, converted = (
        longest_side(image.affine, image),
        longest_side(scale @ image.affine, image),
    )
    if converted not in LONGEST_SIDE and as_stored in LONGEST_SIDE:
        return image.affine, (
            f"its header gives lengths in {unit}s, but they are millimetres: a longest side of"
            f" {as_stored:.0f} mm, not {converted:.3g} mm"
        )
    return scale @ image.affine, f"its header gives lengths in {unit}s: brought to millimetres"


def longest_side(affine: np.ndarray, image: SpatialImage) -> float:
    """Length of the longest side of a volume, in the unit of an affine (4, 4)."""
    sides = nib.affines.voxel_sizes(affine) * np.asarray((*image.shape, 1, 1, 1)[:3])
    return float(np.max(sides))


def _length_unit(image: SpatialImage) -> str:
    if not isinstance(image, nib.Nifti1Pair):
        return "mm"
    try:
        return str(image.header.get_xyzt_units()[0])
    except KeyError:  # a code that NIfTI does not know
        return "unknown"


def misnamed(path: str | Path) -> str:
    """What is wrong with a NIfTI file by its first bytes; empty where nothing is.

    Raises
    ------
    OSError, DataError
        When the file cannot be read, or something else lies under its name.
    """
    path = Path(path)
    if problem := other_kind(path):
        raise DataError(f"{path} {problem}")
    with path.open("rb") as stream:
        start = stream.read(HEADER_BYTES)
    zipped, named = start.startswith(_GZIP), path.name.lower().endswith(".gz")
    if named and start[:4] in _NIFTI:
        return f"it is not compressed: rename it to {path.name[:-3]}"
    packed = next((name for magic, name in _PACKED.items() if start.startswith(magic)), None)
    if packed is not None:
        return f"it is compressed by {packed}: decompress it"
    if zipped and not named:
        return f"it is compressed: rename it to {path.name}.gz"
    inside = _starts_inside(path) if zipped else start
    if zipped and inside.startswith(_GZIP):
        return "it is compressed twice: decompress it once"
    return start_problem(inside)


def _starts_inside(path: Path) -> bytes:
    try:
        with gzip.open(path) as stream:
            return stream.read(HEADER_BYTES)
    except UNREADABLE:
        return b""


def read_image(path: str | Path) -> nib.Nifti1Image:
    """Read an image completely, in float32 and closest to RAS orientation.

    Voxels are not resampled: axes are only permuted and flipped.

    Returns
    -------
    nibabel.Nifti1Image
        float32, NaN kept, axes of length one beyond the third removed.

    Raises
    ------
    DataError
        When the file is truncated or corrupt, is not an image, holds colours or complex numbers,
        or its affine is unusable.
    """
    with _told(path):
        if problem := misnamed(path):
            raise DataError(f"cannot read {path}: {problem}")
        image, data = _read_voxels(Path(path))
    check_affine(image.affine, path)
    data = data.reshape(plain_shape(data.shape))
    if data.ndim < 3:
        raise DataError(f"{path} has {data.ndim} dimensions; a volume is needed")
    return nib.as_closest_canonical(nib.Nifti1Image(data, image.affine))


def read_stored(path: str | Path) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Read an image completely, as it is stored.

    Returns
    -------
    voxels
        (X, Y, Z) or (X, Y, Z, frames), of the type and in the order in which they are stored.
    affine
        (4, 4), to RAS millimetres.
    scale
        Slope and intercept that make the image's values of the voxels.

    Raises
    ------
    DataError
        As :func:`read_image`.
    """
    with _told(path):
        if problem := misnamed(path):
            raise DataError(f"cannot read {path}: {problem}")
        image, voxels = _read_voxels(Path(path), lambda stored: stored.get_unscaled())
    check_affine(image.affine, path)
    voxels = voxels.reshape(plain_shape(voxels.shape))
    if voxels.ndim not in (3, 4):
        raise DataError(f"{path} has {voxels.ndim} dimensions; a volume or frames are needed")
    return voxels, image.affine, (float(image.dataobj.slope), float(image.dataobj.inter))


def plain_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without axes of length one beyond the third, e.g. of (X, Y, Z, 1, T)."""
    return (*shape[:3], *(length for length in shape[3:] if length != 1))


def read_frames(path: str | Path) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """Read the frames of an image one after the other, so that only one is in memory.

    Returns
    -------
    affine
        (4, 4), voxels as they are stored to RAS millimetres.
    frames
        Each (X, Y, Z) float32, NaN kept, in the order of the file.

    Raises
    ------
    DataError
        As :func:`read_image`; for damage further on, when that frame is asked for.
    """
    with _told(path):
        if problem := misnamed(path):
            raise DataError(f"cannot read {path}: {problem}")
        image: SpatialImage = load_image(path)
    check_affine(image.affine, path)
    if image.ndim < 3:
        raise DataError(f"{path} has {image.ndim} dimensions; a volume is needed")
    return image.affine, _frames(Path(path), image)


def _frames(path: Path, image: SpatialImage) -> Iterator[np.ndarray]:
    with _told(path):
        _check_plain_numbers(image, path)
        if path.suffix != ".gz" or not isinstance(image, nib.Nifti1Image):
            yield from each_frame(image)
            return
        # ISA-L unpacks in little more than half of zlib's time
        with igzip.open(path) as stream:
            yield from each_frame(type(image).from_stream(stream))
            _read_to_end(stream, path)


def each_frame(image: SpatialImage) -> Iterator[np.ndarray]:
    """Yield the frames (X, Y, Z) of an open image one by one, float32, in the order of the file."""
    for index in np.ndindex(*image.shape[3:]):
        yield np.asarray(image.dataobj[(..., *index)], np.float32)


def read_colour(path: str | Path) -> nib.Nifti1Image:
    """Read a fused image in colour completely, its three channels as they are stored.

    Raises
    ------
    DataError
        When the file cannot be read or is not in colour.
    """
    with _told(path):
        if problem := other_kind(Path(path)):
            raise DataError(f"{path} {problem}")
        image = load_image(path)
        voxels = np.asarray(image.dataobj)
    if voxels.dtype.names != ("R", "G", "B"):
        raise DataError(f"{path} is not an image in colour; run the subject again")
    return nib.Nifti1Image(voxels, image.affine)


@contextmanager
def _told(path: str | Path) -> Iterator[None]:
    """Turn what can go wrong while a file is read into a :class:`DataError`."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the dataset for broken links") from None
    except MemoryError as error:
        raise MemoryError(f"reading {path} ({str(error) or 'out of memory'})") from error
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            raise MemoryError(f"reading {path} ({error.strerror})") from error
        what = " ".join(str(error).split())
        raise DataError(
            f"{path} is corrupt or not a NIfTI image ({what}); copy or convert it again"
        ) from error


def _as_float32(stored: Any) -> np.ndarray:
    return np.asarray(stored, dtype=np.float32)


def _read_voxels(
    path: Path, read: Callable[[Any], np.ndarray] = _as_float32
) -> tuple[Any, np.ndarray]:
    image: Any = load_image(path)
    _check_plain_numbers(image, path)
    check_size(path, image.shape)
    if path.suffix != ".gz" or not isinstance(image, nib.Nifti1Image):
        return image, read(image.dataobj)
    with igzip.open(path) as stream:
        data = read(type(image).from_stream(stream).dataobj)
        _read_to_end(stream, path)
    return image, data


def _read_to_end(stream: gzip.GzipFile, path: Path) -> None:
    # Damaged bytes often decompress into wrong voxels. Only the checksum at the end shows that, and
    # nibabel does not read that far.
    expected = stream.tell()
    if problem := surplus_problem(expected + unpacked_size(stream, 0), expected):
        raise DataError(f"{path} {problem}; copy or convert it again")


def _check_plain_numbers(image: SpatialImage, path: Path) -> None:
    if not holds_plain_numbers(image):
        raise DataError(
            f"{path} holds colours or complex numbers; convert it to gray levels or magnitudes"
        )


def holds_plain_numbers(image: SpatialImage) -> bool:
    """Whether the voxels are integers or real numbers, neither colours nor complex."""
    dtype = image.get_data_dtype()
    return dtype.fields is None and dtype.kind in "iuf"


def read_volume(path: str | Path, name: str, *, missing: float = 0.0) -> nib.Nifti1Image:
    """Read a 3-D image as :func:`read_image` does, without NaN and infinities.

    Parameters
    ----------
    name
        What the image is, for the message ("T1w").
    missing
        Takes the place of values that are not finite.

    Raises
    ------
    DataError
        Also when the image is 4-D or holds no signal.
    """
    image = _read_3d(path, name)
    data = image.get_fdata(dtype=np.float32)
    data = np.where(np.isfinite(data), data, np.float32(missing))
    if data.min() == data.max():
        raise DataError(f"{name} holds one value everywhere: {path}; convert or copy it again")
    return new_image(data, image.affine)


def read_mask(path: str | Path) -> nib.Nifti1Image:
    """Read a 3-D mask as :func:`read_image` does.

    Raises
    ------
    DataError
        Also when it is 4-D, or nothing is above 0.
    """
    image = _read_3d(path, "the mask")
    if not (image.get_fdata(dtype=np.float32) > 0).any():
        raise DataError(f"the mask {path} is empty: no voxel is above 0")
    return image


def _read_3d(path: str | Path, name: str) -> nib.Nifti1Image:
    image = read_image(path)
    if image.ndim > 3:
        raise DataError(
            f"{name} is {image.ndim}-D with {image.shape[3]} volumes: {path}; give one volume"
        )
    return image


def axial_axis(affine: np.ndarray) -> int:
    """The array axis closest to inferior-superior, across which axial slices are stacked.

    Parameters
    ----------
    affine
        (4, 4), voxels to RAS millimetres.
    """
    return int(np.flatnonzero(nib.io_orientation(affine)[:, 0] == 2)[0])


def same_grid(image: nib.Nifti1Image, reference: nib.Nifti1Image) -> bool:
    """Whether two images have the same shape and, to 0.001 mm, the same affine."""
    return image.shape == reference.shape and np.allclose(image.affine, reference.affine, atol=1e-3)


def check_affine(affine: np.ndarray, path: str | Path) -> None:
    """Raise :class:`DataError` when `affine` (4, 4) cannot map voxels to millimetres."""
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise DataError(
            f"{path} has a zero or singular affine, so its voxels have no position;"
            " set its sform or convert it again"
        )


def new_image(data: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    """An image in millimetres whose sform and qform are both `affine`, in scanner space."""
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    return image
