"""A volume on the grid of a DICOM series as a series of its own."""

import copy
import hashlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fusionprep._version import __version__
from fusionprep.dicom.series import Series
from fusionprep.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

RESEARCH = "RESEARCH USE ONLY"
GRAY_LEVELS = 4095
"""What 1 becomes in a gray image: 12 bits, which every viewer windows."""

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_KEPT = (
    "SpecificCharacterSet",
    *("PatientIdentityRemoved", "DeidentificationMethod", "IssuerOfPatientID", "PatientAge"),
    *("PatientSize", "PatientWeight", "StudyDescription", "BodyPartExamined", "PatientPosition"),
    *("StudyInstanceUID", "FrameOfReferenceUID"),
    *("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "SliceLocation"),
    "SpacingBetweenSlices",
)
_EMPTY_IF_ABSENT = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("ReferringPhysicianName", "StudyID", "AccessionNumber", "PositionReferenceIndicator"),
    "SliceThickness",
)


_PET_SEQUENCES = (
    "RadiopharmaceuticalInformationSequence",
    "PatientOrientationCodeSequence",
    "PatientGantryRelationshipCodeSequence",
)


@dataclass(frozen=True)
class Kind:
    """What a gray image is besides a stack of slices, by the modality of its reference.

    Attributes
    ----------
    image_type
        *Image Type*.
    kept
        Attributes that are copied where the reference has them, ...
    empty
        ... and those that stand empty where it has not.
    fixed
        Attributes with a value of their own where the reference has none.
    own
        Attributes with a value of their own in any case.
    nuclear
        Whether it is a PET image.
    """

    image_type: tuple[str, ...]
    kept: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    fixed: Mapping[str, object] = field(default_factory=dict)
    own: Mapping[str, object] = field(default_factory=dict)
    nuclear: bool = False


KINDS = {  # MR, PET and CT image storage
    "1.2.840.10008.5.1.4.1.1.4": Kind(
        ("DERIVED", "SECONDARY", "OTHER"),
        kept=("MagneticFieldStrength", "InversionTime", "FlipAngle"),
        empty=("ScanOptions", "RepetitionTime", "EchoTime", "EchoTrainLength"),
        fixed={"ScanningSequence": "RM", "SequenceVariant": "NONE", "MRAcquisitionType": "3D"},
    ),
    "1.2.840.10008.5.1.4.1.1.128": Kind(
        ("DERIVED", "PRIMARY"),
        kept=(*_PET_SEQUENCES, "SeriesDate", "SeriesTime"),
        empty=("AcquisitionDate", "AcquisitionTime", "ActualFrameDuration", "CollimatorType"),
        fixed={
            "CorrectedImage": "",
            "CountsSource": "EMISSION",
            "DecayCorrection": "NONE",
            "FrameReferenceTime": 0,
        },
        own={
            **{"SeriesType": ["STATIC", "IMAGE"], "Units": "NONE"},
            **{"RescaleIntercept": 0, "RescaleSlope": 1},
        },
        nuclear=True,
    ),
    "1.2.840.10008.5.1.4.1.1.2": Kind(
        ("DERIVED", "SECONDARY", "AXIAL"),
        empty=("KVP", "AcquisitionNumber"),
        own={"RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "US"},
    ),
}


def build_series(series: Series, voxels: np.ndarray, what: str, details: str) -> "list[Dataset]":
    """Datasets of a derived series, one for each slice of its reference.

    Gray images are of the reference's own kind, MR, PET or CT; images in colour are secondary
    captures that also say where they lie. UIDs come from what is in the images, so that the same
    result has the same ones.

    Parameters
    ----------
    voxels
        (X, Y, Z) in [0, 1], or (X, Y, Z, 3) in [0, 255], on the grid of the reference.
    what
        What the images show; the series description begins with :data:`RESEARCH`.
    details
        How they were made.

    Raises
    ------
    DataError
        When the reference is neither MR, PET nor CT.
    """
    first = series.slices[0]
    if first.SOPClassUID not in KINDS:
        raise DataError(
            f"the DICOM series {series.paths[0].parent} holds {first.SOPClassUID.name}: the"
            " reference has to be a series of MR, PET or CT images"
        )
    colour = voxels.ndim == 4
    if colour:
        levels = np.clip(np.rint(voxels), 0, 255).astype(np.uint8)
    else:
        levels = np.rint(np.clip(voxels, 0, 1) * GRAY_LEVELS).astype("<u2")
    upright = levels.swapaxes(0, 1)
    frames = [np.ascontiguousarray(upright[:, :, k]) for k in range(levels.shape[2])]
    description = f"{RESEARCH}: {what}"[:64]
    origin = [str(first.StudyInstanceUID), str(first.SeriesInstanceUID), description, details]
    uid = uid_of([*(text.encode() for text in origin), *(frame.tobytes() for frame in frames)])
    found = []
    for number, (reference, frame) in enumerate(zip(series.slices, frames, strict=True), start=1):
        data = _slice(reference, number, uid)
        data.SeriesDescription, data.DerivationDescription = description, details[:1024]
        data.SeriesNumber = 1000 + int(first.get("SeriesNumber") or 0)
        _add_colour(data) if colour else _add_gray(data, reference, len(frames))
        _add_pixels(data, frame)
        found.append(data)
    return found


def uid_of(content: Iterable[bytes]) -> str:
    """A UID of the arc 2.25, the same for the same content."""
    digest = hashlib.sha256()
    for part in content:
        digest.update(len(part).to_bytes(8, "big") + part)
    return f"2.25.{uuid.UUID(bytes=digest.digest()[:16], version=5).int}"


def _slice(reference: "Dataset", number: int, series_uid: str) -> "Dataset":
    """Patient, study, place and origin of one slice."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    data = Dataset()
    _copy(data, reference, (*_KEPT, *_EMPTY_IF_ABSENT))
    for name in _EMPTY_IF_ABSENT:
        if name not in data:
            setattr(data, name, None)
    data.SeriesInstanceUID = series_uid
    data.SOPInstanceUID = uid_of([series_uid.encode(), str(number).encode()])
    data.InstanceNumber = number
    if not data.get("BodyPartExamined"):
        data.BodyPartExamined = "BRAIN"
    data.Manufacturer = data.ManufacturerModelName = "fusionprep"
    data.SoftwareVersions = __version__
    data.BurnedInAnnotation, data.LossyImageCompression = "NO", "00"
    source = Dataset()
    source.ReferencedSOPClassUID = reference.SOPClassUID
    source.ReferencedSOPInstanceUID = reference.SOPInstanceUID
    data.SourceImageSequence = [source]
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return data


def _copy(data: "Dataset", reference: "Dataset", names: Iterable[str]) -> None:
    for name in names:
        if name in reference:
            data[name] = copy.deepcopy(reference[name])


def _add_colour(data: "Dataset") -> None:
    data.SOPClassUID, data.Modality, data.ConversionType = SECONDARY_CAPTURE, "OT", "WSD"
    data.ImageType = ["DERIVED", "SECONDARY"]
    data.PatientOrientation = None
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0


def _add_gray(data: "Dataset", reference: "Dataset", slices: int) -> None:
    kind = KINDS[reference.SOPClassUID]
    data.SOPClassUID, data.Modality = reference.SOPClassUID, reference.Modality
    data.ImageType = list(kind.image_type)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    _copy(data, reference, (*kind.kept, *kind.empty, *kind.fixed))
    for name in kind.empty:
        if name not in data:
            setattr(data, name, None)
    for name, value in kind.fixed.items():
        if not data.get(name):
            setattr(data, name, value)
    for name, value in kind.own.items():
        setattr(data, name, value)
    data.WindowCenter, data.WindowWidth = (GRAY_LEVELS + 1) / 2, GRAY_LEVELS + 1
    if kind.nuclear:
        _add_nuclear(data, slices)


def _add_nuclear(data: "Dataset", slices: int) -> None:
    """What a PET image says of its series, and of the place of the patient in the scanner."""
    if "SeriesDate" not in data:
        data.SeriesDate, data.SeriesTime = data.StudyDate, data.StudyTime
    data.NumberOfSlices, data.ImageIndex = slices, data.InstanceNumber
    for name in _PET_SEQUENCES:
        if name not in data:
            setattr(data, name, [])
    # the two of them tell it in its place
    if "PatientPosition" in data:
        del data.PatientPosition


def _add_pixels(data: "Dataset", frame: np.ndarray) -> None:
    data.Rows, data.Columns = frame.shape[:2]
    bits = 8 * frame.dtype.itemsize
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, 0
    pixels = frame.tobytes()
    data.PixelData = pixels + b"\0" * (len(pixels) % 2)
    data["PixelData"].VR = "OW" if bits > 8 else "OB"
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
