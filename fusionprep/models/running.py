"""A model applied to batches of slices, on a CPU or overlapped with copies on a GPU."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionprep.devices import has_fast_float16

if TYPE_CHECKING:
    import torch

    from fusionprep.models.nets.base import FusionModel

Stacks = list[np.ndarray]
"""What a rule is given, each float32 (N, ...): two images (N, 1, H, W), and plans for them."""


@dataclass(frozen=True)
class Applied:
    """A rule of a model, such as its ``forward``, and where and how it is computed.

    Attributes
    ----------
    device
        ``cpu`` or ``cuda``, where the model is.
    half
        Whether to compute in mixed precision.
    """

    model: "FusionModel"
    rule: "Callable[..., torch.Tensor]"
    device: str
    half: bool


def apply_rule(
    model: "FusionModel",
    rule: "Callable[..., torch.Tensor]",
    batches: Iterable[Stacks],
    device: str,
) -> Iterator[np.ndarray]:
    """Apply a rule of a model to batches: a float32 result for each, in order.

    On a GPU a batch is copied there, and the result before it back, while another is computed. What
    overflows in float16 is computed once more in float32.
    """
    applied = Applied(model, rule, device, mixed_precision(model, device))
    if device == "cpu":
        return (_in_what_fits(applied, stacks) for stacks in batches)
    return _overlapped(applied, batches)


def mixed_precision(model: "FusionModel", device: str) -> bool:
    """Whether a model computes in float16 where that is enough: networks on a GPU made for it."""
    network = next(model.parameters(), None) is not None
    return device == "cuda" and network and has_fast_float16()


@dataclass
class _Launched:
    """A batch that is being computed.

    Attributes
    ----------
    result
        In memory of the CPU, where it is once ``done`` has happened; None where the batch did not
        fit into the GPU's memory.
    """

    stacks: Stacks
    result: "torch.Tensor | None" = None
    done: Any = None


def _overlapped(applied: Applied, batches: Iterable[Stacks]) -> Iterator[np.ndarray]:
    """Launch each batch before the result of the one before it is waited for."""
    lanes = _Lanes(applied)
    before: _Launched | None = None
    for stacks in batches:
        launched = lanes.launch(stacks)
        if before is not None:
            yield _finish(applied, before)
        before = launched
    if before is not None:
        yield _finish(applied, before)


class _Lanes:
    """The streams of a GPU: one computes, one copies to it, one from it.

    A CPU has stand-ins for all of this in PyTorch, which do things at once.
    """

    def __init__(self, applied: Applied) -> None:
        import torch

        self._applied = applied
        self._kind: Any = getattr(torch, applied.device)
        self._there, self._back = self._kind.Stream(), self._kind.Stream()

    def launch(self, stacks: Stacks) -> _Launched:
        """Have a batch computed and its result copied; waits for neither."""
        import torch

        try:
            with torch.inference_mode():
                result = _compute(self._applied, self._send(stacks))
                return _Launched(stacks, *self._fetch(result))
        except torch.cuda.OutOfMemoryError:
            return _Launched(stacks)

    def _send(self, stacks: Stacks) -> "list[torch.Tensor]":
        import torch

        computing = self._kind.current_stream()
        with self._kind.stream(self._there):
            # only from memory that is pinned do copies run beside the CPU
            tensors = [
                self._pinned(torch.from_numpy(stack)).to(self._applied.device, non_blocking=True)
                for stack in stacks
            ]
        computing.wait_stream(self._there)
        self._keep(tensors, computing)
        return tensors

    def _fetch(self, result: "torch.Tensor") -> "tuple[torch.Tensor, Any]":
        import torch

        on_gpu = self._applied.device != "cpu"
        self._back.wait_stream(self._kind.current_stream())
        with self._kind.stream(self._back):
            fetched = torch.empty(result.shape, dtype=result.dtype, pin_memory=on_gpu)
            fetched.copy_(result, non_blocking=True)
            done = self._kind.Event()
            done.record()
        self._keep([result], self._back)
        return fetched, done

    def _pinned(self, tensor: "torch.Tensor") -> "torch.Tensor":
        return tensor if self._applied.device == "cpu" else tensor.pin_memory()

    def _keep(self, tensors: "list[torch.Tensor]", stream: Any) -> None:
        """Do not let memory be used again before a stream, which did not make it, is done."""
        if self._applied.device != "cpu":
            for tensor in tensors:
                tensor.record_stream(stream)


def _finish(applied: Applied, launched: _Launched) -> np.ndarray:
    """The result of a batch, waited for; where memory was short, computed in parts."""
    if launched.result is None:
        return _in_what_fits(applied, launched.stacks)
    launched.done.synchronize()
    return _without_overflow(applied, launched.stacks, launched.result.numpy())


def _without_overflow(applied: Applied, stacks: Stacks, result: np.ndarray) -> np.ndarray:
    """The result, or one in float32 where float16 was not enough."""
    if not applied.half or np.isfinite(result).all():
        return result
    return _in_what_fits(Applied(applied.model, applied.rule, applied.device, half=False), stacks)


def _in_what_fits(applied: Applied, stacks: Stacks) -> np.ndarray:
    """Apply a rule to stacks; where a GPU's memory is short, to halves, at last on the CPU."""
    import torch

    try:
        return _without_overflow(applied, stacks, _on_device(applied, stacks))
    except torch.cuda.OutOfMemoryError:
        slices = len(stacks[0])
        if slices == 1 and applied.device == "cpu":
            raise
    # here, not above: the error holds on to what it was about
    if applied.device != "cpu":
        torch.cuda.empty_cache()
    if slices > 1:
        halves = [[stack[part] for stack in stacks] for part in _halves(slices)]
        return np.concatenate([_in_what_fits(applied, half) for half in halves])
    size = " x ".join(map(str, stacks[0].shape[-2:]))
    warnings.warn(
        f"the GPU has too little memory for a slice of {size}: it is fused on the CPU", stacklevel=2
    )
    applied.model.to("cpu")
    try:
        return _on_device(Applied(applied.model, applied.rule, "cpu", half=False), stacks)
    finally:
        applied.model.to(applied.device)


def _halves(slices: int) -> tuple[slice, slice]:
    return slice(slices // 2), slice(slices // 2, None)


def _on_device(applied: Applied, stacks: Stacks) -> np.ndarray:
    import torch

    tensors = [torch.from_numpy(stack).to(applied.device) for stack in stacks]
    return _compute(applied, tensors).cpu().numpy()


def _compute(applied: Applied, tensors: "list[torch.Tensor]") -> "torch.Tensor":
    """In float32, whatever a network computes in."""
    import torch

    mixed = torch.autocast(applied.device, torch.float16) if applied.half else nullcontext()
    with torch.inference_mode(), mixed:
        return applied.rule(*tensors).float()
