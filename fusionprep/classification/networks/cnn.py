"""The 3-D networks of Song et al., and a DenseNet of MONAI.

Song J, Zheng J, Li P, Lu X, Zhu G, Shen P. An Effective Multimodal Image Fusion Method Using MRI
and PET for Alzheimer's Disease Diagnosis. Frontiers in Digital Health 3:637386, 2021.
doi:10.3389/fdgth.2021.637386

What we know of the paper's networks is what its abstract says: a "3D Simple CNN" and a "3D
Multi-Scale CNN", trained on the whole volume of T1w, PET or GM-PET for two classes and for three.
Its full text was not at hand. Not known to us, and chosen here: the number of layers and of
channels, kernels, pooling, normalisation, dropout, how the scales are brought together, the size of
the input, optimiser, batches, epochs and augmentation. No figure of the paper can therefore be
expected of these networks; they answer whether fusion helps a network of that kind.
"""

from collections.abc import Sequence

import torch
from torch import nn

CHANNELS = (8, 16, 32, 64)
DROPOUT = 0.5


def _block(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution, normalisation, rectifier and pooling that halves the sides."""
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(inplace=True),
        # a side of one voxel stays one
        nn.MaxPool3d(2, ceil_mode=True),
    )


def _trunk(inputs: int, channels: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(map(_block, (inputs, *channels[:-1]), channels))


class SimpleCNN(nn.Module):
    """Four blocks one after the other, mean over the volume, one hidden layer.

    Parameters
    ----------
    inputs
        Channels, one for each image.
    classes
        How many.
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.trunk = _trunk(inputs, CHANNELS)
        self.head = _head(CHANNELS[-1], classes)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of volumes (N, inputs, X, Y, Z)."""
        for block in self.trunk:
            volumes = block(volumes)
        return self.head(volumes.mean(dim=(2, 3, 4)))


class MultiScaleCNN(nn.Module):
    """The same blocks, but the means and maxima of every block go to the hidden layer.

    Small and large structures are thus judged together: each block sees twice as far as the last.
    Parameters are those of :class:`SimpleCNN`.
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.trunk = _trunk(inputs, CHANNELS)
        self.head = _head(2 * sum(CHANNELS), classes)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of volumes (N, inputs, X, Y, Z)."""
        scales = []
        for block in self.trunk:
            volumes = block(volumes)
            scales += [volumes.mean(dim=(2, 3, 4)), volumes.amax(dim=(2, 3, 4))]
        return self.head(torch.cat(scales, dim=1))


def _head(features: int, classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, 64), nn.ReLU(inplace=True), nn.Dropout(DROPOUT), nn.Linear(64, classes)
    )


def densenet(inputs: int, classes: int) -> nn.Module:
    """A small DenseNet of MONAI.

    Huang G, Liu Z, van der Maaten L, Weinberger KQ. Densely Connected Convolutional Networks. CVPR
    2261-2269, 2017. doi:10.1109/CVPR.2017.243
    """
    from monai.networks.nets import DenseNet

    return DenseNet(
        spatial_dims=3,
        in_channels=inputs,
        out_channels=classes,
        init_features=16,
        growth_rate=8,
        block_config=(3, 3, 3),
        dropout_prob=0.1,
    )
