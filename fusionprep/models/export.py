"""Fusion models as ONNX files, for use outside Python."""

import contextlib
import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fusionprep.errors import OutputError, UsageError
from fusionprep.files import write_whole
from fusionprep.modalities import FUSED
from fusionprep.models.entry import ModelEntry
from fusionprep.models.registry import get_model
from fusionprep.streams import quiet_library

if TYPE_CHECKING:
    from fusionprep.models.nets.base import FusionModel

OPSET = 20

SMALLEST_SIDE = 32
"""Smallest side of the images an exported model takes: on smaller ones the Laplacian pyramid has
fewer levels, but one exported graph serves all sizes."""

_EXAMPLE_SHAPE = (2, 1, 96, 80)
"""The sides differ, so that the exporter does not take height and width for one variable."""


def export_onnx(name: str, output: Path, weights: Path | None = None) -> None:
    """Write a model of the registry with its weights as an ONNX file.

    Its metadata hold name, version, paper, SHA-256 of the weights, and what goes in and out.

    Parameters
    ----------
    name
        One of :func:`fusionprep.models.registry.model_names`.
    weights
        Safetensors file of your own weights of the model; None takes the packaged ones.

    Raises
    ------
    UsageError
        When the model is unknown, has no weights to replace or cannot be expressed in ONNX, or a
        package is missing.
    NoInputError, DataError
        When the weights are missing, or not those of the model.
    OutputError
        When the file cannot be written.
    """
    entry = get_model(name, weights)
    write_onnx(entry.load(), output, onnx_metadata(entry))


def onnx_metadata(entry: ModelEntry) -> dict[str, str]:
    """Metadata of the ONNX file of a model."""
    inputs = f"float32 (N, 1, H, W) in 0..1, sides of at least {SMALLEST_SIDE} pixels"
    anatomical = (
        "MRI scaled inside the brain" if entry.takes_image else "probability of gray matter"
    )
    *others, last = (modality.label for modality in FUSED if entry.fuses(modality))
    functional = f"{', '.join(others)} or {last}"
    return {
        "name": entry.name,
        "version": entry.version or "unknown",
        "paper": entry.paper or entry.citation,
        "weights_sha256": entry.weights_sha256() or "none",
        "anatomical": f"{inputs}; {anatomical}",
        "functional": f"{inputs}; {functional} on the same grid",
        "fused": "float32 (N, 1, H, W) in 0..1",
        "intended_use": "visualisation in research; not for diagnosis and not for quantification",
    }


def write_onnx(model: "FusionModel", output: Path, metadata: Mapping[str, str]) -> None:
    """Write a module as an ONNX file whose batch size, height and width are free.

    Raises
    ------
    UsageError
        When the module cannot be expressed in ONNX, or a package is missing.
    OutputError
        When the file cannot be written.
    """
    missing = [name for name in ("onnx", "onnxscript") if not importlib.util.find_spec(name)]
    if missing:
        raise UsageError(
            f"the export needs {' and '.join(missing)}; install with: "
            "pip install 'fusionprep[onnx]'"
        )
    content = _onnx_bytes(model, metadata)
    try:
        write_whole(output, lambda path: path.write_bytes(content))
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error}") from error


def _onnx_bytes(model: "FusionModel", metadata: Mapping[str, str]) -> bytes:
    import onnx
    import torch
    from torch.export import Dim

    from fusionprep.models.nets.base import in_layout

    free = {
        0: Dim("batch"),
        2: Dim("height", min=SMALLEST_SIDE),
        3: Dim("width", min=SMALLEST_SIDE),
    }
    example = tuple(
        torch.rand(_EXAMPLE_SHAPE, generator=torch.Generator().manual_seed(0)) for _ in range(2)
    )
    model = in_layout(model.cpu().eval(), torch.contiguous_format)
    try:
        with quiet_library("torch.onnx"), contextlib.redirect_stdout(io.StringIO()):
            program = torch.onnx.export(
                model,
                example,
                input_names=["anatomical", "functional"],
                output_names=["fused"],
                dynamic_shapes=(free, free),
                opset_version=OPSET,
                dynamo=True,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        kind = type(model).__name__
        raise UsageError(
            f"{kind} cannot be exported to ONNX: it does not consist of tensor operations alone; "
            "choose another model"
        ) from error
    proto = cast("torch.onnx.ONNXProgram", program).model_proto
    # The exporter records where each operation is in the source, with paths of this machine.
    for item in (*proto.graph.node, *proto.graph.value_info, *proto.functions, proto.graph):
        item.ClearField("metadata_props")
    onnx.helper.set_model_props(proto, dict(metadata))
    onnx.checker.check_model(proto)
    return proto.SerializeToString()
