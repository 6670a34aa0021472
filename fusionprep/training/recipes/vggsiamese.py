"""The VGG-Siamese ensemble is trained without truth, its three networks side by side.

The reduced VGG-19 is pretrained self-supervised on the slices by dense contrastive learning: the
features at one place of two differently degraded copies of a slice should resemble each other more
than those at other places (Wang X et al. Dense Contrastive Learning for Self-Supervised Visual
Pre-Training. CVPR 2021:3024-3033, doi:10.1109/CVPR46437.2021.00304), here at every stage and
without a projection head. The Siamese network learns to say which of two patches is the whole and
which the degraded one (Liu et al. 2017, with dimmed patches beside blurred ones). The meta-learner
of the stack is trained on the branches' images, which get no gradient from it, by the loss of
SwinFusion as the U-Net is.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional as nnf

from fusionprep.models.nets.vggsiamese import VGGSiamese, patches, vggsiamese
from fusionprep.training.losses import (
    SMALLEST_NORM,
    SWINFUSION_WEIGHTS,
    swinfusion,
)
from fusionprep.training.recipes.base import Batch, Recipe, Sample, Terms
from fusionprep.training.recipes.ifcnn import degraded_in_parts

TEMPERATURE = 0.2
"""Temperature of the contrastive loss, as in the paper on dense contrastive learning."""

PLACES = 8
"""Places along each side of an image that the contrastive loss tells apart, at each stage."""

LEAST_DAMAGE = 1e-3
"""Patches that differ less from the original, in mean gray levels of 0 to 1, teach no decision."""


class VGGSiameseRecipe(Recipe[VGGSiamese]):
    """Contrastive features, decisions between patches, and a stack on top of both."""

    loss_weights: ClassVar = {
        "contrast": 0.2,
        "decision": 1.0,
        **SWINFUSION_WEIGHTS,
    }
    differences = (
        "the shipped VGG-19 has an eighth of the channels and was pretrained on the slices by "
        "dense contrastive learning instead of on ImageNet; the Siamese network has half of the "
        "channels of Liu et al. 2017 and was trained on brain slices blurred or dimmed in parts; "
        "features of each VGG stage weight one level of a Laplacian pyramid (five levels); the "
        "meta-learner of the stack is a network of three convolutions, trained on the loss of "
        "SwinFusion (Ma et al. 2022); where both images are 0 the result is 0."
    )

    def build(self) -> VGGSiamese:
        return vggsiamese()

    def prepare(
        self, anatomical: np.ndarray, functional: np.ndarray, rng: np.random.Generator
    ) -> Sample:
        whole = functional if rng.integers(2) else anatomical
        images = {"anatomical": anatomical, "functional": functional}
        return images | degraded_in_parts(whole, rng)

    def loss_terms(self, model: VGGSiamese, batch: Batch, helper: Any) -> Terms:  # noqa: ARG002
        sources = batch["anatomical"], batch["functional"]
        copies = batch["first"], batch["second"]
        with torch.no_grad():
            branches = model.branches(*sources)
        fused = model.stacked(*branches)
        return {
            "contrast": contrast(
                model.vgg.maps(copies[0]), model.vgg.maps(copies[1]), batch["whole"]
            ),
            "decision": decision(model.siamese.scores(*copies), *copies, batch["whole"]),
            **swinfusion(fused, *sources),
        }


def decision(
    scores: torch.Tensor, first: torch.Tensor, second: torch.Tensor, whole: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of the decisions, whose truth is the share of damage in the other image.

    Parameters
    ----------
    scores
        Logits (N, 2, h, w) of :meth:`fusionprep.models.nets.vggsiamese.SiameseBranch.scores`.
    first, second, whole
        Two degraded copies and their original.
    """
    damage1, damage2 = (patches((copy - whole).abs()) for copy in (first, second))
    damage = damage1 + damage2
    truth = torch.cat([damage2, damage1], dim=1) / (damage + SMALLEST_NORM)
    entropy = -(truth * scores.log_softmax(dim=1)).sum(dim=1, keepdim=True)
    telling = (damage > LEAST_DAMAGE).to(entropy)
    return (telling * entropy).sum() / telling.sum().clamp_min(1)


def contrast(
    first: list[torch.Tensor], second: list[torch.Tensor], whole: torch.Tensor
) -> torch.Tensor:
    """Contrastive loss between features (N, C, h, w) of two copies, mean over their stages.

    Places where the original (N, 1, H, W) is black all look alike, and none has to be told apart.
    The best value is 0.
    """
    losses = []
    for maps1, maps2 in zip(first, second, strict=True):
        side = min(PLACES, *maps1.shape[-2:])
        rows, columns = (
            torch.linspace(0, size - 1, side, device=whole.device).round().long()
            for size in maps1.shape[-2:]
        )
        content = nnf.adaptive_max_pool2d(whole, maps1.shape[-2:])
        queries, keys, inside = (
            maps[..., rows[:, None], columns].movedim(1, -1).flatten(0, -2)
            for maps in (maps1, maps2, content)
        )
        queries, keys = (nnf.normalize(vectors, dim=1) for vectors in (queries, keys))
        logits = queries @ keys.T / TEMPERATURE
        places = torch.arange(len(logits), device=logits.device)
        entropy = nnf.cross_entropy(logits, places, reduction="none")
        inside = (inside[:, 0] > 0).to(entropy)
        losses.append((inside * entropy).sum() / inside.sum().clamp_min(1))
    return torch.stack(losses).mean()
