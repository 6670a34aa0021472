"""The PET in the gray matter: arrays and files."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch

from fusionprep.cli import main
from fusionprep.errors import DataError, UsageError
from fusionprep.image.intensity import pet_scaling
from fusionprep.models import fuse
from fusionprep.models.export import onnx_metadata
from fusionprep.models.nets.gmpet import gmpet_mask, gmpet_probability
from fusionprep.models.registry import get_model

MODELS = ("gmpet", "gmpet_prob")
SHAPE = (22, 24, 18)


@pytest.fixture
def brain():
    """Probability of gray matter, PET in Bq/mL, and brain mask of a ball with a cortex."""
    radius = np.linalg.norm(np.indices(SHAPE) - [[[[11]]], [[[12]]], [[[9]]]], axis=0)
    probability = np.clip(1 - np.abs(radius - 6) / 2, 0, 1).astype(np.float32)
    rng = np.random.default_rng(0)
    pet = np.where(radius < 8, rng.uniform(1000, 9000, SHAPE), 200.0).astype(np.float32)
    return probability, pet, radius < 8


@pytest.fixture
def files(brain, tmp_path):
    for name, array in zip(("gm", "pet", "mask"), brain, strict=True):
        nib.Nifti1Image(array.astype(np.float32), np.eye(4)).to_filename(tmp_path / f"{name}.nii")
    return tmp_path


def run(folder, *words, gm="gm"):
    images = [folder / f"{name}.nii" for name in (gm, "pet")]
    words = ("fuse", *images, "--mask", folder / "mask.nii", *words, "-o", folder / "fused.nii")
    return main([str(word) for word in words])


def expected(brain, model, tracer=None):
    probability, pet, mask = brain
    scaled = pet_scaling(pet, mask, tracer).apply(pet)
    weight = probability > 0.5 if model == "gmpet" else probability
    return np.where(mask, scaled * weight, 0)


def test_values_of_both_variants():
    probability = torch.tensor([0.0, 0.2, 0.5, 0.6, 1.0]).reshape(1, 1, 1, 5)
    pet = torch.tensor([0.9, 0.8, 0.7, 0.5, 0.25]).reshape(1, 1, 1, 5)
    masked, weighted = (model(probability, pet) for model in (gmpet_mask(), gmpet_probability()))
    torch.testing.assert_close(masked.ravel(), torch.tensor([0, 0, 0, 0.5, 0.25]))
    torch.testing.assert_close(weighted.ravel(), torch.tensor([0, 0.16, 0.35, 0.3, 0.25]))


@pytest.mark.parametrize("model", MODELS)
def test_arrays_keep_the_scaling_of_the_pet(brain, model):
    fused = fuse(*brain, model=model, tracer="18FFDG")
    np.testing.assert_allclose(fused, expected(brain, model, "18FFDG"), atol=1e-6)
    inside = brain[0] == 1
    scaling = pet_scaling(brain[1], brain[2], "18FFDG")
    np.testing.assert_allclose(fused[inside], scaling.apply(brain[1])[inside], atol=1e-6)
    # The map is taken as it is, though none of its values in the mask may reach 0 or 1.
    halves = np.where(brain[2], 0.25 + brain[0] / 2, 0).astype(np.float32)
    found = fuse(halves, *brain[1:], model=model)
    np.testing.assert_allclose(found, expected((halves, *brain[1:]), model), atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_files_and_their_sidecar(files, brain, model):
    assert run(files, "--model", model, "--tracer", "FDG", "--planes", "triplanar") == 0
    fused = nib.load(files / "fused.nii").get_fdata()
    np.testing.assert_allclose(fused, expected(brain, model, "FDG"), atol=1e-6)
    fields = json.loads((files / "fused.json").read_text())["FusionModel"]
    assert fields["Name"] == model
    assert fields["Inputs"][0] == {
        "Role": "anatomical",
        "Source": "gm.nii",
        "Scaling": {"Method": "probability, not scaled", "Low": 0.0, "High": 1.0},
    }
    assert fields["Inputs"][1]["Scaling"]["Low"] == 0


def test_an_mri_and_a_ct_are_refused_in_one_line(files, brain, capsys):
    nib.Nifti1Image(800 * brain[0], np.eye(4)).to_filename(files / "mri.nii")
    assert run(files, "--model", "gmpet", gm="mri") == 1
    error = capsys.readouterr().err
    assert "probabilities of gray matter (0 to 1), not values from 0 to 800" in error
    assert error.count("\n") == 1
    assert run(files, "--model", "gmpet_prob", "--functional-modality", "ct") == 64
    error = capsys.readouterr().err
    assert "gmpet_prob shows uptake in the gray matter and cannot fuse a CT" in error
    assert error.count("\n") == 1
    assert not (files / "fused.nii").exists()
    with pytest.raises(UsageError, match="cannot fuse a CT"):
        fuse(*brain, model="gmpet", modality="ct")
    with pytest.raises(DataError, match="give the GM probseg"):
        fuse(-brain[0], *brain[1:], model="gmpet")


def test_spect_is_fused_like_pet(brain):
    np.testing.assert_array_equal(
        fuse(*brain, model="gmpet", modality="spect"), fuse(*brain, model="gmpet")
    )


def test_what_goes_in_is_said_in_the_metadata_of_an_export():
    metadata = onnx_metadata(get_model("gmpet"))
    assert metadata["anatomical"].endswith("probability of gray matter")
    assert metadata["functional"].endswith("; PET or SPECT on the same grid")
    assert "; PET, SPECT or CT" in onnx_metadata(get_model("average"))["functional"]
