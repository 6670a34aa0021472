import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from fusionprep.training.losses import pixel_loss, reconstruction_loss, ssim


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(2, 1, 40, 36, generator=generator)
    return first, (first + 0.3 * torch.rand(2, 1, 40, 36, generator=generator)).clamp(0, 1)


def test_pixel_loss_counts_gray_levels():
    black = torch.zeros(1, 1, 4, 4)
    assert pixel_loss(black + 3 / 255, black).item() == pytest.approx(9, rel=1e-5)


def test_ssim_of_equal_images_is_one(pair):
    torch.testing.assert_close(ssim(pair[0], pair[0]), torch.ones(2))


def test_ssim_of_constant_images_is_its_luminance_term():
    first, second = torch.full((1, 1, 16, 16), 0.2), torch.full((1, 1, 16, 16), 0.6)
    expected = (2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4)
    assert ssim(first, second).item() == pytest.approx(expected, rel=1e-4)


def test_ssim_is_that_of_scikit_image(pair):
    for index, value in enumerate(ssim(*pair).tolist()):
        images = [image[index, 0].numpy() for image in pair]
        _, full = structural_similarity(
            *images, data_range=1, gaussian_weights=True, use_sample_covariance=False, full=True
        )
        assert value == pytest.approx(np.mean(full[5:-5, 5:-5]), abs=1e-4)


def test_reconstruction_loss_is_the_weighted_sum(pair):
    loss = reconstruction_loss(*pair, ssim_weight=100).item()
    expected = pixel_loss(*pair).item() + 100 * (1 - ssim(*pair).mean().item())
    assert loss == pytest.approx(expected)
    assert reconstruction_loss(pair[0], pair[0], ssim_weight=100).item() == pytest.approx(
        0, abs=1e-4
    )
