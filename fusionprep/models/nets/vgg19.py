"""Weights of the VGG-Siamese ensemble with the user's VGG-19 trained on ImageNet."""

import hashlib
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fusionprep.errors import DataError, OutputError
from fusionprep.files import write_bytes
from fusionprep.models.registry import get_model
from fusionprep.models.weights import UNREADABLE, not_finite, read_weights

if TYPE_CHECKING:
    import torch

TORCHVISION_SHA256 = "dcbb9e9d"
"""First digits of the SHA-256 of torchvision's VGG-19, as in its file name, vgg19-dcbb9e9d.pth
(Oxford's weights for Caffe are different and expect other colours)."""

UNPICKLED = (pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, LookupError)
"""With what a file that torch should have written fails, beside what safetensors fails with."""

_VGG = "vgg.vgg."
"""Prefix of the VGG-19 in the names of the ensemble's tensors."""


def join_vgg19(
    vgg19: Path, output: Path, *, sha256: str = TORCHVISION_SHA256, own_weights: Path | None = None
) -> None:
    """Write weights of ``vggsiamese`` with a VGG-19 of full width in place of the reduced one.

    Siamese network and meta-learner stay as they are. The card beside the result, of the same stem,
    names both files by their SHA-256; the result takes the place of the packaged weights wherever a
    user's own weights can.

    Parameters
    ----------
    vgg19
        Torchvision's file, or safetensors under its names (``features.0.weight`` …).
    output
        Safetensors file to write.
    sha256
        Digits that the SHA-256 of ``vgg19`` must begin with.
    own_weights
        Safetensors file of your own weights of ``vggsiamese``; None takes the packaged ones.

    Raises
    ------
    NoInputError
        When a file is missing.
    DataError
        When the VGG-19 is not the one with this SHA-256 or holds other tensors, or ``own_weights``
        are not those of the model.
    OutputError
        When the result cannot be written.
    """
    from safetensors.torch import save

    from fusionprep.models.nets.vggsiamese import vggsiamese_imagenet

    content, digest = _read_checked(vgg19, sha256)
    tensors = _tensors(vgg19, content)
    entry = get_model("vggsiamese", own_weights)
    own = entry.load().state_dict()
    model = vggsiamese_imagenet()
    joined = {
        key: _features(tensors, key.removeprefix(_VGG), vgg19) if key.startswith(_VGG) else own[key]
        for key in model.state_dict()
    }
    try:
        model.load_state_dict(joined)
    except RuntimeError as error:
        raise _not_a_vgg19(vgg19, str(error).split("\n")[1].strip()) from error
    weights = save({key: tensor.contiguous() for key, tensor in model.state_dict().items()})
    card = {
        "name": entry.name,
        "version": f"{entry.version}+vgg19.{digest[:8]}",
        "description": f"{entry.title}, with a VGG-19 of full width",
        "joined": {"vgg19": digest, "vggsiamese": entry.weights_sha256()},
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    try:
        write_bytes(output, weights)
        write_bytes(output.with_suffix(".json"), (json.dumps(card, indent=2) + "\n").encode())
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error}") from error


def _read_checked(path: Path, sha256: str) -> tuple[bytes, str]:
    """A file's content and SHA-256."""
    content = read_weights(path, "VGG-19")
    digest = hashlib.sha256(content).hexdigest()
    if not digest.startswith(sha256.lower()):
        raise DataError(
            f"the SHA-256 of {path} begins with {digest[:8]}, not with {sha256}; give "
            f"torchvision's vgg19-{TORCHVISION_SHA256}.pth, or with --sha256 the first digits of "
            "a file you trust"
        )
    return content, digest


def _tensors(path: Path, content: bytes) -> Mapping[str, "torch.Tensor"]:
    """Tensors of a safetensors file, or of torchvision's, from which nothing else is unpickled."""
    import io

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        if path.suffix == ".safetensors":
            return load(content)
        tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (SafetensorError, *UNPICKLED, *UNREADABLE) as error:
        raise _not_a_vgg19(path, str(error).split("\n")[0]) from error
    if not isinstance(tensors, Mapping) or not all(map(torch.is_tensor, tensors.values())):
        raise _not_a_vgg19(path, "it is not a table of tensors")
    if (name := not_finite(tensors)) is not None:
        raise _not_a_vgg19(path, f"{name} holds numbers that are not finite")
    return tensors


def _features(tensors: Mapping[str, "torch.Tensor"], name: str, path: Path) -> "torch.Tensor":
    # Torchvision's file also holds the classifier, which the features do not need.
    if name not in tensors:
        raise _not_a_vgg19(path, f"no tensor {name}")
    return tensors[name]


def _not_a_vgg19(path: Path, reason: str) -> DataError:
    return DataError(f"{path} does not hold a VGG-19 under torchvision's names: {reason}")
