"""A U-Net that sees both images as two channels and returns the fused one.

Ronneberger O, Fischer P, Brox T. U-Net: Convolutional Networks for Biomedical Image Segmentation.
MICCAI, LNCS 9351:234-241, 2015. doi:10.1007/978-3-319-24574-4_28

Encoder, decoder and skip connections are the paper's (Fig. 1). What differs: images keep their
size (padded convolutions), four times fewer channels and one level less, bilinear up-sampling
instead of transposed convolutions, which leave a checkerboard, and one output in [0, 1] instead of
classes: the mean of the two images plus what the network adds to it, 0 where both images are 0.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.models.nets.base import FusionModel, support


def _two_convolutions(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_out, channels_out, 3, padding=1),
        nn.ReLU(inplace=True),
    )


class UNet(FusionModel):
    """U-Net with skip connections.

    Its reach is left open, because pooling makes the result depend on where a crop begins.

    Parameters
    ----------
    widths
        Channels of each level, from full resolution down; 64 to 1024 in the paper.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 128)) -> None:
        super().__init__()
        inputs = (2, *widths[:-1])
        self.down = nn.ModuleList(map(_two_convolutions, inputs, widths))
        pairs = list(itertools.pairwise(widths))[::-1]
        self.narrow = nn.ModuleList(nn.Conv2d(deep, shallow, 1) for shallow, deep in pairs)
        self.up = nn.ModuleList(_two_convolutions(2 * shallow, shallow) for shallow, _ in pairs)
        self.last = nn.Conv2d(widths[0], 1, 1)

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        skips = []
        features = torch.cat([anatomical, functional], dim=1)
        for level, block in enumerate(self.down):
            if level:
                features = nnf.max_pool2d(features, 2, ceil_mode=True)
            features = block(features)
            skips.append(features)
        skips.pop()
        for narrow, block in zip(self.narrow, self.up, strict=True):
            skip = skips.pop()
            features = nnf.interpolate(
                narrow(features), size=skip.shape[-2:], mode="bilinear", align_corners=False
            )
            features = block(torch.cat([skip, features], dim=1))
        fused = torch.lerp(anatomical, functional, 0.5) + self.last(features)
        return fused.clamp(0, 1) * support(anatomical, functional)
