"""What the commands have in common."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fusionprep.arguments import Parser, path
from fusionprep.errors import DataError, UsageError
from fusionprep.files import same_file

if TYPE_CHECKING:
    from fusionprep.image.alignment import Aligned

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


def add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--force", action="store_true", help="exit with 0 even when the registration failed"
    )


def refuse_failed(aligned: "Aligned", output: Path, *, force: bool) -> None:
    """End with an error after a registration whose verdict is ``fail``.

    What was written stays: it shows what went wrong. A script must not go on with it unnoticed.
    """
    if aligned.failed and not force:
        raise DataError(
            f"the registration failed: {aligned.registration['VerdictReason']}; {output} was"
            " written for you to look at; --force accepts it"
        )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that exist, other than the inputs"
    )
