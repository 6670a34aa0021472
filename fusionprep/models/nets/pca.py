"""Fusion by principal component weights, one pair for each slice.

Naidu VPS, Raol JR. Pixel-level Image Fusion using Wavelets and Principal Component Analysis.
Defence Science Journal 58(3):338-352, 2008. doi:10.14429/dsj.58.1653

What differs: the magnitudes of the eigenvector's components are used, so that two images with
negative covariance get positive weights too, and two constant images get equal weights.
"""

import torch

from fusionprep.models.nets.base import FusionModel

SMALLEST_VARIANCE = 1e-10
"""Below this the variation of a slice in [0, 1] is rounding, and its direction says nothing."""


class PrincipalComponent(FusionModel):
    """Weighted mean; the weights are the normalised first eigenvector of the 2x2 covariance."""

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        weight = principal_weight(anatomical, functional)
        return torch.lerp(functional, anatomical, weight[:, None, None, None])


def principal_weight(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Weight of the first image, (N,) in [0, 1]; the second has the rest."""
    centred1 = first.flatten(1) - first.flatten(1).mean(dim=1, keepdim=True)
    centred2 = second.flatten(1) - second.flatten(1).mean(dim=1, keepdim=True)
    variance1, variance2 = centred1.square().sum(dim=1), centred2.square().sum(dim=1)
    covariance = (centred1 * centred2).sum(dim=1)
    # The axis of a 2x2 covariance ellipse, in closed form.
    angle = torch.atan2(2 * covariance, variance1 - variance2) / 2
    component1, component2 = angle.cos().abs(), angle.sin().abs()
    weight = component1 / (component1 + component2)
    constant = variance1 + variance2 < first[0].numel() * SMALLEST_VARIANCE
    return torch.where(constant, torch.full_like(weight, 0.5), weight)
