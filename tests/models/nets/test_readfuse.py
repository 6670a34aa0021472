"""The reader's model: what no training can make it do."""

import numpy as np
import pytest
import torch

from fusionprep.models.inference import fuse_volume
from fusionprep.models.nets.readfuse import COMPACT_BONE, ReadFuse, ReadFuseCT, decomposed
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
