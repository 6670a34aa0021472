"""Small DICOM series with a known place in the patient."""

from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

SHAPE = (14, 11, 7)
SIZES = (1.1, 0.9, 2.5)
CLASSES = {
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
}


def oblique() -> np.ndarray:
    """From column, row and slice to LPS, mm: turned about all three axes."""
    a, b, c = np.radians([17.0, -9.0, 31.0])
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = x @ y @ z * SIZES
    affine[:3, 3] = -13.4, 21.7, -35.2
    return affine


def levels(seed: int = 0) -> np.ndarray:
    """Smooth levels by column, row and slice, 0 to 1000, bright nowhere twice."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.0)
    return np.round(1 + 999 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint16)


def write_dicom(folder: Path, modality: str = "MR", **changed: object) -> Path:
    """A series under the name of a patient; its files are not in the order of its slices."""
    folder.mkdir(parents=True)
    affine, voxels = oblique(), levels()
    for k in range(SHAPE[2]):
        data = Dataset()
        data.SpecificCharacterSet = "ISO_IR 192"
        data.PatientName, data.PatientID, data.PatientSex = "Müller^Ada", "4711", "F"
        data.PatientBirthDate, data.StudyDate, data.StudyTime = "19500203", "20240102", "101112"
        data.ReferringPhysicianName, data.StudyID, data.AccessionNumber = "", "1", "A1"
        data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.5"
        data.FrameOfReferenceUID, data.Modality, data.SeriesNumber = "1.2.3.9", modality, 3
        data.SOPClassUID, data.SOPInstanceUID = CLASSES[modality], f"1.2.3.4.5.{k + 1}"
        data.PatientPosition, data.InstanceNumber = "HFS", k + 1
        data.ImageOrientationPatient = [
            f"{value:.12f}"[:16] for axis in (0, 1) for value in affine[:3, axis] / SIZES[axis]
        ]
        data.ImagePositionPatient = [f"{v:.10f}"[:16] for v in (affine @ (0, 0, k, 1))[:3]]
        data.PixelSpacing, data.SliceThickness = [SIZES[1], SIZES[0]], SIZES[2]
        data.Rows, data.Columns = SHAPE[1], SHAPE[0]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 0
        data.PixelData = np.ascontiguousarray(voxels[:, :, k].T).tobytes()
        for name, value in changed.items():
            setattr(data, name, value)
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.save_as(folder / f"IM{(k * 3) % SHAPE[2]}", enforce_file_format=True)
    (folder / "README").write_text("not a DICOM file")
    return folder


def nifti(voxels: np.ndarray) -> nib.Nifti1Image:
    """What a converter makes of the series: RAS axes as near as can be, in the same place."""
    image = nib.Nifti1Image(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]) @ oblique())
    return nib.as_closest_canonical(image)
