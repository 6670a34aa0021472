"""``fusionprep train`` on the command line."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from fusionprep.models.registry import get_model
from tests.test_fusionprep_cli import run


def test_training_without_data_is_refused(tmp_path, capsys):
    assert run("train", "densefuse", "--data", tmp_path, "--out", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "slices.csv" in error
    assert error.count("\n") == 1


@pytest.fixture
def training_slices(tmp_path):
    """Two pairs of noise to train on, one of another patient to validate."""
    rng = np.random.default_rng(0)
    lines = ["dataset,split,file,subject"]
    for index, (split, subject) in enumerate([("train", "A"), ("train", "B"), ("val", "C")]):
        lines.append(f"noise,{split},{index}.png,{subject}")
        for modality in ("mri", "pet"):
            folder = tmp_path / "slices" / "noise" / split / modality
            folder.mkdir(parents=True, exist_ok=True)
            image = rng.integers(1, 256, (32, 32), np.uint8)
            Image.fromarray(image).save(folder / f"{index}.png")
    (tmp_path / "slices" / "slices.csv").write_text("\n".join(lines))
    return tmp_path / "slices"


def test_what_was_trained_can_be_run(training_slices, tmp_path):
    out, config = tmp_path / "out", tmp_path / "own.toml"
    config.write_text("epochs = 1\nsteps_per_epoch = 1\nbatch_size = 2\ncrop = 16\n")
    words = ("train", "unet", "--data", training_slices, "--config", config, "--out", out)
    assert run(*words) == 0
    weights, fused = out / "unet.safetensors", tmp_path / "fused.png"
    images = [training_slices / "noise" / "val" / name / "2.png" for name in ("mri", "pet")]
    assert run("fuse", *images, "--model", "unet", "--weights", weights, "-o", fused) == 0
    card = json.loads((out / "unet.json").read_text())
    fields = json.loads((tmp_path / "fused.json").read_text())["FusionModel"]
    assert (fields["WeightsSHA256"], fields["Version"]) == (card["sha256"], card["version"])
    assert get_model("unet", weights).parameters() == card["parameters"]


@pytest.mark.parametrize("option", ["devices = '0,1'", "precision = 'transformer-engine'"])
def test_what_lightning_refuses_is_said_in_one_line(training_slices, tmp_path, capsys, option):
    if torch.cuda.is_available():
        pytest.skip("what a CPU cannot do, a GPU may")
    config = tmp_path / "own.toml"
    config.write_text(f"epochs = 1\ncrop = 32\n{option}\n")
    words = ("train", "unet", "--data", training_slices, "--out", tmp_path / "out")
    assert run(*words, "--config", config) == 64
    error = capsys.readouterr().err
    assert error.startswith("fusionprep: Lightning does not train with devices")
    assert error.count("\n") == 1


def test_a_training_can_be_run_and_made_longer(training_slices, tmp_path, capsys):
    out, config = tmp_path / "out", tmp_path / "own.toml"
    config.write_text("epochs = 9\nsteps_per_epoch = 2\nbatch_size = 2\ncrop = 16\n")
    words = ("train", "unet", "--data", training_slices, "--out", out)
    assert run(*words, "--config", config, "--epochs", 1, "--seed", 5) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == f"weights and card: {out / 'unet.safetensors'}"
    assert captured.out.startswith("epoch 1/1 ")
    assert captured.err == ""
    assert json.loads((out / "unet.json").read_text())["training"]["options"]["seed"] == 5

    assert run(*words, "--config", config) == 64
    assert "add --resume" in capsys.readouterr().err
    assert run(*words, "--config", config, "--resume") == 64
    assert "another seed" in capsys.readouterr().err
    # Without --config the other options are those of the training.
    assert run(*words, "--epochs", 2, "--resume") == 0
    assert "epoch 2/2 " in capsys.readouterr().out
    assert len((out / "log.csv").read_text().splitlines()) == 3
