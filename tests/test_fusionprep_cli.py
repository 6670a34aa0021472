import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fusionprep import __version__
from fusionprep.cli import main
from fusionprep.models.registry import get_model, model_names


@pytest.fixture
def volumes(tmp_path):
    """A ball of MRI with a PET that is bright on one side, 2 mm voxels."""
    grid = np.indices((24, 26, 20)) - np.array([12, 13, 10]).reshape(3, 1, 1, 1)
    ball = np.linalg.norm(grid, axis=0) < 8
    mri = ball * (500 + 100 * np.cos(grid[1])).astype(np.float32)
    pet = ball * np.where(grid[0] > 0, 9000.0, 3000.0).astype(np.float32)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    for name, array in (("mri", mri), ("pet", pet)):
        nib.Nifti1Image(array, affine).to_filename(tmp_path / f"{name}.nii.gz")
    return tmp_path


def run(*words):
    return main([str(word) for word in words])


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        run("--version")
    assert capsys.readouterr().out.strip() == f"fusionprep {__version__}"


def test_models_are_listed_with_their_parameters(capsys):
    assert run("models") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(model_names())
    assert "74,193" in lines[1]
    assert "2019" in lines[1]


def test_two_volumes_are_fused(volumes):
    mri, pet, out = (volumes / f"{name}.nii.gz" for name in ("mri", "pet", "fused"))
    assert run("fuse", mri, pet, "--model", "average", "--tracer", "18FFDG", "-o", out) == 0
    fused, source = nib.load(out), nib.load(mri)
    data, inside = fused.get_fdata(), source.get_fdata() > 0
    assert np.allclose(fused.affine, source.affine)
    assert fused.get_data_dtype() == np.float32
    assert not data[~inside].any()
    right = np.arange(24)[:, None, None] > 12
    assert data[inside & right].mean() - data[inside & ~right].mean() == pytest.approx(
        1 / 3, abs=0.05
    )
    sidecar = json.loads((volumes / "fused.json").read_text())["FusionModel"]
    assert sidecar["Name"] == "average"
    assert [entry["Source"] for entry in sidecar["Inputs"]] == ["mri.nii.gz", "pet.nii.gz"]
    assert sidecar["Inputs"][1]["Scaling"]["Low"] == 0
    assert sidecar["Inputs"][1]["Scaling"]["High"] == pytest.approx(9000)


def test_the_network_leaves_its_weights_in_the_sidecar(volumes):
    out = volumes / "fused.nii"
    assert run("fuse", volumes / "mri.nii.gz", volumes / "pet.nii.gz", "-o", out) == 0
    sidecar = json.loads((volumes / "fused.json").read_text())["FusionModel"]
    assert sidecar["WeightsSHA256"] == get_model("densefuse").weights_sha256()
    assert nib.load(out).get_fdata().min() >= 0
    assert nib.load(out).get_fdata().max() <= 1


def test_two_slices_are_fused(tmp_path):
    gray = np.tile(np.arange(0, 250, 5, dtype=np.uint8), (40, 1))
    colour = np.zeros((40, 50, 3), np.uint8)
    colour[10:30, 10:40] = (200, 200, 0)
    Image.fromarray(gray).save(tmp_path / "mri.png")
    Image.fromarray(colour).save(tmp_path / "pet.png")
    out = tmp_path / "out" / "fused.png"
    assert run("fuse", tmp_path / "mri.png", tmp_path / "pet.png", "--model", "max", "-o", out) == 0
    expected = gray.copy()
    expected[10:30, 10:40] = np.maximum(gray[10:30, 10:40], 177)
    assert np.array_equal(np.asarray(Image.open(out)), expected)


def test_what_cannot_be_fused_is_said_in_one_line(volumes, capsys):
    mri, pet = volumes / "mri.nii.gz", volumes / "pet.nii.gz"
    small, moved = volumes / "small.nii.gz", volumes / "moved.nii.gz"
    image = nib.load(pet)
    nib.Nifti1Image(image.get_fdata()[:-1], image.affine).to_filename(small)
    nib.Nifti1Image(image.get_fdata(), np.diag([2.0, 2, 3, 1])).to_filename(moved)
    (volumes / "broken.nii.gz").write_bytes(b"broken")
    out = volumes / "fused.nii.gz"
    for words, code, message in [
        ((mri, volumes / "none.nii.gz", "-o", out), 1, "there is no file"),
        ((mri, volumes / "broken.nii.gz", "-o", out), 1, "broken.nii.gz"),
        ((mri, small, "-o", out), 1, "not on the grid"),
        ((mri, moved, "-o", out), 1, "not on the grid"),
        ((mri, pet, "-o", volumes / "fused.png"), 2, "all be NIfTI, or all PNG"),
        ((mri, pet, "-o", mri / "fused.nii.gz"), 1, "cannot write"),
    ]:
        assert run("fuse", *words, "--model", "max") == code
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not out.exists()


def test_an_unknown_model_is_refused(volumes, capsys):
    with pytest.raises(SystemExit, match="2"):
        run("fuse", volumes / "mri.nii.gz", volumes / "pet.nii.gz", "--model", "x", "-o", "f.nii")
    assert "densefuse" in capsys.readouterr().err


def test_training_without_data_is_refused(tmp_path, capsys):
    assert run("train", "densefuse", "--data", tmp_path, "--out", tmp_path / "out") == 1
    assert "slices.csv" in capsys.readouterr().err
