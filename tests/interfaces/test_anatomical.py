import nibabel as nib
import numpy as np
import pytest
from nipype.interfaces.base import isdefined

from fusionprep.errors import DataError
from fusionprep.interfaces.anatomical import (
    Conform,
    CorrectBias,
    Denoise,
    ExtractBrain,
    RemoveTable,
    Segment,
)
from fusionprep.interfaces.files import load, save


def write(path, array, affine) -> str:
    nib.save(nib.Nifti1Image(array, affine), path)
    return str(path)


def test_conform_turns_the_axes_and_fills_nan(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    array[0, 0, 0] = np.nan
    path = write(tmp_path / "a.nii.gz", array, np.diag([-1.0, -2.0, 3.0, 1.0]))
    data, affine = load(Conform(in_file=path, missing=-7.0).run(cwd=tmp_path).outputs.out_file)
    assert nib.aff2axcodes(affine) == ("R", "A", "S")
    np.testing.assert_array_equal(data, np.nan_to_num(array, nan=-7.0)[::-1, ::-1])


def test_conform_fills_what_a_tilted_ct_does_not_cover(tmp_path):
    affine = np.array([[2.0, 0, 0, 0], [0, 2, 0.8, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    array = np.full((12, 12, 12), 30.0, np.float32)
    array[0, 0, 0] = 31
    path = write(tmp_path / "ct.nii.gz", array, affine)
    found = Conform(in_file=path, name="CT", missing=-1000.0).run(cwd=tmp_path)
    data, upright = load(found.outputs.out_file)
    assert np.abs(upright[:3, :3] - np.diag(np.diag(upright[:3, :3]))).max() < 1e-6
    assert (data < -900).any()
    assert not ((data > -1) & (data < 1)).any()


def test_conform_names_the_image_it_refuses(tmp_path):
    path = write(tmp_path / "a.nii.gz", np.zeros((3, 3, 3, 2), np.float32), np.eye(4))
    with pytest.raises(DataError, match="FLAIR is 4-D"):
        Conform(in_file=path, name="FLAIR").run(cwd=tmp_path)


@pytest.fixture
def brain(small_person, tmp_path):
    """Path of the T1w, path of the same without skull, mask array, affine."""
    folder, truth = small_person
    head = Conform(in_file=str(folder / "anat" / "sub-01_T1w.nii.gz"))
    conformed = head.run(cwd=tmp_path).outputs.out_file
    data, affine = load(conformed)
    mask, _ = load(truth.brain_mask)
    stripped = save(nib.Nifti1Image(data * (mask > 0), affine), tmp_path, "stripped")
    return conformed, stripped, mask > 0, affine


@pytest.mark.parametrize("method", ["auto", "skip"])
def test_a_stripped_t1w_is_its_own_mask(brain, tmp_path, method):
    _, stripped, mask, _ = brain
    found = ExtractBrain(in_file=stripped, method=method, source="T1w").run(cwd=tmp_path)
    data, _ = load(found.outputs.out_mask)
    assert data.dtype == np.uint8
    assert (data != mask).sum() < 0.01 * mask.sum()
    metadata = found.outputs.metadata
    assert metadata["Method"] == "support of the skull-stripped input"
    assert metadata["BrainVolumeMillilitres"] == pytest.approx(data.sum() * 0.064, abs=0.1)


def test_skip_on_a_whole_head_is_refused(brain, tmp_path):
    head, *_ = brain
    with pytest.raises(DataError, match=r"brain mask of raw/T1w.nii.gz has \d+ ml"):
        ExtractBrain(in_file=head, method="skip", source="raw/T1w.nii.gz").run(cwd=tmp_path)


def test_bias_correction_gives_head_and_brain(brain, tmp_path):
    head, _, mask, affine = brain
    mask_path = save(nib.Nifti1Image(mask.astype(np.uint8), affine), tmp_path, "mask")
    found = CorrectBias(in_file=head, mask=mask_path, iterations=[5]).run(cwd=tmp_path).outputs
    whole, _ = load(found.out_file)
    alone, _ = load(found.out_brain)
    assert whole[~mask].any()
    np.testing.assert_array_equal(alone, whole * mask)


def test_segmentation_writes_three_maps_and_their_volumes(brain, tmp_path):
    _, stripped, mask, affine = brain
    mask_path = save(nib.Nifti1Image(mask.astype(np.uint8), affine), tmp_path, "mask")
    found = Segment(in_file=stripped, mask=mask_path).run(cwd=tmp_path).outputs
    maps = {name: load(getattr(found, f"out_{name.lower()}"))[0] for name in ("GM", "WM", "CSF")}
    np.testing.assert_allclose(sum(maps.values()), mask, atol=1e-5)
    volumes = found.metadata["TissueVolumesMillilitres"]
    for name, values in maps.items():
        assert volumes[name] == pytest.approx(values.sum() * 0.064, abs=0.1)
    labels, _ = load(found.out_dseg)
    assert set(np.unique(labels)) == {0, 1, 2, 3}


@pytest.fixture
def ct():
    """A head in Hounsfield units (32, 32, 32)."""
    radius = np.linalg.norm(np.indices((32, 32, 32)) - 15.5, axis=0)
    return np.select([radius < 9, radius < 11, radius < 12], [35.0, 1200.0, 40.0], -1000.0)


def test_stored_values_of_a_ct_become_hounsfield_units_and_that_is_told(tmp_path, ct):
    stored, hounsfield = (
        RemoveTable(in_file=write(tmp_path / f"{name}.nii.gz", values, np.eye(4)))
        .run(cwd=tmp_path)
        .outputs
        for name, values in (("stored", ct + 1024), ("hounsfield", ct))
    )
    assert "1024 was subtracted" in stored.metadata["StoredUnits"]
    assert stored.metadata["Units"] == "HU"
    assert hounsfield.metadata == {"Units": "HU"}
    assert stored.doubt == hounsfield.doubt == ""
    np.testing.assert_allclose(load(stored.out_file)[0], ct, atol=0.1)


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        (lambda ct: 255 * np.clip(ct / 80, 0, 1), "gray levels of a window, 0 to 255"),
        (lambda ct: ct / 2, "neither Hounsfield units"),
        (lambda ct: ct / 2 - 500, "neither Hounsfield units"),
    ],
)
def test_a_ct_without_hounsfield_units_goes_on_in_doubt(tmp_path, ct, change, doubt):
    path = write(tmp_path / "ct.nii.gz", change(ct), np.eye(4))
    found = RemoveTable(in_file=path).run(cwd=tmp_path).outputs
    assert doubt in found.doubt
    assert "Units" not in found.metadata
    assert doubt in found.metadata["StoredUnits"]
    assert ("window" in found.scaling["Method"]) == ("window" in doubt)
    assert "in Hounsfield" not in found.scaling["Method"]
    values, _ = load(found.out_file)
    assert values.max() > values.min()


def test_padding_does_not_spread_where_shear_is_taken_out(tmp_path, ct):
    padded = ct.copy()
    padded[:3] = -3024
    shear = np.eye(4)
    shear[0, 1] = 0.3
    path = write(tmp_path / "ct.nii.gz", padded, shear)
    options = {"in_file": path, "missing": -1000.0}
    with_padding = load(Conform(**options).run(cwd=tmp_path).outputs.out_file)[0]
    assert with_padding.min() < -2000
    values, _ = load(Conform(**options, padding=-1100.0).run(cwd=tmp_path).outputs.out_file)
    assert values.min() == pytest.approx(-1000)


def test_an_mri_begins_at_zero_and_says_so(tmp_path):
    head = np.zeros((12, 12, 12), np.float32)
    head[3:9, 3:9, 3:9] = np.random.default_rng(0).uniform(400, 900, (6, 6, 6))
    outputs = []
    for name, offset in (("plain", 0), ("moved", -500)):
        path = write(tmp_path / f"{name}.nii", head + np.float32(offset), np.eye(4))
        found = Conform(in_file=path, from_zero=True).run(cwd=str(tmp_path)).outputs
        outputs.append((nib.load(found.out_file).get_fdata(), found.metadata))
    (plain, nothing), (moved, told) = outputs
    np.testing.assert_allclose(moved, plain, atol=1e-3)
    assert nothing == {}
    assert told["Notes"] == ["-500 was subtracted from the intensities, so that air is 0"]


@pytest.fixture
def ball():
    """A T1w of white in gray matter in fluid (48, 48, 48), and its brain mask."""
    radius = np.linalg.norm(np.indices((48, 48, 48)) - 23.5, axis=0)
    return np.select([radius < 16, radius < 19, radius < 22], [630.0, 440.0, 170.0]), radius < 22


def denoised(ball, tmp_path, choice: str, sd: float):
    """Outputs for a T1w with such noise, and its paths."""
    head, mask = ball
    noisy = np.abs(head + np.random.default_rng(0).normal(0, sd, head.shape)).astype(np.float32)
    image = write(tmp_path / "noisy.nii", noisy, np.eye(4))
    alone = write(tmp_path / "alone.nii", noisy * mask, np.eye(4))
    mask_path = write(tmp_path / "mask.nii", mask.astype(np.uint8), np.eye(4))
    inputs = {"in_file": image, "in_brain": alone, "mask": mask_path, "choice": choice}
    return Denoise(**inputs).run(cwd=str(tmp_path)).outputs, image, alone


@pytest.mark.parametrize(("choice", "sd"), [("off", 60.0), ("auto", 15.0)])
def test_a_t1w_without_much_noise_is_handed_on_as_it_is(ball, tmp_path, choice, sd):
    found, image, alone = denoised(ball, tmp_path, choice, sd)
    assert (found.out_file, found.out_brain) == (image, alone)
    assert not isdefined(found.before)
    assert found.t1w_metadata == {"Denoised": False}
    assert set(found.metadata) == {"DenoisingReason", "NoiseEstimate"}
    assert found.metadata["NoiseEstimate"]["StandardDeviation"] == pytest.approx(sd, rel=0.1)


@pytest.mark.parametrize(("choice", "sd"), [("on", 15.0), ("auto", 60.0)])
def test_noise_is_taken_out_of_head_and_brain(ball, tmp_path, choice, sd):
    head, mask = ball
    found, image, _ = denoised(ball, tmp_path, choice, sd)
    whole, alone = load(found.out_file)[0], load(found.out_brain)[0]
    np.testing.assert_array_equal(alone, whole * mask)
    assert found.before == image
    assert found.t1w_metadata == {"Denoised": True}
    assert found.metadata["DenoisingReason"]
    before, after = (np.std((values - head)[mask]) for values in (load(image)[0], whole))
    assert after < 0.8 * before
