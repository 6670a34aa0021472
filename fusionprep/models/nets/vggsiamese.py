"""Ensemble of a VGG-19 and a Siamese network, each fusing pyramids, joined by stacking.

Allapakam V, Karuna Y. An ensemble deep learning model for medical image fusion with Siamese neural
networks and VGG-19. PLoS ONE 19(10):e0309651, 2024. doi:10.1371/journal.pone.0309651

Its parts, a pretrained and a trained network, weight maps, Gaussian and Laplacian pyramids and a
stacking ensemble, are here in the form of the papers that brought them into image fusion:

- the VGG-19 branch weights sources by the l1-norm of their features, averaged over 3x3 positions,
  as Li H, Wu X-J, Kittler J. Infrared and Visible Image Fusion using a Deep Learning Framework.
  ICPR 2018:2705-2710, doi:10.1109/ICPR.2018.8546006. What differs: the map of a stage
  weights the level of the Laplacian pyramid that has its size, instead of being stretched over one
  detail image;
- the Siamese branch is Liu Y, Chen X, Cheng J, Peng H. A medical image fusion method based on
  convolutional neural networks. ICIF 2017, doi:10.23919/ICIF.2017.8009769: network
  (435,202 parameters), Gaussian pyramid of its weight map, and choice between weighted mean and
  stronger coefficient by local similarity. What differs: five levels, not as many as the image has;
- the meta-learner of the stack is a small network that weighs the two fused images pixel by pixel.

The shipped networks are narrower: see :func:`vggsiamese`. Where both images are 0 so is the result.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.models.nets.base import FusionModel, in_float32, support
from fusionprep.models.nets.laplacian import expand_image, laplacian_pyramid, reduce_image
from fusionprep.models.nets.vgg import VGG19_COUNTS, VGG19_WIDTHS, VGGFeatures

PATCH = 16
"""Side of the patches between which the Siamese network decides, pixels."""

SIMILAR = 0.6
"""Local similarity at or above which coefficients are averaged (Liu et al. 2017)."""

SMALLEST_ACTIVITY = 1e-6
"""Added to activities and energies: where both images are black, both count the same."""

IMAGENET_DEVIATION = 0.226
"""Of gray levels in [0, 1], mean of the three colours."""

SHIPPED_VGG_WIDTHS = (8, 16, 32, 64, 64)
SHIPPED_SIAMESE_WIDTHS = (32, 64, 128)

Pyramid = Sequence[torch.Tensor]


class VGGBranch(nn.Module):
    """Fusion by the activity of VGG-19 features, one stage for each level of the pyramid.

    Gray levels are divided by the deviation of ImageNet's, but no mean is subtracted: black has no
    activity.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.vgg = VGGFeatures(widths, VGG19_COUNTS)

    def maps(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Features (N, C, h, w) of each stage of images (N, 1, H, W) in [0, 1]."""
        return self.vgg(image.expand(-1, 3, -1, -1) / IMAGENET_DEVIATION)

    def forward(
        self, images: tuple[torch.Tensor, torch.Tensor], pyramids: tuple[Pyramid, Pyramid]
    ) -> list[torch.Tensor]:
        """The fused pyramid."""
        activities = [[_activity(maps) for maps in self.maps(image)] for image in images]
        return [
            torch.lerp(level2, level1, active1 / (active1 + active2))
            for active1, active2, level1, level2 in zip(*activities, *pyramids, strict=False)
        ]


class SiameseBranch(nn.Module):
    """Fusion by a network that decides which of two 16x16 patches shows more.

    Parameters
    ----------
    widths
        Channels of the three convolutions that both images pass.
    """

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        convolutions = [
            nn.Conv2d(channels, width, 3, padding=1, padding_mode="replicate")
            for channels, width in itertools.pairwise((1, *widths))
        ]
        self.shared = nn.Sequential(
            *(convolutions[0], nn.ReLU()),
            *(convolutions[1], nn.ReLU(), nn.MaxPool2d(2)),
            *(convolutions[2], nn.ReLU()),
        )
        # The fully connected layer on 8x8 features of a patch, for all patches of an image at once.
        self.decide = nn.Conv2d(2 * widths[-1], 2, PATCH // 2)

    def scores(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Logits (N, 2, h, w) that each image shows more, for patches in steps of two pixels.

        Patches begin half a patch before the image and end half a patch beyond it; there the border
        is mirrored. :func:`patches` arranges other images in the same way.
        """
        features = [self.shared(_mirrored(image)) for image in (first, second)]
        return self.decide(torch.cat(features, dim=1))

    def weight_map(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Weight of the first image (N, 1, H, W) in [0, 1]: mean over all patches of a pixel."""
        shares = self.scores(first, second).float().softmax(dim=1).narrow(1, 0, 1)
        patch = shares.new_ones(1, 1, PATCH, PATCH)
        with in_float32(first):
            total, count = (
                nnf.conv_transpose2d(share, patch, stride=2)
                for share in (shares, torch.ones_like(shares))
            )
        height, width = first.shape[-2:]
        margin = PATCH // 2
        return (total / count).narrow(-2, margin, height).narrow(-1, margin, width)

    def forward(
        self, images: tuple[torch.Tensor, torch.Tensor], pyramids: tuple[Pyramid, Pyramid]
    ) -> list[torch.Tensor]:
        """The fused pyramid."""
        fused = []
        weight = self.weight_map(*images)
        for level, levels in enumerate(zip(*pyramids, strict=True)):
            if level:
                with in_float32(weight):
                    weight = reduce_image(weight)
            fused.append(merge_by_similarity(*levels, weight))
        return fused


class VGGSiamese(FusionModel):
    """Two branches and the meta-learner that weighs their fused images.

    Its reach is left open, because pooling and pyramid make the result depend on where a crop
    begins.

    Parameters
    ----------
    vgg_widths
        Channels of the five stages of the VGG-19.
    siamese_widths
        Channels of the three convolutions of the Siamese network.
    stack_width
        Channels of the meta-learner.
    """

    def __init__(
        self,
        vgg_widths: Sequence[int] = VGG19_WIDTHS,
        siamese_widths: tuple[int, int, int] = (64, 128, 256),
        stack_width: int = 16,
    ) -> None:
        super().__init__()
        self.levels = len(vgg_widths)
        self.vgg = VGGBranch(vgg_widths)
        self.siamese = SiameseBranch(siamese_widths)
        self.stack = nn.Sequential(
            nn.Conv2d(2, stack_width, 3, padding=1, padding_mode="replicate"),
            nn.ReLU(),
            nn.Conv2d(stack_width, stack_width, 3, padding=1, padding_mode="replicate"),
            nn.ReLU(),
            nn.Conv2d(stack_width, 1, 3, padding=1, padding_mode="replicate"),
        )

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        fused = self.stacked(*self.branches(anatomical, functional))
        return fused * support(anatomical, functional)

    def branches(
        self, anatomical: torch.Tensor, functional: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The images fused by the VGG-19 and by the Siamese network, (N, 1, H, W) in [0, 1]."""
        images = anatomical, functional
        # Mirroring two pixels takes sides of at least three at the coarsest level that is reduced.
        depth = min(self.levels - 1, int(math.log2(min(anatomical.shape[-2:]))) - 1)
        with in_float32(anatomical):
            pyramids = tuple(laplacian_pyramid(image, depth) for image in images)
        fused = [branch(images, pyramids) for branch in (self.vgg, self.siamese)]
        with in_float32(anatomical):
            by_vgg, by_siamese = (_collapse(pyramid).clamp(0, 1) for pyramid in fused)
        return by_vgg, by_siamese

    def stacked(self, by_vgg: torch.Tensor, by_siamese: torch.Tensor) -> torch.Tensor:
        """What the meta-learner makes of the branches' images, (N, 1, H, W) between the two."""
        weight = self.stack(torch.cat([by_vgg, by_siamese], dim=1)).float().sigmoid()
        return torch.lerp(by_vgg, by_siamese, weight)


def vggsiamese() -> VGGSiamese:
    """The shipped configuration: an eighth of VGG-19's channels, half of the Siamese network's."""
    return VGGSiamese(SHIPPED_VGG_WIDTHS, SHIPPED_SIAMESE_WIDTHS)


def vggsiamese_imagenet() -> VGGSiamese:
    """The shipped Siamese network and meta-learner beside a VGG-19 of full width."""
    return VGGSiamese(VGG19_WIDTHS, SHIPPED_SIAMESE_WIDTHS)


def merge_by_similarity(
    first: torch.Tensor, second: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """One level of two Laplacian pyramids, merged as in Liu et al. 2017.

    Where the coefficients of 3x3 neighbourhoods are alike, their mean weighted by ``weight`` for
    the first; elsewhere the coefficient of the neighbourhood with more energy.
    """
    energy1, energy2, common = (
        nnf.avg_pool2d(product, 3, stride=1, padding=1)
        for product in (first.square(), second.square(), first * second)
    )
    similarity = 2 * common / (energy1 + energy2 + SMALLEST_ACTIVITY**2)
    stronger = torch.where(energy1 >= energy2, first, second)
    return torch.where(similarity >= SIMILAR, torch.lerp(second, first, weight), stronger)


def patches(image: torch.Tensor) -> torch.Tensor:
    """Mean of an image (N, 1, H, W) over the patches that :meth:`SiameseBranch.scores` judges."""
    return nnf.avg_pool2d(_mirrored(image), PATCH, stride=2)


def _mirrored(image: torch.Tensor) -> torch.Tensor:
    """With half a patch around it, and one pixel more for sides that are odd."""
    margin = PATCH // 2
    return nnf.pad(image, (margin, margin + 1, margin, margin + 1), mode="reflect")


def _activity(maps: torch.Tensor) -> torch.Tensor:
    """Mean magnitude of features over channels and 3x3 positions, (N, 1, h, w), above 0."""
    norm = maps.float().abs().mean(dim=1, keepdim=True)
    return SMALLEST_ACTIVITY + nnf.avg_pool2d(
        norm, kernel_size=3, stride=1, padding=1, count_include_pad=False
    )


def _collapse(pyramid: Sequence[torch.Tensor]) -> torch.Tensor:
    """The image of a Laplacian pyramid."""
    *details, image = pyramid
    for detail in reversed(details):
        image = expand_image(image, detail) + detail
    return image
