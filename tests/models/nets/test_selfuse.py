"""Our own model: what it is before training, and what no training can make it do."""

import pytest
import torch

from fusionprep.models.nets.selfuse import SelFuse, maps
from tests.models.nets.images import blobs, with_random_weights

torch.set_num_threads(1)


@pytest.fixture
def images():
    """Two images with black around them (1, 1, 96, 96)."""
    return blobs(40)


@pytest.fixture
def trained():
    return with_random_weights(SelFuse())


def test_untrained_it_is_the_power_mean(images):
    with torch.inference_mode():
        fused = SelFuse()(*images)
    expected = (images[0] ** 4 + images[1] ** 4) ** 0.25
    assert (expected <= 0.9).float().mean() > 0.5
    expected = torch.where(expected > 0.9, 0.9 + 0.1 * torch.tanh(10 * (expected - 0.9)), expected)
    torch.testing.assert_close(fused, expected, atol=3e-4, rtol=0)


def test_edges_of_the_mri_stay_where_both_images_are_bright():
    """A sulcus in a hot spot, whose two sides would both be clipped to white."""
    anatomical = torch.full((1, 1, 32, 32), 0.95)
    anatomical[..., 12:16, :] = 0.6
    with torch.inference_mode():
        fused = SelFuse()(anatomical, torch.full_like(anatomical, 0.97))
    assert fused.max() < 1
    assert fused[..., 16:, :].min() > fused[..., 12:16, :].max() + 0.004


def test_it_is_as_small_as_promised():
    assert sum(parameter.numel() for parameter in SelFuse().parameters()) < 150_000


def test_black_stays_black_and_the_range_is_kept(trained, images):
    with torch.inference_mode():
        fused = trained(*images)
    assert fused[images.sum(dim=0) == 0].abs().max() == 0
    assert fused.min() >= 0
    assert fused.max() <= 1
    assert fused.std() > 0.01


@pytest.mark.parametrize("shape", [(33, 50), (34, 47), (16, 16), (35, 64)])
def test_slices_of_any_size_keep_it(trained, images, shape):
    height, width = shape
    with torch.inference_mode():
        fused = trained(*images[..., 28 : 28 + height, 28 : 28 + width])
    assert fused.shape[-2:] == shape


def test_one_rule_holds_within_a_few_pixels(trained, images):
    with torch.inference_mode():
        steered = torch.cat(maps(trained.plan(*images), images[0]), dim=1)
    steps = steered.diff(dim=-1).abs().amax(dim=(0, 2, 3))
    spread = steered.amax(dim=(0, 2, 3)) - steered.amin(dim=(0, 2, 3))
    # A bilinear map of blocks of four pixels changes by a quarter of their difference from each to
    # the next; what bounds the values bends that a little.
    assert (steps <= 0.35 * spread).all()
    assert (spread > 0.01).all()


def test_the_summary_of_a_slice_reaches_all_of_it(trained, images):
    """What kind of image it is may be seen far away."""
    changed = images.clone()
    changed[1, ..., 66:68, 66:68] = 1
    with torch.inference_mode():
        difference = (trained(*images) - trained(*changed)).abs()
    assert difference[..., 30, 30] > 0


def test_gates_and_power_are_bounded(trained, images):
    with torch.no_grad():
        trained.last.weight.zero_()
        trained.last.bias.copy_(torch.tensor([100.0, -100.0, 100.0]))
    with torch.inference_mode():
        gates, power = maps(trained.plan(*images), images[0])
    assert gates.max() == pytest.approx(1.4)
    assert gates.min() == pytest.approx(0)
    assert power.max() == pytest.approx(20)


def test_a_functional_image_that_is_alone_stays_as_it_is(trained, images):
    images = images.clone()
    images[0, ..., 48:] = 0
    with torch.inference_mode():
        fused = trained(*images)
    alone, both = slice(54, 68), slice(30, 46)
    torch.testing.assert_close(fused[..., alone], images[1, ..., alone], atol=3e-4, rtol=0)
    assert not torch.allclose(fused[..., both], images[..., both].amax(dim=0), atol=0.01)
