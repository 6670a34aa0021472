import math

import pytest
import torch

from fusionprep.training.recipes import get_recipe
from fusionprep.training.recipes.coconet import contrast, entropy, mean_gradient, measured_shares


def half_mask(count=1, side=8):
    mask = torch.zeros(count, 1, side, side)
    mask[..., : side // 2] = 1
    return mask


def constants(*values):
    """One depth of features per value of each image: (N, 1, 8, 8)."""
    return [torch.tensor(values)[:, None, None, None].expand(-1, 1, 8, 8)]


def test_entropy_counts_gray_levels():
    flat, halves = torch.full((1, 1, 8, 8), 0.3), half_mask()
    fourths = torch.arange(4.0).repeat(16).view(1, 1, 8, 8) / 3
    expected = torch.tensor([0, math.log(2), math.log(4)])
    torch.testing.assert_close(entropy(torch.cat([flat, halves, fourths])), expected)


def test_the_mean_gradient_is_that_of_both_directions():
    ramp = (0.02 * torch.arange(20.0)).expand(2, 1, 16, 20)
    # Replicated borders halve the slope of two of twenty columns; rows do not differ.
    torch.testing.assert_close(mean_gradient(ramp), torch.full((2,), 0.02 * 19 / 20 / 2))


def test_shares_are_a_softmax_of_relative_measures():
    shares = measured_shares(torch.tensor([3.0, 5.0]), torch.tensor([1.0, 5.0]), 0.5)
    larger = 1 / (1 + math.exp(-(0.75 - 0.25) / 0.5))
    torch.testing.assert_close(shares, torch.tensor([[larger, 1 - larger], [0.5, 0.5]]))
    empty = measured_shares(torch.zeros(1), torch.zeros(1), 0.5)
    torch.testing.assert_close(empty, torch.full((1, 2), 0.5))


def test_contrast_is_the_distance_to_the_positive_over_that_to_the_negative():
    anchor, positive, negative = constants(0.5), constants(0.7), constants(0.1)
    value = contrast(anchor, positive, negative, half_mask())
    assert value.item() == pytest.approx(0.2 / 0.4, rel=1e-4)
    assert contrast(positive, positive, negative, half_mask()) == 0


def test_contrast_takes_negatives_of_three_pairs_of_the_batch():
    anchor, positive = constants(0.5, 0.5, 0.5, 0.5), constants(0.7, 0.7, 0.7, 0.7)
    negative = constants(0.1, 0.3, 0.4, 0.5)
    # Each negative meets three anchors: the mean distance is that of all of them.
    expected = 0.2 / ((0.4 + 0.2 + 0.1 + 0.0) / 4)
    value = contrast(anchor, positive, negative, half_mask(4))
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_contrast_looks_behind_the_mask_alone():
    anchor = [torch.full((1, 1, 8, 8), 0.5)]
    positive = [torch.where(half_mask() > 0, anchor[0], torch.tensor(0.9))]
    negative = constants(0.1)
    assert contrast(anchor, positive, negative, half_mask()) == 0
    value = contrast(anchor, positive, negative, 1 - half_mask())
    assert value.item() == pytest.approx(1, rel=1e-4)
    assert contrast(anchor, positive, negative, torch.zeros(1, 1, 8, 8)) == 0


def test_deeper_features_weigh_more():
    anchor, positive = [*constants(0.5)] * 3, [*constants(0.6)] * 3
    value = contrast(anchor, positive, [*constants(0.3)] * 3, half_mask(side=16))
    assert value.item() == pytest.approx((1 / 8 + 1 / 4 + 1) * 0.5, rel=1e-4)


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_gradients_are_finite_on_images_that_show_nothing(level):
    torch.manual_seed(0)
    recipe = get_recipe("coconet")
    model = recipe.build()
    image = torch.full((2, 1, 16, 16), level)
    helper = torch.nn.Identity()
    terms = recipe.loss_terms(
        model, {"anatomical": image, "functional": image}, lambda images: [helper(images)]
    )
    sum(terms.values()).backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
