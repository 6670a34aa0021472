import dataclasses
import hashlib
import json

import numpy as np
import pytest
from safetensors.torch import save_file

from fusionprep.errors import DataError, NoInputError, OutputError
from fusionprep.evaluation.metrics import RANKED, fusion_metrics
from fusionprep.training.cards import (
    complete_card,
    fused_levels,
    load_trained,
    validation_metrics,
    write_weights_and_card,
)
from fusionprep.training.datasets import read_pairs
from fusionprep.training.log import EpochRecord, read_log, write_log
from fusionprep.training.options import TrainingOptions
from fusionprep.training.pairs import SlicePair
from fusionprep.training.pictures import draw_losses, sample_pairs
from fusionprep.training.recipes import get_recipe
from fusionprep.training.run import train

OPTIONS = TrainingOptions(
    epochs=2,
    steps_per_epoch=2,
    batch_size=2,
    crop=24,
    seed=3,
    data_sources="Test images",
    data_licence="CC0",
)


@pytest.fixture(scope="module")
def large_slices(write_slices, tmp_path_factory):
    """Large enough for the metrics."""
    return write_slices(tmp_path_factory.mktemp("large"), side=56)


@pytest.fixture(scope="module")
def trained(large_slices, tmp_path_factory):
    out_dir = tmp_path_factory.mktemp("trained")
    train("densefuse", large_slices, out_dir, OPTIONS)
    return out_dir


@pytest.fixture(scope="module")
def card(trained):
    return json.loads((trained / "densefuse.json").read_text())


def test_the_card_describes_the_weights_beside_it(trained, card):
    content = (trained / "densefuse.safetensors").read_bytes()
    assert card["sha256"] == hashlib.sha256(content).hexdigest()
    assert card["parameters"] == 74_193
    assert (card["name"], card["version"]) == ("densefuse", "1.0.0")
    inputs = card["network_data_format"]["inputs"]
    assert inputs["functional"]["modality"] == "PET"
    assert inputs["anatomical"]["value_range"] == [0, 1]
    assert "MS-COCO" in card["differences"]


def test_the_card_describes_the_data(card):
    data = card["training_data"]
    assert (data["sources"], data["licence"]) == ("Test images", "CC0")
    assert [(item["split"], item["patients"], item["pairs"]) for item in data["sets"]] == [
        ("train", ["A", "B"], 6),
        ("val", ["C"], 3),
    ]


def test_the_card_describes_the_training(trained, card):
    training, records = card["training"], read_log(trained / "log.csv")
    assert training["command"] == (
        "fusionprep train densefuse --data DIR --config densefuse.toml --epochs 2 --seed 3"
    )
    assert (training["epochs"], training["batches"]) == (2, 4)
    assert training["options"]["crop"] == 24
    assert training["loss_weights"] == {"pixel": 255.0**2, "ssim": 100.0}
    for name, record in (("first", records[0]), ("last", records[1])):
        assert training["log"][name]["epoch"] == record.epoch
        assert training["log"][name]["losses"] == pytest.approx(record.losses, rel=1e-5)


def test_the_metrics_are_means_over_all_validation_pairs(trained, card, large_slices):
    pairs = [pair for pair in read_pairs(large_slices, OPTIONS) if pair.split == "val"]
    _, model = load_trained(trained, "densefuse")
    scores = [fusion_metrics(p.anatomical, p.functional, fused_levels(model, p)) for p in pairs]
    (measured,) = card["eval_metrics"]
    assert (measured["dataset"], measured["modality"], measured["pairs"]) == ("pet-mri", "pet", 3)
    assert set(RANKED) < set(measured["mean"])
    for name, value in measured["mean"].items():
        assert value == pytest.approx(np.mean([score[name] for score in scores]), abs=1e-4)


def test_the_readable_card_says_the_same(trained, card):
    text = (trained / "densefuse.md").read_text()
    measured = card["eval_metrics"][0]["mean"]
    for part in (
        *("# densefuse 1.0.0", "74,193 parameters", "not for diagnosis", "CC0", card["sha256"]),
        *(card["training"]["command"], "| train | pet-mri | pet | 6 | 2: A, B |"),
        f"| Qabf | {measured['Qabf']:.3f} |",
    ):
        assert part in text


def test_a_card_can_be_made_anew_from_what_a_training_left(trained, large_slices, card):
    for name in ("densefuse.json", "densefuse.md"):
        (trained / name).unlink()
    complete_card(trained, "densefuse", large_slices)
    assert json.loads((trained / "densefuse.json").read_text()) == card
    assert (trained / "densefuse.md").exists()


def test_pairs_that_cannot_be_measured_are_left_out():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 56, 56), np.uint8)
    small = SlicePair("a", "val", "A", "pet", *images[:, :40, :40])
    empty = SlicePair("a", "val", "A", "pet", images[0], np.zeros_like(images[1]))
    whole = SlicePair("b", "val", "B", "ct", *images)
    model = get_recipe("densefuse").build().eval()
    first, second = validation_metrics(model, [small, empty, whole])
    assert (first["pairs"], first["mean"]["VIF"]) == (0, None)
    assert second["pairs"] == 1
    assert second["mean"]["VIF"] is not None


def test_a_card_names_no_folder_of_the_machine(tmp_path, slices):
    options = dataclasses.replace(OPTIONS, perceptual_weights="/home/someone/vgg16.safetensors")
    records = [EpochRecord(1, 1e-3, 5.0, {"train/loss": 2.0, "val/loss": 1.0})]
    pairs = read_pairs(slices, options)
    write_weights_and_card(get_recipe("ifcnn").build(), "ifcnn", tmp_path, pairs, options, records)
    text = (tmp_path / "ifcnn.json").read_text() + (tmp_path / "ifcnn.md").read_text()
    assert "vgg16.safetensors" in text
    assert "someone" not in text


def test_weights_of_another_model_and_missing_ones_are_named(tmp_path, slices):
    with pytest.raises(NoInputError, match=r"unet\.safetensors"):
        load_trained(tmp_path, "unet")
    save_file(get_recipe("densefuse").build().state_dict(), tmp_path / "unet.safetensors")
    with pytest.raises(DataError, match="does not hold weights of unet") as error:
        load_trained(tmp_path, "unet")
    assert "\n" not in str(error.value)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, slices):
    (tmp_path / "file").write_text("")
    records = [EpochRecord(1, 1e-3, 5.0, {"train/loss": 2.0, "val/loss": 1.0})]
    model, pairs = get_recipe("densefuse").build(), read_pairs(slices, OPTIONS)
    with pytest.raises(OutputError, match="cannot write the weights"):
        write_weights_and_card(model, "densefuse", tmp_path / "file", pairs, OPTIONS, records)


def test_the_log_is_read_as_it_was_written(tmp_path):
    records = [
        EpochRecord(epoch, 0.1 / epoch, 3.5 * epoch, {"train/loss": 1 / 3, "val/loss": 0.25})
        for epoch in (1, 2)
    ]
    write_log(tmp_path / "log.csv", records)
    assert read_log(tmp_path / "log.csv") == records
    with pytest.raises(NoInputError, match=r"no training log .*none\.csv"):
        read_log(tmp_path / "none.csv")
    for text in ("", "epoch,loss\n1,2\n", "epoch,learning_rate,seconds\n1,2,3\n"):
        (tmp_path / "log.csv").write_text(text)
        with pytest.raises(DataError, match=r"log\.csv"):
            read_log(tmp_path / "log.csv")


def test_samples_come_from_every_dataset():
    def pairs_of(dataset, modality, count):
        levels = [np.full((8, 8), 10, np.uint8) * (place > 1) for place in range(count)]
        return [SlicePair(dataset, "val", "A", modality, level, level) for level in levels]

    chosen = sample_pairs(
        [*pairs_of("a", "ct", 9), *pairs_of("b", "pet", 2), *pairs_of("b", "ct", 9)]
    )
    assert {(pair.dataset, pair.modality) for pair in chosen} == {
        *(("a", "ct"), ("b", "ct"), ("b", "pet")),
    }
    assert len(chosen) <= 6
    assert all(pair.functional.any() for pair in chosen if pair.modality == "ct")


def test_loss_curves_take_any_number_of_epochs_and_zeros():
    for count in (1, 3):
        records = [
            EpochRecord(
                epoch,
                1.0,
                1.0,
                {
                    f"{stage}/{term}": value / epoch
                    for stage in ("train", "val")
                    for term, value in (("loss", 1.0), ("a", 1.0), ("b", 0.0))
                },
            )
            for epoch in range(1, count + 1)
        ]
        assert draw_losses(records).startswith(b"\x89PNG")
