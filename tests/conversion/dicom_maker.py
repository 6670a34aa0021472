"""Small DICOM files, as scanners write them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CLASSES = {
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
}
PERSON = {
    "PatientName": "Doe^Jane",
    "PatientID": "MRN_12-34",
    "PatientBirthDate": "19300102",
    "PatientSex": "F",
    "PatientAge": "093Y",
    "PatientWeight": 64.0,
    "PatientSize": 1.68,
    "StudyInstanceUID": generate_uid(),
    "StudyDate": "20230405",
    "SeriesDate": "20230405",
    "StudyTime": "101500",
    "AcquisitionDate": "20230405",
    "InstitutionName": "Mercy Hospital",
    "StationName": "MRC12345",
    "DeviceSerialNumber": "98765",
    "ReferringPhysicianName": "House^Gregory",
    "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "Biograph_mMR",
    "FrameOfReferenceUID": generate_uid(),
}
MPRAGE = {
    "SeriesDescription": "t1_mprage_sag_p2_iso", "ProtocolName": "t1_mprage_sag_p2_iso",
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"], "ScanningSequence": ["GR", "IR"],
    "SequenceVariant": ["SK", "SP", "MP"], "ScanOptions": "IR", "MRAcquisitionType": "3D",
    "EchoTime": 2.98, "RepetitionTime": 2300.0, "InversionTime": 900.0, "FlipAngle": 9.0,
    "SequenceName": "*tfl3d1_16ns", "MagneticFieldStrength": 3.0,
}  # fmt: skip
DARK_FLUID = MPRAGE | {
    "SeriesDescription": "t2_spc_da-fl_sag", "ProtocolName": "t2_spc_dark-fluid_sag",
    "ScanningSequence": ["SE", "IR"], "SequenceName": "*spcir_278ns", "EchoTime": 390.0,
    "RepetitionTime": 5000.0, "InversionTime": 1800.0,
}  # fmt: skip
CT_FIELDS = {
    "SeriesDescription": "Head 2.0 H30s", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "KVP": 120.0, "ConvolutionKernel": "H30s", "RescaleIntercept": -1024.0, "RescaleSlope": 1.0,
    "AcquisitionTime": "100000", "SeriesTime": "100000",
}  # fmt: skip
HALF_LIFE = 6584.04
CORRECTED = ["DECY", "ATTN", "SCAT", "DTIM", "RAN", "NORM"]


def drug(injected: str | None = "101000.000000", dose: float = 185e6) -> Dataset:
    """What a header says about the tracer."""
    nuclide, code, item = Dataset(), Dataset(), Dataset()
    nuclide.CodeValue, nuclide.CodingSchemeDesignator = "C-111A1", "SRT"
    nuclide.CodeMeaning = "^18^Fluorine"
    code.CodeValue, code.CodingSchemeDesignator = "C-B1031", "SRT"
    code.CodeMeaning = "Fluorodeoxyglucose F^18^"
    item.Radiopharmaceutical = "Fluorodeoxyglucose"
    item.RadionuclideTotalDose, item.RadionuclideHalfLife = dose, HALF_LIFE
    if injected:
        item.RadiopharmaceuticalStartTime = injected
    item.RadionuclideCodeSequence = Sequence([nuclide])
    item.RadiopharmaceuticalCodeSequence = Sequence([code])
    return item


PET_FIELDS = {
    "SeriesDescription": "Brain_PET_AC Images", "ImageType": ["ORIGINAL", "PRIMARY"],
    "Units": "BQML", "CorrectedImage": CORRECTED, "SeriesType": ["DYNAMIC", "IMAGE"],
    "AttenuationCorrectionMethod": "measured,AC_MAP", "ReconstructionMethod": "OP-OSEM3i21s",
    "ConvolutionKernel": "XYZGAUSSIAN4.00", "DecayCorrection": "START",
    "SeriesTime": "105000.000000",
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A series to write.

    Attributes
    ----------
    modality
        DICOM's code.
    values
        (X, Y, Z) or (X, Y, Z, frames), whole numbers, on the grid of ``affine``.
    affine
        Voxel to world, (4, 4), RAS mm.
    fields
        Of every header.
    each
        Of the headers of each frame.
    """

    modality: str
    values: np.ndarray
    affine: np.ndarray
    fields: Mapping[str, Any]
    number: int = 1
    each: tuple[Mapping[str, Any], ...] = ({},)
    uid: str = field(default_factory=generate_uid)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        frames = self.values.reshape(*self.values.shape[:3], -1)
        n_slices, n_frames = frames.shape[2:]
        for frame in range(n_frames):
            for index in range(n_slices):
                number = frame * n_slices + index + 1
                dataset = self._header(index, number)
                for name, value in {**self.each[frame % len(self.each)]}.items():
                    setattr(dataset, name, value)
                # DICOM's rows go along the first axis of the grid
                dataset.PixelData = frames[:, :, index, frame].T.astype(np.uint16).tobytes()
                name = f"{self.number:03d}-{number:04d}.dcm"
                dataset.save_as(folder / name, enforce_file_format=True)

    def _header(self, index: int, number: int) -> Dataset:
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = CLASSES[self.modality], generate_uid()
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        given = {**PERSON, "AcquisitionTime": "102000", "SeriesTime": "102000", **self.fields}
        for name, value in given.items():
            setattr(dataset, name, value)
        dataset.Modality, dataset.SeriesInstanceUID = self.modality, self.uid
        dataset.SeriesNumber, dataset.InstanceNumber = self.number, number
        self._place(dataset, index)
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Columns, dataset.Rows = self.values.shape[:2]
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        return dataset

    def _place(self, dataset: Dataset, index: int) -> None:
        """Position and direction, in DICOM's left and posterior."""
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.affine
        sizes = np.linalg.norm(lps[:3, :3], axis=0)
        directions = lps[:3, :3] / sizes
        dataset.ImageOrientationPatient = [f"{v:.10f}" for v in directions[:, :2].T.ravel()]
        corner = lps[:3, 3] + index * lps[:3, 2]
        dataset.ImagePositionPatient = [f"{value:.6f}" for value in corner]
        dataset.PixelSpacing = [f"{sizes[1]:.6f}", f"{sizes[0]:.6f}"]
        dataset.SliceThickness = f"{sizes[2]:.6f}"
        dataset.SliceLocation = f"{corner @ directions[:, 2]:.6f}"
        dataset.PatientPosition = "HFS"


def tilted(sizes: tuple[float, float, float], origin: tuple[float, float, float]) -> np.ndarray:
    """An affine that DICOM can have: turned about two axes, not sheared."""
    a, b = np.deg2rad(12.0), np.deg2rad(-7.0)
    about_x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    about_z = [[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]]
    affine = np.eye(4)
    # rows to the patient's left, columns to the back, slices upwards
    affine[:3, :3] = np.array(about_x) @ about_z @ np.diag([-sizes[0], -sizes[1], sizes[2]])
    affine[:3, 3] = origin
    return affine


def not_dicom(folder: Path) -> None:
    """What lies beside images in folders of exports."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "readme.txt").write_text("Exported.")


__all__ = ["CORRECTED", "Made", "drug", "not_dicom", "pydicom", "tilted"]
