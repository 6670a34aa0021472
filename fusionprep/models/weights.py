"""Weights shipped with the package: safetensors, each beside a card that names its SHA-256."""

import hashlib
import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from fusionprep.errors import DataError

if TYPE_CHECKING:
    import torch


def _weights_file(name: str):
    return resources.files("fusionprep") / "data" / "weights" / name


def read_card(name: str) -> dict[str, Any]:
    """The model card of the weights of that name.

    Raises
    ------
    DataError
        When it is missing or is not JSON.
    """
    path = _weights_file(f"{name}.json")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the model card {path}: {error}; reinstall it") from error


def load_into(module: "torch.nn.Module", name: str) -> None:
    """Load the weights of that name into a module.

    Raises
    ------
    DataError
        When the file is missing, or its SHA-256 is not the one in its card.
    """
    from safetensors.torch import load

    path = _weights_file(f"{name}.safetensors")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the weights {path}: {error}; reinstall them") from error
    if hashlib.sha256(content).hexdigest() != read_card(name)["sha256"]:
        raise DataError(
            f"the weights {path} are not those their card describes (SHA-256 differs); "
            "reinstall fusionprep"
        )
    module.load_state_dict(load(content))
