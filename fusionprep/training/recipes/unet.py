"""The U-Net is trained without truth, on the loss of SwinFusion (Ma et al. 2022, eqs. 16-19).

It asks for the brighter intensity, the stronger gradient and the structure of both sources; SSIM is
shared between them pixel by pixel instead of half and half.
"""

from typing import Any, ClassVar

from fusionprep.models.nets.unet import UNet
from fusionprep.training.losses import SWINFUSION_WEIGHTS, swinfusion
from fusionprep.training.recipes.base import Batch, Recipe, Terms


class UNetRecipe(Recipe[UNet]):
    """Intensity, gradient and structure, with the paper's weights."""

    loss_weights: ClassVar = SWINFUSION_WEIGHTS
    differences = (
        "the paper segments; here the network adds to the mean of the two images, with padded "
        "convolutions, a quarter of the channels, one level less and bilinear up-sampling. It is "
        "trained on the loss of SwinFusion (Ma et al. 2022), with SSIM shared between the sources "
        "pixel by pixel; where both images are 0 the result is 0."
    )

    def build(self) -> UNet:
        return UNet()

    def loss_terms(self, model: UNet, batch: Batch, helper: Any) -> Terms:  # noqa: ARG002
        sources = batch["anatomical"], batch["functional"]
        fused = model(*sources)
        return swinfusion(fused, *sources)
