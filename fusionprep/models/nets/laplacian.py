"""Fusion of Laplacian pyramids: more active details at every scale, mean of the coarsest level.

Burt PJ, Adelson EH. The Laplacian Pyramid as a Compact Image Code. IEEE Transactions on
Communications 31(4):532-540, 1983. doi:10.1109/TCOM.1983.1095851

The pyramid is the paper's, with its Gaussian-like kernel (a = 0.375) and images mirrored at their
border. Choosing details by their magnitude came with its use for fusion; as in Burt & Kolczynski
(ICCV 1993:173-182), the magnitude is that of a neighbourhood (here the mean of 3x3 coefficients),
because single coefficients change sides from pixel to pixel. What differs from that later paper:
no match measure, by which it averages where the images agree.
"""

import math

import torch
from torch import nn

from fusionprep.models.nets.base import FusionModel


class LaplacianPyramid(FusionModel):
    """Laplacian pyramid fusion of each slice.

    Parameters
    ----------
    levels
        How many levels of details; small slices get as many as their size allows.
    """

    def __init__(self, levels: int = 4) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        # Mirroring two pixels takes sides of at least three at the coarsest level that is reduced.
        depth = min(self.levels, max(int(math.log2(min(anatomical.shape[-2:]))) - 1, 0))
        *details1, top1 = laplacian_pyramid(anatomical, depth)
        *details2, top2 = laplacian_pyramid(functional, depth)
        fused = torch.lerp(top1, top2, 0.5)
        for detail1, detail2 in zip(reversed(details1), reversed(details2), strict=True):
            details = torch.where(activity(detail1) >= activity(detail2), detail1, detail2)
            fused = expand_image(fused, details) + details
        return fused.clamp(0, 1)


def laplacian_pyramid(image: torch.Tensor, depth: int) -> list[torch.Tensor]:
    """Details from fine to coarse, and the remaining low-pass image.

    Parameters
    ----------
    image
        (N, 1, H, W); any sides that are at least 3 pixels before each of the `depth` reductions.

    Returns
    -------
    list of torch.Tensor
        ``depth + 1`` images (N, 1, h, w), each side half of the one before, rounded up.
    """
    levels = []
    for _ in range(depth):
        reduced = reduce_image(image)
        levels.append(image - expand_image(reduced, image))
        image = reduced
    return [*levels, image]


def reduce_image(image: torch.Tensor) -> torch.Tensor:
    """REDUCE (eq. 1): every second pixel of the smoothed image."""
    mirrored = nn.functional.pad(image, (2, 2, 2, 2), mode="reflect")
    return nn.functional.conv2d(mirrored, _kernel(image), stride=2)


def expand_image(image: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """EXPAND (eq. 2): interpolate to the size of the image that was reduced."""
    height, width = like.shape[-2:]
    bordered = nn.functional.pad(image, (1, 1, 1, 1), mode="replicate")
    spread = nn.functional.conv_transpose2d(bordered, 4 * _kernel(image), stride=2)
    # One pixel of border became two, and the kernel reaches two farther.
    return spread.narrow(-2, 4, height).narrow(-1, 4, width)


def activity(details: torch.Tensor) -> torch.Tensor:
    """Mean magnitude of 3x3 coefficients, fewer at the border; (N, 1, H, W) as the details."""
    return nn.functional.avg_pool2d(
        details.abs(), kernel_size=3, stride=1, padding=1, count_include_pad=False
    )


def _kernel(like: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor([1, 4, 6, 4, 1], dtype=like.dtype, device=like.device) / 16
    return torch.outer(weights, weights).view(1, 1, 5, 5)
