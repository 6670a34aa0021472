"""The training loop: Adam, one learning rate per epoch, a validation after each."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from fusionprep.training.options import TrainingOptions


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to.

    Attributes
    ----------
    loss
        Mean training loss.
    validation
        Metric name to value after the epoch.
    seconds
        Wall time since the start of the training.
    """

    epoch: int
    learning_rate: float
    loss: float
    seconds: float
    validation: dict[str, float] = field(default_factory=dict)


def fit(
    model: nn.Module,
    batches: Callable[[int], Iterable[torch.Tensor]],
    loss: Callable[[nn.Module, torch.Tensor], torch.Tensor],
    validate: Callable[[nn.Module], dict[str, float]],
    options: TrainingOptions,
    on_epoch: Callable[[list[EpochRecord]], None],
) -> list[EpochRecord]:
    """Train a model in place.

    Parameters
    ----------
    batches
        The batches of an epoch, given its number from 0.
    loss
        The loss of the model on one batch.
    on_epoch
        Called after every epoch with the records so far, e.g. to save the weights.

    Returns
    -------
    list of EpochRecord
        One for each epoch done.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate)
    started = time.monotonic()
    records: list[EpochRecord] = []
    for epoch in range(options.epochs):
        rate = options.learning_rate * options.learning_rate_decay**epoch
        for group in optimizer.param_groups:
            group["lr"] = rate
        mean_loss = _train_epoch(model, batches(epoch), loss, optimizer)
        model.eval()
        with torch.inference_mode():
            metrics = validate(model)
        seconds = time.monotonic() - started
        records.append(EpochRecord(epoch + 1, rate, mean_loss, seconds, metrics))
        on_epoch(records)
        if options.minutes is not None and seconds > 60 * options.minutes:
            break
    return records


def _train_epoch(model, batches, loss, optimizer) -> float:
    model.train()
    losses = []
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        value = loss(model, batch)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return sum(losses) / len(losses)
