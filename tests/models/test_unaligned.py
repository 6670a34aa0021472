"""Two files that do not lie on one grid: registered, resampled, or refused."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from fusionprep.cli import main
from fusionprep.commands.shared import refuse_failed
from fusionprep.demo.dataset import write_demo_dataset
from fusionprep.errors import DataError
from fusionprep.evaluation.registration import target_registration_error
from fusionprep.image.alignment import Aligned
from fusionprep.image.io import new_image, read_volume
from fusionprep.image.resample import ras_from_itk


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    """T1w, PET, CT and brain mask of the simulated person at 4 mm, and where they lie."""
    out = tmp_path_factory.mktemp("small") / "raw"
    truth = write_demo_dataset(out, voxel_size=4.0, subjects=("01",))["01"]
    folder = out / "sub-01"
    return {
        "mri": folder / "anat" / "sub-01_T1w.nii.gz",
        "pet": folder / "pet" / "sub-01_trc-18FFDG_pet.nii.gz",
        "ct": folder / "ct" / "sub-01_ct.nii.gz",
        "mask": truth.brain_mask,
        "truth": truth,
    }


def run(*words):
    return main([str(word) for word in words])


def error_mm(path, truth, mask):
    found = ras_from_itk(sitk.ReadTransform(str(path)))
    return target_registration_error(found, truth, nib.load(mask)).max()


def test_unaligned_volumes_are_fused_and_the_verdict_is_told(person, tmp_path, capsys):
    out, transform = tmp_path / "fused.nii.gz", tmp_path / "t1w_from_pet.txt"
    words = ("--mask", person["mask"], "--save-transform", transform, "--model", "max", "-o", out)
    assert run("fuse", person["mri"], person["pet"], "--register", *words) == 0
    told = capsys.readouterr().out
    assert told.startswith("registration: pass (scores are in the expected range)")
    fields = json.loads((tmp_path / "fused.json").read_text())["Registration"]
    assert (fields["Verdict"], fields["BrainMask"]) == ("pass", "given")
    assert abs(fields["StretchPercent"]) < 2
    assert error_mm(transform, person["truth"].t1w_from_pet, person["mask"]) < 2
    fused, mri = nib.load(out), nib.load(person["mri"])
    assert fused.shape == mri.shape
    assert np.allclose(fused.affine, mri.affine)
    assert fused.get_fdata().max() > 0.9


def test_a_mask_is_made_where_there_is_none(person, tmp_path, capsys):
    transform = tmp_path / "t.mat"
    words = ("--transform", transform, "-o", tmp_path / "moved.nii.gz", "--json")
    assert run("register", person["pet"], person["mri"], *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["Registration"]["BrainMask"].startswith("deepbet ")
    assert told == json.loads((tmp_path / "moved.json").read_text())
    assert error_mm(transform, person["truth"].t1w_from_pet, person["mask"]) < 2
    found = np.array(told["FixedFromMoving"])
    np.testing.assert_allclose(found, ras_from_itk(sitk.ReadTransform(str(transform))), atol=1e-4)


def test_a_ct_is_registered_and_air_surrounds_it(person, tmp_path, capsys):
    out, transform = tmp_path / "ct.nii.gz", tmp_path / "t.txt"
    words = ("--modality", "ct", "--mask", person["mask"], "--transform", transform, "-o", out)
    assert run("register", person["ct"], person["mri"], *words) == 0
    assert "of one person is not checked" in capsys.readouterr().out
    assert error_mm(transform, person["truth"].t1w_from_ct, person["mask"]) < 3
    moved = nib.load(out)
    assert moved.shape == nib.load(person["mri"]).shape
    assert moved.get_fdata().min() == pytest.approx(-1000, abs=60)


def test_other_grids_are_refused_with_both_ways_out(person, tmp_path, capsys):
    words = (person["mri"], person["pet"], "-o", tmp_path / "fused.nii.gz", "--model", "max")
    assert run("fuse", *words) == 1
    error = capsys.readouterr().err
    assert "not on the grid" in error
    assert "--register" in error
    assert "--resample" in error
    assert not list(tmp_path.iterdir())


def test_images_aligned_by_their_headers_are_resampled(person, tmp_path):
    mri = read_volume(person["mri"], "T1w")
    shrunk = new_image(mri.get_fdata(dtype=np.float32)[1:-1, 2:, :-1], mri.affine.copy())
    shrunk.affine[:3, 3] += mri.affine[:3, :3] @ [1, 2, 0]
    new_image(shrunk.get_fdata(), shrunk.affine).to_filename(tmp_path / "second.nii.gz")
    options = ("--mask", person["mask"], "--model", "average", "-o")
    words = ("--resample", *options, tmp_path / "fused.nii.gz")
    assert run("fuse", person["mri"], tmp_path / "second.nii.gz", *words) == 0
    sidecar = json.loads((tmp_path / "fused.json").read_text())
    assert "by their headers" in sidecar["Resampled"]
    assert run("fuse", person["mri"], person["mri"], *options, tmp_path / "same.nii.gz") == 0
    fused, same = (nib.load(tmp_path / f"{name}.nii.gz").get_fdata() for name in ("fused", "same"))
    inner = (slice(2, -2), slice(3, -1), slice(1, -2))
    np.testing.assert_allclose(fused[inner], same[inner], atol=0.02)


def test_images_apart_are_not_resampled(person, tmp_path, capsys):
    pet = read_volume(person["pet"], "PET")
    far = pet.affine.copy()
    far[0, 3] += 2000
    new_image(pet.get_fdata(), far).to_filename(tmp_path / "far.nii.gz")
    words = ("--resample", "--model", "max", "-o", tmp_path / "fused.nii.gz")
    assert run("fuse", person["mri"], tmp_path / "far.nii.gz", *words) == 1
    assert "do not overlap" in capsys.readouterr().err


def test_a_failed_registration_is_written_and_ends_with_1(person, tmp_path, capsys):
    rng = np.random.default_rng(0)
    noise = rng.random((24, 24, 24)).astype(np.float32)
    new_image(noise, np.diag([9.0, 9, 9, 1])).to_filename(tmp_path / "noise.nii.gz")
    words = (tmp_path / "noise.nii.gz", person["mri"], "--mask", person["mask"])
    out = tmp_path / "moved.nii.gz"
    assert run("register", *words, "-o", out) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("registration: fail")
    assert "the registration failed" in printed.err
    assert out.exists()


def test_a_failure_that_is_accepted_ends_with_0():
    scores = {"Verdict": "fail", "VerdictReason": "the images do not overlap"}
    failed = Aligned(new_image(np.zeros((2, 2, 2)), np.eye(4)), np.eye(4), scores)
    with pytest.raises(DataError, match="the images do not overlap"):
        refuse_failed(failed, Path("out.nii"), force=False)
    refuse_failed(failed, Path("out.nii"), force=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--save-transform", "t.txt"], "needs --register"),
        (["--register", "--save-transform", "t.json"], "must end in .txt"),
        (["--register", "--model", "gmpet"], "map of the gray matter"),
    ],
)
def test_what_does_not_go_together_is_refused(person, tmp_path, capsys, words, message):
    out = ("-o", tmp_path / "fused.nii.gz")
    assert run("fuse", person["mri"], person["pet"], *words, *out) == 64
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_pictures_are_not_registered(tmp_path, capsys):
    from PIL import Image

    for name in ("a.png", "b.png"):
        Image.fromarray(np.full((60, 60), 9, np.uint8)).save(tmp_path / name)
    words = (tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "c.png")
    assert run("fuse", *words, "--register") == 64
    assert "--register is for NIfTI" in capsys.readouterr().err
