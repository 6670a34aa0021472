"""Our own model: what it is before training, and what no training can make it do."""

import pytest
import torch

from fusionprep.models.selfuse import SelFuse

torch.set_num_threads(1)


@pytest.fixture
def images():
    """Two images with black around them (1, 1, 96, 96)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 1, 1, 12, 12, generator=generator)
    images = torch.zeros(2, 1, 1, 96, 96)
    for image, small in zip(images, coarse, strict=True):
        size = {"size": (40, 40), "mode": "bilinear"}
        image[..., 28:68, 28:68] = torch.nn.functional.interpolate(small, **size)
    return images


@pytest.fixture
def trained():
    """A network with random instead of initial weights everywhere."""
    torch.manual_seed(0)
    model = SelFuse().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter.normal_(0, 0.1)
    return model


def test_untrained_it_is_the_power_mean(images):
    with torch.inference_mode():
        fused = SelFuse()(*images)
    expected = (images[0] ** 4 + images[1] ** 4) ** 0.25
    torch.testing.assert_close(fused, expected.clamp(0, 1), atol=3e-4, rtol=0)


def test_it_is_as_small_as_promised():
    assert sum(parameter.numel() for parameter in SelFuse().parameters()) < 150_000


def test_black_stays_black_and_the_range_is_kept(trained, images):
    with torch.inference_mode():
        fused = trained(*images)
    assert fused[images.sum(dim=0) == 0].abs().max() == 0
    assert fused.min() >= 0
    assert fused.max() <= 1
    assert fused.std() > 0.01


def test_nothing_beyond_its_reach_changes_a_crop_around_the_image(trained, images):
    box = slice(28 - trained.reach, 68 + trained.reach)
    with torch.inference_mode():
        whole = trained(*images)
        cropped = trained(*images[..., box, box])
    torch.testing.assert_close(whole[..., box, box], cropped, atol=1e-6, rtol=0)


def test_the_summary_of_a_slice_reaches_all_of_it(trained, images):
    """What kind of image it is may be seen far away."""
    changed = images.clone()
    changed[1, ..., 66:68, 66:68] = 1
    with torch.inference_mode():
        difference = (trained(*images) - trained(*changed)).abs()
    assert difference[..., 30, 30] > 0


def test_the_correction_is_bounded(trained, images):
    with torch.no_grad():
        trained.last.weight.zero_()
        trained.last.bias.copy_(torch.tensor([-100.0, -100.0, 100.0]))
    with torch.inference_mode():
        fused = trained.unclipped(*images)
    assert fused.max() < 0.1505
