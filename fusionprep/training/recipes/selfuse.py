"""SelFuse is trained on the field's metrics and on what they overlook.

Each metric asks for something else: Q^AB/F and Q_Y for edges and structures of the stronger source,
SSIM for the levels of both, SCD and mutual information for what only one of them shows. VIF rewards
contrast beyond that of the sources, so it counts only up to a margin above that of the plain
maximum, once as the mean of both sources and once as their harmonic mean, which falls when one is
dropped. All metrics can be raised by dropping a source; further terms therefore ask that both
sources keep weight in a regression of the result on them, that bright pixels of the functional
image (bone, high uptake) stay bright, and that no gradients are added.
"""

from typing import ClassVar

import torch

from fusionprep.models.selfuse import SelFuse, clipped
from fusionprep.training import metric_losses as metrics
from fusionprep.training.losses import SMALLEST_NORM, scd, ssim
from fusionprep.training.recipes.base import Recipe

ANATOMICAL_SHARE, FUNCTIONAL_SHARE = 0.55, 0.92
"""Regression weights that the sources are to keep, as shares of those in their mean."""

ENOUGH_WEIGHT = 0.42
"""Regression weight beyond which no source asks for more."""

VIF_MARGIN = 1.05
"""How much better than the plain maximum VIF needs to be."""

BRIGHT = 0.78
"""Level from which on a functional pixel must stay bright; 200 of 255, bone in a windowed CT."""

BRIGHT_KEPT = 0.97
"""Share of their brightness that bright functional pixels are to keep."""


class SelFuseRecipe(Recipe):
    """Metrics and guards."""

    loss_weights: ClassVar = {
        "gradients": 4.0,
        "ssim": 15.0,
        "yang": 3.0,
        "information": 1.5,
        "scd": 0.1,
        "vif": 0.3,
        "vif_harmonic": 0.5,
        "added": 4.0,
        "guards": 4.0,
        "bright": 3.0,
        "clipped": 10.0,
    }
    differences = "our own model; there is no paper to differ from."

    def build(self) -> SelFuse:
        return SelFuse()

    def loss_terms(self, model, batch, helper):  # noqa: ARG002
        sources = batch["anatomical"], batch["functional"]
        unclipped = model.unclipped(*sources)
        fused = clipped(unclipped, *sources)
        told = torch.stack([metrics.mutual_information(s, fused) for s in sources])
        return {
            "gradients": 1 - metrics.gradient_preservation(fused, *sources).mean(),
            "ssim": 1 - torch.stack([ssim(source, fused) for source in sources]).mean(),
            "yang": 1 - metrics.yang(fused, *sources).mean(),
            "information": -told.sum(dim=0).mean(),
            "scd": scd(fused, *sources),
            **lacking_fidelity(fused, *sources),
            "added": metrics.added_gradients(fused, *sources).mean(),
            "guards": lacking_weight(fused, *sources).mean(),
            "bright": dimmed(fused, batch["functional"]).mean(),
            "clipped": excess(unclipped),
        }


def lacking_fidelity(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> dict[str, torch.Tensor]:
    """What VIF lacks of that of the maximum and a margin: mean and harmonic mean of the sources."""
    sources = anatomical, functional
    with torch.no_grad():
        goals = _fidelity(torch.maximum(*sources), *sources)
    found = _fidelity(fused, *sources)
    return {
        name: (VIF_MARGIN * goal - value).clamp_min(0).mean()
        for name, goal, value in zip(("vif", "vif_harmonic"), goals, found, strict=True)
    }


def _fidelity(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    vif_a, vif_b = (
        metrics.visual_information_fidelity(source, fused) for source in (anatomical, functional)
    )
    return (vif_a + vif_b) / 2, 2 * vif_a * vif_b / (vif_a + vif_b + SMALLEST_NORM)


def lacking_weight(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """What the sources' regression weights in the result lack of their goals, summed, (N,).

    A source is to have weight enough, or at least a share of that in the mean of the sources, which
    keeps both: how large weights can be depends on how alike and how contrasted the images are.
    """
    found = metrics.regression_weights(fused, anatomical, functional)
    mean = torch.lerp(anatomical, functional, 0.5)
    goals = metrics.regression_weights(mean, anatomical, functional)
    shares = ANATOMICAL_SHARE, FUNCTIONAL_SHARE
    lacking = [
        ((share * goal).clamp(0, ENOUGH_WEIGHT) - weight).clamp_min(0)
        for share, goal, weight in zip(shares, goals, found, strict=True)
    ]
    return torch.stack(lacking).sum(dim=0)


def dimmed(fused: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
    """How much less than asked is kept of the mean brightness of bright functional pixels, (N,)."""
    bright = (functional >= BRIGHT).to(fused.dtype)
    before, after = ((image * bright).sum(dim=(1, 2, 3)) for image in (functional, fused))
    return (BRIGHT_KEPT - (after + SMALLEST_NORM) / (before + SMALLEST_NORM)).clamp_min(0)


def excess(unclipped: torch.Tensor) -> torch.Tensor:
    """Mean square of what is above 1, where clipping leaves no gradient to learn from."""
    return (unclipped - 1).clamp_min(0).square().mean()
