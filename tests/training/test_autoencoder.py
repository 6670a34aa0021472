import csv
import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.ndimage import gaussian_filter

from fusionprep.errors import DataError, OutputError, UsageError
from fusionprep.models.densefuse import densefuse_l1
from fusionprep.training.autoencoder import train_densefuse
from fusionprep.training.options import TrainingOptions
from fusionprep.training.recipes import train

OPTIONS = TrainingOptions(epochs=2, batch_size=2, crop=24, seed=3, data_sources="Test images")


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    """Six smooth images of two patients to train on, three of another to validate."""
    root = tmp_path_factory.mktemp("slices")
    rng = np.random.default_rng(0)
    rows = [("dataset", "split", "file", "subject")]
    for index, (split, subject) in enumerate([("train", "A"), ("train", "B"), ("val", "C")]):
        for number in range(3):
            name = f"{index}{number}.png"
            rows.append(("pet-mri", split, name, subject))
            for modality in ("mri", "pet"):
                image = gaussian_filter(rng.random((40, 40)), 2)
                image = (image - image.min()) / np.ptp(image) * 255
                folder = root / "pet-mri" / split / modality
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.astype(np.uint8)).save(folder / name)
    with (root / "slices.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return root


@pytest.fixture(scope="module")
def trained(slices, tmp_path_factory):
    out_dir = tmp_path_factory.mktemp("trained")
    train_densefuse(slices, out_dir, OPTIONS)
    return out_dir


def test_the_loss_falls(trained):
    with (trained / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert float(rows[1]["learning_rate"]) == pytest.approx(0.7e-3)


def test_the_weights_fit_the_model_and_the_card(trained):
    content = (trained / "densefuse.safetensors").read_bytes()
    card = json.loads((trained / "densefuse.json").read_text())
    densefuse_l1().load_state_dict(load_file(trained / "densefuse.safetensors"))
    assert card["sha256"] == hashlib.sha256(content).hexdigest()
    assert card["parameters"] == 74_193
    assert card["training_data"]["sources"] == "Test images"
    assert card["training_data"]["sets"][0]["patients"] == ["A", "B"]
    assert card["training"]["command"].endswith("--epochs 2 --seed 3")
    assert set(card["validation"]) == {"ReconstructionSSIM", "ReconstructionPSNR"}


def test_training_repeats_bit_for_bit(slices, trained, tmp_path):
    torch.rand(5)
    train_densefuse(slices, tmp_path, OPTIONS)
    assert (tmp_path / "densefuse.safetensors").read_bytes() == (
        trained / "densefuse.safetensors"
    ).read_bytes()


def test_a_run_that_time_ends_equals_a_shorter_one(slices, tmp_path):
    train_densefuse(slices, tmp_path / "timed", TrainingOptions(**_changed(epochs=9, minutes=1e-6)))
    train_densefuse(slices, tmp_path / "short", TrainingOptions(**_changed(epochs=1)))
    timed, short = ((tmp_path / name / "densefuse.safetensors") for name in ("timed", "short"))
    assert timed.read_bytes() == short.read_bytes()
    card = json.loads((tmp_path / "timed" / "densefuse.json").read_text())
    assert "--epochs 1 " in card["training"]["command"]


def _changed(**values):
    return {"batch_size": 2, "crop": 24, "seed": 3} | values


def test_another_seed_gives_other_weights(slices, trained, tmp_path):
    train_densefuse(slices, tmp_path, TrainingOptions(**_changed(epochs=2, seed=4)))
    assert (tmp_path / "densefuse.safetensors").read_bytes() != (
        trained / "densefuse.safetensors"
    ).read_bytes()


def test_a_table_without_validation_is_refused(slices, tmp_path):
    lines = (slices / "slices.csv").read_text().splitlines()
    (tmp_path / "pet-mri").symlink_to(slices / "pet-mri")
    (tmp_path / "slices.csv").write_text("\n".join(line for line in lines if "val" not in line))
    with pytest.raises(DataError, match="no val slice"):
        train_densefuse(tmp_path, tmp_path / "out", OPTIONS)


def test_a_folder_that_cannot_be_written_is_named(slices, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        train_densefuse(slices, tmp_path / "file", OPTIONS)


def test_a_model_without_training_is_refused(slices, tmp_path):
    with pytest.raises(UsageError, match="cannot be trained; these can: densefuse"):
        train("average", slices, tmp_path, OPTIONS)
