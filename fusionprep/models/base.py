"""What every fusion model is."""

import torch


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


def support(anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
    """Where at least one image is above 0: bool, in the shape of the images.

    Networks rarely render black exactly, and a gray background shows as haze.
    """
    return (anatomical > 0) | (functional > 0)


def between(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """The fused image held between the darker and the brighter of the two, pixel by pixel."""
    darker, brighter = torch.minimum(anatomical, functional), torch.maximum(anatomical, functional)
    return fused.maximum(darker).minimum(brighter)
