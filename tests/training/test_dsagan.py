"""A model and its discriminators are trained in turn."""

import dataclasses
import math

import pytest
import torch
from safetensors.torch import load_file

from fusionprep.models.nets.dsagan import DSAGAN
from fusionprep.training.log import read_log
from fusionprep.training.options import TrainingOptions
from fusionprep.training.recipes.dsagan import DSAGANRecipe, verdict_loss
from fusionprep.training.run import train

torch.set_num_threads(1)

OPTIONS = TrainingOptions(epochs=3, steps_per_epoch=6, batch_size=2, crop=24, seed=3)


def trained(slices, out_dir, **loss_weights):
    train("dsagan", slices, out_dir, dataclasses.replace(OPTIONS, loss_weights=loss_weights))
    return load_file(out_dir / "dsagan.safetensors")


def state_of(out_dir):
    return torch.load(out_dir / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def run(slices, tmp_path_factory):
    out_dir = tmp_path_factory.mktemp("dsagan")
    trained(slices, out_dir)
    return out_dir


def same(one, other):
    return all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def test_the_content_loss_falls(run):
    first, *_, last = [record.losses for record in read_log(run / "log.csv")]
    assert last["val/loss"] < 0.8 * first["val/loss"]
    assert last["train/loss"] < 0.8 * first["train/loss"]


def test_the_logged_loss_is_that_of_the_model_and_validation_has_no_opponents(run):
    content = ("intensity", "gradient", "ssim")
    for record in read_log(run / "log.csv"):
        terms = {name: value for name, value in record.losses.items() if "loss" not in name}
        model = sum(terms[f"train/{name}"] for name in (*content, "adversarial"))
        assert record.losses["train/loss"] == pytest.approx(model, rel=1e-5)
        assert record.losses["train/discriminator"] > 0
        validated = sum(terms[f"val/{name}"] for name in content)
        assert record.losses["val/loss"] == pytest.approx(validated, rel=1e-5)
        assert set(terms) == {
            *(f"{stage}/{name}" for stage in ("train", "val") for name in content),
            *("train/adversarial", "train/discriminator"),
        }


def test_discriminators_are_in_the_checkpoint_but_not_in_the_weights(run):
    keys = state_of(run)["state_dict"]
    assert any(key.startswith("opponents.anatomical.") for key in keys)
    assert any(key.startswith("opponents.functional.") for key in keys)
    assert load_file(run / "dsagan.safetensors").keys() == DSAGAN().state_dict().keys()


def test_the_rates_of_both_optimisers_decay(run):
    rates = [state["param_groups"][0]["lr"] for state in state_of(run)["optimizer_states"]]
    assert rates == [pytest.approx(1e-3 * 0.7**3)] * 2


def test_discriminators_act_on_the_model_by_the_adversarial_term_alone(run, slices, tmp_path):
    deaf = trained(slices, tmp_path / "deaf", adversarial=0.0)
    untaught = trained(slices, tmp_path / "untaught", adversarial=0.0, discriminator=0.0)
    assert same(deaf, untaught)
    assert not same(deaf, load_file(run / "dsagan.safetensors"))
    # Discriminators are taught all the same.
    states = [state_of(tmp_path / name)["state_dict"] for name in ("deaf", "untaught")]
    weight = "opponents.anatomical.verdict.weight"
    assert not torch.equal(states[0][weight], states[1][weight])


@pytest.mark.parametrize(("logit", "loss"), [(0.0, math.log(2)), (30.0, 0.0), (-30.0, 30.0)])
def test_the_loss_of_a_verdict(logit, loss):
    logits = torch.full((3,), logit)
    assert verdict_loss(logits, real=True).item() == pytest.approx(loss, abs=1e-6)
    assert verdict_loss(-logits, real=False).item() == pytest.approx(loss, abs=1e-6)


def test_discriminators_learn_to_tell_each_source_from_the_fused_image():
    torch.manual_seed(0)
    recipe = DSAGANRecipe()
    opponents = recipe.build_opponents()
    optimizer = torch.optim.Adam(opponents.parameters(), 5e-3)
    batch = {"anatomical": torch.rand(4, 1, 24, 24), "functional": torch.rand(4, 1, 24, 24) / 2}
    fused = torch.full((4, 1, 24, 24), 0.5)
    before = recipe.adversarial_terms(fused, batch, opponents)["adversarial"].item()
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = recipe.opponent_terms(fused, batch, opponents)["discriminator"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    # The better they tell, the more the model has to gain by deceiving them.
    assert recipe.adversarial_terms(fused, batch, opponents)["adversarial"].item() > before
