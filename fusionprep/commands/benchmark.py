"""``fusionprep benchmark``."""

import argparse

from fusionprep.arguments import NamedPaths, folder, path, whole_number
from fusionprep.choices import Device, choices
from fusionprep.commands.shared import Commands
from fusionprep.errors import DataError
from fusionprep.models.registry import model_names
from fusionprep.training.options import LIMITS, MOST


def add(commands: Commands) -> None:
    benchmark = commands.add_parser(
        "benchmark",
        help="compare fusion models on pairs of images",
        description="Fuse, score and rank. Every dataset is a folder with two subfolders of "
        "same-named slices (PNG, JPEG, TIFF) or NIfTI volumes, such as mri and ct.",
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
    benchmark.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
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
    for scores in results:
        if scores.empty:
            print(
                f"{scores.pair_set.name}: {len(scores.empty)} of {len(scores.pair_set.pairs)} pairs"
                f" skipped, with an image that shows nothing (e.g. {scores.empty[0]})"
            )
    print(f"summary: {out / 'summary.html'}")
    if lost := sum(len(scores.lost) for scores in results):
        raise DataError(f"{lost} of the results are missing, for the reasons told above")
