"""What all fusion models have in common."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as nnf

PRESENT = 0.06
"""Mean level of a neighbourhood at which an image counts as wholly present there."""

Module = TypeVar("Module", bound=nn.Module)


class FusionModel(torch.nn.Module):
    """A model that fuses an anatomical slice with a functional one.

    ``forward(anatomical, functional)`` takes two float32 tensors of shape (N, 1, H, W) with
    values in [0, 1] and returns one of the same shape and range. The slices of a batch must not
    influence each other.

    Attributes
    ----------
    reach
        How many pixels away an input pixel can still change an output pixel; None when the whole
        slice can, or when the result depends on where a crop begins. Inference crops empty
        surroundings up to this distance, and leaves slices whole where it is None.
    """

    reach: int | None = None

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class PlannedFusion(FusionModel):
    """A model that first says how to fuse, in a plan of few numbers, and then follows it.

    In a volume the plans of neighbouring slices are smoothed before they are followed, so that
    a slice is not fused unlike the next one. Its reach is left open, so that all plans are of
    whole slices and their places agree.

    """

    def smoothed_slices(self, voxel_sizes: Sequence[float], axis: int) -> float:
        """Standard deviation of the Gaussian over the plans of slices, in slices.

        Parameters
        ----------
        voxel_sizes
            Along the axes of the volume, in mm.
        axis
            The axis across the slices.
        """
        raise NotImplementedError

    def plan(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        """How to fuse slices (N, 1, H, W): (N, ...), numbers that can be averaged."""
        raise NotImplementedError

    def follow(
        self, anatomical: torch.Tensor, functional: torch.Tensor, plan: torch.Tensor
    ) -> torch.Tensor:
        """Fuse slices (N, 1, H, W) as their plans say."""
        raise NotImplementedError

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        return self.follow(anatomical, functional, self.plan(anatomical, functional))


def in_layout(module: Module, layout: torch.memory_format) -> Module:
    """The module with its weights in a memory layout, an argument PyTorch's types do not know."""
    return module.to(memory_format=layout)  # type: ignore[call-overload]


def in_float32(image: torch.Tensor) -> AbstractContextManager:
    """Keep out of mixed precision what float16 has too few digits, or too small a range, for.

    Parameters
    ----------
    image
        On the device that computes.
    """
    kind = image.device.type
    # PyTorch knows no mixed precision of tensors without content
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


def support(anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
    """Where at least one image is above 0: bool, in the shape of the images.

    Networks rarely render black exactly, and a gray background shows as haze.
    """
    return (anatomical > 0) | (functional > 0)


def box_mean(images: torch.Tensor, side: int) -> torch.Tensor:
    """Mean over a square around each pixel of images (N, C, H, W), black outside.

    ``side`` is odd. Sums of sums of neighbours: several times faster on a CPU than pooling.
    """
    half = side // 2
    for axis, room in ((-1, (half, half)), (-2, (0, 0, half, half))):
        images = _sums(nnf.pad(images, room), side, axis, images.shape[axis])
    return images / side**2


def _sums(images: torch.Tensor, side: int, axis: int, count: int) -> torch.Tensor:
    """The first ``count`` sums of ``side`` neighbours along an axis."""
    parts, begun = [], 0
    width, of_width = 1, images
    while width <= side:
        if side & width:
            parts.append(of_width.narrow(axis, begun, count))
            begun += width
        if 2 * width <= side:
            length = of_width.shape[axis] - width
            of_width = of_width.narrow(axis, 0, length) + of_width.narrow(axis, width, length)
        width *= 2
    return reduce(torch.add, parts)


def keep_alone(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """The fused image where both images show something, and where one is alone, that one.

    A network that was taught one weight for each image, or to resemble both, dims an image that
    is alone: the scalp beside PET, the halo of SPECT beside MRI. An image shows something where
    its mean over 5 x 5 pixels is above 0; up to :data:`PRESENT` the change is gradual, from the
    one that shows more. Beside black an image is kept exactly, however faint.
    """
    means = [box_mean(image, 5) for image in (anatomical, functional)]
    shown = torch.minimum(*means) / PRESENT
    squares = [mean.square() for mean in means]
    share = squares[1] / (squares[0] + squares[1]).clamp_min(torch.finfo(squares[0].dtype).tiny)
    alone = torch.lerp(anatomical, functional, share)
    # In mixed precision a network computes in half precision, but its inputs are not.
    return torch.lerp(alone, fused.to(functional.dtype), shown.clamp(0, 1))


def between(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """The fused image held between the darker and the brighter of the two, pixel by pixel."""
    darker, brighter = torch.minimum(anatomical, functional), torch.maximum(anatomical, functional)
    return fused.maximum(darker).minimum(brighter)
