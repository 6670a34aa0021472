"""``fusionprep train``."""

import argparse
import sys
from pathlib import Path

from fusionprep.arguments import folder, number, path, whole_number
from fusionprep.commands.shared import Commands
from fusionprep.signals import StoppedError
from fusionprep.training.options import LIMITS
from fusionprep.training.recipes import recipe_names


def add(commands: Commands) -> None:
    training = commands.add_parser(
        "train",
        help="train a fusion model",
        description="Train a fusion model on paired slices (PNG, JPEG, TIFF) that DATA/slices.csv"
        " lists, or on outputs of fusionapp.",
    )
    training.add_argument("model", choices=recipe_names())
    training.add_argument(
        "--data", type=path, required=True, help="folder with slices.csv, or outputs of fusionapp"
    )
    training.add_argument("--out", type=folder, help="folder to write (default: ./MODEL-training)")
    training.add_argument(
        "--config",
        type=path,
        help="TOML file with training options (default with --resume: that of the training run)",
    )
    training.add_argument(
        "--epochs", type=whole_number(*LIMITS["epochs"]), help="how often to validate and save"
    )
    training.add_argument(
        "--steps-per-epoch",
        type=whole_number(*LIMITS["steps_per_epoch"]),
        help="batches between validations",
    )
    training.add_argument(
        "--minutes", type=number(*LIMITS["minutes"]), help="stop after the epoch that reaches this"
    )
    training.add_argument(
        "--seed",
        type=whole_number(*LIMITS["seed"]),
        help="of the first weights, the order and the crops",
    )
    training.add_argument("--resume", action="store_true", help="resume the training run in --out")
    training.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.training.options import training_options
    from fusionprep.training.run import train

    names = ("epochs", "steps_per_epoch", "minutes", "seed")
    out_dir = arguments.out or Path(f"{arguments.model}-training")
    config, own_config = arguments.config, out_dir / f"{arguments.model}.toml"
    if config is None and arguments.resume and own_config.exists():
        config = own_config
    options = training_options(config, {name: getattr(arguments, name) for name in names})
    try:
        weights = train(arguments.model, arguments.data, out_dir, options, resume=arguments.resume)
    except StoppedError:
        if (out_dir / "checkpoints").is_dir():
            print(f"fusionprep: go on with --resume --out {out_dir}", file=sys.stderr)
        raise
    print(f"weights and card: {weights}")
