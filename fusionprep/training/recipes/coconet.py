"""CoCoNet is trained to resemble each source as far as it was measured, and where it is salient.

Liu et al. 2024: structure (SSIM) and intensity (mean squared error) of both sources, shared by
their mean gradients and by their entropies, and the coupled contrast, which in feature space pulls
the foreground towards the functional and the background towards the anatomical image, and pushes
each away from the other image. Where the paper's text leaves room, the figures are those of the
authors' published training.

The authors' program reads its foreground from masks of hot objects in infrared photographs. Medical
images come without such masks: here it is measured, as where the functional image is the brighter
one. The mask is laid on the features instead of on the images, whose features would show the mask's
edge.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.models.nets.coconet import CoCoNet
from fusionprep.training.features import feature_network
from fusionprep.training.losses import SMALLEST_NORM, information_weighted, sobel, ssim
from fusionprep.training.options import TrainingOptions
from fusionprep.training.recipes.base import Batch, Recipe, Terms

STRUCTURE_TEMPERATURE, INTENSITY_TEMPERATURE = 0.5, 0.75

DEPTH_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
"""Weights of the contrast at five depths of features; with fewer depths, the last ones."""

NEGATIVES = 3
"""The other source of the same pair, and of the next two pairs of the batch."""


class CoCoNetRecipe(Recipe[CoCoNet]):
    """Measured structure and intensity, and the coupled contrast."""

    loss_weights: ClassVar = {"structure": 20.0, "intensity": 4.0, "contrast": 2.0}
    differences = (
        "a reduced number of channels; the features of either image come from layers trained along "
        "with the rest instead of a VGG-19 trained on ImageNet; attention takes the mean over the "
        "pixels instead of the sum; the network adds to the mean of the two images; where both "
        "are 0 the result is 0. The foreground is where the functional image is the brighter one "
        "instead of a mask read from a file; it is laid on the features instead of on the "
        "images; the contrast compares features of the DenseFuse encoder (or of a VGG-16 given "
        "as a file) instead of a VGG-19, divides by the mean distance from the negatives "
        "instead of the sum, weighs 2 instead of 1, and is in the loss from the start instead of "
        "in a second training run."
    )

    def build(self) -> CoCoNet:
        return CoCoNet()

    def helper_network(self, options: TrainingOptions) -> nn.Module:
        return feature_network(options.perceptual_weights)

    def loss_terms(self, model: CoCoNet, batch: Batch, helper: Any) -> Terms:
        first, second = sources = batch["anatomical"], batch["functional"]
        fused = model(first, second)
        by_gradient = measured_shares(
            mean_gradient(first), mean_gradient(second), STRUCTURE_TEMPERATURE
        )
        by_entropy = measured_shares(entropy(first), entropy(second), INTENSITY_TEMPERATURE)
        dissimilarity = [1 - ssim(source, fused) for source in sources]
        error = [(source - fused).square().mean(dim=(1, 2, 3)) for source in sources]
        foreground = (second > first).to(fused.dtype)
        anchor, anatomical, functional = map(helper, (fused, *sources))
        return {
            "structure": information_weighted(dissimilarity[0], dissimilarity[1], by_gradient),
            "intensity": information_weighted(error[0], error[1], by_entropy),
            "contrast": contrast(anchor, functional, anatomical, foreground)
            + contrast(anchor, anatomical, functional, 1 - foreground),
        }


def mean_gradient(image: torch.Tensor) -> torch.Tensor:
    """Mean absolute Sobel derivative of each image (N, 1, H, W): (N,)."""
    return sobel(image).abs().mean(dim=(1, 2, 3))


def entropy(image: torch.Tensor) -> torch.Tensor:
    """Entropy of the 256 gray levels of each image (N, 1, H, W) in [0, 1], nats: (N,)."""
    levels = (image * 255).round().long().flatten(1)
    counts = torch.stack([torch.bincount(row, minlength=256) for row in levels])
    return torch.special.entr(counts / levels.shape[1]).sum(dim=1)


def measured_shares(
    anatomical: torch.Tensor, functional: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Softmax of two measures (N,), each divided by their sum and the temperature: (N, 2)."""
    measures = torch.stack([anatomical, functional], dim=1)
    share = measures / (measures.sum(dim=1, keepdim=True) + SMALLEST_NORM)
    return torch.softmax(share / temperature, dim=1)


def contrast(
    anchor: Sequence[torch.Tensor],
    positive: Sequence[torch.Tensor],
    negative: Sequence[torch.Tensor],
    mask: torch.Tensor,
) -> torch.Tensor:
    """Distance of features from those to resemble, as a share of that from those to differ from.

    Parameters
    ----------
    anchor, positive, negative
        Features at several depths, each (N, C, H, W). The negatives of an image are those at its
        own place in the batch and at the next two.
    mask
        (N, 1, H, W) in [0, 1], the part of the image that counts.

    Returns
    -------
    torch.Tensor
        Weighted sum over the depths; 0 where the anchor is the positive, and where the mask is
        empty.
    """
    terms: list[torch.Tensor] = []
    for weight, *maps in zip(
        DEPTH_WEIGHTS[-len(anchor) :], anchor, positive, negative, strict=True
    ):
        height, width = maps[0].shape[-2:]
        part = nnf.adaptive_avg_pool2d(mask, (height, width))
        others = [maps[2].roll(shift, 0) for shift in range(min(len(mask), NEGATIVES))]
        apart = torch.stack([_distance(maps[0], other, part) for other in others]).mean()
        terms.append(weight * _distance(maps[0], maps[1], part) / (apart + SMALLEST_NORM))
    return torch.stack(terms).sum()


def _distance(first: torch.Tensor, second: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return ((first - second).abs() * mask).mean()
