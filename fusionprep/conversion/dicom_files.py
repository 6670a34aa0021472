"""Which DICOM files there are, and what their headers say, as plain values."""

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionprep.conversion.extra import needed
from fusionprep.errors import DataError, NoInputError
from fusionprep.modalities import CT
from fusionprep.reading import other_kind
from fusionprep.streams import quiet_library

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Header = Mapping[str, Any]
"""Values by keyword: text, numbers, lists of them, and for a sequence a list of headers."""

PRIVATE = (
    *("PatientName", "OtherPatientNames", "PatientBirthName", "PatientID", "OtherPatientIDs"),
    *("PatientBirthDate", "PatientAddress", "ReferringPhysicianName", "OperatorsName"),
    *("PerformingPhysicianName", "AccessionNumber", "StudyID", "InstitutionName"),
    *("InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber"),
    *("StudyDate", "SeriesDate", "AcquisitionDate", "StudyTime", "SeriesTime", "AcquisitionTime"),
    *("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "ImageComments"),
    *("PatientComments", "StudyDescription", "RequestedProcedureDescription"),
)
"""What tells who, where or when; never copied."""

_USED = (
    *("Modality", "Rows", "SeriesNumber", "SeriesDescription", "ProtocolName", "ImageType"),
    *("SequenceName", "ScanningSequence", "SequenceVariant", "MRAcquisitionType", "EchoTime"),
    *("RepetitionTime", "InversionTime", "ContrastBolusAgent", "BodyPartExamined"),
    *("NumberOfFrames", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient"),
    *(
        "AcquisitionDateTime",
        "PatientSex",
        "PatientAge",
        "PatientWeight",
        "PatientSize",
        "Manufacturer",
    ),
    *("ManufacturerModelName", "CorrectedImage", "DecayCorrection", "DecayCorrectionDateTime"),
    *("DecayFactor", "Units", "SUVType", "FrameReferenceTime", "ActualFrameDuration"),
    *("AttenuationCorrectionMethod", "ReconstructionMethod", "ConvolutionKernel"),
    *("DoseCalibrationFactor", "RadiopharmaceuticalInformationSequence", "SeriesType"),
)
_LARGEST_VALUE = 1 << 16
_SAME_STEP = 0.1
_UNREADABLE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(NotImplementedError, RecursionError, struct.error),
)


@dataclass(frozen=True)
class Series:
    """Images of one series.

    Attributes
    ----------
    files
        In the order of their names.
    headers
        Of each file.
    """

    files: tuple[Path, ...]
    headers: tuple[Header, ...]

    @property
    def first(self) -> Header:
        return self.headers[0]

    @property
    def number(self) -> int | None:
        return _whole(self.first.get("SeriesNumber"))

    @property
    def description(self) -> str:
        return str(self.first.get("SeriesDescription") or self.first.get("ProtocolName") or "")

    @property
    def patient(self) -> str:
        return str(self.first.get("PatientID") or self.first.get("PatientName") or "")

    @property
    def n_images(self) -> int:
        """Slices of all frames."""
        return sum(_whole(header.get("NumberOfFrames")) or 1 for header in self.headers)

    @property
    def label(self) -> str:
        """As a line of a list shows it."""
        kind = self.first.get("Modality") or "?"
        return f"{self.number}: {kind}, {self.description!r}, {self.n_images} images"


def find_series(folder: Path) -> tuple[list[Series], int]:
    """The series of images in a folder and those below it, and how many other files there are.

    Raises
    ------
    NoInputError
        When there is none.
    DataError
        When pydicom is not installed.
    """
    if not folder.is_dir():
        raise NoInputError(f"{folder} is not a folder of DICOM files")
    found: dict[tuple[str, ...], list[tuple[Path, Header]]] = {}
    others = 0
    for path in _files(folder):
        header = read_header(path)
        if header is None or not header.get("Rows"):
            others += 1
            continue
        found.setdefault(_key(header), []).append((path, header))
    if not found:
        raise NoInputError(f"no DICOM images in {folder} ({others} files of another kind)")
    series = [
        Series(tuple(path for path, _ in images), tuple(header for _, header in images))
        for images in found.values()
    ]
    return sorted(series, key=lambda one: (one.patient, one.number or 0, one.description)), others


def _files(folder: Path) -> Iterator[Path]:
    for where, below, names in os.walk(folder):
        below.sort()
        yield from (Path(where) / name for name in sorted(names) if name != "DICOMDIR")


def _key(header: Header) -> tuple[str, ...]:
    names = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
    return tuple(str(header.get(name)) for name in names)


def read_header(path: Path) -> Header | None:
    """What is used of a header; None where the file is not DICOM.

    Raises
    ------
    DataError
        When it is damaged, or pydicom is not installed.
    """
    pydicom = needed("pydicom")
    if other_kind(path):
        return None
    try:
        with quiet_library("pydicom", "CRITICAL"):
            return plain_header(
                pydicom.dcmread(
                    path,
                    stop_before_pixels=True,
                    specific_tags=[*_USED, *PRIVATE],
                    defer_size=_LARGEST_VALUE,
                )
            )
    except pydicom.errors.InvalidDicomError:
        return None
    except _UNREADABLE as error:
        what = " ".join(str(error).split())
        raise DataError(f"{path} is a damaged DICOM file ({what}); copy it again") from error


def plain_header(dataset: "Dataset") -> Header:
    """The values of a data set, without those that are empty."""
    values = {element.keyword: _plain(element.value) for element in dataset if element.keyword}
    return {name: value for name, value in values.items() if value not in (None, "", [])}


def _plain(value: Any) -> Any:
    import pydicom

    if isinstance(value, pydicom.sequence.Sequence):
        return [plain_header(item) for item in value]
    if isinstance(value, pydicom.multival.MultiValue | list):
        return [_plain(item) for item in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float | pydicom.valuerep.DSdecimal):
        return float(value)
    return None if value is None else str(value).strip()


def missing_slices(series: Series) -> str:
    """What tells that files of a series are missing; empty where nothing does.

    CT may have slices of several distances, which dcm2niix brings to one.
    """
    placed = [slice_position(header) for header in series.headers]
    positions = [position for position in placed if position is not None]
    if len(positions) < len(placed):
        return ""
    found, counts = np.unique(np.round(positions, 2), return_counts=True)
    if counts.min() != counts.max():
        return f"there are {counts.min()} images of some slices and {counts.max()} of others"
    steps = np.diff(found)
    uneven = len(steps) > 1 and steps.max() - steps.min() > _SAME_STEP * np.median(steps)
    if not uneven or series.first.get("Modality") == CT.dicom:
        return ""
    return f"slices are {steps.min():g} to {steps.max():g} mm apart, so that some are missing"


def slice_position(header: Header) -> float | None:
    """Millimetres along the normal of a slice; None where the header does not say."""
    position, axes = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    if not isinstance(position, list) or not isinstance(axes, list) or len(axes) != 6:
        return None
    return float(np.cross(axes[:3], axes[3:]) @ position)


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
