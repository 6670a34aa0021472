"""DM-FNet is trained in two stages: a diffusion model of slices, then the fusion of its features.

He et al. 2025. Stage I learns to predict the noise in single slices of every modality; stage II
starts from its weights and leaves them as they are. Its hybrid loss asks for the brighter
intensity, the stronger gradient and the structure of the more contrasted source.

The paper draws crops of 160 pixels at all steps of the diffusion. On a CPU, little is learnt from
them in the time there is, so here stage I sees whole slices at low resolution, which teach it the
shape of a brain, and crops at full resolution at the early steps only, where the noise hides
nothing: the fusion takes its features at such steps.
"""

import io
import math
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as nnf

from fusionprep.models.nets.base import in_layout
from fusionprep.models.nets.diffusion import STEPS, add_noise, sample, signal_levels
from fusionprep.models.nets.dmfnet import DMFNet
from fusionprep.training.datasets import random_crop
from fusionprep.training.losses import gradient_max, intensity_max, l2, structure_max
from fusionprep.training.options import TrainingOptions
from fusionprep.training.recipes.base import Batch, Recipe, Sample, Terms

SIDE = 32
"""Side in pixels of what stage I sees."""

DETAIL_STEPS = 200
"""Crops at full resolution get noise up to this step: 0.17 in images from -1 to 1."""

DETAIL_SHARE = 0.25
"""Share of crops at full resolution among the samples of stage I."""


class DMFNetPriorRecipe(Recipe[DMFNet]):
    """Stage I: the noise in single slices. Options must set ``crop`` to the side of whole slices.

    The weights are those of the whole model, whose fusion is not trained yet.
    """

    stage_of = "dmfnet"
    loss_weights: ClassVar = {"noise": 1.0}
    differences = (
        "stage I alone, to start the training of the fusion from; narrower; the network predicts "
        f"the noise instead of the image; it sees whole slices in {SIDE} pixels and, at the first "
        f"{DETAIL_STEPS} of {STEPS} steps, crops in full resolution, instead of crops of 160 "
        "pixels at all steps."
    )

    def build(self) -> DMFNet:
        return DMFNet()

    def begin_training(self, model: DMFNet, options: TrainingOptions) -> None:  # noqa: ARG002
        model.head.requires_grad_(False)
        _fast_group_norm(model)

    def prepare(
        self, anatomical: np.ndarray, functional: np.ndarray, rng: np.random.Generator
    ) -> Sample:
        image = (functional if rng.integers(2) else anatomical)[None]
        step = rng.integers(1, STEPS + 1)
        if rng.random() < DETAIL_SHARE:
            step = rng.integers(1, DETAIL_STEPS + 1)
            image = random_crop(image, min(SIDE, *image.shape[1:]), rng)
        return {
            "image": _small_square(image[0]),
            "noise": rng.standard_normal((SIDE, SIDE), np.float32),
            "step": np.full((1, 1), step),
        }

    def loss_terms(self, model: DMFNet, batch: Batch, helper: Any) -> Terms:  # noqa: ARG002
        step, noise = batch["step"], batch["noise"]
        levels = signal_levels().to(noise)[step.long()]
        noisy = add_noise(2 * batch["image"] - 1, noise, levels)
        return {"noise": l2(model.prior(noisy, step.flatten()), noise)}

    def picture(self, model: DMFNet) -> bytes:
        return image_grid(sample(model.prior, 16, SIDE, evaluations=50), columns=8)


class DMFNetRecipe(Recipe[DMFNet]):
    """Stage II: the fusion of features of the frozen stage I, with the authors' loss.

    Without initial weights the prior is trained along with the fusion, as if there were no stage I.
    The authors' weights are 1.5, 1 and 0.5, with images in [-1, 1] and Sobel kernels eight times
    as large.
    """

    loss_weights: ClassVar = {"intensity": 3.0, "gradient": 16.0, "structure": 0.5}
    differences = (
        "about a fifth of the channels; the U-Net predicts the noise at a step instead of the "
        "image at a noise level, and was trained on slices at low resolution and on small crops; "
        "the attention between the modalities is a share between 0 and 1; both slices get the same "
        "noise, always the same; the result lies between the darker and the brighter of the two "
        "images, and where only one image shows anything it is that image."
    )

    def build(self) -> DMFNet:
        return DMFNet()

    def begin_training(self, model: DMFNet, options: TrainingOptions) -> None:
        model.prior.requires_grad_(options.initial_weights is None)
        _fast_group_norm(model)

    def begin_epoch(self, model: DMFNet, options: TrainingOptions) -> None:
        if options.initial_weights is not None:
            model.prior.eval()

    def loss_terms(self, model: DMFNet, batch: Batch, helper: Any) -> Terms:  # noqa: ARG002
        sources = batch["anatomical"], batch["functional"]
        fused = model.unbounded(*sources)
        return {
            "intensity": intensity_max(fused, *sources),
            "gradient": gradient_max(fused, *sources),
            "structure": structure_max(fused, *sources),
        }


def _fast_group_norm(model: DMFNet) -> None:
    """Group norm is several times slower in the layout that suits convolutions on a CPU."""
    in_layout(model.prior, torch.contiguous_format)


def _small_square(image: np.ndarray) -> np.ndarray:
    """An image (H, W), made square with zeros, as means over SIDE x SIDE areas."""
    room = [max(image.shape) - side for side in image.shape]
    image = np.pad(image, [(part // 2, part - part // 2) for part in room])
    small = nnf.adaptive_avg_pool2d(torch.from_numpy(np.ascontiguousarray(image))[None], SIDE)
    return small[0].numpy()


def image_grid(images: torch.Tensor, columns: int) -> bytes:
    """PNG of images (N, 1, H, W) in [0, 1] side by side, enlarged three times."""
    count, _, height, width = images.shape
    grid = np.zeros((math.ceil(count / columns) * height, columns * width), np.uint8)
    levels = images[:, 0].mul(255).round().clamp(0, 255).byte().cpu().numpy()
    for index, image in enumerate(levels):
        row, column = divmod(index, columns)
        grid[row * height : (row + 1) * height, column * width : (column + 1) * width] = image
    picture = Image.fromarray(grid).resize(
        (3 * grid.shape[1], 3 * grid.shape[0]), Image.Resampling.NEAREST
    )
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    return buffer.getvalue()
