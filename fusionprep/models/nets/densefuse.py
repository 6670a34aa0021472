"""DenseFuse: a dense auto-encoder whose feature maps are fused by a rule without parameters.

Li H, Wu X-J. DenseFuse: A Fusion Approach to Infrared and Visible Images. IEEE Transactions on
Image Processing 28(5):2614-2623, 2019. doi:10.1109/TIP.2018.2887342

Architecture and rules are the paper's (Table I, Figs. 2 and 4-6). What differs: the output is
clipped to the range of the input, and the addition rule is halved, because a sum of the features
doubles the gray level and saturates wherever both images are bright.
"""

from collections.abc import Callable

import torch
from torch import nn

from fusionprep.models.nets.base import FusionModel

GRAY_LEVELS = 255
"""The encoder sees gray levels 0 to 255, as in the paper: its biases are then small beside them, so
that the activity of dark tissue, by which the l1-norm rule weights features, falls with its gray
level."""

FusionRule = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode="reflect")


class DenseEncoder(nn.Module):
    """Convolution C1 and the dense block: (N, 1, H, W) to (N, 64, H, W), non-negative."""

    def __init__(self) -> None:
        super().__init__()
        self.first = _convolution(1, 16)
        self.dense = nn.ModuleList(_convolution(channels, 16) for channels in (16, 32, 48))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = torch.relu_(self.first(image))
        for layer in self.dense:
            features = torch.cat([features, torch.relu_(layer(features))], dim=1)
        return features


class Decoder(nn.Sequential):
    """Convolutions C2 to C5: (N, 64, H, W) to (N, 1, H, W), not clipped."""

    def __init__(self) -> None:
        super().__init__(
            _convolution(64, 64),
            nn.ReLU(inplace=True),
            _convolution(64, 32),
            nn.ReLU(inplace=True),
            _convolution(32, 16),
            nn.ReLU(inplace=True),
            _convolution(16, 1),
        )


def addition_rule(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mean of the feature maps: the paper's addition strategy (eq. 4), halved."""
    return (first + second).mul_(0.5)


def l1_norm_rule(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Weight the feature maps by their activity (eqs. 5-7).

    The activity of a pixel is the l1 norm of its features averaged over 3x3 pixels; the weights
    are the activities divided by their sum (what the paper calls soft-max).

    Parameters
    ----------
    first, second
        Features (N, C, H, W).

    Returns
    -------
    torch.Tensor
        Fused features (N, C, H, W).
    """
    activity_first, activity_second = _activity(first), _activity(second)
    total = (activity_first + activity_second).clamp_min_(torch.finfo(first.dtype).tiny)
    # In mixed precision the norm is float32, the features are not.
    return torch.lerp(second, first, activity_first.div_(total).to(first.dtype))


def _activity(features: torch.Tensor) -> torch.Tensor:
    norm = torch.linalg.vector_norm(features, ord=1, dim=1, keepdim=True)
    padded = nn.functional.pad(norm, (1, 1, 1, 1), mode="reflect")
    return nn.functional.avg_pool2d(padded, kernel_size=3, stride=1)


class DenseFuse(FusionModel):
    """An auto-encoder with a fusion rule between encoder and decoder.

    Parameters
    ----------
    rule
        Combines two feature tensors (N, 64, H, W) into one; not used in training.
    """

    # Four convolutions on each side of the rule, and the rule's 3x3 mean.
    reach = 9

    def __init__(self, rule: FusionRule) -> None:
        super().__init__()
        self.encoder = DenseEncoder()
        self.decoder = Decoder()
        self.rule = rule

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        fused = self.rule(self.encode(anatomical), self.encode(functional))
        return (self.decoder(fused) / GRAY_LEVELS).clamp(0, 1)

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """Features (N, 64, H, W) of an image (N, 1, H, W) in [0, 1]."""
        return self.encoder(image * GRAY_LEVELS)

    def reconstruct(self, image: torch.Tensor) -> torch.Tensor:
        """Encode and decode one image (N, 1, H, W): what is trained to return its input."""
        return self.decoder(self.encode(image)) / GRAY_LEVELS


def densefuse_l1() -> DenseFuse:
    """DenseFuse with the l1-norm rule."""
    return DenseFuse(l1_norm_rule)


def densefuse_addition() -> DenseFuse:
    """DenseFuse with the addition rule."""
    return DenseFuse(addition_rule)
