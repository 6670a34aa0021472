"""The ``fusionprep`` command: list, run and train fusion models."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from fusionprep._version import __version__
from fusionprep.arguments import (
    USAGE,
    NamedPaths,
    Parser,
    file,
    folder,
    number,
    path,
    quietly,
    shortened,
    whole_number,
)
from fusionprep.choices import ColourMapName, Device, Planes, choices
from fusionprep.errors import DataError, FusionPrepError, UsageError, one_line
from fusionprep.files import same_file
from fusionprep.given import shown
from fusionprep.machine import is_short_of_memory
from fusionprep.modalities import FUSED, PET
from fusionprep.models.registry import DEFAULT_MODEL, get_model, model_names
from fusionprep.signals import StoppedError, ending_in_order
from fusionprep.training.options import LIMITS, MOST
from fusionprep.training.recipes import recipe_names


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        0; 1 for data that cannot be used; 64 for a command that cannot be run; 128 and its number
        for a signal.
    """
    return quietly(lambda: ending_in_order(lambda: _run(argv)))


def _run(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except FusionPrepError as error:
        print(f"fusionprep: {shortened(one_line(str(error)))}", file=sys.stderr)
        return USAGE if isinstance(error, UsageError) else 1
    except Exception as error:
        what = " ".join(str(error).split())
        if not is_short_of_memory(f"{type(error).__name__}: {what}"):
            raise
        print(f"fusionprep: too little memory: {what or 'none is left'}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fusionprep", description="Fuse aligned brain images, and train the models that do."
    )
    parser.add_argument("--version", action="version", version=f"fusionprep {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    models = commands.add_parser("models", help="list the fusion models")
    models.set_defaults(run=_models)
    _add_fuse(commands)
    _add_train(commands)
    _add_benchmark(commands)
    _add_export(commands)
    _add_join_vgg19(commands)
    return parser


def _add_fuse(commands: "argparse._SubParsersAction[Parser]") -> None:
    fuse = commands.add_parser(
        "fuse",
        help="fuse two aligned images",
        description="Fuse two aligned images: NIfTI volumes on one grid, or PNG, JPEG or TIFF "
        "slices.",
    )
    fuse.add_argument(
        "mri",
        type=path,
        metavar="MRI",
        help="anatomical image; for gmpet and gmpet_prob, the probability of gray matter",
    )
    fuse.add_argument(
        "functional",
        type=path,
        metavar=PET.label,
        help=f"{', '.join(modality.label for modality in FUSED)}, on the same grid",
    )
    fuse.add_argument("--model", default=DEFAULT_MODEL, choices=model_names())
    _add_weights(fuse)
    fuse.add_argument(
        "-o",
        "--output",
        type=file,
        required=True,
        help="fused image to write, NIfTI on the grid of the MRI or PNG",
    )
    fuse.add_argument(
        "--overwrite", action="store_true", help="replace files that exist, other than the inputs"
    )
    fuse.add_argument(
        "--mask", type=path, help="brain mask (default: the head that either image shows)"
    )
    fuse.add_argument(
        "--functional-modality",
        default=PET.name,
        choices=[modality.name for modality in FUSED],
        help=f"of the second image; decides how a volume is scaled (default: {PET.name})",
    )
    fuse.add_argument("--tracer", help="e.g. 18FFDG; decides how PET and SPECT are scaled")
    _add_fusion_options(fuse)
    fuse.set_defaults(run=_fuse)


def _add_colour(fuse: argparse.ArgumentParser) -> None:
    fuse.add_argument(
        "--colour",
        action="store_true",
        help="PET or SPECT in colour over the MRI, without a model; a PNG gets the key of the"
        " colours beside it",
    )
    fuse.add_argument(
        "--colour-map",
        default=choices(ColourMapName)[0],
        choices=choices(ColourMapName),
        help="clear, in which both images are read best, or vivid (default: clear)",
    )


def _add_fusion_options(fuse: argparse.ArgumentParser) -> None:
    fuse.add_argument(
        "--planes",
        default="axial",
        choices=choices(Planes),
        help="triplanar takes the mean of three orientations (default: axial)",
    )
    _add_colour(fuse)
    fuse.add_argument(
        "--batch-size",
        type=whole_number(1, MOST),
        metavar="N",
        help="slices in memory at once (default: 4 on a CPU, what fits on a GPU)",
    )
    fuse.add_argument("--device", default="auto", choices=choices(Device))


def _add_train(commands: "argparse._SubParsersAction[Parser]") -> None:
    training = commands.add_parser(
        "train",
        help="train a fusion model",
        description="Train a fusion model on paired PNG slices that DATA/slices.csv lists, or on "
        "outputs of fusionapp.",
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
    training.set_defaults(run=_train)


def _add_export(commands: "argparse._SubParsersAction[Parser]") -> None:
    export = commands.add_parser(
        "export-onnx",
        help="write a fusion model as an ONNX file",
        description="Write a fusion model with its weights as an ONNX file for any image size.",
    )
    export.add_argument("model", choices=model_names())
    _add_weights(export)
    export.add_argument("-o", "--output", type=file, required=True, help="ONNX file to write")
    export.set_defaults(run=_export)


def _add_join_vgg19(commands: "argparse._SubParsersAction[Parser]") -> None:
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
    _add_weights(join)
    join.add_argument("-o", "--output", type=file, required=True, help="safetensors file to write")
    join.set_defaults(run=_join_vgg19)


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        type=path,
        metavar="FILE",
        help="safetensors file of your own training of the model (default: the packaged weights)",
    )


def _add_benchmark(commands: "argparse._SubParsersAction[Parser]") -> None:
    benchmark = commands.add_parser(
        "benchmark",
        help="compare fusion models on pairs of images",
        description="Fuse, score and rank. Every dataset is a folder with two subfolders of "
        "same-named PNG slices or NIfTI volumes, such as mri and ct.",
    )
    benchmark.add_argument("--pairs", type=path, nargs="+", required=True, metavar="DIR")
    benchmark.add_argument("--models", nargs="+", default=(), metavar="NAME", choices=model_names())
    benchmark.add_argument(
        "--out", type=folder, required=True, metavar="DIR", help="where to write"
    )
    benchmark.add_argument(
        "--weights",
        action=NamedPaths,
        default={},
        metavar="NAME=FILE",
        help="safetensors file of your own training of a model, in place of the packaged weights "
        "(repeatable)",
    )
    benchmark.add_argument(
        "--external",
        action=NamedPaths,
        default={},
        metavar="NAME=DIR",
        help="fused images made elsewhere, named like the pairs, in DIR or in DIR/DATASET "
        "(repeatable)",
    )
    benchmark.add_argument("--anatomical", metavar="NAME", help="subfolder of anatomical images")
    benchmark.add_argument("--functional", metavar="NAME", help="subfolder of functional images")
    benchmark.add_argument(
        "--stride", type=whole_number(1, MOST), default=1, help="take every N-th pair", metavar="N"
    )
    benchmark.add_argument(
        "--no-reader",
        dest="reader",
        action="store_false",
        help="leave out what a reader can see: planted lesions and checks, for which every pair is "
        "fused fifteen times more",
    )
    benchmark.add_argument(
        "--threads",
        type=whole_number(*LIMITS["threads"]),
        help="CPU threads of the models",
        metavar="N",
    )
    benchmark.add_argument("--device", default="auto", choices=choices(Device))
    benchmark.add_argument("--resume", action="store_true", help="resume the benchmark in --out")
    benchmark.set_defaults(run=_benchmark)


def _digits(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{6,64}", text):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not the beginning of a SHA-256")
    return text


def _keep(output: Path, *inputs: Path | None) -> None:
    """Refuse to write over what is read."""
    for read in inputs:
        if read is not None and same_file(output, read):
            raise UsageError(f"{output} would replace {read}; choose another --output")


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
            functional=arguments.functional,
            output=arguments.output,
            model=arguments.model,
            weights=arguments.weights,
            mask=arguments.mask,
            modality=arguments.functional_modality,
            tracer=arguments.tracer,
            planes=arguments.planes,
            batch_size=arguments.batch_size,
            device=arguments.device,
            colour=arguments.colour,
            colour_map=arguments.colour_map,
            overwrite=arguments.overwrite,
        )
    )


def _train(arguments: argparse.Namespace) -> None:
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


def _export(arguments: argparse.Namespace) -> None:
    from fusionprep.models.export import export_onnx

    _keep(arguments.output, arguments.weights)
    export_onnx(arguments.model, arguments.output, arguments.weights)


def _join_vgg19(arguments: argparse.Namespace) -> None:
    from fusionprep.models.nets.vgg19 import TORCHVISION_SHA256, join_vgg19

    _keep(arguments.output, arguments.vgg19, arguments.weights)
    join_vgg19(
        arguments.vgg19,
        arguments.output,
        sha256=arguments.sha256 or TORCHVISION_SHA256,
        own_weights=arguments.weights,
    )


def _benchmark(arguments: argparse.Namespace) -> None:
    from fusionprep.evaluation.benchmark import BenchmarkRequest, run_benchmark
    from fusionprep.evaluation.kept import keeping_pairs
    from fusionprep.evaluation.summary import write_benchmark
    from fusionprep.evaluation.watch import SavingWatch

    request = BenchmarkRequest(
        pairs=tuple(arguments.pairs),
        models=tuple(arguments.models),
        external=arguments.external,
        weights=arguments.weights,
        anatomical=arguments.anatomical,
        functional=arguments.functional,
        stride=arguments.stride,
        device=arguments.device,
        threads=arguments.threads,
        reader=arguments.reader,
    )
    out = arguments.out
    with SavingWatch(out) as watch, keeping_pairs(out, request, resume=arguments.resume) as kept:
        results = run_benchmark(request, watch, kept)
        write_benchmark(out, request, results)
    print(f"summary: {out / 'summary.html'}")
    if lost := sum(len(scores.lost) for scores in results):
        raise DataError(f"{lost} of the results are missing, for the reasons told above")
