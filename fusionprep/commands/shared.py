"""What the commands have in common."""

import argparse
from pathlib import Path
from typing import TypeAlias

from fusionprep.arguments import Parser, path
from fusionprep.errors import UsageError
from fusionprep.files import same_file

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        type=path,
        metavar="FILE",
        help="safetensors file of your own training of the model (default: the packaged weights)",
    )


def keep_inputs(output: Path, *inputs: Path | None) -> None:
    """Refuse to write over what is read."""
    for read in inputs:
        if read is not None and same_file(output, read):
            raise UsageError(f"{output} would replace {read}; choose another --output")
