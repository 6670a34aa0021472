import nibabel as nib
import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.image.io import new_image
from fusionprep.interfaces.pet import AverageFrames, ReferenceMean, Scale


def write(path, array, affine=None) -> str:
    nib.save(nib.Nifti1Image(np.asarray(array), np.eye(4) if affine is None else affine), path)
    return str(path)


def frames(*values: float) -> np.ndarray:
    return np.stack([np.full((3, 4, 5), value, np.float32) for value in values], axis=-1)


def averaging(found) -> dict:
    return found.outputs.metadata["FrameAveraging"]


def test_frames_are_averaged_and_scaled(tmp_path):
    path = write(tmp_path / "pet.nii.gz", frames(1, 4))
    found = AverageFrames(in_file=path, durations=[60.0, 120.0], factor=1000.0).run(cwd=tmp_path)
    np.testing.assert_allclose(nib.load(found.outputs.out_file).dataobj, 3000)
    assert averaging(found) == {
        "Frames": 2, "Weights": "frame duration", "DurationSeconds": 180.0,
    }  # fmt: skip


def test_unknown_durations_weigh_equally(tmp_path):
    found = AverageFrames(in_file=write(tmp_path / "pet.nii", frames(1, 4))).run(cwd=tmp_path)
    np.testing.assert_allclose(nib.load(found.outputs.out_file).dataobj, 2.5)
    assert averaging(found) == {"Frames": 2, "Weights": "equal", "DurationSeconds": None}


@pytest.mark.parametrize("axis", [True, False])
def test_a_static_scan_is_one_frame(tmp_path, axis):
    array = frames(7) if axis else frames(7)[..., 0]
    found = AverageFrames(in_file=write(tmp_path / "pet.nii", array), durations=[1200.0]).run(
        cwd=tmp_path
    )
    image = nib.load(found.outputs.out_file)
    assert image.shape == (3, 4, 5)
    np.testing.assert_allclose(image.dataobj, 7)
    assert averaging(found) == {
        "Frames": 1, "Weights": "single frame", "DurationSeconds": 1200.0,
    }  # fmt: skip


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_an_empty_scan_is_refused_by_name(tmp_path, value):
    path = write(tmp_path / "pet.nii", frames(value, value))
    with pytest.raises(DataError, match=r"no finite value above or below 0: .*pet\.nii"):
        AverageFrames(in_file=path).run(cwd=tmp_path)


def test_reference_mean_is_of_the_region_inside_the_field_of_view(tmp_path):
    pet = np.zeros((3, 4, 5), np.float32)
    pet[0], pet[1], pet[2] = 2.0, 6.0, 100.0
    pet[0, 0] = 0  # not scanned
    region = np.zeros((3, 4, 5), np.float32)
    region[:2] = 0.9
    region[2] = 0.4
    found = ReferenceMean(
        pet=write(tmp_path / "pet.nii", pet), region=write(tmp_path / "r.nii", region), name="pons"
    ).run(cwd=tmp_path)
    mean = (15 * 2 + 20 * 6) / 35
    assert found.outputs.factor == pytest.approx(1 / mean)
    fields = found.outputs.metadata["SUVR"]
    assert fields["Region"] == "pons"
    assert fields["Reference"] == pytest.approx(mean)
    assert fields["Voxels"] == 35
    assert fields["RegionVoxels"] == 40


@pytest.mark.parametrize("values", [(0.0, 1.0), (-3.0, 1.0), (5.0, 0.0)])
def test_a_reference_without_uptake_is_refused(tmp_path, values):
    pet = write(tmp_path / "pet.nii", np.full((3, 3, 3), values[0], np.float32))
    region = write(tmp_path / "r.nii", np.full((3, 3, 3), values[1], np.float32))
    with pytest.raises(DataError, match=r"reference region pons is .*SUVR is undefined"):
        ReferenceMean(pet=pet, region=region, name="pons").run(cwd=tmp_path)


def test_scale(tmp_path):
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    path = tmp_path / "a.nii"
    nib.save(new_image(np.arange(8, dtype=np.float32).reshape(2, 2, 2), affine), path)
    found = nib.load(Scale(in_file=str(path), factor=0.25).run(cwd=tmp_path).outputs.out_file)
    np.testing.assert_allclose(np.ravel(found.dataobj), np.arange(8) / 4)
    np.testing.assert_allclose(found.affine, affine)
    assert found.get_data_dtype() == np.float32
