"""The guards in the loss of our own model."""

import numpy as np
import pytest
import torch

from fusionprep.training.recipes.selfuse import (
    SelFuseRecipe,
    dimmed,
    excess,
    lacking_correlation,
    lacking_fidelity,
    lacking_weight,
)


@pytest.fixture
def sources():
    """Two independent images with black outside of a square."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 1, 40, 40, generator=generator)
    images[..., :8, :] = 0
    return images


def test_the_mean_lacks_nothing_and_a_copy_lacks_the_other_source(sources):
    anatomical, functional = sources
    mean = (anatomical + functional) / 2
    torch.testing.assert_close(lacking_weight(mean, *sources), torch.zeros(3))
    lacking_b = 0.5
    torch.testing.assert_close(
        lacking_weight(anatomical, *sources), torch.full((3,), lacking_b), atol=0.03, rtol=0
    )
    lacking_a = 0.44
    torch.testing.assert_close(
        lacking_weight(functional, *sources), torch.full((3,), lacking_a), atol=0.03, rtol=0
    )


def test_bright_pixels_may_lose_little_of_their_brightness():
    functional = torch.zeros(1, 1, 8, 8)
    functional[..., :4] = 0.9
    functional[..., 4:6] = 0.5
    assert dimmed(functional, functional).item() == 0
    assert dimmed(0.5 * functional, functional).item() == pytest.approx(0.47)
    changed_where_dim = functional.where(functional > 0.6, 0 * functional)
    assert dimmed(changed_where_dim, functional).item() == 0
    assert dimmed(functional, 0 * functional).item() == 0


def test_only_what_is_above_one_is_excess():
    assert excess(torch.tensor([0.0, 1.0, -3.0])).item() == 0
    assert excess(torch.tensor([1.5, 1.0])).item() == pytest.approx(0.125)


def test_fidelity_is_asked_for_up_to_a_margin_above_the_maximum(sources):
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(2, 2, 1, 64, 64, generator=generator)
    anatomical, functional = torch.nn.functional.avg_pool2d(noise.flatten(0, 1), 3, 1, 1).unflatten(
        0, (2, 2)
    )
    brighter = torch.maximum(anatomical, functional)
    lacking = lacking_fidelity(brighter, anatomical, functional)
    copy = lacking_fidelity(anatomical, anatomical, functional)
    assert lacking["vif"].item() > 0
    # A copy has the best mean of both VIFs, and the worst smaller one.
    assert copy["vif"].item() < lacking["vif"].item()
    assert copy["vif_smaller"].item() > 2 * lacking["vif_smaller"].item()


def test_correlation_of_differences_is_asked_for_up_to_a_margin_above_the_maximum(sources):
    brighter, mean = torch.maximum(*sources), sum(sources) / 2
    assert lacking_correlation(brighter, *sources).item() == pytest.approx(0.12)
    # Of the sum, each source is what the other leaves.
    assert lacking_correlation(mean * 2, *sources).item() == 0


def test_some_pairs_are_shown_without_what_lies_outside_the_functional_image():
    anatomical, functional = np.full((2, 12, 12), 0.5, np.float32)
    functional[:3] = 0.05
    functional[7, 7] = 0
    rng = np.random.default_rng(0)
    samples = [SelFuseRecipe().prepare(anatomical, functional, rng) for _ in range(200)]
    stripped = [sample for sample in samples if not sample["anatomical"][0, 0]]
    assert 15 <= len(stripped) <= 50
    assert not stripped[0]["functional"][:3].any()
    # A hole is inside.
    assert (stripped[0]["anatomical"][3:] == 0.5).all()
