"""SelFuse is trained on the field's metrics and on what they overlook.

Each metric asks for something else: Q^AB/F and Q_Y for edges and structures of the stronger source,
SSIM for the levels of both, SCD and mutual information for what only one of them shows, FMI for the
pattern of 3x3 windows, Q_CB for contrast as it is seen. Each weight is about the number of ranks,
among a dozen good methods, that a step of its metric is worth. VIF rewards contrast beyond that of
the sources, so it counts only up to a margin above that of the plain maximum, once as the mean of
both sources and once as the smaller of the two. All metrics can be raised by dropping a source;
further terms therefore ask that both sources keep weight in a regression of the result on them,
that bright pixels of the functional image (bone, high uptake) stay bright, and that no gradients
are added.

Some of the pairs are shown as the App gives them, without what lies outside the functional
image.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from scipy.ndimage import binary_fill_holes

from fusionprep.models.nets.selfuse import SelFuse, compressed
from fusionprep.training import metric_losses as metrics
from fusionprep.training.losses import SMALLEST_NORM, scd, ssim
from fusionprep.training.recipes.base import Batch, Recipe, Sample, Terms

GUARD_SHARE = 0.78
"""How far regression weights should move from those of the maximum towards those of the mean."""

ENOUGH_ANATOMICAL, ENOUGH_FUNCTIONAL = 0.44, 0.5
"""Regression weights beyond which no source asks for more."""

VIF_MARGIN, SCD_MARGIN = 1.04, 0.12
"""How much better than the plain maximum: VIF by this factor, SCD by this sum."""

STRIPPED_SHARE = 0.15
"""Share of pairs without what lies outside the functional image."""

FUNCTIONAL_BORDER = 0.1
"""Level above which a pixel lies inside the functional image."""

BRIGHT = 0.78
"""Level at or above which a functional pixel must stay bright; 200 of 255, bone in a windowed
CT."""

BRIGHT_KEPT = 0.97
"""Share of their brightness that bright functional pixels should keep."""


class SelFuseRecipe(Recipe[SelFuse]):
    """Metrics and guards."""

    loss_weights: ClassVar = {
        "gradients": 17.0,
        "ssim": 42.0,
        "yang": 4.0,
        "information": 0.5,
        "features": 9.0,
        "contrast": 5.0,
        "scd": 6.0,
        "vif": 1.5,
        "vif_smaller": 8.0,
        "added": 20.0,
        "guards": 15.0,
        "bright": 3.0,
        "clipped": 60.0,
    }
    differences = "our own model; there is no paper to differ from."

    def build(self) -> SelFuse:
        return SelFuse()

    def prepare(
        self, anatomical: np.ndarray, functional: np.ndarray, rng: np.random.Generator
    ) -> Sample:
        if rng.random() < STRIPPED_SHARE:
            inside = binary_fill_holes(functional > FUNCTIONAL_BORDER)
            anatomical, functional = anatomical * inside, functional * inside
        return {"anatomical": anatomical, "functional": functional}

    def loss_terms(self, model: SelFuse, batch: Batch, helper: Any) -> Terms:  # noqa: ARG002
        sources = batch["anatomical"], batch["functional"]
        uncompressed = model.uncompressed(*sources, model.plan(*sources))
        fused = compressed(uncompressed, *sources)
        return {
            **metric_terms(fused, *sources),
            "guards": lacking_weight(fused, *sources).mean(),
            "clipped": excess(uncompressed),
        }


def metric_terms(fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor) -> Terms:
    """What the metrics lack, gradients that neither source has, and dimmed bright uptake."""
    sources = anatomical, functional
    told = torch.stack([metrics.mutual_information(source, fused) for source in sources])
    features = [metrics.feature_mutual_information(source, fused) for source in sources]
    return {
        "gradients": 1 - metrics.gradient_preservation(fused, *sources).mean(),
        "ssim": 1 - torch.stack([ssim(source, fused) for source in sources]).mean(),
        "yang": 1 - metrics.yang(fused, *sources).mean(),
        "information": -told.sum(dim=0).mean(),
        "features": 1 - torch.stack(features).mean(),
        "contrast": 1 - metrics.contrast_preservation(fused, *sources).mean(),
        "scd": lacking_correlation(fused, *sources),
        **lacking_fidelity(fused, *sources),
        "added": metrics.added_gradients(fused, *sources).mean(),
        "bright": dimmed(fused, functional).mean(),
    }


def lacking_correlation(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """How far SCD falls short of the maximum's with a margin."""
    goal = scd(torch.maximum(anatomical, functional), anatomical, functional) - SCD_MARGIN
    return (scd(fused, anatomical, functional) - goal).clamp_min(0)


def lacking_fidelity(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> dict[str, torch.Tensor]:
    """How far VIF falls short of the maximum's with a margin: mean and smaller of the sources."""
    sources = anatomical, functional
    goals = _fidelity(torch.maximum(*sources), *sources)
    found = _fidelity(fused, *sources)
    return {
        name: (VIF_MARGIN * goal - value).clamp_min(0).mean()
        for name, goal, value in zip(("vif", "vif_smaller"), goals, found, strict=True)
    }


def _fidelity(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    vif_a, vif_b = (
        metrics.visual_information_fidelity(source, fused) for source in (anatomical, functional)
    )
    return (vif_a + vif_b) / 2, torch.minimum(vif_a, vif_b)


def lacking_weight(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """How far the sources' regression weights fall short of their goals, summed, (N,).

    A source should have enough weight, or most of the weight it has in the mean of the sources,
    which keeps both: how large weights can be depends on how alike and how contrasted the images
    are.
    """
    found = metrics.regression_weights(fused, anatomical, functional)
    brighter = torch.maximum(anatomical, functional)
    mean = torch.lerp(anatomical, functional, 0.5)
    least, most = (
        metrics.regression_weights(image, anatomical, functional) for image in (brighter, mean)
    )
    enough = ENOUGH_ANATOMICAL, ENOUGH_FUNCTIONAL
    lacking = [
        (torch.lerp(low, high, GUARD_SHARE).clamp(0, limit) - weight).clamp_min(0)
        for low, high, limit, weight in zip(least, most, enough, found, strict=True)
    ]
    return torch.stack(lacking).sum(dim=0)


def dimmed(fused: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
    """How far the brightness kept of bright functional pixels falls short, on average, (N,)."""
    bright = (functional >= BRIGHT).to(fused.dtype)
    before, after = ((image * bright).sum(dim=(1, 2, 3)) for image in (functional, fused))
    return (BRIGHT_KEPT - (after + SMALLEST_NORM) / (before + SMALLEST_NORM)).clamp_min(0)


def excess(uncompressed: torch.Tensor) -> torch.Tensor:
    """Mean square of what is above 1, where hardly any contrast is left."""
    return (uncompressed - 1).clamp_min(0).square().mean()
