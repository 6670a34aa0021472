"""Fused images as DICOM: in the right place, under the right name, without errors."""

import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from fusionprep.dicom.series import LEAST_CORRELATION, find_series, read_series
from fusionprep.dicom.writing import write_series
from fusionprep.errors import DataError, NoInputError
from tests.dicom.made import CLASSES, SHAPE, levels, nifti, oblique, write_dicom

WHAT, DETAILS = "ReadFuse of T1w and PET", "fused by fusionprep"


@pytest.fixture
def fused(tmp_path) -> Path:
    path = tmp_path / "fused.nii.gz"
    nifti((levels() / 1000).astype(np.float32)).to_filename(path)
    return path


@pytest.fixture
def coloured(tmp_path) -> Path:
    voxels = np.empty(SHAPE, [(name, "u1") for name in "RGB"])
    for number, name in enumerate("RGB"):
        voxels[name] = levels(number) // 4
    path = tmp_path / "coloured.nii.gz"
    nifti(voxels).to_filename(path)
    return path


def _write(image: Path, reference: Path, folder: Path, **options) -> list[pydicom.Dataset]:
    paths = write_series(image, reference, folder, what=WHAT, details=DETAILS, **options)
    return [pydicom.dcmread(path) for path in paths]


def _affine(slices: list[pydicom.Dataset]) -> np.ndarray:
    first, last = slices[0], slices[-1]
    orientation = np.array(first.ImageOrientationPatient, float)
    affine = np.eye(4)
    affine[:3, 0] = orientation[:3] * float(first.PixelSpacing[1])
    affine[:3, 1] = orientation[3:] * float(first.PixelSpacing[0])
    positions = [np.array(item.ImagePositionPatient, float) for item in (first, last)]
    affine[:3, 2] = (positions[1] - positions[0]) / (len(slices) - 1)
    affine[:3, 3] = positions[0]
    return affine


@pytest.mark.parametrize("modality", ["MR", "PT", "CT"])
def test_gray_images_lie_where_the_nifti_does_and_keep_the_study(tmp_path, fused, modality):
    reference = write_dicom(tmp_path / "series", modality)
    slices = _write(fused, reference, tmp_path / "out")
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in SHAPE])).reshape(3, -1).T
    there = nib.affines.apply_affine(_affine(slices), corners)
    assert np.abs(there - nib.affines.apply_affine(oblique(), corners)).max() < 0.01
    found = np.stack([item.pixel_array.T for item in slices], axis=-1) / 4095
    assert np.abs(found - levels() / 1000).max() < 1 / 4095
    first = slices[0]
    assert (first.PatientName, first.PatientID) == ("Müller^Ada", "4711")
    assert (first.StudyInstanceUID, first.FrameOfReferenceUID) == ("1.2.3.4", "1.2.3.9")
    assert first.SOPClassUID == CLASSES[modality]
    assert first.SeriesDescription == "RESEARCH USE ONLY: ReadFuse of T1w and PET"
    assert first.ImageType[0] == "DERIVED"
    sources = [item.SourceImageSequence[0].ReferencedSOPInstanceUID for item in slices]
    assert sources == [f"1.2.3.4.5.{k + 1}" for k in range(SHAPE[2])]


def test_colours_are_those_of_the_nifti_in_the_same_place(tmp_path, coloured):
    slices = _write(coloured, write_dicom(tmp_path / "series"), tmp_path / "out")
    assert slices[0].SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert slices[0].FrameOfReferenceUID == "1.2.3.9"
    assert np.abs(_affine(slices) - oblique()).max() < 1e-6
    found = np.stack([item.pixel_array.swapaxes(0, 1) for item in slices], axis=2)
    assert np.array_equal(found, np.stack([levels(n) // 4 for n in range(3)], axis=-1))


@pytest.mark.parametrize("image", ["fused", "coloured"])
def test_simpleitk_opens_them_in_the_right_place(tmp_path, request, image):
    import SimpleITK as sitk

    source = request.getfixturevalue(image)
    folder = tmp_path / "out"
    _write(source, write_dicom(tmp_path / "series"), folder)
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    opened, original = sitk.ReadImage(files), sitk.ReadImage(str(source))
    for index in ((0, 0, 0), (13, 2, 6), (5, 10, 3)):
        place = opened.TransformIndexToPhysicalPoint(index)
        there = original.TransformPhysicalPointToContinuousIndex(place)
        assert np.abs(np.array(there) - np.round(there)).max() < 0.01 / 2.5
        value = original[[round(n) for n in there]]
        scale = 4095 if image == "fused" else 1
        assert np.abs(np.array(opened[index]) - np.array(value) * scale).max() <= 0.5


@pytest.mark.parametrize("modality", ["MR", "PT", "CT"])
@pytest.mark.parametrize("image", ["fused", "coloured"])
def test_dciodvfy_finds_no_error(tmp_path, request, image, modality):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not installed")
    folder = tmp_path / "out"
    _write(request.getfixturevalue(image), write_dicom(tmp_path / "series", modality), folder)
    for path in sorted(folder.iterdir())[:2]:
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert [line for line in said.stderr.splitlines() if line.startswith("Error")] == []


def test_uids_are_unique_and_come_from_the_content(tmp_path, fused, coloured):
    reference = write_dicom(tmp_path / "series")
    other = tmp_path / "other.nii.gz"
    nifti((levels(5) / 1000).astype(np.float32)).to_filename(other)
    images = (fused, coloured, other)
    written = [_write(image, reference, tmp_path / image.stem) for image in images]
    again = _write(fused, reference, tmp_path / "again")
    assert [item.SOPInstanceUID for item in again] == [item.SOPInstanceUID for item in written[0]]
    files = [sorted((tmp_path / name).iterdir()) for name in (fused.stem, "again")]
    assert [a.read_bytes() for a in files[0]] == [b.read_bytes() for b in files[1]]
    instances = [item.SOPInstanceUID for slices in written for item in slices]
    assert len(set(instances)) == len(instances) == 3 * SHAPE[2]
    assert len({item.SeriesInstanceUID for slices in written for item in slices}) == 3
    assert all(uid.is_valid and uid.startswith("2.25.") for uid in instances)


def test_an_image_on_another_grid_is_brought_to_that_of_the_series(tmp_path):
    place = np.array([4.0, 5.0, 3.0])
    affine = np.eye(4)
    affine[:3, 3] = (np.diag([-1, -1, 1, 1]) @ oblique() @ (*place, 1))[:3] - 20
    ball = np.linalg.norm(np.indices((41, 41, 41)).T - 20, axis=-1).T
    path = tmp_path / "ball.nii"
    nib.Nifti1Image(np.clip(1 - ball / 8, 0, 1).astype(np.float32), affine).to_filename(path)
    slices = _write(path, write_dicom(tmp_path / "series"), tmp_path / "out")
    found = np.stack([item.pixel_array.T for item in slices], axis=-1)
    assert tuple(np.unravel_index(found.argmax(), SHAPE)) == tuple(place.astype(int))
    assert found.max() > 0.98 * 4095


def test_a_series_that_shows_something_else_is_refused(tmp_path, fused):
    reference = write_dicom(tmp_path / "series")
    _write(fused, reference, tmp_path / "out", like=fused)
    other = tmp_path / "other.nii.gz"
    nifti(levels(5).astype(np.float32)).to_filename(other)
    with pytest.raises(DataError, match=r"does not show other\.nii\.gz \(correlation"):
        _write(fused, reference, tmp_path / "no", like=other)
    assert not (tmp_path / "no").exists()
    assert LEAST_CORRELATION > 0.5


def test_what_cannot_be_a_reference_is_told_in_one_line(tmp_path, fused):
    series = write_dicom(tmp_path / "series")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoInputError, match="there is no DICOM file in"):
        read_series(tmp_path / "empty")
    with pytest.raises(NoInputError, match="is not a folder"):
        read_series(tmp_path / "absent")
    write_dicom(series / "second", SeriesInstanceUID="1.2.3.4.6", SeriesDescription="t2")
    with pytest.raises(DataError, match="holds 2 series"):
        read_series(series)
    shutil.rmtree(series / "second")
    (series / "IM3").unlink()
    with pytest.raises(DataError, match="missing, double or uneven"):
        read_series(series)
    with pytest.raises(DataError, match="several slices in one file"):
        read_series(write_dicom(tmp_path / "enhanced", NumberOfFrames=3))
    with pytest.raises(DataError, match=r"holds Ultrasound.*: the reference has to be a"):
        _write(
            fused,
            write_dicom(tmp_path / "us", SOPClassUID="1.2.840.10008.5.1.4.1.1.6.1"),
            tmp_path / "out",
        )
    far = tmp_path / "far.nii"
    image = nib.load(fused)
    moved = nib.affines.from_matvec(np.eye(3), [60.0] * 3) @ image.affine
    nib.Nifti1Image(image.dataobj, moved).to_filename(far)
    with pytest.raises(DataError, match="0% of the image lies on the grid"):
        _write(far, write_dicom(tmp_path / "mr"), tmp_path / "out")


def test_the_path_of_a_series_is_found_by_the_labels(tmp_path):
    for name in ("01/ses_a/3_T1", "01/ses_a/4_PET", "01/ses_b/7_T1", "[0]/ses_a/3_T1"):
        (tmp_path / name).mkdir(parents=True)
    template = f"{tmp_path}/{{subject}}/ses_{{session}}/*_T1"
    assert find_series(template, "01", "b") == tmp_path / "01/ses_b/7_T1"
    assert find_series(template, "[0]", "a") == tmp_path / "[0]/ses_a/3_T1"
    with pytest.raises(NoInputError, match="there is no folder"):
        find_series(template, "02", "a")
    with pytest.raises(DataError, match="more than one folder"):
        find_series(f"{tmp_path}/{{subject}}/ses_a/*", "01", "a")
    with pytest.raises(DataError, match="T1w of sub-01 has none"):
        find_series(template, "01", None)
