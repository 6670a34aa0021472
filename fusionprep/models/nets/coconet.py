"""CoCoNet: a U-Net on both images, joined at each level by attended features of each.

Liu J, Lin R, Wu G, Liu R, Luo Z, Fan X. CoCoNet: Coupled Contrastive Learning Network with
Multi-level Feature Ensemble for Multi-modality Image Fusion. International Journal of Computer
Vision 132:1748-1775, 2024. doi:10.1007/s11263-023-01952-1

The layers are those of the authors' published network, in which the paper's multi-level attention
joins three streams per level. What differs: three eighths of the channels at the top and three
sixteenths at the bottom; the features of either image come from the first layers of a VGG-19, as
there, but are trained along with the rest instead of on ImageNet; attention takes the mean over the
pixels instead of the sum, so that it does not depend on the size of the image; the network's tanh
is added to the mean of the two images instead of being the result, which takes less time to learn,
and where both images are 0 the result is 0. For the training see
:mod:`fusionprep.training.recipes.coconet`.
"""

import itertools
from typing import cast

import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.models.nets.base import FusionModel, in_float32, support
from fusionprep.models.nets.vgg import VGG19_COUNTS

SLOPE = 0.2

STRIDE = 8
"""Pixels along the side of one of the deepest features."""


def _convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


def _layers(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels_in, channels_out in itertools.pairwise(widths):
        layers += [
            _convolution(channels_in, channels_out),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.BatchNorm2d(channels_out),
        ]
    return nn.Sequential(*layers)


class ChannelAttention(nn.Module):
    """Mixes channels by how little they have in common.

    Softmax over a channel's distance from the largest of its products with all channels, scaled by
    a factor that starts at 0, added to the values.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = _convolution(channels, channels)
        self.key = _convolution(channels, channels)
        self.value = _convolution(channels, channels)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            layer(features).flatten(2) for layer in (self.query, self.key, self.value)
        )
        with in_float32(features):
            # sums over all pixels, more than float16 can hold
            product = query.float() @ key.float().transpose(1, 2) / query.shape[-1]
        attention = torch.softmax(product.amax(dim=-1, keepdim=True) - product, dim=-1)
        return (value + self.scale * (attention @ value)).view_as(features)


class FeatureEnsemble(nn.Module):
    """Features of both images together and of each alone, attended in the same way and joined."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = ChannelAttention(channels)
        self.join = _convolution(3 * channels, channels)

    def forward(self, *streams: torch.Tensor) -> torch.Tensor:
        return self.join(torch.cat([self.attention(stream) for stream in streams], dim=1))


class SourceFeatures(nn.Module):
    """Three levels of features of one image, from half its size down.

    A VGG-19 up to the last convolution of its third stage, but for the first pooling, which comes
    a convolution earlier.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        channels = (1, *widths)
        self.stages = nn.ModuleList(
            nn.ModuleList(
                _convolution(channels[level] if first else width, width)
                for first in [True] + [False] * (VGG19_COUNTS[level] - 1)
            )
            for level, width in enumerate(widths)
        )

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        first, second = cast(nn.ModuleList, self.stages[0])
        maps = torch.relu(second(nnf.max_pool2d(torch.relu(first(image)), 2)))
        levels = [maps]
        for stage in self.stages[1:]:
            maps = nnf.max_pool2d(maps, 2)
            for convolution in cast(nn.ModuleList, stage):
                maps = torch.relu(convolution(maps))
            levels.append(maps)
        return levels


class CoCoNet(FusionModel):
    """U-Net whose skip connections and deepest level are ensembles of three streams.

    Its reach is left open, because attention and padding look at the whole image.

    Parameters
    ----------
    widths
        Channels of the four levels, from full resolution down; 32, 64, 128 and 256 in the paper.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (12, 20, 32, 48)) -> None:
        super().__init__()
        top, upper, lower, bottom = widths
        self.sources = SourceFeatures((upper, lower, bottom))
        self.down = nn.ModuleList(
            [
                _layers(2, top, top),
                _layers(top, upper, upper),
                _layers(upper, lower, lower),
                _layers(lower, bottom),
            ]
        )
        self.ensembles = nn.ModuleList(FeatureEnsemble(width) for width in (upper, lower, bottom))
        self.deepest = _layers(bottom, bottom)
        pairs = ((bottom, lower), (lower, upper), (upper, top))
        self.narrow = nn.ModuleList(_convolution(*pair) for pair in pairs)
        self.up = nn.ModuleList(
            [
                _layers(2 * lower, lower, lower),
                _layers(2 * upper, upper, upper),
                # The output is made from features that are not normalised.
                _layers(2 * top, top, top)[:-1],
            ]
        )
        self.last = nn.Conv2d(top, 1, 1)

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        height, width = anatomical.shape[-2:]
        pad = (0, -width % STRIDE, 0, -height % STRIDE)
        padded = [nnf.pad(image, pad, mode="reflect") for image in (anatomical, functional)]
        added = torch.tanh(self.last(self._decode(*self._encode(*padded))))
        added = added.narrow(-2, 0, height).narrow(-1, 0, width)
        fused = torch.lerp(anatomical, functional, 0.5) + added
        return fused.clamp(0, 1) * support(anatomical, functional)

    def _encode(
        self, anatomical: torch.Tensor, functional: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Features at full size, and the ensembles of the levels below."""
        streams = zip(self.sources(anatomical), self.sources(functional), strict=True)
        full = maps = self.down[0](torch.cat([anatomical, functional], dim=1))
        joined = []
        for layers, ensemble, sources in zip(self.down[1:], self.ensembles, streams, strict=True):
            maps = layers(nnf.max_pool2d(maps, 2))
            joined.append(ensemble(maps, *sources))
        return full, joined

    def _decode(self, full: torch.Tensor, joined: list[torch.Tensor]) -> torch.Tensor:
        maps = self.deepest(joined[-1])
        skips = [*joined[-2::-1], full]
        for narrow, layers, skip in zip(self.narrow, self.up, skips, strict=True):
            enlarged = nnf.interpolate(maps, size=skip.shape[-2:], mode="bilinear")
            maps = layers(torch.cat([narrow(enlarged), skip], dim=1))
        return maps
