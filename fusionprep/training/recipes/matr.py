"""MATR is trained without truth, on structure and region mutual information.

Tang et al. 2022: SSIM with both sources, and what 3x3 regions of the fused image say about those of
each source. What differs: both sources count the same, where the authors' program weighs the
information of the MRI 2.5 times, which ends in a copy of it; the regions are those of the whole
image, which that program first reduces to a third; SSIM is shared between the sources pixel by
pixel; and a third term asks for the brighter intensity, on which the information says nothing.
"""

from typing import Any, ClassVar

import torch
from torch.nn import functional as nnf

from fusionprep.models.nets.matr import MATR, matr_small
from fusionprep.training.losses import intensity_max, ssim_local
from fusionprep.training.recipes.base import Batch, Recipe, Terms

REGION = 3
"""Side of the regions, pixels."""

NOISE = 5e-4
"""Variance below which regions say nothing about each other, as in the authors' program."""


class MATRRecipe(Recipe[MATR]):
    """Structure, region mutual information and intensity."""

    loss_weights: ClassVar = {"structure": 1.0, "information": 1.0, "intensity": 5.0}
    differences = (
        "two heads and two blocks instead of eight and three, in windows of 4x4 pixels; group "
        "normalisation and biases instead of batch normalisation; the network adds to the mean of "
        "the two images, and after training the result is held between the darker and the brighter "
        "of them, 0 where both are 0; both sources have the same weight in the region mutual "
        "information, which is taken at full resolution; SSIM is shared between the sources pixel "
        "by pixel; a term for the brighter intensity is added."
    )

    def build(self) -> MATR:
        return matr_small()

    def loss_terms(self, model: MATR, batch: Batch, helper: Any) -> Terms:  # noqa: ARG002
        sources = batch["anatomical"], batch["functional"]
        fused = model.unbounded(*sources)
        told = [region_information(source, fused) for source in sources]
        return {
            "structure": ssim_local(fused, *sources),
            "information": -torch.stack(told).mean(),
            "intensity": intensity_max(fused, *sources),
        }


def region_information(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mutual information of the 3x3 regions of two images, taken as Gaussian vectors.

    Zhao S, Wang Y, Yang Z, Cai D. Region Mutual Information Loss for Semantic Segmentation. NeurIPS
    2019. Their lower bound leaves out the entropy of the truth, which no network changes.

    Parameters
    ----------
    first, second
        Images (N, 1, H, W).

    Returns
    -------
    torch.Tensor
        (N,), in nats per pixel of a region, at least 0.
    """
    size = REGION**2
    # The determinants of smooth images are products of very different numbers.
    regions = torch.cat([nnf.unfold(image.double(), REGION) for image in (first, second)], dim=1)
    regions = regions - regions.mean(dim=2, keepdim=True)
    covariance = regions @ regions.transpose(1, 2) / regions.shape[2]
    covariance = covariance + NOISE * torch.eye(2 * size, dtype=covariance.dtype).to(covariance)
    alone = torch.logdet(covariance[:, :size, :size]) + torch.logdet(covariance[:, size:, size:])
    return ((alone - torch.logdet(covariance)) / (2 * size)).to(first.dtype)
