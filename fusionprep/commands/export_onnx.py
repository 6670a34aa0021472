"""``fusionprep export-onnx``."""

import argparse

from fusionprep.arguments import file
from fusionprep.commands.shared import Commands, add_weights, keep_inputs
from fusionprep.models.registry import model_names


def add(commands: Commands) -> None:
    export = commands.add_parser(
        "export-onnx",
        help="write a fusion model as an ONNX file",
        description="Write a fusion model with its weights as an ONNX file for any image size.",
    )
    export.add_argument("model", choices=model_names())
    add_weights(export)
    export.add_argument("-o", "--output", type=file, required=True, help="ONNX file to write")
    export.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.models.export import export_onnx

    keep_inputs(arguments.output, arguments.weights)
    export_onnx(arguments.model, arguments.output, arguments.weights)
