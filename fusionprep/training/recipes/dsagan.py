"""DSAGAN is trained against two discriminators, one for each source, and to keep their content.

Fu et al. 2021. From the paper's abstract: the discriminator is updated to call the sources real
and the fused image fake, the generator to have it called real, in turn. Its loss functions are not
in the published code; what follows is our reading. Both updates minimise the binary cross entropy
of the verdicts. Content, which a verdict on the whole image cannot hold in place, is asked for by
the loss of SwinFusion (Ma et al. 2022, eqs. 16-19) as for the U-Net: the brighter intensity, the
stronger gradient, and the structure of both sources.
"""

import functools
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.models.nets.dsagan import DSAGAN, Discriminator
from fusionprep.training.losses import SWINFUSION_WEIGHTS, swinfusion
from fusionprep.training.recipes.base import AdversarialRecipe, Batch, Terms

SOURCES = ("anatomical", "functional")

WIDTHS = (4, 8, 16, 32, 32)
"""Channels of the discriminators: a sixteenth of the paper's."""


def verdict_loss(logits: torch.Tensor, *, real: bool) -> torch.Tensor:
    """Mean binary cross entropy of verdicts (N,) that should all be real, or all fake."""
    return nnf.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


class DSAGANRecipe(AdversarialRecipe[DSAGAN]):
    """Adversarial loss of two discriminators, intensity, gradient and structure."""

    loss_weights: ClassVar = {
        **SWINFUSION_WEIGHTS,
        "adversarial": 0.1,
        "discriminator": 1.0,
    }
    differences = (
        "24 instead of 64 channels, discriminators of a sixteenth of the width and one for each "
        "source; separate statistics for each batch normalisation and repeated borders; the "
        "paper's losses are not published with its code: here binary cross entropy of the "
        "verdicts, with the loss of SwinFusion (Ma et al. 2022) for the content, SSIM shared "
        "between the sources pixel by pixel; where both images are 0 the result is 0, and where "
        "only one image shows anything it is that image."
    )

    def build(self) -> DSAGAN:
        return DSAGAN()

    def build_opponents(self) -> nn.ModuleDict:
        return nn.ModuleDict({source: Discriminator(WIDTHS) for source in SOURCES})

    def fuse(self, model: DSAGAN, batch: Batch) -> torch.Tensor:
        return model.merge(batch["anatomical"], batch["functional"])

    def content_terms(self, fused: torch.Tensor, batch: Batch, helper: Any) -> Terms:  # noqa: ARG002
        return swinfusion(fused, *(batch[source] for source in SOURCES))

    def adversarial_terms(
        self,
        fused: torch.Tensor,
        batch: Batch,  # noqa: ARG002
        opponents: Any,
    ) -> Terms:
        verdicts = [opponents[source](fused) for source in SOURCES]
        return {"adversarial": _sum(verdict_loss(logits, real=True) for logits in verdicts)}

    def opponent_terms(self, fused: torch.Tensor, batch: Batch, opponents: Any) -> Terms:
        losses = [
            verdict_loss(opponents[source](images), real=real)
            for source in SOURCES
            for images, real in ((batch[source], True), (fused, False))
        ]
        return {"discriminator": _sum(losses)}


def _sum(losses: Iterable[torch.Tensor]) -> torch.Tensor:
    return functools.reduce(torch.add, losses)
