import tracemalloc

import nibabel as nib
import numpy as np
import pytest
from nipype.interfaces.base import isdefined

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


def test_an_empty_frame_leaves_mean_times_and_duration(tmp_path):
    path = write(tmp_path / "pet.nii.gz", frames(0, 3, 5, np.nan))
    average = AverageFrames(in_file=path, starts=[0.0, 1800.0, 2100.0, 3000.0])
    average.inputs.durations = [1800.0, 300.0, 900.0, 600.0]
    found = average.run(cwd=tmp_path)
    np.testing.assert_allclose(nib.load(found.outputs.out_file).dataobj, 4.5)
    assert averaging(found) == {
        "Frames": 2, "Weights": "frame duration", "DurationSeconds": 1200.0,
        "StartSeconds": 1800.0, "EndSeconds": 3000.0, "EmptyFrames": [1, 4],
    }  # fmt: skip
    (note,) = found.outputs.metadata["Notes"]
    assert note.startswith("frames 1 and 4 of 4 hold no value but zero")
    assert found.outputs.doubts == []


def test_a_partly_empty_frame_is_doubted(tmp_path):
    array = frames(2, 4)
    array[0, 0, 0, 1] = np.nan
    found = AverageFrames(in_file=write(tmp_path / "pet.nii", array)).run(cwd=tmp_path)
    mean = np.asarray(nib.load(found.outputs.out_file).dataobj)
    assert mean[0, 0, 0] == 2
    assert mean[1, 1, 1] == 3
    (doubt,) = found.outputs.doubts
    assert "frame 2 of 2 holds values that are not numbers" in doubt
    assert "Notes" not in found.outputs.metadata


def test_nan_around_a_static_image_is_no_doubt(tmp_path):
    array = frames(2)[..., 0]
    array[0] = np.nan
    found = AverageFrames(in_file=write(tmp_path / "pet.nii", array)).run(cwd=tmp_path)
    assert found.outputs.doubts == []


def test_suvr_of_frames_that_were_not_corrected_for_decay(tmp_path):
    """C-11 for 90 minutes: a region that fills slowly seems to take up less."""
    half_life, starts = 20.361 * 60, np.arange(0, 5400, 300.0)
    factors = [
        2 ** (start / half_life) * x / -np.expm1(-x)
        for start in starts
        for x in [np.log(2) * 300 / half_life]
    ]
    target, reference = 1 + starts / 1000, 1 + 0 * starts
    array = np.ones((4, 4, 4, 18), np.float32)
    array[:2] = target / factors
    array[2:] = reference / factors
    average = AverageFrames(in_file=write(tmp_path / "pet.nii.gz", array))
    average.inputs.durations = [300.0] * 18
    as_measured = np.array(nib.load(average.run(cwd=tmp_path).outputs.out_file).dataobj)
    average.inputs.frame_factors = factors
    corrected = np.array(nib.load(average.run(cwd=tmp_path).outputs.out_file).dataobj)
    assert corrected[0, 0, 0] / corrected[3, 0, 0] == pytest.approx(1 + 2.55, rel=1e-5)
    assert as_measured[0, 0, 0] / as_measured[3, 0, 0] < 2.6


@pytest.mark.parametrize("name", ["pet.nii", "pet.nii.gz"])
def test_five_dimensions_and_any_orientation(tmp_path, name):
    rng = np.random.default_rng(0)
    array = rng.integers(1, 1000, (3, 4, 5, 1, 6)).astype(np.int16)
    affine = np.array([[0, 0, 2.0, 1], [-3.0, 0, 0, 2], [0, 4.0, 0, 3], [0, 0, 0, 1]])
    image = nib.Nifti1Image(array, affine)
    image.header.set_slope_inter(0.5, 0)
    image.header["scl_slope"] = 0.5
    nib.save(image, tmp_path / name)
    scale = float(nib.load(tmp_path / name).dataobj.slope)
    found = AverageFrames(in_file=str(tmp_path / name)).run(cwd=tmp_path)
    mean = nib.load(found.outputs.out_file)
    stored = np.asarray(nib.load(tmp_path / name).dataobj.get_unscaled())[..., 0, :] * scale
    expected = nib.as_closest_canonical(nib.Nifti1Image(stored.mean(axis=-1), affine))
    np.testing.assert_allclose(mean.dataobj, expected.dataobj, rtol=1e-6)
    np.testing.assert_allclose(mean.affine, expected.affine)
    assert averaging(found)["Frames"] == 6


def test_a_truncated_dynamic_scan_is_named(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "pet.nii.gz"
    write(path, rng.standard_normal((8, 8, 8, 12)).astype(np.float32))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(DataError, match=r"pet\.nii\.gz is corrupt"):
        AverageFrames(in_file=str(path)).run(cwd=tmp_path)


@pytest.mark.parametrize("name", ["pet.nii", "pet.nii.gz"])
def test_one_frame_is_in_memory_at_a_time(tmp_path, name):
    shape = (64, 64, 52)
    array = np.ones((*shape, 20), np.int16)
    array[..., 3] = 700
    image = nib.Nifti1Image(array, np.eye(4))
    image.header.set_slope_inter(0.1, 0)
    nib.save(image, tmp_path / name)
    average = AverageFrames(in_file=str(tmp_path / name), durations=[60.0] * 20)
    tracemalloc.start()
    average.run(cwd=tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak / np.prod(shape) < 48


def test_some_frames_make_the_static_image_and_all_the_one_to_register(tmp_path):
    average = AverageFrames(in_file=write(tmp_path / "pet.nii", frames(8, 1, 4)))
    average.inputs.trait_set(
        starts=[0.0, 60.0, 180.0], durations=[60.0, 120.0, 120.0], chosen=[1, 2], factor=2.0
    )
    found = average.run(cwd=tmp_path)
    np.testing.assert_allclose(nib.load(found.outputs.out_file).dataobj, 5)
    np.testing.assert_allclose(nib.load(found.outputs.all_frames).dataobj, 2 * 1080 / 300)
    assert averaging(found) == {
        "Frames": 2, "Weights": "frame duration", "DurationSeconds": 240.0, "StartSeconds": 60.0,
        "EndSeconds": 300.0,
    }  # fmt: skip
    every = AverageFrames(in_file=average.inputs.in_file).run(cwd=tmp_path)
    assert every.outputs.all_frames == every.outputs.out_file


def test_frames_chosen_that_hold_nothing_are_refused(tmp_path):
    path = write(tmp_path / "pet.nii", frames(8, 0, 0))
    with pytest.raises(DataError, match="the frames chosen of the PET hold no finite value"):
        AverageFrames(in_file=path, chosen=[1, 2]).run(cwd=tmp_path)


def test_a_region_that_may_lie_elsewhere_is_doubted(tmp_path):
    volume = write(tmp_path / "pet.nii", frames(4)[..., 0])
    reference = ReferenceMean(pet=volume, region=volume, name="pons", reason="usual")
    good = {"Registration": {"Verdict": "pass", "VerdictReason": "fine"}}
    reference.inputs.trait_set(registration=good, template_registration=good)
    fields = reference.run(cwd=tmp_path).outputs.metadata["SUVR"]
    assert fields["RegionReason"] == "usual"
    assert "RegionDoubt" not in fields
    bad = {"Registration": {"Verdict": "review", "VerdictReason": "5 mm off"}}
    reference.inputs.template_registration = bad
    fields = reference.run(cwd=tmp_path).outputs.metadata["SUVR"]
    assert fields["RegionDoubt"] == (
        "the registration of the T1w to the template has the verdict review (5 mm off)"
    )
    reference.inputs.registration = {"Registration": {"Verdict": "fail", "VerdictReason": ""}}
    fields = reference.run(cwd=tmp_path).outputs.metadata["SUVR"]
    assert fields["RegionDoubt"].endswith(
        "; the registration of the PET to the T1w has the verdict fail (no reason is recorded)"
    )


@pytest.mark.parametrize(("size", "inside"), [(5, True), (20, False)])
def test_a_region_that_nobody_chose_costs_the_suvr_alone(tmp_path, size, inside):
    volume = np.full((size, size, size), 2.0, np.float32)
    region = write(tmp_path / "region.nii", np.ones_like(volume))
    pet = write(tmp_path / "pet.nii", volume * inside)
    reference = ReferenceMean(pet=pet, region=region, name="pons", required=False)
    outputs = reference.run(cwd=tmp_path).outputs
    why = "has 0.12 ml in T1w space" if inside else "mean uptake in the reference region pons is 0"
    assert why in outputs.missing["SUVRNotComputed"]
    assert outputs.metadata == {}
    assert not isdefined(outputs.factor)
    assert not isdefined(outputs.region)
    if not inside:
        with pytest.raises(DataError, match="mean uptake in the reference region"):
            ReferenceMean(pet=pet, region=region, name="pons").run(cwd=tmp_path)
