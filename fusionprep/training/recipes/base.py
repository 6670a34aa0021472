"""What a recipe says of the training of one model."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from fusionprep.models.base import FusionModel
from fusionprep.training.options import TrainingOptions

Sample = dict[str, np.ndarray]
Batch = dict[str, torch.Tensor]


class Recipe:
    """The network, what it is shown and what it is told to minimise.

    Attributes
    ----------
    loss_weights
        Weight of each term that :meth:`loss_terms` returns; options may override them.
    differences
        What differs from the paper in network and training, for the model card.
    """

    loss_weights: ClassVar[Mapping[str, float]]
    differences: ClassVar[str]

    def build(self) -> FusionModel:
        """The network with random weights."""
        raise NotImplementedError

    def helper_network(self, options: TrainingOptions) -> nn.Module | None:  # noqa: ARG002
        """A frozen network that the loss needs, e.g. for features."""
        return None

    def prepare(self, anatomical: np.ndarray, functional: np.ndarray, rng) -> Sample:  # noqa: ARG002
        """One training sample from an augmented pair (H, W), float32 in [0, 1]."""
        return {"anatomical": anatomical, "functional": functional}

    def begin_epoch(self, model: FusionModel, options: TrainingOptions) -> None:
        """Called before each epoch, with the model in training mode."""

    def loss_terms(
        self, model: FusionModel, batch: Batch, helper: nn.Module | None
    ) -> dict[str, torch.Tensor]:
        """The terms of the loss on a batch of samples, tensors (N, 1, H, W), not yet weighted."""
        raise NotImplementedError
