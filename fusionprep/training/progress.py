"""Signs of life of a long epoch where there is no terminal to draw a bar on."""

import sys
import time
from typing import Any

import lightning

SECONDS = 60.0


class SignsOfLife(lightning.Callback):
    """Prints a line on standard error when nothing has been printed for a minute."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: Any) -> None:
        del trainer, module
        self._last = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        del module, outputs, batch
        if trainer.is_global_zero and time.monotonic() - self._last >= SECONDS:
            self._last = time.monotonic()
            of = f"{batch_idx + 1}/{trainer.num_training_batches}"
            print(f"epoch {trainer.current_epoch + 1}, step {of}", file=sys.stderr, flush=True)
