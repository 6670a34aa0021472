"""DSAGAN: two streams of multi-scale features that gate themselves, trained against discriminators.

Fu J, Li W, Du J, Xu L. DSAGAN: A generative adversarial network based on dual-stream attention
mechanism for anatomical and functional image fusion. Information Sciences 576:484-506, 2021.
doi:10.1016/j.ins.2021.06.083

From the paper's abstract: two streams, multi-scale convolutions, attention that enhances the fused
features, discriminators that call the sources real and the fused image fake, one image out. Layers
and widths follow the network that its authors published (github.com/jeffsonfu/DSAGAN, model.py):
kernels 1, 3 and 5 side by side, then 5 and 7, all of 64 channels; features times 1 + earlier
features as attention; 1x1 convolutions with batch normalisation to one channel; a discriminator
of five convolutions and a global maximum.

What differs: the shipped network is narrower; each batch normalisation has statistics of its own,
where the authors' code runs one twice at different depths, so that its running averages fit
neither; borders are repeated instead of padded with zeros; the output is clipped to [0, 1], set
to 0 where both images are 0 and to the one image that shows anything where the other does not. One
discriminator for each source is our reading of the abstract; for the training see
:mod:`fusionprep.training.recipes.dsagan`.
"""

import itertools

import torch
from torch import nn

from fusionprep.models.nets.base import FusionModel, keep_alone, support

SCALES = (1, 3, 5)
"""Kernel sizes of the convolutions that see an image side by side."""


def _convolution(channels_in: int, channels_out: int, side: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, side, padding=side // 2, padding_mode="replicate")


def _normalisation(channels: int) -> nn.BatchNorm2d:
    # Crops differ a lot in brightness: means over few batches would not fit whole slices.
    return nn.BatchNorm2d(channels, momentum=0.02)


class Stream(nn.Module):
    """Multi-scale features of one image (N, 1, H, W), deepened twice under attention.

    Each depth is multiplied by 1 + the sum of the depths before it: what an earlier depth responds
    to counts for more, and where it is silent the features pass as they are.

    Parameters
    ----------
    width
        Channels of every depth; 64 in the paper.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_convolution(1, width, side) for side in SCALES)
        self.middle = _convolution(width, width, 5)
        self.last = _convolution(width, width, 7)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = torch.stack([scale(image) for scale in self.scales]).sum(dim=0)
        second = self.middle(first) * (1 + first)
        return self.last(second) * (1 + first + second)


class DSAGAN(FusionModel):
    """The generator: a stream for each image, merged by 1x1 convolutions.

    Parameters
    ----------
    width
        Channels of each stream; 64 in the paper.
    """

    # Kernels of 5, 5 and 7; the rest is pixel by pixel.
    reach = 7

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.anatomical = Stream(width)
        self.functional = Stream(width)
        self.narrow = nn.Sequential(
            _normalisation(2 * width),
            nn.Conv2d(2 * width, 2 * width, 1),
            _normalisation(2 * width),
            nn.Conv2d(2 * width, width, 1),
        )
        self.render = nn.Sequential(
            _normalisation(width),
            nn.Conv2d(width, width, 1),
            _normalisation(width),
            nn.Conv2d(width, 1, 1),
        )

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        return self.merge(anatomical, functional).clamp(0, 1)

    def merge(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        """The fused image (N, 1, H, W) before it is clipped: what is trained."""
        streams = self.anatomical(anatomical), self.functional(functional)
        features = self.narrow(torch.cat(streams, dim=1)) * (1 + sum(streams))
        fused = keep_alone(self.render(features), anatomical, functional)
        return fused * support(anatomical, functional)


class Discriminator(nn.Module):
    """Tells a source from fused images: logits (N,) of being a source, of images (N, 1, H, W).

    Parameters
    ----------
    widths
        Channels of the five convolutions; 64, 128, 256, 512 and 512 in the paper.
    """

    def __init__(self, widths: tuple[int, ...] = (64, 128, 256, 512, 512)) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, widths[0], 1)]
        for pair in itertools.pairwise(widths):
            layers += [nn.LeakyReLU(inplace=True), nn.Conv2d(*pair, 3, padding=1)]
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(widths[-1]))
        self.verdict = nn.Linear(widths[-1], 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.verdict(self.features(image).amax(dim=(-2, -1)))[:, 0]
