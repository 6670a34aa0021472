"""What the loss of the reader's model asks for."""

import numpy as np
import pytest
import torch

from fusionprep.training import visibility_losses as visibility
from fusionprep.training.recipes.readfuse import Goals, ReadFuseRecipe, brain_of, lost_lesions

torch.set_num_threads(1)


class Rule(torch.nn.Module):
    """A fixed rule in place of a network."""

    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def forward(self, anatomical, functional):
        return self.rule(anatomical, functional)


@pytest.fixture
def sources():
    """A textured MRI and a PET that is brighter everywhere, (1, 1, 128, 128)."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, 1, 1, 128, 128, generator=generator)
    smooth = [visibility.blurred(image, 3.0) for image in noise]
    return smooth[0], smooth[1] + 0.2


@pytest.fixture
def brain():
    brain = torch.zeros(1, 1, 128, 128)
    brain[..., 10:118, 10:118] = 1
    return brain


def batch_of(sources, brain):
    seed = torch.full((1, 1, 1, 1), 7.0)
    return {"anatomical": sources[0], "functional": sources[1], "brain": brain, "seed": seed}


def lost(rule, sources, brain, **goals):
    goals = Goals(retention=(1, 1), dominated=(1, 1), **goals)
    terms = lost_lesions(Rule(rule), rule(*sources), batch_of(sources, brain), goals)
    return {name: value.item() for name, value in terms.items()}


def test_a_copy_loses_the_other_source_alone(sources, brain):
    copy = lost(lambda a, b: 0 * a + b, sources, brain)
    # Of the two planted sources one is kept wholly, the other lost; the lost one is dominated.
    assert copy["lesions"] == pytest.approx(0.5, abs=0.02)
    assert copy["dominated"] == pytest.approx(1, abs=0.02)
    mean = lost(lambda a, b: (a + b) / 2, sources, brain)
    assert mean["dominated"] < 0.5


def test_the_largest_change_of_a_lesion_is_where_it_was_planted(brain):
    image = torch.full((1, 1, 128, 128), 0.4)
    inside = torch.zeros_like(brain)
    inside[..., 60:64, 60:64] = 1
    generator = torch.Generator().manual_seed(0)
    planted, places, signs = visibility.plant(image, inside, 4.0, generator=generator)
    assert len(places) == 1
    change = visibility.template(planted, brain, sigma=4.0) - visibility.template(
        image, brain, sigma=4.0
    )
    assert divmod(change.abs().argmax().item(), 128) == tuple(places[0].tolist())
    assert change[0, 0, places[0, 0], places[0, 1]].sign() == signs[0]
    # A Gaussian blurred by its own scale keeps half of its height, less what surrounds it.
    expected = 0.25 * 0.4 * (1 / 2 - 1 / (1 + visibility.SURROUND**2))
    assert change.abs().max().item() == pytest.approx(expected, rel=0.03)


def test_a_flat_image_cancels_every_edge_and_a_source_none(sources, brain):
    flat = torch.full_like(sources[0], 0.5)
    options = {"sigma": 2.0}
    assert visibility.cancelled(flat, *sources, brain, **options) == pytest.approx(
        visibility.KEPT, rel=0.01
    )
    assert visibility.cancelled(sources[0], sources[0], flat, brain, **options) < 1e-6


def test_the_brain_is_where_both_images_show_tissue():
    functional = np.zeros((128, 128), np.float32)
    functional[30:100, 30:100] = 0.5
    functional[60:70, 60:70] = 0
    anatomical = np.full_like(functional, 0.4)
    brain = brain_of(anatomical, functional)
    assert brain[64, 64] == 1
    assert brain[10, 10] == 0
    assert abs(brain.sum() - 70 * 70) < 200


def test_a_step_of_training_lowers_the_loss(sources, brain):
    recipe = ReadFuseRecipe()
    torch.manual_seed(0)
    model = recipe.build()
    batch = batch_of(sources, brain)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        terms = recipe.loss_terms(model, batch, None)
        assert set(terms) == set(recipe.loss_weights)
        loss = sum(recipe.loss_weights[name] * value for name, value in terms.items())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
