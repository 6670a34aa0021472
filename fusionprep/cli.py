"""The ``fusionprep`` command: list, run and train fusion models."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fusionprep._version import __version__
from fusionprep.errors import FusionPrepError, UsageError
from fusionprep.models.registry import get_model, model_names
from fusionprep.training.recipes import recipe_names, train


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        0, or 2 for a command that cannot be, or 1 for data that cannot be used.
    """
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except FusionPrepError as error:
        print(f"fusionprep: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fusionprep", description="Fuse aligned brain images, and train the models that do."
    )
    parser.add_argument("--version", action="version", version=f"fusionprep {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    models = commands.add_parser("models", help="list the fusion models")
    models.set_defaults(run=_models)
    _add_fuse(commands)
    _add_train(commands)
    return parser


def _add_fuse(commands) -> None:
    fuse = commands.add_parser(
        "fuse",
        help="fuse two aligned images",
        description="Fuse two aligned images: NIfTI volumes on one grid, or PNG slices.",
    )
    fuse.add_argument("mri", type=Path, metavar="MRI", help="anatomical image")
    fuse.add_argument("pet", type=Path, metavar="PET", help="functional image on the same grid")
    fuse.add_argument("--model", default="densefuse", choices=model_names())
    fuse.add_argument("-o", "--output", type=Path, required=True, help="fused image to write")
    fuse.add_argument("--mask", type=Path, help="brain mask (default: where the MRI is above 0)")
    fuse.add_argument("--tracer", help="PET tracer, e.g. 18FFDG; decides how PET is scaled")
    fuse.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    fuse.set_defaults(run=_fuse)


def _add_train(commands) -> None:
    training = commands.add_parser(
        "train",
        help="train a fusion model",
        description="Train a fusion model on paired PNG slices listed in DATA/slices.csv.",
    )
    training.add_argument("model", choices=recipe_names())
    training.add_argument("--data", type=Path, required=True, help="folder with slices.csv")
    training.add_argument("--out", type=Path, help="folder to write (default: ./MODEL-training)")
    training.add_argument("--config", type=Path, help="TOML file with training options")
    training.add_argument("--epochs", type=int, help="passes over the training images")
    training.add_argument("--minutes", type=float, help="stop after the epoch that reaches this")
    training.add_argument("--seed", type=int, help="of the first weights, the order and the crops")
    training.set_defaults(run=_train)


def _models(_: argparse.Namespace) -> None:
    rows = [("NAME", "LABEL", "YEAR", "PARAMETERS", "TRAINED ON", "WHAT IT IS")]
    for entry in map(get_model, model_names()):
        year, trained = str(entry.year or "-"), ", ".join(entry.modalities) or "-"
        rows.append(
            (entry.name, entry.label, year, f"{entry.parameters():,}", trained, entry.title)
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _fuse(arguments: argparse.Namespace) -> None:
    from fusionprep.models.files import FusionRequest, fuse_files

    fuse_files(
        FusionRequest(
            anatomical=arguments.mri,
            functional=arguments.pet,
            output=arguments.output,
            model=arguments.model,
            mask=arguments.mask,
            tracer=arguments.tracer,
            device=arguments.device,
        )
    )


def _train(arguments: argparse.Namespace) -> None:
    from fusionprep.training.options import training_options

    overrides = {name: getattr(arguments, name) for name in ("epochs", "minutes", "seed")}
    options = training_options(arguments.config, overrides)
    out_dir = arguments.out or Path(f"{arguments.model}-training")
    print(f"weights and card: {train(arguments.model, arguments.data, out_dir, options)}")
