import math

import numpy as np
import pytest
import torch

from fusionprep.models.nets.vggsiamese import patches
from fusionprep.training.recipes.vggsiamese import VGGSiameseRecipe, contrast, decision

torch.set_num_threads(1)


@pytest.fixture
def whole():
    return torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)) + 0.1


def test_the_decision_is_for_the_image_with_less_damage(whole):
    damaged = whole.clone()
    damaged[..., :, :16] = 0
    towards_first = torch.zeros(2, 2, *patches(whole).shape[-2:])
    towards_first[:, 0] = 20.0
    right = decision(towards_first, whole, damaged, whole)
    wrong = decision(towards_first, damaged, whole, whole)
    assert right.item() == pytest.approx(0, abs=1e-6)
    assert wrong.item() == pytest.approx(20, rel=1e-3)


def test_equal_damage_asks_for_an_even_decision(whole):
    undecided = torch.zeros(2, 2, *patches(whole).shape[-2:])
    damaged = whole / 2
    assert decision(undecided, damaged, damaged, whole).item() == pytest.approx(math.log(2))
    decided = undecided.clone()
    decided[:, 0] = 3.0
    assert decision(decided, damaged, damaged, whole) > 1


def test_without_damage_there_is_no_decision(whole):
    scores = torch.randn(2, 2, *patches(whole).shape[-2:], requires_grad=True)
    loss = decision(scores, whole, whole, whole)
    loss.backward()
    assert loss == 0
    assert not scores.grad.any()


def test_features_that_tell_places_apart_have_no_contrastive_loss(whole):
    # One channel for each of 2 x 8 x 8 places, alike in both copies.
    maps = torch.eye(128).reshape(2, 8, 8, 128).movedim(-1, 1)
    alone = contrast([maps], [3 * maps], whole)
    assert alone.item() == pytest.approx(math.log1p(127 * math.exp(-5)), rel=1e-4)
    flat = torch.ones(2, 4, 8, 8)
    assert contrast([flat], [flat], whole).item() == pytest.approx(math.log(128), rel=1e-5)
    half = contrast([maps, flat], [maps, flat], whole)
    assert half.item() == pytest.approx((alone.item() + math.log(128)) / 2, rel=1e-5)


def test_black_places_need_not_be_told_apart(whole):
    maps = torch.eye(128).reshape(2, 8, 8, 128).movedim(-1, 1).clone()
    maps[..., :4] = 1.0
    assert contrast([maps], [maps], whole) > 1
    black = whole.clone()
    black[..., :16] = 0
    assert contrast([maps], [maps], black) < 1
    assert contrast([maps], [maps], torch.zeros_like(whole)) == 0


@pytest.fixture
def batch():
    recipe, rng = VGGSiameseRecipe(), np.random.default_rng(0)
    y, x = np.indices((32, 32)) / 31
    samples = []
    for _ in range(2):
        wave = 0.5 + 0.5 * np.sin(9 * x + 7 * y * rng.random() + rng.random())
        blob = np.exp(-((x - rng.random()) ** 2 + (y - 0.5) ** 2) / 0.05)
        samples.append(recipe.prepare(wave.astype(np.float32), blob.astype(np.float32), rng))
    return {
        name: torch.from_numpy(np.stack([sample[name] for sample in samples])[:, None]).float()
        for name in samples[0]
    }


def test_every_term_falls_within_a_few_steps(batch):
    torch.manual_seed(0)
    recipe = VGGSiameseRecipe()
    model = recipe.build()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    history = []
    for _ in range(12):
        terms = recipe.loss_terms(model, batch, None)
        assert terms.keys() == recipe.loss_weights.keys()
        history.append({name: value.item() for name, value in terms.items()})
        optimizer.zero_grad()
        sum(recipe.loss_weights[name] * value for name, value in terms.items()).backward()
        optimizer.step()
    assert history[-1]["contrast"] < history[0]["contrast"]
    assert history[-1]["decision"] < history[0]["decision"]
    stacked = [
        sum(recipe.loss_weights[name] * step[name] for name in ("intensity", "gradient", "ssim"))
        for step in history
    ]
    assert stacked[-1] < stacked[0]


def test_each_network_learns_from_its_own_terms_only(batch):
    torch.manual_seed(0)
    recipe = VGGSiameseRecipe()
    model = recipe.build()
    owners = {
        "contrast": model.vgg,
        "decision": model.siamese,
        "intensity": model.stack,
        "gradient": model.stack,
        "ssim": model.stack,
    }
    for name, owner in owners.items():
        model.zero_grad()
        recipe.loss_terms(model, batch, None)[name].backward()
        learning = {
            part
            for part in (model.vgg, model.siamese, model.stack)
            if any(p.grad is not None and p.grad.any() for p in part.parameters())
        }
        assert learning == {owner}
