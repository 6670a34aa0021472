"""The reader's model: what no training can make it do."""

import numpy as np
import pytest
import torch

from fusionprep.models.inference import fuse_volume
from fusionprep.models.nets.readfuse import (
    COMPACT_BONE,
    MIDDLE_GRAY,
    ReadFuse,
    ReadFuseCT,
    decomposed,
    dense,
    lowered,
)
from tests.models.nets.images import blobs, with_random_weights

torch.set_num_threads(1)


@pytest.fixture
def images():
    """Two images with black around them (1, 1, 96, 96), not below 0.2 in their middle."""
    return blobs(56, darkest=0.2)


@pytest.fixture
def trained():
    return with_random_weights(ReadFuse())


def fuse(model, *images):
    with torch.inference_mode():
        return model(*images)


def test_it_is_as_small_as_promised():
    assert sum(parameter.numel() for parameter in ReadFuse().parameters()) < 150_000


def test_bands_add_up_to_the_image_and_have_no_mean(images):
    bands, rest = decomposed(images[:, 0].transpose(0, 1))
    total = bands.unflatten(1, (-1, 2)).sum(dim=1) + rest
    torch.testing.assert_close(total[0], images[:, 0, 0])
    flat, _ = decomposed(torch.ones(1, 1, 256, 256))
    assert flat[..., 128, 128].abs().max() < 1e-6


def test_what_both_images_show_stays_as_it_is(trained, images):
    assert (fuse(trained, images[0], images[0]) - images[0]).abs().max() < 1e-6
    assert (fuse(trained, *images) - images[0]).abs().max() > 0.05


@pytest.mark.parametrize("brightness", [1.0, 0.05, 0.001])
def test_an_image_that_is_alone_stays_as_it_is(trained, images, brightness):
    black = torch.zeros_like(images[0])
    first, second = brightness * images
    torch.testing.assert_close(fuse(trained, first, black), first, atol=0, rtol=0)
    torch.testing.assert_close(fuse(trained, black, second), second, atol=0, rtol=0)


def test_black_stays_black_and_the_range_is_kept(trained, images):
    fused = fuse(trained, *images)
    assert fused[images.sum(dim=0) == 0].abs().max() == 0
    assert fused.min() >= 0
    assert fused.max() <= 1
    assert fused.std() > 0.01


def test_what_is_far_away_changes_nothing(trained):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, 1, 1, 64, 320, generator=generator)
    changed = images.clone()
    changed[..., 300:] = 1
    difference = (fuse(trained, *images) - fuse(trained, *changed)).abs()
    assert difference[..., :100].max() < 1e-6
    assert difference[..., 300:].max() > 0.1


def test_bone_is_as_bright_as_in_the_ct_and_leaves_no_halo_in_the_brain():
    """Gains that differ from band to band, as after training."""
    torch.manual_seed(0)
    models = ReadFuse(), ReadFuseCT()
    for model in models:
        with torch.no_grad():
            model.last.bias[2:] = torch.linspace(-2, 2, 10)
    mri, ct = torch.zeros(2, 1, 1, 128, 128)
    mri[..., 16:112, 16:112], ct[..., 8:120, 8:120], ct[..., 16:112, 16:112] = 0.2, 1.0, 0.4
    without = fuse(models[1], mri, torch.where(ct > COMPACT_BONE, 0.4, ct))
    # Whether both images are alike is seen four pixels around.
    brain = (..., slice(22, 106), slice(22, 106))
    halo, none = ((fuse(model, mri, ct)[brain] - without[brain]).abs().max() for model in models)
    assert halo > 0.05
    assert none < 1e-6
    assert fuse(models[1], mri, ct)[..., 10, 64].min() > 0.9
    black = torch.zeros_like(ct)
    torch.testing.assert_close(fuse(models[1], black, ct), ct)


def head(mri, ct):
    """Tissue of one level each in a skull, both (1, 1, 160, 160)."""
    images = torch.zeros(2, 1, 1, 160, 160)
    images[0, ..., 16:144, 16:144] = mri
    images[1, ..., 8:152, 8:152] = 1.0
    images[1, ..., 16:144, 16:144] = ct
    return images


def test_tissue_that_both_show_bright_comes_down_to_gray_and_keeps_its_contrast():
    mri, ct = head(0.8, 0.55)
    fused = torch.full_like(mri, 0.85)
    fused[..., 60:64, 60:64] += 0.1
    gray = lowered(fused, mri, ct)
    assert gray[..., 80, 100].item() == pytest.approx(MIDDLE_GRAY, abs=0.03)
    contrast = gray[..., 62, 62] - gray[..., 62, 72]
    assert contrast.item() == pytest.approx(0.1, abs=0.005)
    # No brighter or darker rim beside the skull.
    assert (gray[..., 18:142, 18:142] < MIDDLE_GRAY + 0.13).all()
    assert abs((gray[..., 20, 80] - gray[..., 80, 100]).item()) < 0.02


def test_a_t2w_beside_ct_is_not_lowered():
    """Brain is dark in the one, fluid in the other."""
    mri, ct = head(0.35, 0.5)
    mri[..., 60:90, 60:90], ct[..., 60:90, 60:90] = 1.0, 0.1
    fused = torch.maximum(mri, ct)
    torch.testing.assert_close(lowered(fused, mri, ct), fused)


def test_a_peak_of_noise_is_no_bone_and_a_calcification_is():
    ct = torch.full((1, 1, 40, 40), 0.4)
    ct[..., 10, 10], ct[..., 30, 30] = 0.72, 0.95
    ct[..., 10:16, 25:31] = 0.8
    found = dense(ct)
    assert found[..., 10, 10] == 0
    assert found[..., 30, 30] == 1
    assert found[..., 13, 28] == 1


@pytest.mark.parametrize("shape", [(33, 50), (34, 47), (16, 16), (35, 64)])
def test_slices_of_any_size_keep_it(trained, images, shape):
    height, width = shape
    fused = fuse(trained, *images[..., 28 : 28 + height, 28 : 28 + width])
    assert fused.shape[-2:] == shape


def test_neighbouring_slices_are_fused_alike_however_thick_they_are():
    model = ReadFuse()
    assert model.smoothed_slices((1.0, 1.0, 1.0), 2) == 6
    assert model.smoothed_slices((2.0, 2.0, 2.0), 2) == 3
    assert model.smoothed_slices((0.9, 0.9, 8.0), 2) == 1.25


def test_slices_that_are_alike_are_fused_as_one_is_fused_as_a_slice(trained, images):
    slices = [image[0, 0].numpy() for image in images]
    alone = fuse_volume(trained, *slices)
    stack = fuse_volume(trained, *(np.stack([image] * 3, axis=2) for image in slices))
    np.testing.assert_allclose(stack[..., 1], alone, atol=1e-5)
