import numpy as np
import pytest
import torch

from fusionprep.errors import DataError, UsageError
from fusionprep.models.base import FusionModel
from fusionprep.models.inference import fuse_volume, resolve_device
from fusionprep.models.registry import get_model, model_names

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    return rng.random((50, 44, 18), dtype=np.float32), rng.random((50, 44, 18), dtype=np.float32)


@pytest.fixture(scope="module")
def mask():
    grid = np.indices((50, 44, 18)).astype(float)
    x, y, z = grid
    return ((x - 25) / 14) ** 2 + ((y - 20) / 11) ** 2 + ((z - 8) / 6) ** 2 < 1


@pytest.mark.parametrize("name", model_names())
def test_the_batch_size_does_not_change_the_result(name, pair, mask):
    model = get_model(name).load()
    one, many = (fuse_volume(model, *pair, mask, batch_size=size) for size in (1, 16))
    assert one.dtype == np.float32
    assert one.shape == pair[0].shape
    assert np.abs(one - many).max() <= 1e-5
    assert not one[~mask].any()
    assert one[mask].any()


@pytest.mark.parametrize("name", model_names())
@pytest.mark.parametrize("axis", [0, 1])
def test_another_plane_is_the_transposed_volume(name, axis, pair, mask):
    model = get_model(name).load()
    along = fuse_volume(model, *pair, mask, axis=axis)
    moved = fuse_volume(model, *(np.moveaxis(image, axis, 2) for image in (*pair, mask)))
    np.testing.assert_allclose(np.moveaxis(along, axis, 2), moved, atol=1e-5)


def test_cropping_leaves_the_result_as_it_is_for_whole_slices(pair, mask):
    model = get_model("densefuse").load()
    fused = fuse_volume(model, *pair, mask)
    slices = [torch.from_numpy(np.moveaxis(image * mask, 2, 0)[:, None]) for image in pair]
    with torch.inference_mode():
        whole = np.moveaxis(model(*slices)[:, 0].numpy(), 0, 2)
    np.testing.assert_allclose(fused[mask], whole[mask], atol=1e-5)


@pytest.mark.parametrize("name", ["densefuse", "pca", "wavelet"])
def test_what_lies_outside_the_mask_has_no_influence(name, pair, mask):
    model = get_model(name).load()
    skull = pair[0].copy()
    skull[~mask] = 1
    assert np.array_equal(fuse_volume(model, skull, pair[1], mask), fuse_volume(model, *pair, mask))


def test_a_slice_is_fused_like_a_volume_of_one(pair):
    model = get_model("densefuse").load()
    planes = [image[..., 5] for image in pair]
    fused = fuse_volume(model, *planes)
    assert fused.shape == (50, 44)
    volume = fuse_volume(model, *(plane[..., None] for plane in planes))
    assert np.array_equal(fused, volume[..., 0])


@pytest.mark.parametrize("name", model_names())
@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 2, 2), (40, 3, 1)])
def test_slices_smaller_than_a_kernel_are_fused(name, shape):
    image = np.full(shape, 0.5, np.float32)
    fused = fuse_volume(get_model(name).load(), image, image)
    assert fused.shape == shape
    assert np.isfinite(fused).all()


def test_an_empty_mask_gives_an_empty_image(pair):
    assert not fuse_volume(get_model("max").load(), *pair, np.zeros(pair[0].shape, bool)).any()


def test_only_as_many_slices_as_the_batch_size_are_held_at_once(pair, mask):
    batches = []

    class Recording(FusionModel):
        reach = 0

        def forward(self, anatomical, functional):
            batches.append(tuple(anatomical.shape))
            return functional

    fuse_volume(Recording(), *pair, mask, batch_size=4)
    assert max(count for count, *_ in batches) == 4
    assert sum(count for count, *_ in batches) == mask.any(axis=(0, 1)).sum()
    # Cropped: the ellipsoid is at most 27 x 21 pixels.
    assert max(height * width for *_, height, width in batches) <= 27 * 21


def test_images_of_different_shapes_are_refused(pair):
    with pytest.raises(DataError, match="differ in shape"):
        fuse_volume(get_model("max").load(), pair[0], pair[1][:-1])


def test_four_dimensions_are_refused(pair):
    image = pair[0][..., None]
    with pytest.raises(DataError, match="2 or 3 dimensions"):
        fuse_volume(get_model("max").load(), image, image)


def test_devices():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UsageError, match="unknown device"):
        resolve_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none():
    with pytest.raises(UsageError, match="no CUDA device"):
        resolve_device("cuda")
