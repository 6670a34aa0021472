"""Interrupted training runs go on as if nothing had happened."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from fusionprep.errors import DataError, UsageError
from fusionprep.training.log import read_log
from fusionprep.training.options import TrainingOptions
from fusionprep.training.recipes import get_recipe, recipe_names
from fusionprep.training.recipes.base import AdversarialRecipe
from fusionprep.training.run import train

OPTIONS = TrainingOptions(epochs=5, steps_per_epoch=10, batch_size=2, crop=24, seed=3)
SHORT = dataclasses.replace(OPTIONS, epochs=3, steps_per_epoch=4)
"""Where no process has to be caught in the middle."""

CALLS_PER_SHORT_EPOCH = 4 + 1
"""Losses computed: four training batches and one validation pair, every third of three."""


class InterruptedTrainingError(RuntimeError):
    pass


def interrupt_after(monkeypatch, name, calls):
    """Let the training of a model fail at the given number of calls for the loss."""
    recipe_class = type(get_recipe(name))
    method = "content_terms" if issubclass(recipe_class, AdversarialRecipe) else "loss_terms"
    original = getattr(recipe_class, method)
    asked = []

    def loss_terms(self, *arguments):
        asked.append(1)
        if len(asked) > calls:
            raise InterruptedTrainingError
        return original(self, *arguments)

    monkeypatch.setattr(recipe_class, method, loss_terms)


def assert_same_training(one, other, name, options=OPTIONS):
    """Same best weights, same losses, and bit for bit the same state after the last step."""
    first, second = (read_log(folder / "log.csv") for folder in (one, other))
    assert [record.losses for record in first] == [record.losses for record in second]
    files = [(folder / f"{name}.safetensors").read_bytes() for folder in (one, other)]
    assert files[0] == files[1]
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        for folder in (one, other)
    ]
    # Discriminators are part of the state, and their updates count as steps.
    optimizers = 1 + isinstance(get_recipe(name), AdversarialRecipe)
    steps = options.epochs * options.steps_per_epoch
    assert states[0]["global_step"] == steps * optimizers
    assert any(key.startswith("opponents.") for key in states[0]["state_dict"]) == (optimizers > 1)
    assert states[0]["state_dict"].keys() == states[1]["state_dict"].keys()
    for key, tensor in states[0]["state_dict"].items():
        assert torch.equal(tensor, states[1]["state_dict"][key]), key
    assert [len(state["optimizer_states"]) for state in states] == [optimizers] * 2
    for one_state, other_state in zip(
        *(state["optimizer_states"] for state in states), strict=True
    ):
        assert one_state["param_groups"][0]["lr"] == other_state["param_groups"][0]["lr"]
        for index, moment in one_state["state"].items():
            assert torch.equal(moment["exp_avg_sq"], other_state["state"][index]["exp_avg_sq"])


@pytest.fixture(scope="module")
def uninterrupted(slices, tmp_path_factory):
    out_dir = tmp_path_factory.mktemp("uninterrupted")
    train("densefuse", slices, out_dir, OPTIONS)
    return out_dir


@pytest.mark.parametrize("name", recipe_names())
def test_a_stop_in_mid_epoch_changes_nothing(slices, tmp_path, monkeypatch, name):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    # Drawn after the training, for longer than it takes; other tests look at them.
    monkeypatch.setattr("fusionprep.training.run.write_pictures", lambda *_: None)
    train(name, slices, whole, SHORT)
    with monkeypatch.context() as patch:
        interrupt_after(patch, name, CALLS_PER_SHORT_EPOCH + 2)
        with pytest.raises(InterruptedTrainingError):
            train(name, slices, parts, SHORT)
    assert len(read_log(parts / "log.csv")) == 1
    torch.rand(7)
    train(name, slices, parts, SHORT, resume=True)
    assert_same_training(whole, parts, name, SHORT)


@pytest.mark.parametrize("name", ["densefuse", "dsagan"])
def test_a_killed_process_goes_on(slices, tmp_path, name):
    train(name, slices, tmp_path / "whole", OPTIONS)
    (tmp_path / "options.toml").write_text(OPTIONS.to_toml())
    words = [sys.executable, "-c", "import sys; from fusionprep.cli import main; sys.exit(main())"]
    words += ["train", name, "--data", str(slices), "--out", str(tmp_path / "out")]
    first = subprocess.Popen([*words, "--config", str(tmp_path / "options.toml")])
    deadline = time.monotonic() + 120
    while not (tmp_path / "out" / "checkpoints" / "last.ckpt").exists():
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert len(read_log(tmp_path / "out" / "log.csv")) < 5
    # Without --config the options are those of the training.
    assert subprocess.run([*words, "--resume"], check=False).returncode == 0
    assert_same_training(tmp_path / "whole", tmp_path / "out", name)


def test_a_raised_number_of_epochs_goes_on(slices, tmp_path, uninterrupted):
    train("densefuse", slices, tmp_path, dataclasses.replace(OPTIONS, epochs=2))
    train("densefuse", slices, tmp_path, OPTIONS, resume=True)
    assert_same_training(uninterrupted, tmp_path, "densefuse")


def test_a_finished_training_stays_as_it_is(slices, tmp_path):
    options = dataclasses.replace(OPTIONS, epochs=9, minutes=1e-6)
    train("densefuse", slices, tmp_path, options)
    log, weights = (tmp_path / "log.csv"), (tmp_path / "densefuse.safetensors")
    before = log.read_bytes(), weights.read_bytes()
    (tmp_path / "samples.png").unlink()
    train("densefuse", slices, tmp_path, options, resume=True)
    assert (log.read_bytes(), weights.read_bytes()) == before
    assert (tmp_path / "samples.png").exists()


def test_resuming_needs_to_be_said(slices, uninterrupted):
    with pytest.raises(UsageError, match="already holds a training run; add --resume"):
        train("densefuse", slices, uninterrupted, OPTIONS)


def test_resuming_with_another_model_or_other_options_is_refused(slices, uninterrupted):
    with pytest.raises(UsageError, match="a training run of another model than unet"):
        train("unet", slices, uninterrupted, OPTIONS, resume=True)
    other = dataclasses.replace(OPTIONS, seed=4, crop=28, epochs=9)
    with pytest.raises(UsageError, match=r"another seed, crop than in .*densefuse\.toml"):
        train("densefuse", slices, uninterrupted, other, resume=True)


def test_a_damaged_checkpoint_is_named(slices, tmp_path):
    train("densefuse", slices, tmp_path, dataclasses.replace(OPTIONS, epochs=1))
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"PK damaged")
    with pytest.raises(DataError, match=r"cannot resume from .*last\.ckpt"):
        train("densefuse", slices, tmp_path, OPTIONS, resume=True)


def test_resuming_nothing_begins_anew(slices, tmp_path, uninterrupted):
    train("densefuse", slices, tmp_path, OPTIONS, resume=True)
    assert_same_training(uninterrupted, tmp_path, "densefuse")
