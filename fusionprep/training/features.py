"""Features of images for perceptual and information-weighted losses, from networks held fixed."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.errors import DataError
from fusionprep.models import weights
from fusionprep.models.nets.densefuse import GRAY_LEVELS, densefuse_l1
from fusionprep.models.nets.vgg import VGGFeatures

VGG16_WIDTHS, VGG16_COUNTS = (64, 128, 256, 512, 512), (2, 2, 3, 3, 3)
"""Channels and number of convolutions between two poolings (Simonyan & Zisserman 2015, D)."""

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def feature_network(weights_file: str | None) -> nn.Module:
    """A frozen network that turns images (N, 1, H, W) in [0, 1] into a list of feature maps.

    Parameters
    ----------
    weights_file
        Safetensors file of a VGG-16 with torchvision's names (``features.0.weight`` …). None takes
        the encoder of the DenseFuse shipped with the package, trained on brain images.

    Raises
    ------
    NoInputError, DataError
        When the file is missing or does not hold a VGG-16.
    """
    network = DenseFuseFeatures() if weights_file is None else _load_vgg16(Path(weights_file))
    return network.eval().requires_grad_(False)


class DenseFuseFeatures(nn.Module):
    """The encoder's features of the image and of copies two and four times smaller."""

    def __init__(self) -> None:
        super().__init__()
        model = densefuse_l1()
        weights.load_into(model, "densefuse")
        self.model = model

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        pyramid = [image, *(nnf.avg_pool2d(image, factor) for factor in (2, 4))]
        return [self.model.encode(level) / GRAY_LEVELS for level in pyramid]


class VGG16Features(VGGFeatures):
    """The last feature maps before each pooling of a VGG-16 that sees gray images."""

    def __init__(self) -> None:
        super().__init__(VGG16_WIDTHS, VGG16_COUNTS)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        mean, deviation = (
            image.new_tensor(values)[:, None, None]
            for values in (IMAGENET_MEAN, IMAGENET_DEVIATION)
        )
        return super().forward((image.expand(-1, 3, -1, -1) - mean) / deviation)


def _load_vgg16(path: Path) -> VGG16Features:
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = weights.read_weights(path, "perceptual weights")
    network = VGG16Features()
    try:
        tensors = load(content)
        # torchvision's file also holds the classifier, which the features do not need.
        network.load_state_dict({name: tensors[name] for name in network.state_dict()})
    except (SafetensorError, *weights.UNREADABLE) as error:
        reason = " ".join(str(error).split("\n")[:2])
        raise DataError(f"{path} does not hold a VGG-16 as safetensors: {reason}") from error
    if (name := weights.not_finite(network.state_dict())) is not None:
        raise DataError(f"{path} holds numbers that are not finite ({name}); download it again")
    return network
