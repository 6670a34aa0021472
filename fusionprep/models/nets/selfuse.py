"""SelFuse, our own: a power mean of the two images, steered by a small network.

No paper. A power mean lies between the mean and the brighter of two images and changes smoothly
from one to the other, so that nothing needs to be invented where one of two pixels can be taken or
both can be kept. A fully convolutional network only says how much each image counts, and how much
the mean favours the brighter one::

    fused = ((u a)^p + (v b)^p)^(1/p)      0 where a = b = 0

with a the anatomical and b the functional image, gates u and v between 0 and 1.4 and the power p
between 1.2 and 20. Untrained, u = v = 1 and p = 4. From 0.9 on, levels rise ever more slowly and
stay below 1, so that two bright images do not melt into white. A functional image that is alone,
such as bone outside the MRI, stays as it is but for that. All three are maps of a quarter of the
resolution, enlarged bilinearly: within a few pixels the fused image follows from the two images by
one smooth rule, so edges are theirs, and gray levels still tell those of the sources.

The network sees statistics of blocks of 4x4 pixels, how bright, how contrasted and how alike the
two images are there, through residual 3x3 convolutions of growing and shrinking dilation. What
kinds of images these are (a CT with its bone, a PET with its uptake) shows in the whole slice
rather than around a pixel: means and deviations of the features over all blocks with an image scale
and shift the features once. benchmarks/own_model.md says what else was tried.

It is made for the field's metrics, and a reader should know what they overlook. It is close to the
brighter of both images: under high uptake lesions of the MRI are hard to see. Where the MRI is dark
but not black, weak uptake is erased: SPECT keeps 0.40 of the maximum there. What both images show
comes out brighter, by the factor 1.22 where gates are open. Every pixel depends on the whole slice.
On PET of patients it was not trained on it adds edges (N^AB/F 0.012). The default model,
:mod:`~fusionprep.models.nets.readfuse`, is for readers.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.models.nets.base import PRESENT, PlannedFusion, support

BLOCK = 4
"""Pixels along the side of a block, which the network sees as one."""

LARGEST_GATE = 1.4
"""How far an image can be brightened."""

INITIAL_POWER = 4.0

POWER_RANGE = math.log(5.0)
"""The power lies between a fifth and five times the initial one."""

SMALLEST_POWER = 1.2

SMALLEST_LEVEL = 1e-4
"""Added before powers, whose derivatives are infinite at 0."""

SMALLEST_DEVIATION = 1e-3
"""A quarter of a gray level: blocks that vary less count as flat."""

SHOULDER = 0.9
"""Level above which levels are compressed."""

PLAN_SMOOTHING = 6
"""Smoothing of plans over slices, in the pixels of a slice."""

STATISTICS = 10
"""Values that the network sees of a block."""


class SelFuse(PlannedFusion):
    """Steered power mean.

    Its reach is left open, because blocks and summary make the result depend on where a crop
    begins.

    Parameters
    ----------
    channels
        Width of the body.
    dilations
        One residual convolution for each.
    """

    def __init__(
        self, channels: int = 40, dilations: tuple[int, ...] = (1, 2, 4, 8, 4, 2, 1)
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(STATISTICS, channels, 3, padding=1)
        self.body = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
            for dilation in dilations
        )
        self.summary = nn.Sequential(
            nn.Linear(2 * channels, 2 * channels),
            nn.LeakyReLU(0.1),
            nn.Linear(2 * channels, 2 * channels),
        )
        self.last = nn.Conv2d(channels, 3, 3, padding=1)
        for layer in (self.summary[-1], self.last):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def plan(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        """For each block (N, 3, h, w), what the network says: openings of two gates, an exponent.

        All are 0 where it says nothing.
        """
        return self.last(self._features(block_statistics(anatomical, functional)))

    def smoothed_slices(self, voxel_sizes: Sequence[float], axis: int) -> float:
        pixel = math.sqrt(math.prod(np.delete(voxel_sizes, axis)))
        return PLAN_SMOOTHING * pixel / voxel_sizes[axis]

    def follow(
        self, anatomical: torch.Tensor, functional: torch.Tensor, plan: torch.Tensor
    ) -> torch.Tensor:
        return compressed(self.uncompressed(anatomical, functional, plan), anatomical, functional)

    def uncompressed(
        self, anatomical: torch.Tensor, functional: torch.Tensor, plan: torch.Tensor
    ) -> torch.Tensor:
        """The power mean, which can exceed 1 and is not yet 0 where there is no image."""
        gates, power = maps(plan, anatomical)
        return power_mean(gates * torch.cat([anatomical, functional], dim=1), power)

    def _features(self, blocks: torch.Tensor) -> torch.Tensor:
        features = nnf.leaky_relu(self.first(blocks), 0.1)
        inside = blocks[:, :2].sum(dim=1, keepdim=True) > 0
        for index, layer in enumerate(self.body):
            features = features + nnf.leaky_relu(layer(features), 0.1)
            # Before the widest convolution, where enough of the neighbourhood is known.
            if index == len(self.body) // 2 - 1:
                features = self._informed(features, inside)
        return features

    def _informed(self, features: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """Features (N, C, H, W) scaled and shifted by what their summary over a slice says."""
        count = inside.sum(dim=(2, 3)).clamp_min(1)
        mean = (features * inside).sum(dim=(2, 3)) / count
        square = (features.square() * inside).sum(dim=(2, 3)) / count
        summary = torch.cat([mean, square.clamp_min(SMALLEST_LEVEL**2).sqrt()], dim=1)
        scale, shift = self.summary(summary).unsqueeze(-1).unsqueeze(-1).chunk(2, dim=1)
        return features * (1 + torch.tanh(scale)) + shift


def maps(plan: torch.Tensor, anatomical: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gates (N, 2, H, W) and power (N, 1, H, W) of a plan for slices with this anatomical image."""
    height, width = anatomical.shape[-2:]
    # A functional image that is alone is shown as it is: its gate is 1 where there is no other.
    present = (nnf.avg_pool2d(whole_blocks(anatomical), BLOCK) / PRESENT).clamp(0, 1)
    plan = torch.cat([plan[:, :1], plan[:, 1:2] * present, plan[:, 2:]], dim=1)
    fine = nnf.interpolate(plan, scale_factor=BLOCK, mode="bilinear")
    opening, exponent = fine[..., :height, :width].split([2, 1], dim=1)
    gates = LARGEST_GATE * torch.sigmoid(opening + math.log(1 / (LARGEST_GATE - 1)))
    power = INITIAL_POWER * torch.exp(POWER_RANGE * torch.tanh(exponent))
    return gates, power.clamp_min(SMALLEST_POWER)


def whole_blocks(image: torch.Tensor) -> torch.Tensor:
    """An image extended by black to whole blocks."""
    height, width = image.shape[-2:]
    return nnf.pad(image, (0, -width % BLOCK, 0, -height % BLOCK))


def block_statistics(anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
    """What the network sees of two images (N, 1, H, W): (N, 10, h, w), one value for each block.

    Mean, four times the deviation and largest level of each image, their correlation, the
    difference of their means, the mean of the brighter one and the share of pixels where that is
    the functional one. Images are extended by black to whole blocks.
    """
    a, b = whole_blocks(anatomical), whole_blocks(functional)
    mean_a, mean_b, square_a, square_b, product, brighter, share_b = (
        nnf.avg_pool2d(image, BLOCK)
        for image in (a, b, a * a, b * b, a * b, torch.maximum(a, b), (b > a).to(a.dtype))
    )
    deviation_a, deviation_b = (
        (square - mean**2).clamp_min(SMALLEST_DEVIATION**2).sqrt()
        for square, mean in ((square_a, mean_a), (square_b, mean_b))
    )
    correlation = (product - mean_a * mean_b) / (deviation_a * deviation_b + SMALLEST_DEVIATION)
    return torch.cat(
        [
            *(mean_a, mean_b, 4 * deviation_a, 4 * deviation_b, correlation, mean_a - mean_b),
            *(brighter, share_b, nnf.max_pool2d(a, BLOCK), nnf.max_pool2d(b, BLOCK)),
        ],
        dim=1,
    )


def power_mean(images: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Power mean without the division by their number: of images (N, 2, H, W), (N, 1, H, W)."""
    images = images + SMALLEST_LEVEL
    # Powers of the ratios to the larger one neither overflow nor vanish.
    largest = images.amax(dim=1, keepdim=True)
    return largest * (images / largest).pow(power).sum(dim=1, keepdim=True).pow(1 / power)


def compressed(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """The power mean with its highest levels compressed below 1, and 0 where there is no image."""
    room = 1 - SHOULDER
    above = (fused - SHOULDER).clamp_min(0)
    fused = fused.clamp_max(SHOULDER) + room * torch.tanh(above / room)
    return fused * support(anatomical, functional)
