"""U2Fusion is trained without truth, to resemble each source as far as it carries information.

Xu et al. 2022, eqs. 1-6. What differs: the information is measured in features of the encoder
shipped with the package (or of a VGG-16 given as a file, as in the paper) and scaled as
:func:`fusionprep.training.losses.information_weights` says; the tasks are trained together instead
of one after the other with elastic weight consolidation; Adam instead of RMSProp.
"""

from typing import Any, ClassVar

from torch import nn

from fusionprep.models.nets.u2fusion import U2Fusion
from fusionprep.training.features import feature_network
from fusionprep.training.losses import information_weighted, information_weights, ssim
from fusionprep.training.options import TrainingOptions
from fusionprep.training.recipes.base import Batch, Recipe, Terms


class U2FusionRecipe(Recipe[U2Fusion]):
    """SSIM and mean squared error to both sources, weighted by their information."""

    loss_weights: ClassVar = {"ssim": 1.0, "pixel": 20.0}
    differences = (
        "the information of a source is measured in features of the DenseFuse encoder (or of a "
        "VGG-16 given as a file) and divided by the mean of both sources' instead of a constant "
        "chosen by hand; all modalities are trained together instead of one after the other with "
        "elastic weight consolidation; Adam instead of RMSProp; where both images are 0 the result "
        "is 0, and where only one image shows anything it is that image."
    )

    def build(self) -> U2Fusion:
        return U2Fusion()

    def helper_network(self, options: TrainingOptions) -> nn.Module:
        return feature_network(options.perceptual_weights)

    def loss_terms(self, model: U2Fusion, batch: Batch, helper: Any) -> Terms:
        sources = batch["anatomical"], batch["functional"]
        weights = information_weights(*map(helper, sources))
        fused = model(*sources)
        dissimilarity = [1 - ssim(source, fused) for source in sources]
        error = [(source - fused).square().mean(dim=(1, 2, 3)) for source in sources]
        return {
            "ssim": information_weighted(dissimilarity[0], dissimilarity[1], weights),
            "pixel": information_weighted(error[0], error[1], weights),
        }
