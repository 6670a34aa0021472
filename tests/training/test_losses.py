import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from fusionprep.training import losses


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(2, 1, 40, 36, generator=generator)
    return first, (first + 0.3 * torch.rand(2, 1, 40, 36, generator=generator)).clamp(0, 1)


@pytest.fixture
def ramp():
    """Rises by 0.02 from column to column."""
    return (0.02 * torch.arange(20.0)).expand(1, 1, 16, 20)


def constant(value, side=16):
    return torch.full((1, 1, side, side), value)


def test_differences_of_constants():
    assert losses.l1(constant(0.2), constant(0.6)).item() == pytest.approx(0.4)
    assert losses.l2(constant(0.2), constant(0.6)).item() == pytest.approx(0.16)


def test_intensity_asks_for_the_brighter_source(pair):
    assert losses.intensity_max(torch.maximum(*pair), *pair) == 0
    fused = losses.intensity_max(constant(0.5), constant(0.2), constant(0.9))
    assert fused.item() == pytest.approx(0.4)


def test_sobel_is_the_slope_per_pixel(ramp):
    columns, rows = losses.sobel(ramp)[0]
    torch.testing.assert_close(columns[:, 1:-1], torch.full((16, 18), 0.02))
    # Replicated borders halve the difference of the outermost columns.
    torch.testing.assert_close(columns[:, [0, -1]], torch.full((16, 2), 0.01))
    torch.testing.assert_close(rows, torch.zeros(16, 20))
    turned = losses.sobel(ramp.transpose(2, 3))[0]
    torch.testing.assert_close(turned[1, 1:-1], torch.full((18, 16), 0.02))


def test_gradient_asks_for_the_stronger_edge(ramp):
    flat, mean_slope = torch.zeros_like(ramp), 0.02 * 19 / 20
    assert losses.gradient_max(ramp, ramp, ramp / 2) == 0
    # The direction of an edge does not matter, its strength does.
    assert losses.gradient_max(1 - ramp, ramp, flat).item() == pytest.approx(0, abs=1e-6)
    assert losses.gradient_max(flat, flat, ramp).item() == pytest.approx(mean_slope, rel=1e-4)


def test_edge_compares_both_derivatives(ramp):
    mean_slope = 0.02 * 19 / 20
    assert losses.edge(ramp, ramp + 0.3).item() == pytest.approx(0, abs=1e-6)
    assert losses.edge(1 - ramp, ramp).item() == pytest.approx(2 * mean_slope / 2, rel=1e-4)


def test_ssim_of_equal_images_is_one(pair):
    torch.testing.assert_close(losses.ssim(pair[0], pair[0]), torch.ones(2))


def test_ssim_of_constant_images_is_its_luminance_term():
    expected = (2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4)
    assert losses.ssim(constant(0.2), constant(0.6)).item() == pytest.approx(expected, rel=1e-4)


def test_ssim_is_that_of_scikit_image(pair):
    for index, value in enumerate(losses.ssim(*pair).tolist()):
        images = [image[index, 0].numpy() for image in pair]
        _, full = structural_similarity(
            *images, data_range=1, gaussian_weights=True, use_sample_covariance=False, full=True
        )
        assert value == pytest.approx(np.mean(full[5:-5, 5:-5]), abs=1e-4)


def test_local_ssim_follows_the_source_that_varies(pair):
    flat = torch.full_like(pair[0], 0.5)
    assert losses.ssim_local(pair[0], pair[0], flat).item() == pytest.approx(0, abs=1e-4)
    assert losses.ssim_local(pair[0], flat, pair[0]).item() == pytest.approx(0, abs=1e-4)
    missing = losses.ssim_local(flat, pair[0], flat).item()
    assert missing == pytest.approx(1 - losses.ssim(pair[0], flat).mean().item(), abs=1e-3)


def test_local_ssim_of_constant_sources_is_shared_equally():
    fused, first, second = constant(0.4), constant(0.2), constant(0.8)
    expected = (losses.ssim(fused, first) + losses.ssim(fused, second)).item() / 2
    assert losses.ssim_local(fused, first, second).item() == pytest.approx(1 - expected, abs=1e-4)


def test_structure_follows_the_source_of_more_contrast(pair):
    strong, weak = pair[0], 0.5 + 0.1 * pair[1]
    for sources in ((strong, weak), (weak, strong)):
        assert losses.structure_max(strong, *sources).item() == pytest.approx(0, abs=1e-4)
        assert losses.structure_max(weak, *sources).item() > 0.3


def test_structure_is_blind_to_brightness_but_not_to_contrast(pair):
    half = 0.5 * pair[0]
    assert losses.structure_max(half + 0.4, half, torch.full_like(half, 0.3)).item() == (
        pytest.approx(0, abs=1e-4)
    )
    # With half the contrast the term is (2 v / 2 + c) / (v + v / 4 + c) of the variance v.
    assert losses.structure_max(half, pair[0], pair[0]).item() == pytest.approx(0.2, abs=0.01)


def test_correlation_of_lines_and_of_nothing(pair):
    first = pair[0]
    torch.testing.assert_close(losses.correlation(first, 3 * first + 1), torch.ones(2))
    torch.testing.assert_close(losses.correlation(first, 1 - first), -torch.ones(2))
    assert not losses.correlation(first, torch.full_like(first, 0.5)).any()
    expected = np.corrcoef(pair[0][1].ravel(), pair[1][1].ravel())[0, 1]
    assert losses.correlation(*pair)[1].item() == pytest.approx(expected, abs=1e-5)


def test_scd_is_best_for_the_sum(pair):
    first, second = pair
    assert losses.scd(first + second, first, second).item() == pytest.approx(0, abs=1e-5)
    copied = 2 - losses.correlation(first - second, first).mean().item()
    assert losses.scd(first, first, second).item() == pytest.approx(copied, abs=1e-5)
    assert losses.scd(-first - second - 1, 2 * first, 2 * second).item() > 2


def test_information_weights():
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(1, 3, 20, 20, generator=generator) for _ in range(2)]
    flat = [torch.zeros_like(image) for image in maps]
    equal = losses.information_weights(maps, maps)
    torch.testing.assert_close(equal, torch.full((1, 2), 0.5))
    # The measures divided by their mean are 2 and 0.
    share = 1 / (1 + math.exp(-2))
    torch.testing.assert_close(
        losses.information_weights(maps, flat), torch.tensor([[share, 1 - share]])
    )
    scaled = losses.information_weights([100 * image for image in maps], flat)
    torch.testing.assert_close(scaled, losses.information_weights(maps, flat))


def test_information_weights_grow_with_the_squared_contrast():
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(1, 3, 20, 20, generator=generator)]
    weights = losses.information_weights(maps, [2 * maps[0]])[0]
    # Measures m and 4 m have the mean 2.5 m.
    assert (weights[1] / weights[0]).item() == pytest.approx(math.exp(3 / 2.5), rel=1e-4)


def test_information_weighted_distance():
    weights = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    distances = torch.tensor([4.0, 1.0]), torch.tensor([8.0, 5.0])
    assert losses.information_weighted(*distances, weights).item() == pytest.approx((7 + 1) / 2)


def test_perceptual_is_the_mean_over_depths(pair):
    def features(image):
        return [image, 2 * image]

    expected = 2.5 * losses.l2(*pair).item()
    assert losses.perceptual(*pair, features).item() == pytest.approx(expected, rel=1e-5)


def test_mixed_precision_costs_no_digits(pair):
    # With the eight bits of bfloat16 the variance of a bright, nearly flat image is noise.
    first, second = (0.9 + 0.02 * image for image in pair)
    expected = [losses.ssim(first, second), losses.gradient_max(first, second, second)]
    weights = losses.information_weights([first], [second])
    with torch.autocast("cpu", torch.bfloat16):
        values = [losses.ssim(first, second), losses.gradient_max(first, second, second)]
        assert torch.equal(losses.information_weights([first], [second]), weights)
    assert all(map(torch.equal, values, expected))


@pytest.mark.parametrize(
    "name", ["intensity_max", "gradient_max", "ssim_local", "structure_max", "scd"]
)
def test_gradients_are_finite_on_black_images(name):
    fused = torch.zeros(1, 1, 16, 16, requires_grad=True)
    getattr(losses, name)(fused, constant(0.0), constant(0.0)).backward()
    assert torch.isfinite(fused.grad).all()
