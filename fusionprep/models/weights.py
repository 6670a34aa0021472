"""Weights of the fusion models: safetensors, each beside a card that names its SHA-256.

They are shipped with the package, or come from a user's own ``fusionprep train``.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionprep.errors import DataError, NoInputError
from fusionprep.regular import check_regular

if TYPE_CHECKING:
    import torch


PACKAGED = "packaged"
"""Stands for the weights shipped with the package where a file name is expected."""

LARGEST_WEIGHTS = 2**31
LARGEST_CARD = 2**24

UNREADABLE = (KeyError, OverflowError, RuntimeError, TypeError, ValueError)
"""With what safetensors fails beside its own error, where a file names types that it knows not."""


@dataclass(frozen=True)
class Weights:
    """A file of weights and what is known of it.

    Attributes
    ----------
    version
        From the card; None without a card.
    parameters
        Number of trained parameters.
    """

    path: Traversable
    sha256: str
    version: str | None
    parameters: int

    def load_into(self, module: "torch.nn.Module") -> None:
        """Load them into a module they fit.

        Raises
        ------
        DataError
            When the file is missing, or is no longer the one with this SHA-256.
        """
        from safetensors.torch import load

        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise DataError(
                f"cannot read the weights {self.path}: {error}; put them back"
            ) from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise DataError(
                f"the weights {self.path} are not the ones expected (SHA-256 differs); reinstall "
                "fusionprep, or run again if they are your own and have changed meanwhile"
            )
        module.load_state_dict(load(content))


def _weights_file(name: str) -> Traversable:
    return resources.files("fusionprep") / "data" / "weights" / name


def read_card(name: str) -> dict[str, Any]:
    """The model card of the packaged weights of that name.

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


def packaged_weights(name: str) -> Weights:
    """The weights of that name in the package, by their card.

    Raises
    ------
    DataError
        When they or their card are missing.
    """
    path = _weights_file(f"{name}.safetensors")
    if not path.is_file():
        raise DataError(f"there are no weights {path}; reinstall fusionprep")
    card = read_card(name)
    return Weights(path, card["sha256"], card["version"], card["parameters"])


def load_into(module: "torch.nn.Module", name: str) -> None:
    """Load the packaged weights of that name into a module.

    Raises
    ------
    DataError
        When the file is missing, or its SHA-256 is not the one in its card.
    """
    packaged_weights(name).load_into(module)


def read_own_weights(path: Path, name: str, module: "torch.nn.Module") -> Weights:
    """Weights of a user's own training, checked against the model and the card beside them.

    Parameters
    ----------
    path
        Safetensors file. A card is the JSON file of the same stem that names a SHA-256.
    name, module
        The model they are for; its module may be on the meta device.

    Raises
    ------
    NoInputError
        When the file is missing.
    DataError
        When it is not safetensors, holds the weights of another model, or is not the file its card
        describes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = read_weights(path)
    try:
        tensors = load(content)
    except (SafetensorError, *UNREADABLE) as error:
        raise DataError(
            f"{path} is not a safetensors file ({error}); give the one that fusionprep train wrote"
        ) from error
    differences = _differences(module.state_dict(), tensors)
    if differences:
        more = f", and {len(differences) - 1} more" if differences[1:] else ""
        raise DataError(
            f"{path} does not hold weights of {name}: {differences[0]}{more}; give the file of "
            "a training run of this model"
        )
    if (wrong := not_finite(tensors)) is not None:
        raise DataError(
            f"{path} holds numbers that are not finite ({wrong}); its training has failed, so give"
            " the file of another"
        )
    sha256 = hashlib.sha256(content).hexdigest()
    version = _card_version(path.with_suffix(".json"), path, sha256)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Weights(path, sha256, version, parameters)


def read_weights(path: Path, what: str = "weights") -> bytes:
    """The content of a file of weights that a user names.

    Raises
    ------
    NoInputError
        When there is no such file.
    DataError
        When it is not a file, is empty, too large or cannot be read.
    """
    try:
        check_regular(path, largest=LARGEST_WEIGHTS)
        return path.read_bytes()
    except NoInputError as error:
        raise NoInputError(f"cannot read the {what} {path}: No such file") from error
    except OSError as error:
        raise DataError(f"cannot read the {what} {path}: {error.strerror}") from error


def not_finite(tensors: Mapping[str, "torch.Tensor"]) -> str | None:
    """Name of the first tensor that holds NaN or infinity; None where none does."""
    numbers = ((name, tensor) for name, tensor in tensors.items() if tensor.is_floating_point())
    return next((name for name, each in numbers if not each.float().isfinite().all()), None)


def fits(path: Path, module: "torch.nn.Module") -> bool:
    """Whether a file holds weights of a module, by names and shapes; False if it is missing."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        return False
    try:
        return not _differences(module.state_dict(), load_file(path))
    except (OSError, SafetensorError, *UNREADABLE):
        return False


def _differences(
    expected: Mapping[str, "torch.Tensor"], found: Mapping[str, "torch.Tensor"]
) -> list[str]:
    """What is wrong with the names and shapes of tensors, in words."""
    differences = [f"no tensor {key}" for key in expected if key not in found]
    differences += [f"unknown tensor {key}" for key in sorted(found) if key not in expected]
    differences += [
        f"{key} has shape {tuple(found[key].shape)}, not {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in found and found[key].shape != tensor.shape
    ]
    return differences + [
        f"{key} holds {found[key].dtype}, not {tensor.dtype}"
        for key, tensor in expected.items()
        if key in found and found[key].is_floating_point() != tensor.is_floating_point()
    ]


def _card_version(card_file: Path, weights_file: Path, sha256: str) -> str | None:
    """Version in the card beside a user's own weights; None without one."""
    try:
        check_regular(card_file, largest=LARGEST_CARD)
        card = json.loads(card_file.read_text(encoding="utf-8"))
    except NoInputError:
        return None
    except DataError as error:
        raise DataError(f"{error}; it would be the model card: correct or remove it") from error
    except RecursionError as error:
        raise DataError(
            f"cannot read the model card {card_file}: nested too deeply; correct or remove it"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read the model card {card_file}: {error}; correct or remove it"
        ) from error
    if not isinstance(card, dict) or "sha256" not in card:
        return None
    if card["sha256"] != sha256:
        raise DataError(
            f"{weights_file} is not the file that the card {card_file.name} beside it describes "
            "(SHA-256 differs); keep the two files of a training run together"
        )
    version = card.get("version")
    return version if isinstance(version, str) else None
