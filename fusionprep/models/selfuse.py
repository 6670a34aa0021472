"""SelFuse, our own: a power mean of the two images, gated pixel by pixel by a small network.

No paper. A power mean lies between the mean and the brighter of two images and changes smoothly
from one to the other, so that nothing needs to be invented where one of two pixels can be taken or
both can be kept. A fully convolutional network only says how much each image counts, and adds a
small correction::

    fused = ((u a)^p + (v b)^p)^(1/p) + 0.15 tanh(r)      clipped to [0, 1], 0 where a = b = 0

with a the anatomical and b the functional image, gates u and v between 0 and 1.5, correction r, and
the power p, which is trained too. Untrained, u = v = 1, r = 0 and p = 4. The body has residual 3x3
convolutions of growing and shrinking dilation, without pooling. What kinds of images these are (a
CT with its bone, a PET with its uptake) shows in the whole slice rather than around a pixel: means
and deviations of the features over all pixels with an image scale and shift the features once.
"""

import math

import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.models.base import FusionModel, support

LARGEST_GATE = 1.5
"""How far an image can be brightened."""

LARGEST_CORRECTION = 0.15
"""How far the result may leave the power mean."""

INITIAL_POWER = 4.0
SMALLEST_POWER, LARGEST_POWER = 1.2, 20.0

SMALLEST_LEVEL = 1e-4
"""Added before powers, whose derivatives are infinite at 0."""


class SelFuse(FusionModel):
    """Gated power mean.

    Parameters
    ----------
    channels
        Width of the body.
    dilations
        One residual convolution for each.
    """

    def __init__(
        self, channels: int = 16, dilations: tuple[int, ...] = (1, 2, 4, 8, 4, 2, 1)
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, channels, 3, padding=1)
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
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.power = nn.Parameter(torch.tensor(INITIAL_POWER))
        # The summary is of all pixels with an image, so that a crop that holds them is enough.
        self.reach = 2 + sum(dilations)

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        return clipped(self.unclipped(anatomical, functional), anatomical, functional)

    def unclipped(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        """The result before it is clipped to [0, 1] and to where there is an image."""
        maps = self.last(self._features(anatomical, functional))
        opening, correction = maps.split([2, 1], dim=1)
        # 1 where the network says nothing.
        gates = LARGEST_GATE * torch.sigmoid(opening + math.log(1 / (LARGEST_GATE - 1)))
        gated = gates * torch.cat([anatomical, functional], dim=1) + SMALLEST_LEVEL
        power = self.power.clamp(SMALLEST_POWER, LARGEST_POWER)
        # Powers of the ratios to the larger one neither overflow nor vanish.
        largest = gated.amax(dim=1, keepdim=True)
        mean = largest * (gated / largest).pow(power).sum(dim=1, keepdim=True).pow(1 / power)
        return mean + LARGEST_CORRECTION * torch.tanh(correction)

    def _features(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        brighter, difference = torch.maximum(anatomical, functional), anatomical - functional
        images = torch.cat([anatomical, functional, brighter, difference], dim=1)
        features = nnf.leaky_relu(self.first(images), 0.1)
        inside = support(anatomical, functional)
        for index, layer in enumerate(self.body):
            features = features + nnf.leaky_relu(layer(features), 0.1)
            # Where the neighbourhood is known well, before the widest convolution.
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
        return features * (1 + scale) + shift


def clipped(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """The network's result in [0, 1], and 0 where there is no image."""
    return fused.clamp(0, 1) * support(anatomical, functional)
