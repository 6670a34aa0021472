"""IFCNN is trained to make one whole image of two that are each degraded in one part.

Zhang et al. 2020, section 3.3. The paper blurs photographs where their depth says so. Here a random
mask divides each slice, and only a quarter of the slices are blurred: two modalities differ in
brightness more than in sharpness, and features learnt from blur alone may respond to dark as well
as to bright, so that their maximum loses what only one image shows. A quarter are dimmed, and half
get the brightness of the other modality where that is darker, since in real pairs the rival is
another structure, not a copy. The paper's perceptual loss compares features of a ResNet101; here
they are those of the encoder shipped with the package, or of a VGG-16 given as a file.
"""

from typing import Any, ClassVar

import numpy as np
from scipy.ndimage import gaussian_filter
from torch import nn

from fusionprep.models.nets.ifcnn import IFCNN, ifcnn_max
from fusionprep.training.features import feature_network
from fusionprep.training.losses import l2, perceptual
from fusionprep.training.options import TrainingOptions
from fusionprep.training.recipes.base import Batch, Recipe, Sample, Terms

BLUR = (1.0, 4.0)
"""Smallest and largest standard deviation of the blur, pixels."""

LARGEST_GAIN = 0.7
"""Dimmed slices keep between nothing and this share of their brightness."""

LARGEST_LEVEL_SHARE = 3.0
"""How much a mask may follow gray levels, in their standard deviations, where noise has 1."""

SMALLEST_DEVIATION = 1e-6
"""A smaller deviation is that of a constant image."""


class IFCNNRecipe(Recipe[IFCNN]):
    """Synthetic pairs with their whole original as truth."""

    loss_weights: ClassVar = {"pixel": 1.0, "perceptual": 1.0}
    differences = (
        "trained on brain slices that are blurred, dimmed or made as dark as the other modality "
        "behind a random mask, instead of photographs blurred by their depth (in the first "
        "training runs only blurred or dimmed, behind a smooth mask); the first layer is trained "
        "instead of being that of a ResNet101; trained in steps, the later ones with fixed batch "
        "statistics; the perceptual loss compares features of the DenseFuse encoder (or of a "
        "VGG-16 given as a file) instead of a ResNet101; gray images enter as three equal "
        "channels, and the three output channels are averaged, clipped and set to 0 where both "
        "images are 0."
    )

    def build(self) -> IFCNN:
        return ifcnn_max()

    def helper_network(self, options: TrainingOptions) -> nn.Module:
        return feature_network(options.perceptual_weights)

    def begin_epoch(self, model: IFCNN, options: TrainingOptions) -> None:
        """Hold the batch statistics fixed while weights that were trained already are tuned.

        The statistics of crops differ from batch to batch, and with them what becomes of black:
        whole slices would get a gray background.
        """
        if options.initial_weights is not None:
            for layer in model.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()

    def prepare(
        self, anatomical: np.ndarray, functional: np.ndarray, rng: np.random.Generator
    ) -> Sample:
        whole, other = (anatomical, functional)[:: rng.choice((-1, 1))]
        return degraded_in_parts(whole, rng, other)

    def loss_terms(self, model: IFCNN, batch: Batch, helper: Any) -> Terms:
        output = model.merge(batch["first"], batch["second"])
        return {
            "pixel": l2(output, batch["whole"]),
            "perceptual": perceptual(output, batch["whole"], helper),
        }


def degraded_in_parts(
    whole: np.ndarray, rng: np.random.Generator, other: np.ndarray | None = None
) -> Sample:
    """Two images that are each degraded where the other is not, and the whole original.

    Parameters
    ----------
    whole
        (H, W), float32 in [0, 1].
    other
        Another modality of ``whole``; half of the samples get its levels where they are darker, and
        half of the masks follow the gray levels. None only blurs and dims, behind smooth masks.

    Returns
    -------
    dict
        ``first``, ``second`` and ``whole``, each (H, W): degraded in complementary parts.
    """
    if other is not None and rng.integers(2):
        degraded = np.minimum(whole, other)
    elif rng.integers(2):
        degraded = gaussian_filter(whole, rng.uniform(*BLUR))
    else:
        degraded = rng.uniform(0, LARGEST_GAIN) * whole
    terrain = gaussian_filter(rng.standard_normal(whole.shape), min(whole.shape) / 8)
    if other is not None and rng.integers(2):
        levels = whole / max(whole.std(), SMALLEST_DEVIATION)
        share = rng.uniform(-LARGEST_LEVEL_SHARE, LARGEST_LEVEL_SHARE)
        terrain = terrain / terrain.std() + share * levels
    part = terrain > np.quantile(terrain, rng.uniform(0.2, 0.8))
    return {
        "first": np.where(part, whole, degraded),
        "second": np.where(part, degraded, whole),
        "whole": whole,
    }
