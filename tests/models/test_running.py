"""Batches on a GPU: what a CPU can show of it, where PyTorch's streams are stand-ins."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from fusionprep.models import running
from fusionprep.models.inference import fuse_volume
from fusionprep.models.nets.base import FusionModel
from fusionprep.models.registry import get_model, model_names
from fusionprep.models.running import Applied, apply_rule, mixed_precision

torch.set_num_threads(1)

GRAY_LEVEL = 1 / 255


def is_network(name):
    return next(get_model(name).build().parameters(), None) is not None


NETWORKS = [name for name in model_names() if is_network(name)]


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    return rng.random((7, 1, 50, 44), dtype=np.float32), rng.random((7, 1, 50, 44), np.float32)


@pytest.fixture(scope="module")
def heads():
    """Two slices of either image, (2, 1, 96, 80), with the structure and the edge of a head."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :80]
    head = ((y - 48) / 40) ** 2 + ((x - 40) / 32) ** 2 < 1

    def image(*scales):
        noise = rng.standard_normal((2, 96, 80))
        mixed = sum(size * ndimage.gaussian_filter(noise, (0, size, size)) for size in scales)
        return (head * (mixed - mixed.min()) / np.ptp(mixed)).astype(np.float32)[:, None]

    return [image(1, 2, 4), image(3, 6)]


def batches(pair, size):
    starts = range(0, len(pair[0]), size)
    return [[image[start : start + size] for image in pair] for start in starts]


@pytest.mark.parametrize("name", ["densefuse", "readfuse", "wavelet"])
def test_overlapped_batches_give_the_same_in_the_same_order(name, pair):
    model = get_model(name).load()
    one_by_one = list(apply_rule(model, model, batches(pair, 3), "cpu"))
    overlapped = list(running._overlapped(Applied(model, model, "cpu", False), batches(pair, 3)))
    assert [len(result) for result in overlapped] == [3, 3, 1]
    assert all(result.dtype == np.float32 for result in overlapped)
    assert np.array_equal(np.concatenate(overlapped), np.concatenate(one_by_one))


def test_a_batch_is_launched_before_the_result_of_the_last_is_waited_for(pair):
    events = []

    def prepared():
        for number, batch in enumerate(batches(pair, 2)):
            events.append(f"prepare {number}")
            yield batch

    def rule(anatomical, functional):
        events.append(f"compute {events[-1][-1]}")
        return anatomical

    model = get_model("average").load()
    for number, _ in enumerate(running._overlapped(Applied(model, rule, "cpu", False), prepared())):
        events.append(f"take {number}")
    assert events == [
        *("prepare 0", "compute 0"),
        *("prepare 1", "compute 1", "take 0"),
        *("prepare 2", "compute 2", "take 1"),
        *("prepare 3", "compute 3", "take 2", "take 3"),
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_changes_less_than_a_gray_level(name, heads):
    """In float16, which a CPU computes slowly and a GPU need not compute in the same order."""
    model = get_model(name).load()
    images = [torch.from_numpy(image) for image in heads]
    whole, half = (running._compute(Applied(model, model, "cpu", h), images) for h in (False, True))
    assert half.dtype == torch.float32
    assert not torch.equal(half, whole)
    assert (half - whole).abs().max() < GRAY_LEVEL


def test_only_networks_on_a_gpu_made_for_it_compute_in_half_precision(monkeypatch):
    network, classical = get_model("densefuse").load(), get_model("guided").load()
    for fast in (True, False):
        monkeypatch.setattr(running, "has_fast_float16", lambda fast=fast: fast)
        assert mixed_precision(network, "cuda") is fast
        assert not mixed_precision(network, "cpu")
        assert not mixed_precision(classical, "cuda")


class _Large(FusionModel):
    """A weighted sum of numbers beyond the range of float16."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = torch.nn.Conv2d(2, 1, 1, bias=False)
        torch.nn.init.constant_(self.sum.weight, 5e4)

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        return self.sum(torch.cat([anatomical, functional], 1)) / 1e5


def test_what_overflows_in_half_precision_is_computed_in_single_precision(pair):
    model = _Large()
    applied = Applied(model, model, "cpu", True)
    images = [torch.from_numpy(np.ones_like(image)) for image in pair]
    assert not running._compute(applied, images).isfinite().all()
    for results in (
        running._overlapped(applied, batches([image.numpy() for image in images], 3)),
        [running._in_what_fits(applied, [image.numpy() for image in images])],
    ):
        np.testing.assert_allclose(np.concatenate(list(results)), 1, rtol=1e-5)


class _Small(FusionModel):
    """An average on a device that holds only a few slices; counts those of each batch it fused."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.fused: list[int] = []

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        if len(anatomical) > self.most:
            raise torch.cuda.OutOfMemoryError("out of memory")
        self.fused.append(len(anatomical))
        return (anatomical + functional) / 2


def _one_by_one(applied, stacks):
    return apply_rule(applied.model, applied.rule, stacks, "cpu")


@pytest.mark.parametrize("apply", [_one_by_one, running._overlapped])
def test_where_memory_is_short_fewer_slices_are_fused_at_once(apply, pair):
    model = _Small(most=2)
    fused = list(apply(Applied(model, model, "cpu", False), batches(pair, 5)))
    assert [len(result) for result in fused] == [5, 2]
    np.testing.assert_allclose(np.concatenate(fused), sum(pair) / 2, rtol=1e-6)
    assert max(model.fused) <= 2
    assert sum(model.fused) == len(pair[0])


def test_where_no_slice_fits_into_the_memory_of_a_cpu_that_is_told(pair):
    with pytest.raises(torch.cuda.OutOfMemoryError):
        fuse_volume(_Small(most=0), *(image[:, 0] for image in pair))


class _Moving(_Small):
    """Says where it was moved to, without going there."""

    def __init__(self) -> None:
        super().__init__(most=1)
        self.places: list[str] = []

    def to(self, device: str) -> "_Moving":
        self.places.append(device)
        return self


def test_a_slice_that_no_gpu_holds_is_fused_on_the_cpu(pair, monkeypatch):
    on_device = running._on_device

    def full(applied, stacks):
        if applied.device == "cuda":
            raise torch.cuda.OutOfMemoryError("out of memory")
        return on_device(applied, stacks)

    monkeypatch.setattr(running, "_on_device", full)
    model = _Moving()
    with pytest.warns(UserWarning, match="too little memory for a slice of 50 x 44"):
        fused = running._in_what_fits(Applied(model, model, "cuda", True), list(pair))
    np.testing.assert_allclose(fused, sum(pair) / 2, rtol=1e-6)
    # back on the GPU for what comes next
    assert model.places == ["cpu", "cuda"] * len(model.fused)
