"""Training a network with Lightning until a validation fold no longer gains from it."""

import copy
import importlib
import math
from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import torch
from torch import nn
from torch.nn import functional as nnf
from torch.utils.data import DataLoader, TensorDataset

from fusionprep.classification.networks import NETWORKS
from fusionprep.errors import DataError
from fusionprep.streams import quiet_library


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes
    ----------
    epochs
        At most.
    patience
        Epochs without a lower validation loss after which training ends.
    batch
        Volumes in a batch.
    rate
        Learning rate of AdamW.
    seed
        Of first weights, order and flips.
    device
        See :func:`fusionprep.devices.resolve_device`.
    """

    epochs: int = 60
    patience: int = 12
    batch: int = 8
    rate: float = 1e-3
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Standard:
    """What volumes are centred and scaled by: the mean training image and one deviation a channel.

    Attributes
    ----------
    mean
        (channels, X, Y, Z).
    deviation
        (channels, 1, 1, 1), of training images about their mean, in the mask.
    """

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, volumes: np.ndarray, mask: np.ndarray) -> "Standard":
        """Of training volumes (n, channels, X, Y, Z).

        Raises
        ------
        DataError
            When they do not differ.
        """
        mean = volumes.mean(axis=0)
        squares = ((volumes - mean) ** 2)[:, :, mask].mean(axis=(0, 2))
        if not squares.all():
            raise DataError("an input is the same in all training subjects; leave it out")
        return cls(mean, np.sqrt(squares)[:, None, None, None].astype(np.float32))

    def apply(self, volumes: np.ndarray) -> torch.Tensor:
        """Volumes (n, channels, X, Y, Z) for a network; 0 is the mean image."""
        return torch.from_numpy(((volumes - self.mean) / self.deviation).astype(np.float32))


def build_network(name: str, channels: int, classes: int) -> nn.Module:
    """A network of :data:`fusionprep.classification.networks.NETWORKS` with random weights."""
    module, factory = NETWORKS[name].factory.split(":")
    made = importlib.import_module(f"fusionprep.classification.networks.{module}")
    return getattr(made, factory)(channels, classes)


class Classifier(lightning.LightningModule):
    """A network with its loss: cross-entropy in which every class weighs the same."""

    weights: torch.Tensor

    def __init__(self, network: nn.Module, weights: torch.Tensor, training: Training) -> None:
        super().__init__()
        self.network, self.training_options = network, training
        self.register_buffer("weights", weights)

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        volumes, labels = batch
        # sides of the head are alike, and each volume then counts twice
        flipped = torch.rand(len(volumes), device=volumes.device) < 0.5
        volumes = torch.where(flipped[:, None, None, None, None], volumes.flip(2), volumes)
        return nnf.cross_entropy(self.network(volumes), labels, self.weights)

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        volumes, labels = batch
        loss = nnf.cross_entropy(self.network(volumes), labels, self.weights)
        self.log("validation", loss, on_epoch=True, batch_size=len(labels))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        rate = self.training_options.rate
        return torch.optim.AdamW(self.network.parameters(), lr=rate, weight_decay=0.01)


class Best(lightning.Callback):
    """Keeps the weights with the lowest validation loss, and ends training after patience."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.loss, self.epoch = math.inf, 0
        self.state: dict[str, Any] = {}

    def on_validation_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        loss, epoch = float(trainer.callback_metrics["validation"]), trainer.current_epoch + 1
        if not math.isfinite(loss):
            raise DataError("the loss of a network is no longer finite; check the images")
        if loss < self.loss:
            self.loss, self.epoch = loss, epoch
            self.state = copy.deepcopy(module.network.state_dict())
        trainer.should_stop = epoch - self.epoch >= self.patience


def train_network(
    network: nn.Module,
    data: tuple[torch.Tensor, np.ndarray],
    validation: tuple[torch.Tensor, np.ndarray],
    training: Training,
) -> int:
    """Train a network; it is left with its best weights, in evaluation mode.

    Parameters
    ----------
    data, validation
        Volumes (n, channels, X, Y, Z) and numbers of classes (n,), to learn from and to stop by.

    Returns
    -------
    int
        The epoch of the weights.
    """
    counts = np.bincount(data[1])
    weights = torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32)
    best = Best(training.patience)
    generator = torch.Generator().manual_seed(training.seed)
    # a last batch of one volume cannot be normalised
    odd = len(data[1]) % training.batch == 1
    train_set = DataLoader(
        _dataset(*data), training.batch, shuffle=True, generator=generator, drop_last=odd
    )
    with quiet_library("lightning.pytorch"):
        trainer = lightning.Trainer(
            max_epochs=training.epochs,
            accelerator="gpu" if training.device == "cuda" else "cpu",
            devices=1,
            deterministic="warn",
            callbacks=[best],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        module = Classifier(network, weights, training)
        trainer.fit(module, train_set, DataLoader(_dataset(*validation), training.batch))
    network.load_state_dict(best.state)
    network.to(training.device).eval()
    return best.epoch


def _dataset(volumes: torch.Tensor, labels: np.ndarray) -> TensorDataset:
    return TensorDataset(volumes, torch.from_numpy(labels.astype(np.int64)))


def scores_of(network: nn.Module, volumes: torch.Tensor, training: Training) -> np.ndarray:
    """Scores (n, classes): how much each class's logit exceeds that of all others together."""
    found = []
    with torch.inference_mode():
        for part in volumes.split(4 * training.batch):
            logits = network(part.to(training.device)).double().cpu()
            total = logits.logsumexp(dim=1, keepdim=True)
            shares = (logits - total).exp().clamp(1e-12, 1 - 1e-12)
            found.append(torch.logit(shares))
    return torch.cat(found).numpy()
