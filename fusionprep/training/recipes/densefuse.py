"""DenseFuse is trained as an auto-encoder on single slices (Li & Wu 2019, section III-B)."""

from typing import Any, ClassVar

import torch

from fusionprep.models.nets.densefuse import DenseFuse, densefuse_l1
from fusionprep.training.losses import l2, ssim
from fusionprep.training.recipes.base import Batch, Recipe, Terms


class DenseFuseRecipe(Recipe[DenseFuse]):
    """Every image should come back unchanged; the fusion rule takes no part.

    The loss is the paper's eq. 1 with lambda = 100; its pixel term is in gray levels 0 to 255.
    """

    loss_weights: ClassVar = {"pixel": 255.0**2, "ssim": 100.0}
    differences = (
        "trained on MRI, PET, SPECT and CT slices instead of photographs of MS-COCO, for fewer "
        "steps; the output is clipped to the range of the input; the addition rule is halved."
    )

    def build(self) -> DenseFuse:
        return densefuse_l1()

    def loss_terms(self, model: DenseFuse, batch: Batch, helper: Any) -> Terms:  # noqa: ARG002
        image = torch.cat([batch["anatomical"], batch["functional"]])
        output = model.reconstruct(image)
        return {"pixel": l2(output, image), "ssim": 1 - ssim(output, image).mean()}
