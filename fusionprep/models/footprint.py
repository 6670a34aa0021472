"""How much memory a model takes for slices, and so how many of them a GPU has room for."""

import weakref
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from fusionprep.models.nets.base import FusionModel

SHARE = 0.5
"""Of the free memory that batches are planned with. The other half is for what is not counted: work
space of cuDNN, gaps between blocks, copies of weights and features in float16."""

MOST_SLICES = 32
"""A volume should have some batches, so that copying one and computing another overlap."""

ON_THE_WAY = 3
"""Images per slice that are being copied while another batch is computed: two to the GPU, the
fused one from it."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that a model takes at its peak beside its weights.

    Attributes
    ----------
    fixed
        Whatever the number of slices.
    of_slice
        More for each slice.
    """

    fixed: int
    of_slice: int

    def slices_in(self, free: int) -> int:
        """How many slices to hold at once; at least one.

        Parameters
        ----------
        free
            Bytes of the GPU's memory that can still be taken.

        Examples
        --------
        >>> Footprint(fixed=10, of_slice=100).slices_in(1000)
        4
        """
        room = int(SHARE * free) - self.fixed
        return min(max(1, room // self.of_slice), MOST_SLICES)


def footprint(model: "FusionModel", shape: tuple[int, int]) -> Footprint | None:
    """What a model takes for slices of a shape (H, W) in float32.

    Found by running it on PyTorch's ``meta`` device, where tensors have a size but no content, so
    that this takes neither the memory nor the time of a run.

    Returns
    -------
    Footprint or None
        None for a model that looks at values to know what to compute, as a model without weights
        may.
    """
    try:
        copy = deepcopy(model).to("meta")
        one, two = (peak_bytes(copy, slices, shape, "meta") for slices in (1, 2))
    except RuntimeError:
        return None
    images = ON_THE_WAY * shape[0] * shape[1] * torch.float32.itemsize
    return Footprint(fixed=2 * one - two, of_slice=two - one + images)


def peak_bytes(model: "FusionModel", slices: int, shape: tuple[int, int], device: str) -> int:
    """The most memory that tensors take while a model fuses slices: these, but not its weights.

    Parameters
    ----------
    device
        Where the model is.
    """
    with torch.inference_mode(), _Meter() as meter:
        model(*(torch.zeros(slices, 1, *shape, device=device) for _ in range(2)))
    return meter.peak


class _Meter(TorchDispatchMode):
    """Adds up the memory of the tensors that operations make, as long as these are there."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf.untyped_storage())
        return result

    def _see(self, storage: torch.UntypedStorage) -> None:
        # views share the storage of what they show
        key = storage._cdata
        if key not in self._sizes:
            self._sizes[key] = storage.nbytes()
            weakref.finalize(storage, self._sizes.pop, key)
            self.peak = max(self.peak, sum(self._sizes.values()))
