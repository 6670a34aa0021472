"""What a recipe says about training one model."""

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from fusionprep.models.nets.base import FusionModel
from fusionprep.training.options import TrainingOptions

Sample = dict[str, np.ndarray]
Batch = dict[str, torch.Tensor]
Terms = dict[str, torch.Tensor]
Model = TypeVar("Model", bound=FusionModel)


class Recipe(Generic[Model]):
    """The network, what it is shown and what it is told to minimise.

    Attributes
    ----------
    loss_weights
        Weight of each term that :meth:`loss_terms` returns; options may override them.
    differences
        What differs from the paper in network and training, for the model card.
    stage_of
        Name of the model of which this recipe trains a first stage; None for a whole model. A stage
        has the model's weights, not all of which mean anything yet.
    variant_of
        Name of the model of which this recipe trains further weights, e.g. for one modality.
    """

    stage_of: ClassVar[str | None] = None
    variant_of: ClassVar[str | None] = None
    loss_weights: ClassVar[Mapping[str, float]]
    differences: ClassVar[str]

    def build(self) -> Model:
        """The network with random weights."""
        raise NotImplementedError

    def helper_network(self, options: TrainingOptions) -> nn.Module | None:  # noqa: ARG002
        """A frozen network that the loss needs, e.g. for features."""
        return None

    def prepare(
        self,
        anatomical: np.ndarray,
        functional: np.ndarray,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Sample:
        """One training sample from an augmented pair (H, W), float32 in [0, 1]."""
        return {"anatomical": anatomical, "functional": functional}

    def begin_training(self, model: Model, options: TrainingOptions) -> None:
        """Called once with the initial weights in place, e.g. to freeze some of them."""

    def begin_epoch(self, model: Model, options: TrainingOptions) -> None:
        """Called before each epoch, with the model in training mode."""

    def loss_terms(self, model: Model, batch: Batch, helper: Any) -> Terms:
        """The terms of the loss on a batch of samples, tensors (N, 1, H, W), not yet weighted."""
        raise NotImplementedError

    def picture(self, model: Model) -> bytes | None:  # noqa: ARG002
        """PNG of what a trained stage can do; None shows fused validation pairs."""
        return None


class AdversarialRecipe(Recipe[Model]):
    """A recipe whose model is trained in turn with opponents, e.g. discriminators.

    For each batch the opponents are updated first, then the model against the updated ones. The
    terms of both updates are named in ``loss_weights``. Opponents are kept in checkpoints, not in
    the weights; validation, which chooses the weights to keep, leaves them out, because their
    verdict on the same image changes from epoch to epoch.
    """

    def build_opponents(self) -> nn.Module:
        """The opponents with random weights."""
        raise NotImplementedError

    def fuse(self, model: Model, batch: Batch) -> torch.Tensor:
        """The fused images (N, 1, H, W) that the loss is about and the opponents are shown."""
        raise NotImplementedError

    def content_terms(self, fused: torch.Tensor, batch: Batch, helper: Any) -> Terms:
        """The terms of the model's loss without opponents, not yet weighted."""
        raise NotImplementedError

    def adversarial_terms(self, fused: torch.Tensor, batch: Batch, opponents: Any) -> Terms:
        """The terms of the model's loss from its opponents, not yet weighted."""
        raise NotImplementedError

    def opponent_terms(self, fused: torch.Tensor, batch: Batch, opponents: Any) -> Terms:
        """The terms of the opponents' loss, not yet weighted; ``fused`` carries no gradient."""
        raise NotImplementedError

    def loss_terms(self, model: Model, batch: Batch, helper: Any) -> Terms:
        return self.content_terms(self.fuse(model, batch), batch, helper)
