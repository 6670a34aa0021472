import dataclasses
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fusionprep.errors import DataError, OutputError, UsageError
from fusionprep.training.log import best_record, read_log
from fusionprep.training.options import TrainingOptions, training_options
from fusionprep.training.recipes import get_recipe, recipe_names
from fusionprep.training.recipes.densefuse import DenseFuseRecipe
from fusionprep.training.run import train

OPTIONS = TrainingOptions(epochs=3, steps_per_epoch=4, batch_size=2, crop=24, seed=3)


def changed(**values):
    return dataclasses.replace(OPTIONS, **values)


def weights_of(out_dir, name="densefuse"):
    return (out_dir / f"{name}.safetensors").read_bytes()


def losses_of(out_dir):
    return [record.losses for record in read_log(out_dir / "log.csv")]


@pytest.fixture(scope="module")
def trained(slices, tmp_path_factory):
    out_dir = tmp_path_factory.mktemp("trained")
    train("densefuse", slices, out_dir, OPTIONS)
    return out_dir


def test_the_losses_fall_and_are_logged(trained):
    records = read_log(trained / "log.csv")
    assert [record.epoch for record in records] == [1, 2, 3]
    assert records[2].losses["train/loss"] < records[0].losses["train/loss"]
    assert records[2].validation_loss < records[0].validation_loss
    assert records[1].learning_rate == pytest.approx(0.7e-3)
    for losses in losses_of(trained):
        for stage in ("train", "val"):
            terms = losses[f"{stage}/pixel"] + losses[f"{stage}/ssim"]
            assert losses[f"{stage}/loss"] == pytest.approx(terms, rel=1e-5)


def test_the_files_of_a_run(trained):
    assert {path.name for path in trained.iterdir()} == {
        *("densefuse.safetensors", "densefuse.json", "densefuse.md", "densefuse.toml", "log.csv"),
        *("losses.png", "samples.png", "checkpoints"),
    }
    assert training_options(trained / "densefuse.toml", {}) == OPTIONS
    get_recipe("densefuse").build().load_state_dict(load_file(trained / "densefuse.safetensors"))
    with Image.open(trained / "samples.png") as samples, Image.open(trained / "losses.png") as plot:
        assert samples.width > 3 * 256
        assert len(np.unique(plot)) > 10


def test_training_repeats_bit_for_bit(slices, trained, tmp_path):
    torch.rand(5)
    train("densefuse", slices, tmp_path, OPTIONS)
    assert weights_of(tmp_path) == weights_of(trained)
    assert losses_of(tmp_path) == losses_of(trained)


def test_what_runs_after_a_training_finds_the_process_as_before(slices, tmp_path):
    threads = torch.get_num_threads() + 1
    torch.set_num_threads(threads)
    train("densefuse", slices, tmp_path, changed(threads=1))
    found = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads - 1)
    assert found == (threads, False)


def test_another_seed_gives_other_weights(slices, trained, tmp_path):
    train("densefuse", slices, tmp_path, changed(seed=4))
    assert weights_of(tmp_path) != weights_of(trained)


LEARNING = [
    name for name in recipe_names() if name != "densefuse" and get_recipe(name).variant_of is None
]


@pytest.mark.parametrize("name", LEARNING)
def test_every_model_learns(slices, tmp_path, name):
    # Untrained, our own models are good fusions already, and take longer to become better ones.
    steps, share = (80, 0.99) if name in ("selfuse", "readfuse") else (10, 0.98)
    train(name, slices, tmp_path, changed(steps_per_epoch=steps, learning_rate_decay=1.0))
    records = read_log(tmp_path / "log.csv")
    # There is room for one lesion in a validation slice, which says nothing.
    stage = "train" if name == "readfuse" else "val"
    losses = [record.losses[f"{stage}/loss"] for record in records]
    assert min(losses) < share * losses[0]
    assert json.loads((tmp_path / f"{name}.json").read_text())["name"] == name


def test_a_run_that_time_ends_equals_a_shorter_one(slices, tmp_path):
    train("densefuse", slices, tmp_path / "timed", changed(epochs=9, minutes=1e-6))
    train("densefuse", slices, tmp_path / "short", changed(epochs=1))
    assert weights_of(tmp_path / "timed") == weights_of(tmp_path / "short")
    card = json.loads((tmp_path / "timed" / "densefuse.json").read_text())
    assert card["training"]["command"].endswith("--epochs 1 --seed 3 --minutes inf")


def test_patience_ends_a_run_and_the_best_weights_stay(slices, tmp_path):
    # Steps this large make the validation loss rise at some point.
    options = changed(epochs=30, patience=2, learning_rate=0.02, learning_rate_decay=1.0)
    train("densefuse", slices, tmp_path, options)
    records = read_log(tmp_path / "log.csv")
    best = best_record(records)
    assert records[-1].epoch == best.epoch + 2 < 30
    train("densefuse", slices, tmp_path / "best", dataclasses.replace(options, epochs=best.epoch))
    assert weights_of(tmp_path) == weights_of(tmp_path / "best")


def test_a_training_can_start_from_weights(slices, trained, tmp_path):
    start = trained / "densefuse.safetensors"
    still = changed(learning_rate=1e-12, epochs=1, initial_weights=str(start))
    train("densefuse", slices, tmp_path, still)
    before, after = load_file(start), load_file(tmp_path / "densefuse.safetensors")
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-9, rtol=0)
    card = json.loads((tmp_path / "densefuse.json").read_text())
    assert card["training"]["options"]["initial_weights"] == "densefuse.safetensors"
    earlier = json.loads((trained / "densefuse.json").read_text())["training"]
    assert card["training"]["before"] == earlier
    text = (tmp_path / "densefuse.md").read_text()
    assert "earlier training run: 3 epochs, 12 batches" in text


def test_tuning_an_ifcnn_keeps_its_batch_statistics(slices, tmp_path):
    train("ifcnn", slices, tmp_path / "first", changed(epochs=1))
    start = tmp_path / "first" / "ifcnn.safetensors"
    tuned = changed(epochs=1, initial_weights=str(start))
    train("ifcnn", slices, tmp_path / "second", tuned)
    before, after = load_file(start), load_file(tmp_path / "second" / "ifcnn.safetensors")
    assert torch.equal(before["conv2.1.running_var"], after["conv2.1.running_var"])
    assert not torch.equal(before["conv2.0.weight"], after["conv2.0.weight"])


def test_initial_weights_of_another_model_are_refused(slices, trained, tmp_path):
    other = changed(initial_weights=str(trained / "densefuse.safetensors"))
    with pytest.raises(DataError, match="does not hold weights of unet"):
        train("unet", slices, tmp_path, other)


def test_weights_of_the_terms_can_be_chosen(slices, trained, tmp_path):
    train("densefuse", slices, tmp_path, changed(epochs=1, loss_weights={"ssim": 0.0}))
    assert losses_of(tmp_path)[0]["train/ssim"] == 0
    with pytest.raises(UsageError, match="no loss term is named sim; there are: pixel, ssim"):
        train("densefuse", slices, tmp_path / "x", changed(loss_weights={"sim": 1.0}))


def test_a_loss_that_explodes_ends_the_run(slices, tmp_path):
    with pytest.raises(DataError, match="no longer finite after epoch 1; lower learning_rate"):
        train("densefuse", slices, tmp_path, changed(learning_rate=1e3))


def test_mixed_precision_learns_as_well(slices, trained, tmp_path):
    train("densefuse", slices, tmp_path, changed(precision="bf16-mixed"))
    mixed, full = (losses_of(folder)[-1]["val/loss"] for folder in (tmp_path, trained))
    assert mixed == pytest.approx(full, rel=0.2)
    assert mixed != full


def test_tensorboard_shows_the_losses(slices, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train("densefuse", slices, tmp_path, changed(tensorboard=True))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for name in ("train/loss", "val/loss", "val/ssim"):
        shown = [scalar.value for scalar in events.Scalars(name)]
        assert shown == pytest.approx([losses[name] for losses in losses_of(tmp_path)])


def test_a_missing_package_is_named_with_its_extra(slices, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UsageError, match=r"needs tensorboard; .*'fusionprep\[train\]'"):
        train("densefuse", slices, tmp_path / "out", changed(tensorboard=True))
    monkeypatch.setitem(sys.modules, "lightning", None)
    with pytest.raises(UsageError, match=r"needs lightning; .*'fusionprep\[train\]'"):
        train("densefuse", slices, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


def test_a_patient_on_both_sides_is_refused(write_slices, tmp_path):
    write_slices(tmp_path, patients=(("train", "A"), ("train", "B"), ("val", "B")))
    with pytest.raises(DataError, match="both training and validation: B;"):
        train("densefuse", tmp_path, tmp_path / "out", OPTIONS)


def test_data_without_validation_are_refused(write_slices, tmp_path):
    write_slices(tmp_path, patients=(("train", "A"), ("train", "B")))
    with pytest.raises(DataError, match="no val pair"):
        train("densefuse", tmp_path, tmp_path / "out", OPTIONS)


def test_a_folder_that_cannot_be_written_is_named(slices, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        train("densefuse", slices, tmp_path / "file", OPTIONS)


def test_a_disk_that_fails_in_the_middle_is_named(slices, tmp_path, monkeypatch):
    original = DenseFuseRecipe.loss_terms

    def block(self, *arguments):
        # A file where the folder of checkpoints should be, as root is not stopped by modes.
        (tmp_path / "checkpoints").write_text("")
        return original(self, *arguments)

    monkeypatch.setattr(DenseFuseRecipe, "loss_terms", block)
    with pytest.raises(OutputError, match="cannot write to the training folder"):
        train("densefuse", slices, tmp_path, OPTIONS)


def test_a_model_without_training_is_refused(slices, tmp_path):
    with pytest.raises(UsageError, match="cannot be trained; these can: coconet, densefuse"):
        train("average", slices, tmp_path, OPTIONS)


def test_a_loss_that_draws_validates_on_the_same_draws_in_every_epoch(write_slices, tmp_path):
    data = write_slices(tmp_path / "data", side=96)
    options = changed(epochs=2, steps_per_epoch=1, crop=64, learning_rate=1e-12)
    train("readfuse", data, tmp_path / "out", options)
    first, second = losses_of(tmp_path / "out")
    assert first["val/lesions"] > 0
    assert first["val/lesions"] == pytest.approx(second["val/lesions"], rel=1e-4)
