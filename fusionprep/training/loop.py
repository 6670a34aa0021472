"""Training a recipe with Lightning: loss, optimiser, records of the epochs."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, cast

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader

from fusionprep.errors import DataError
from fusionprep.models.nets.base import in_layout
from fusionprep.training.datasets import PairSamples
from fusionprep.training.log import EpochRecord, best_record
from fusionprep.training.options import TrainingOptions
from fusionprep.training.recipes.base import AdversarialRecipe, Batch, Recipe, Terms


class TrainingModule(lightning.LightningModule):
    """A recipe's model, loss and data.

    The frozen helper network of the loss is kept out of the module's state: checkpoints hold what
    is trained, including the opponents of an :class:`AdversarialRecipe`. Only such a recipe is
    optimised manually, because two optimisers take turns.
    """

    def __init__(
        self, recipe: Recipe, options: TrainingOptions, train_set: PairSamples, val_set: PairSamples
    ) -> None:
        super().__init__()
        torch.manual_seed(options.seed)
        self.recipe = recipe
        self.options = options
        self.model = in_layout(recipe.build(), torch.channels_last)
        self._helper = (recipe.helper_network(options),)
        self.opponents: nn.Module | None = None
        if isinstance(recipe, AdversarialRecipe):
            self.opponents = in_layout(recipe.build_opponents(), torch.channels_last)
            self.automatic_optimization = False
        self._weights = dict(recipe.loss_weights) | dict(options.loss_weights)
        self.train_set = train_set
        self.val_set = val_set

    def on_fit_start(self) -> None:
        helper = self._helper[0]
        if helper is not None:
            helper.to(self.device)

    def on_train_epoch_start(self) -> None:
        self.recipe.begin_epoch(self.model, self.options)

    def training_step(self, batch: Batch, _: int) -> torch.Tensor | None:
        batch = _channels_last(batch)
        if isinstance(self.recipe, AdversarialRecipe):
            self._take_turns(self.recipe, batch)
            return None
        return self._loss("train", batch)

    def validation_step(self, batch: Batch, _: int) -> None:
        self._loss("val", _channels_last(batch))

    def on_train_epoch_end(self) -> None:
        if self.opponents is not None:
            for schedule in cast(list[Any], self.lr_schedulers()):
                schedule.step()

    def _take_turns(self, recipe: AdversarialRecipe, batch: Batch) -> None:
        """Update the opponents, then the model against them."""
        mine, theirs = cast(list[Any], self.optimizers())
        fused = recipe.fuse(self.model, batch)
        against = recipe.opponent_terms(fused.detach(), batch, self.opponents)
        against = self._weighted(against)
        self._update(theirs, _total(against))
        with self.toggled_optimizer(mine):
            terms = recipe.content_terms(fused, batch, self._helper[0])
            terms |= recipe.adversarial_terms(fused, batch, self.opponents)
            terms = self._weighted(terms)
            loss = _total(terms)
            self._update(mine, loss)
        self._log("train", terms | against | {"loss": loss}, batch)

    def _update(self, optimizer: Any, loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def _loss(self, stage: str, batch: Batch) -> torch.Tensor:
        terms = self._weighted(self.recipe.loss_terms(self.model, batch, self._helper[0]))
        loss = _total(terms)
        self._log(stage, terms | {"loss": loss}, batch)
        return loss

    def _weighted(self, terms: Terms) -> Terms:
        return {name: self._weights[name] * value for name, value in terms.items()}

    def _log(self, stage: str, values: Terms, batch: Batch) -> None:
        self.log_dict(
            {f"{stage}/{name}": value.detach() for name, value in values.items()},
            on_step=False,
            on_epoch=True,
            batch_size=len(next(iter(batch.values()))),
            sync_dist=True,
        )

    def configure_optimizers(self) -> Any:
        if self.opponents is None:
            return self._optimizer(self.model)
        return [self._optimizer(self.model), self._optimizer(self.opponents)]

    def _optimizer(self, network: nn.Module) -> dict[str, Any]:
        optimizer = torch.optim.Adam(network.parameters(), lr=self.options.learning_rate)
        decay = self.options.learning_rate_decay
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: decay**epoch)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def train_dataloader(self) -> DataLoader:
        epoch = self.trainer.current_epoch
        self.train_set.epoch = epoch
        # Losses that draw random numbers then repeat when a run is resumed, too.
        torch.manual_seed(self.options.seed * 100_003 + epoch)
        return DataLoader(self.train_set, batch_size=self.options.batch_size)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val_set, batch_size=1)


def _channels_last(batch: Batch) -> Batch:
    return {
        name: image.contiguous(memory_format=torch.channels_last) for name, image in batch.items()
    }


def _total(terms: Terms) -> torch.Tensor:
    return torch.stack(list(terms.values())).sum()


class Records(lightning.Callback):
    """Keeps a record of every epoch, also when a run is resumed, and ends the run in time.

    Both limits follow from the records alone, so that a run which has ended does not continue when
    it is resumed, unless its limits were raised.

    Parameters
    ----------
    on_epoch
        Called after every epoch with the module and the records so far.
    minutes, patience
        See :class:`TrainingOptions`.
    """

    def __init__(
        self,
        on_epoch: Callable[[TrainingModule, list[EpochRecord]], None],
        *,
        minutes: float | None,
        patience: int | None,
    ) -> None:
        self.on_epoch = on_epoch
        self.minutes = minutes
        self.patience = patience
        self.records: list[EpochRecord] = []
        self._before = 0.0
        self._started = 0.0

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        del module
        self._before = self.records[-1].seconds if self.records else 0.0
        self._started = time.monotonic()
        trainer.should_stop = self._finished()

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        epoch = trainer.current_epoch
        seconds = self._before + time.monotonic() - self._started
        losses = {
            name: value.item()
            for name, value in trainer.callback_metrics.items()
            if name.startswith(("train/", "val/"))
        }
        if not all(map(math.isfinite, losses.values())):
            raise DataError(
                f"the loss is no longer finite after epoch {epoch + 1}; lower learning_rate in a "
                "new training run"
            )
        module = cast(TrainingModule, module)
        rate = module.options.learning_rate * module.options.learning_rate_decay**epoch
        self.records.append(EpochRecord(epoch + 1, rate, seconds, losses))
        if trainer.is_global_zero:
            self.on_epoch(module, self.records)
        trainer.should_stop = trainer.strategy.broadcast(self._finished())

    def _finished(self) -> bool:
        if not self.records:
            return False
        last, best = self.records[-1], best_record(self.records)
        late = self.minutes is not None and last.seconds > 60 * self.minutes
        return late or (self.patience is not None and last.epoch - best.epoch >= self.patience)

    def state_dict(self) -> dict[str, Any]:
        return {"records": [asdict(record) for record in self.records]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.records = [EpochRecord(**values) for values in state_dict["records"]]
