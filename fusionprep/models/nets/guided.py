"""Guided filter fusion (GFF): weights of a base and a detail layer, aligned with the edges.

Li S, Kang X, Hu J. Image Fusion with Guided Filtering. IEEE Transactions on Image Processing
22(7):2864-2875, 2013. doi:10.1109/TIP.2013.2244222

Filters and parameters are the paper's defaults. What the paper leaves open: where both images are
equally salient, as in an empty background, the anatomical one is chosen; windows are cut at the
border; weights that the guided filter makes negative are set to 0 before the two are divided by
their sum. The result is clipped to [0, 1].
"""

import torch
from torch import nn

from fusionprep.models.nets.base import FusionModel

BASE_LAYER_RADIUS = 15
"""Radius of the mean filter that makes the base layer."""
SALIENCY_RADIUS, SALIENCY_SIGMA = 5, 5.0
"""Radius and sigma of the Gaussian that smooths the saliency, in pixels."""
BASE_RADIUS, BASE_EPS = 45, 0.3
"""Guided filter of the base layer's weights; eps is for gray levels in [0, 1]."""
DETAIL_RADIUS, DETAIL_EPS = 7, 1e-6
"""Guided filter of the detail layer's weights."""


class GuidedFilter(FusionModel):
    """Two-scale fusion; an image has weight where it is salient, along its own edges."""

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        base1, base2 = (box_mean(image, BASE_LAYER_RADIUS) for image in (anatomical, functional))
        chosen = saliency(anatomical) >= saliency(functional)
        maps = (chosen.to(anatomical.dtype), (~chosen).to(anatomical.dtype))

        def share(radius: int, eps: float) -> torch.Tensor:
            first, second = (
                guided_filter(guide, image, radius, eps).clamp(min=0)
                for guide, image in zip((anatomical, functional), maps, strict=True)
            )
            return first / (first + second).clamp(min=torch.finfo(first.dtype).eps)

        base = torch.lerp(base2, base1, share(BASE_RADIUS, BASE_EPS))
        details = torch.lerp(
            functional - base2, anatomical - base1, share(DETAIL_RADIUS, DETAIL_EPS)
        )
        return (base + details).clamp(0, 1)


def saliency(image: torch.Tensor) -> torch.Tensor:
    """Magnitude of the 3x3 Laplacian, smoothed by a Gaussian of 11x11 pixels (eqs. 4 and 5)."""
    laplacian = image.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    edges = nn.functional.conv2d(_replicate(image, 1), laplacian[None, None]).abs()
    steps = torch.arange(-SALIENCY_RADIUS, SALIENCY_RADIUS + 1, device=image.device)
    gaussian = torch.exp(-(steps**2) / (2 * SALIENCY_SIGMA**2)).to(image.dtype)
    gaussian = gaussian / gaussian.sum()
    rows = nn.functional.conv2d(_replicate(edges, SALIENCY_RADIUS), gaussian[None, None, :, None])
    return nn.functional.conv2d(rows, gaussian[None, None, None])


def guided_filter(
    guide: torch.Tensor, image: torch.Tensor, radius: int, eps: float
) -> torch.Tensor:
    """Smooth an image along the edges of a guide (eqs. 8-11; He, Sun & Tang, ECCV 2010).

    Parameters
    ----------
    guide, image
        (N, 1, H, W) in [0, 1].
    radius
        Of the square windows, in pixels.
    eps
        Variance of the guide below which a window is smoothed rather than kept.

    Returns
    -------
    torch.Tensor
        (N, 1, H, W), about in the range of the image.
    """
    mean_guide, mean_image = box_mean(guide, radius), box_mean(image, radius)
    variance = box_mean(guide * guide, radius) - mean_guide * mean_guide
    covariance = box_mean(guide * image, radius) - mean_guide * mean_image
    slope = covariance / (variance.clamp(min=0) + eps)
    offset = mean_image - slope * mean_guide
    return box_mean(slope, radius) * guide + box_mean(offset, radius)


def box_mean(image: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean of the pixels at most `radius` rows and columns away, fewer at the border."""
    # Two products with band matrices: pooling takes five times as long for 91 pixels, and running
    # sums lose the digits that a variance needs.
    rows, columns = (_averaging(side, radius, image) for side in image.shape[-2:])
    return rows @ image @ columns.T


def _averaging(side: int, radius: int, like: torch.Tensor) -> torch.Tensor:
    index = torch.arange(side, device=like.device)
    band = ((index[:, None] - index).abs() <= radius).to(like.dtype)
    return band / band.sum(dim=1, keepdim=True)


def _replicate(image: torch.Tensor, pixels: int) -> torch.Tensor:
    return nn.functional.pad(image, (pixels,) * 4, mode="replicate")
