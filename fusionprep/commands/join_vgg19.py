"""``fusionprep join-vgg19``."""

import argparse
import re

from fusionprep.arguments import file, path
from fusionprep.commands.shared import Commands, add_weights, keep_inputs
from fusionprep.given import shown


def add(commands: Commands) -> None:
    join = commands.add_parser(
        "join-vgg19",
        help="give vggsiamese a VGG-19 trained on ImageNet",
        description="Write weights of vggsiamese with a full VGG-19 in place of the reduced one, "
        "for --weights and --fusion-weights.",
    )
    join.add_argument(
        "vgg19",
        type=path,
        metavar="VGG19",
        help="torchvision's vgg19-dcbb9e9d.pth, or safetensors under its names",
    )
    join.add_argument(
        "--sha256",
        type=_digits,
        metavar="DIGITS",
        help="first digits of the file's SHA-256, when it is not torchvision's",
    )
    add_weights(join)
    join.add_argument("-o", "--output", type=file, required=True, help="safetensors file to write")
    join.set_defaults(run=_run)


def _digits(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{6,64}", text):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not the beginning of a SHA-256")
    return text


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.models.nets.vgg19 import TORCHVISION_SHA256, join_vgg19

    keep_inputs(arguments.output, arguments.vgg19, arguments.weights)
    join_vgg19(
        arguments.vgg19,
        arguments.output,
        sha256=arguments.sha256 or TORCHVISION_SHA256,
        own_weights=arguments.weights,
    )
