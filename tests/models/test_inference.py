import importlib

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch._subclasses import FakeTensorMode

from fusionprep.choices import Planes, choices
from fusionprep.devices import SLICES_ON_CPU
from fusionprep.errors import DataError, UsageError
from fusionprep.evaluation.volumes import through_plane_inconsistency
from fusionprep.models import inference
from fusionprep.models.footprint import footprint
from fusionprep.models.inference import fuse_volume
from fusionprep.models.nets.base import FusionModel
from fusionprep.models.registry import get_model, model_names

torch.set_num_threads(1)

PLANNED = ("readfuse", "selfuse")
"""Models whose plans are smoothed over slices."""


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


@pytest.mark.parametrize("name", [name for name in model_names() if name not in PLANNED])
def test_a_slice_alone_a_thin_stack_and_a_volume_give_the_same(name, pair, mask):
    model = get_model(name).load()
    volume = fuse_volume(model, *pair, mask, batch_size=5)
    stack = fuse_volume(model, *(image[..., 7:10] for image in (*pair, mask)))
    alone = fuse_volume(model, *(image[..., 7] for image in (*pair, mask)))
    assert alone.shape == (50, 44)
    assert np.abs(stack - volume[..., 7:10]).max() <= 1e-5
    assert np.abs(alone - volume[..., 7]).max() <= 1e-5


@pytest.mark.parametrize("name", PLANNED)
def test_a_planned_slice_alone_is_fused_by_its_own_plan(name, pair, mask):
    model = get_model(name).load()
    images = [image[..., 7] * mask[..., 7] for image in pair]
    with torch.inference_mode():
        expected = model(*(torch.from_numpy(image)[None, None] for image in images))[0, 0]
    np.testing.assert_allclose(fuse_volume(model, *images), expected, atol=1e-6)


@pytest.mark.parametrize("name", PLANNED)
def test_planned_slices_that_are_alike_are_fused_as_if_alone(name, pair, mask):
    model = get_model(name).load()
    alone = [image[..., 7] for image in (*pair, mask)]
    stacks = (np.repeat(image[..., None], 6, axis=2) for image in alone)
    fused = fuse_volume(model, *stacks, batch_size=4)
    expected = np.repeat(fuse_volume(model, *alone)[..., None], 6, axis=2)
    np.testing.assert_allclose(fused, expected, atol=1e-5)


def test_plans_are_smoothed_over_slices_and_less_so_where_these_are_thick(pair, mask):
    model = get_model("selfuse").load()
    alone = np.stack(
        [fuse_volume(model, *(image[..., z] for image in (*pair, mask))) for z in range(18)], axis=2
    )
    difference = [
        np.abs(fuse_volume(model, *pair, mask, voxel_sizes=(2, 2, thickness)) - alone).mean()
        for thickness in (1, 2, 6, 60)
    ]
    assert difference == sorted(difference, reverse=True)
    assert difference[1] > 1e-3
    assert difference[-1] < 1e-6


@pytest.mark.parametrize("name", model_names())
def test_triplanar_is_the_mean_of_three_orientations(name, pair, mask):
    model = get_model(name).load()
    each = [fuse_volume(model, *pair, mask, axis=axis) for axis in range(3)]
    fused = fuse_volume(model, *pair, mask, planes="triplanar", batch_size=7)
    assert fused.dtype == np.float32
    np.testing.assert_allclose(fused, np.mean(each, axis=0), atol=1e-5)
    assert not fused[~mask].any()
    assert fused.max() <= 1


def test_triplanar_changes_nothing_where_pixels_are_fused_one_by_one(pair, mask):
    model = get_model("max").load()
    axial, triplanar = (fuse_volume(model, *pair, mask, planes=p) for p in choices(Planes))
    np.testing.assert_allclose(triplanar, axial, rtol=1e-6)


@pytest.mark.parametrize("name", ["laplacian", "wavelet", "pca", "guided"])
def test_triplanar_fusion_flickers_less(name):
    rng = np.random.default_rng(1)
    # Structure of three scales and equal contrast: which image wins changes from slice to slice.
    noise = rng.standard_normal((2, 40, 40, 40))
    anatomical, functional = (
        sum(size * ndimage.gaussian_filter(image, size) for size in (1, 2, 4)) for image in noise
    )
    scaled = [
        ((image - image.min()) / np.ptp(image)).astype(np.float32)
        for image in (anatomical, functional)
    ]
    model = get_model(name).load()
    axial, triplanar = (
        through_plane_inconsistency(fuse_volume(model, *scaled, planes=planes), *scaled)
        for planes in choices(Planes)
    )
    assert axial > 0.3
    assert triplanar < 0.3 * axial


def test_what_the_planes_cannot_be(pair):
    model = get_model("max").load()
    with pytest.raises(UsageError, match="needs volumes"):
        fuse_volume(model, pair[0][..., 3], pair[1][..., 3], planes="triplanar")
    with pytest.raises(UsageError, match="unknown planes 'coronal'; there are: axial, triplanar"):
        fuse_volume(model, *pair, planes="coronal")
    with pytest.raises(UsageError, match="batch size must be at least 1, not 0"):
        fuse_volume(model, *pair, batch_size=0)


class Observing(FusionModel):
    """One trained number, and a record of the precision it is used in."""

    reach = 0

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.5))
        self.seen = []

    def forward(self, anatomical, functional):
        self.seen.append((
            anatomical.device.type,
            anatomical.dtype,
            torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"),
            torch.is_grad_enabled(),
        ))  # fmt: skip
        return torch.lerp(anatomical, functional, self.weight)


def test_a_cpu_computes_in_single_precision(pair):
    model = Observing()
    fused = fuse_volume(model, *pair)
    assert set(model.seen) == {("cpu", torch.float32, False, False)}
    np.testing.assert_allclose(fused, (pair[0] + pair[1]) / 2, atol=1e-6)


@pytest.mark.parametrize("name", model_names())
def test_every_network_can_be_run_in_mixed_precision(name):
    """Shapes and types alone are computed, on a GPU that need not be there."""
    module, _, factory = get_model(name).factory.partition(":")
    build = getattr(importlib.import_module(f"fusionprep.models.nets.{module}"), factory)
    network = build().eval()
    if next(network.parameters(), None) is None:
        pytest.skip("not a network")
    weights = network.state_dict() | dict(network.named_buffers())
    with FakeTensorMode(), torch.inference_mode():
        state = {
            key: torch.empty(value.shape, dtype=value.dtype, device="cuda")
            for key, value in weights.items()
        }
        images = [torch.empty(2, 1, 40, 37, device="cuda") for _ in range(2)]
        kernel = torch.empty(1, 1, 3, 3, device="cuda")
        # torch.autocast would turn itself off without a GPU.
        torch.set_autocast_enabled("cuda", True)
        torch.set_autocast_dtype("cuda", torch.float16)
        try:
            convolved = torch.nn.functional.conv2d(images[0], kernel)
            fused = torch.func.functional_call(network, state, tuple(images))
        except RuntimeError as error:
            if "not linked with support for cuda" not in str(error):
                raise
            pytest.skip(f"{name} indexes tensors, of which a PyTorch without CUDA makes no fake")
        finally:
            torch.set_autocast_enabled("cuda", False)
    assert convolved.dtype == torch.float16
    assert fused.shape == images[0].shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", model_names())
def test_a_gpu_gives_what_a_cpu_gives(name, pair, mask):
    entry = get_model(name)
    on_cpu = fuse_volume(entry.load(), *pair, mask)
    on_gpu = fuse_volume(entry.load("cuda"), *pair, mask, device="cuda")
    assert on_gpu.dtype == np.float32
    # A choice between two coefficients may fall differently at a near tie.
    assert np.percentile(np.abs(on_gpu - on_cpu), 99.9) < 0.01


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


def test_on_a_gpu_a_batch_is_what_the_free_memory_holds(monkeypatch):
    """The slices that are counted are those of the model, cut to the box of the whole mask."""
    model = get_model("densefuse").load()
    inside = np.zeros((9, 64, 80), bool)
    inside[2, 20:30, 30:40] = inside[5, 35:50, 30:60] = True
    box = inference._box(inside, model.reach)
    of_slice = footprint(model, inside[0][box].shape).of_slice
    monkeypatch.setattr(inference, "free_bytes", lambda: 2 * 5 * of_slice + of_slice)
    assert inference._fitting_slices(model, box, inside, "cuda") == 5
    assert inference._fitting_slices(model, box, inside, "cpu") == SLICES_ON_CPU


def test_without_a_batch_size_a_cpu_takes_few_slices(pair):
    taken, given = (_Sizes() for _ in range(2))
    fused = fuse_volume(taken, *pair)
    assert max(taken.seen) == SLICES_ON_CPU
    assert np.array_equal(fused, fuse_volume(given, *pair, batch_size=5))
    assert max(given.seen) == 5


class _Sizes(FusionModel):
    """An average that records the size of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(anatomical))
        return (anatomical + functional) / 2


def test_images_of_different_shapes_are_refused(pair):
    with pytest.raises(DataError, match="differ in shape"):
        fuse_volume(get_model("max").load(), pair[0], pair[1][:-1])


def test_four_dimensions_are_refused(pair):
    image = pair[0][..., None]
    with pytest.raises(DataError, match="2 or 3 dimensions"):
        fuse_volume(get_model("max").load(), image, image)
