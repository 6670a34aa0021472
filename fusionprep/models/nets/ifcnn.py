"""IFCNN: convolutional features of each image, fused element by element, turned back into an image.

Zhang Y, Liu Y, Sun P, Yan H, Zhao X, Zhang L. IFCNN: A general image fusion framework based on
convolutional neural network. Information Fusion 54:99-118, 2020. doi:10.1016/j.inffus.2019.07.011

Architecture, rules and training on synthetic multi-focus pairs are the paper's (Fig. 2, eqs. 1-6).
What differs: the first layer, which the paper takes from a ResNet101 trained on ImageNet and keeps
fixed, is trained with the others, because no photographs are used here; gray images enter as three
equal channels in [0, 1], and the three output channels are averaged, clipped to that range and set
to 0 where both images are 0.
"""

from collections.abc import Callable

import torch
from torch import nn

from fusionprep.models.nets.base import FusionModel, support

FusionRule = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def sum_rule(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Element-wise sum of the features."""
    return first + second


def mean_rule(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Element-wise mean of the features."""
    return (first + second) / 2


class _Block(nn.Sequential):
    """3x3 convolution with replicated borders, batch normalisation, ReLU."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(64, 64, 3, padding=1, padding_mode="replicate", bias=False),
            # Crops differ a lot in brightness: means over few batches would not fit whole slices.
            nn.BatchNorm2d(64, momentum=0.02),
            nn.ReLU(inplace=True),
        )


class IFCNN(FusionModel):
    """Two convolutions for each image, a fusion rule, two convolutions for the result.

    Parameters
    ----------
    rule
        Combines two feature tensors (N, 64, H, W) into one. The paper advises the maximum for
        medical images.
    """

    # A 7x7 and two 3x3 convolutions.
    reach = 5

    def __init__(self, rule: FusionRule) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, padding=3, padding_mode="replicate", bias=False)
        self.conv2 = _Block()
        self.conv3 = _Block()
        self.conv4 = nn.Conv2d(64, 3, 1)
        self.rule = rule

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        fused = self.merge(anatomical, functional).clamp(0, 1)
        return fused * support(anatomical, functional)

    def merge(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """The fused image (N, 1, H, W) before it is clipped and masked: what is trained."""
        fused = self.rule(self._features(first), self._features(second))
        return self.conv4(self.conv3(fused)).mean(dim=1, keepdim=True)

    def _features(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.conv1(image.expand(-1, 3, -1, -1)))


def ifcnn_max() -> IFCNN:
    """IFCNN with the element-wise maximum."""
    return IFCNN(torch.maximum)


def ifcnn_mean() -> IFCNN:
    """IFCNN with the element-wise mean."""
    return IFCNN(mean_rule)


def ifcnn_sum() -> IFCNN:
    """IFCNN with the element-wise sum."""
    return IFCNN(sum_rule)
