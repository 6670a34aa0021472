"""Checkpoints: written whole or not at all, and looked at before a run resumes from one."""

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from fusionprep.errors import DataError
from fusionprep.files import write_whole
from fusionprep.regular import check_regular

LARGEST = 2**34

_NEEDED = ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers", "callbacks")
_UNREADABLE = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError),
    *(TypeError, ValueError, pickle.UnpicklingError),
)


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the last checkpoint, which stays until the new one is complete.

    Lightning's own are written to the folder for temporary files and, where that is another disk,
    copied over the last one, which a kill or a full disk would then cost.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: Any,
        storage_options: Any | None = None,  # noqa: ARG002
    ) -> None:
        write_whole(Path(path), lambda temporary: _save(checkpoint, temporary))


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    try:
        torch.save(checkpoint, path)
    except RuntimeError as error:
        # of PyTorch's writer, which does not say that the disk is full
        raise OSError(
            f"the checkpoint could not be written ({str(error).splitlines()[0]})"
        ) from error


def check_checkpoint(path: Path, module: nn.Module) -> None:
    """Refuse to resume from a checkpoint that is damaged or of something else.

    Parameters
    ----------
    module
        What will be trained.

    Raises
    ------
    DataError
        When it cannot be read, or is not of this module.
    """
    check_regular(path, largest=LARGEST)
    advice = "delete its folder to start afresh"
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        missing = [name for name in _NEEDED if name not in found]
        state = {} if missing else {key: each.shape for key, each in found["state_dict"].items()}
        records = [] if missing else found["callbacks"]["Records"]["records"]
    except _UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"cannot resume from {path} ({reason}); {advice}") from error
    if missing:
        raise DataError(f"cannot resume from {path} (it holds no {missing[0]}); {advice}")
    expected = {key: each.shape for key, each in module.state_dict().items()}
    if state != expected or not records:
        raise DataError(f"cannot resume from {path} (it is of another training run); {advice}")
