"""The convolutional part of the VGG networks, under torchvision's names.

Simonyan K, Zisserman A. Very Deep Convolutional Networks for Large-Scale Image Recognition. ICLR
2015, arXiv:1409.1556, Table 1. What differs: a row or column left over by a pooling makes one more,
so that the sides of an image need not be multiples of 32.
"""

from collections.abc import Sequence

import torch
from torch import nn

VGG19_WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the five stages between the poolings."""

VGG19_COUNTS = (2, 2, 4, 4, 4)
"""Convolutions of each stage (configuration E)."""


class VGGFeatures(nn.Module):
    """The last feature maps before each pooling of a VGG network.

    Parameters
    ----------
    widths, counts
        Channels and number of 3x3 convolutions of each stage.
    """

    def __init__(self, widths: Sequence[int], counts: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, count in zip(widths, counts, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.features = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps (N, C, h, w) of each stage of images (N, 3, H, W), sides halved at each stage."""
        stages = []
        maps = images
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                stages.append(maps)
            maps = layer(maps)
        return stages
