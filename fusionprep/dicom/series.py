"""The DICOM series whose grid, patient and study a fused image is given."""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError, NoInputError

if TYPE_CHECKING:
    from pydicom import Dataset

SUBJECT, SESSION = "{subject}", "{session}"
"""Placeholders in the path of a series for the labels of a subject and of a session."""

UNEVEN_MM = 0.1
"""How far a slice may lie from where even spacing has it."""

LEAST_CORRELATION = 0.8
"""Of a series with the image that was made of it. A bias field and denoising leave it above 0.9."""

_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_NEEDED = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "Modality"),
    *("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("Rows", "Columns"),
)


@dataclass(frozen=True)
class Series:
    """A series of single slices.

    Attributes
    ----------
    slices
        Their attributes without the pixels, from one end to the other.
    paths
        Their files.
    affine
        (4, 4), from column, row and slice to RAS, mm.
    """

    slices: "tuple[Dataset, ...]"
    paths: tuple[Path, ...]
    affine: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows and slices."""
        return int(self.slices[0].Columns), int(self.slices[0].Rows), len(self.slices)


def find_series(template: str, subject: str, session: str | None) -> Path:
    """The folder of a subject's series.

    Parameters
    ----------
    template
        A path with ``{subject}`` and ``{session}`` in the places of the labels; wildcards may stand
        for what differs from one to the other.
    subject, session
        Labels without ``sub-`` and ``ses-``.

    Raises
    ------
    NoInputError, DataError
        When there is none, or more than one; when a session is asked for that there is not.
    """
    if SESSION in template and session is None:
        raise DataError(
            f"--dicom-reference {template} asks for a session: the T1w of sub-{subject} has none"
        )
    path = template.replace(SUBJECT, glob.escape(subject))
    path = path.replace(SESSION, glob.escape(session or ""))
    root = Path(path).anchor or "."
    found = sorted(p for p in Path(root).glob(str(Path(path).relative_to(root))) if p.is_dir())
    if not found:
        raise NoInputError(f"--dicom-reference: there is no folder {path}")
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found[:4])
        raise DataError(f"--dicom-reference: more than one folder is called {path}: {names}")
    return found[0]


def read_series(folder: Path) -> Series:
    """Read the attributes of the one series in a folder and those below it.

    Raises
    ------
    NoInputError, DataError
        When there is no series or more than one, when it is not of single slices with a place in
        the patient, or when slices are missing.
    """
    if not folder.is_dir():
        raise NoInputError(f"the DICOM series {folder} is not a folder")
    found = list(_datasets(folder))
    if not found:
        raise NoInputError(f"there is no DICOM file in {folder}")
    series = {str(data.get("SeriesInstanceUID", "")): data for _, data in found}
    if len(series) > 1:
        names = ", ".join(str(data.get("SeriesDescription", "?")) for data in series.values())
        raise DataError(f"{folder} holds {len(series)} series ({names}): name the folder of one")
    missing = [name for name in _NEEDED if found[0][1].get(name) is None]
    if missing or "NumberOfFrames" in found[0][1]:
        why = "several slices in one file" if not missing else f"no {missing[0]}"
        raise DataError(f"the DICOM series {folder} cannot be taken as reference: it has {why}")
    return _ordered(folder, found)


def _datasets(folder: Path) -> "Iterator[tuple[Path, Dataset]]":
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "DICOMDIR":
            try:
                yield path, dcmread(path, stop_before_pixels=True)
            except InvalidDicomError:
                continue
            except OSError as error:
                raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _ordered(folder: Path, found: "list[tuple[Path, Dataset]]") -> Series:
    """Sort slices along their normal, and find the grid they lie on."""
    first = found[0][1]
    across, down = np.reshape(np.asarray(first.ImageOrientationPatient, float), (2, 3))
    normal = np.cross(across, down)
    found = sorted(found, key=lambda item: _position(item[1]) @ normal)
    positions = np.array([_position(data) for _, data in found])
    orientations = [np.asarray(data.ImageOrientationPatient, float) for _, data in found]
    if len(found) < 2 or np.ptp(orientations, axis=0).max() > 1e-3:
        raise DataError(f"the DICOM series {folder} is not a stack of parallel slices")
    step = (positions[-1] - positions[0]) / (len(found) - 1)
    even = positions[0] + np.arange(len(found))[:, None] * step
    if np.linalg.norm(positions - even, axis=1).max() > UNEVEN_MM or not step.any():
        raise DataError(f"slices of the DICOM series {folder} are missing, double or uneven")
    rows, columns = (float(value) for value in first.PixelSpacing)
    affine = np.eye(4)
    affine[:3] = np.stack([across * columns, down * rows, step, positions[0]], axis=1)
    paths, slices = zip(*found, strict=True)
    return Series(tuple(slices), tuple(paths), _RAS_FROM_LPS @ affine)


def _position(data: "Dataset") -> np.ndarray:
    return np.asarray(data.ImagePositionPatient, float)


def on_grid(image: nib.spatialimages.SpatialImage, series: Series) -> np.ndarray:
    """Bring an image to the grid of a series; on the same grid voxels stay as they are.

    Parameters
    ----------
    image
        In the space of the series: numbers, or RGB24.

    Returns
    -------
    numpy.ndarray
        float32 of the series' shape, with a fourth axis for the channels of an image in colour.
        What lies outside the image is 0.

    Raises
    ------
    DataError
        When less than half of the image lies on the grid.
    """
    from scipy.ndimage import affine_transform

    voxels = np.asanyarray(image.dataobj)
    channels = [voxels[name] for name in "RGB"] if voxels.dtype.names else [voxels]
    to_voxel = np.linalg.inv(image.affine) @ series.affine
    _check_overlap(channels, np.linalg.inv(to_voxel), series)
    # what differs by rounding alone is not interpolated
    whole = np.round(to_voxel)
    to_voxel = np.where(np.abs(to_voxel - whole) < 1e-4, whole, to_voxel)
    moved = [
        affine_transform(
            np.nan_to_num(channel.astype(np.float32)),
            *(to_voxel[:3, :3], to_voxel[:3, 3]),
            output_shape=series.shape,
            order=1,
        )
        for channel in channels
    ]
    return np.stack(moved, axis=-1) if voxels.dtype.names else moved[0]


def _check_overlap(channels: list[np.ndarray], from_voxel: np.ndarray, series: Series) -> None:
    shown = np.argwhere(np.any([np.nan_to_num(channel) > 0 for channel in channels], axis=0))
    if not len(shown):
        raise DataError("an image without a voxel above 0 cannot be written as DICOM")
    places = nib.affines.apply_affine(from_voxel, shown[:: max(1, len(shown) // 10_000)])
    within = np.all((places > -0.5) & (places < np.array(series.shape) - 0.5), axis=1).mean()
    if within < 0.5:
        raise DataError(
            f"only {within:.0%} of the image lies on the grid of the DICOM series"
            f" {series.paths[0].parent}: it is not the series of the image it lies on"
        )


def check_same_image(series: Series, image: nib.spatialimages.SpatialImage, name: str) -> None:
    """Make sure that a series shows an image, so that nobody is given another's name.

    Parameters
    ----------
    image
        Made of the series, in the same place.
    name
        What the user calls it.

    Raises
    ------
    DataError
        When it shows something else, or its pixels cannot be read.
    """
    from pydicom import dcmread

    try:
        pixels = [dcmread(path).pixel_array.T.astype(np.float32) for path in series.paths]
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DataError(
            f"cannot compare {name} with the DICOM series {series.paths[0].parent}, whose pixels"
            f" cannot be read: {error}; decompress it first, for example with gdcmconv --raw"
        ) from error
    there = on_grid(nib.squeeze_image(image), series)
    shown = there != 0
    both = np.stack([np.stack(pixels, axis=-1)[shown], there[shown]])
    flat = bool((np.ptp(both, axis=1) == 0).any())
    correlation = 0.0 if flat else float(np.corrcoef(both)[0, 1])
    if correlation < LEAST_CORRELATION:
        raise DataError(
            f"the DICOM series {series.paths[0].parent} does not show {name} (correlation"
            f" {correlation:.2f}): name the series that it was converted from"
        )
