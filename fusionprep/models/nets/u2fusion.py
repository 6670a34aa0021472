"""U2Fusion: one densely connected network that keeps of each image what carries information.

Xu H, Ma J, Jiang J, Guo X, Ling H. U2Fusion: A Unified Unsupervised Image Fusion Network. IEEE
Transactions on Pattern Analysis and Machine Intelligence 44(1):502-518, 2022.
doi:10.1109/TPAMI.2020.3012548

It succeeds FusionDN by the same authors (AAAI 34:12484-12491, 2020), which had blocks of two batch
normalised convolutions with 48 channels and asked a quality network, not features, for the weights
of the sources. One row represents both.

The network is the paper's (Fig. 4: 659,217 parameters). What differs is its training, see
:mod:`fusionprep.training.recipes.u2fusion`, and what is done with the network's result: where
both images are 0 so is it, which the network alone renders as a dark gray, and where only one image
shows anything it is that image. The paper weights a source by one number for the whole image, so
that the network dims whatever is alone.
"""

import itertools

import torch
from torch import nn

from fusionprep.models.nets.base import FusionModel, keep_alone, support

DENSE_LAYERS = 5
SLOPE = 0.2


def _layer(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode="reflect"),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


class U2Fusion(FusionModel):
    """A dense block on the two images as two channels, then a decoder.

    Parameters
    ----------
    growth
        Channels that the first and each dense layer adds; 44 in the paper.
    decoder
        Channels of the layers after the dense block; 128, 64 and 32 in the paper.
    """

    # Ten 3x3 convolutions.
    reach = 10

    def __init__(self, growth: int = 44, decoder: tuple[int, ...] = (128, 64, 32)) -> None:
        super().__init__()
        self.first = _layer(2, growth)
        self.dense = nn.ModuleList(
            _layer(growth * count, growth) for count in range(1, DENSE_LAYERS + 1)
        )
        widths = (growth * (DENSE_LAYERS + 1), *decoder)
        self.decoder = nn.Sequential(
            *(_layer(*pair) for pair in itertools.pairwise(widths)),
            nn.Conv2d(widths[-1], 1, 3, padding=1, padding_mode="reflect"),
        )

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        features = self.first(torch.cat([anatomical, functional], dim=1))
        for layer in self.dense:
            features = torch.cat([layer(features), features], dim=1)
        fused = self.decoder(features).tanh() / 2 + 0.5
        fused = keep_alone(fused, anatomical, functional)
        return fused * support(anatomical, functional)
