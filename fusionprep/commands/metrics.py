"""``fusionprep metrics``."""

import argparse
import math
from typing import TYPE_CHECKING

from fusionprep.arguments import path
from fusionprep.commands.shared import Commands
from fusionprep.modalities import FUSED, PET

if TYPE_CHECKING:
    from fusionprep.evaluation.file_scores import FileScores

SHORT = 60
"""Characters of what a figure is, in the table."""


def add(commands: Commands) -> None:
    metrics = commands.add_parser(
        "metrics",
        help="judge a fused image",
        description="Judge a fused image by every metric of the benchmark. The three files are"
        " NIfTI volumes on one grid, or PNG, JPEG or TIFF slices of one size.",
    )
    metrics.add_argument("anatomical", type=path, metavar="A", help="first source, e.g. the MRI")
    metrics.add_argument("functional", type=path, metavar="B", help="second source, e.g. the PET")
    metrics.add_argument("fused", type=path, metavar="FUSED", help="image fused from both")
    metrics.add_argument(
        "--mask",
        type=path,
        help="where the images were fused (default: all of a slice; of volumes, the head)",
    )
    metrics.add_argument(
        "--functional-modality",
        default=PET.name,
        choices=[modality.name for modality in FUSED],
        help=f"of B; decides how a volume becomes gray levels (default: {PET.name})",
    )
    metrics.add_argument(
        "--only", nargs="+", metavar="NAME", help="metrics to compute (default: all)"
    )
    metrics.add_argument("--json", action="store_true", help="print JSON instead of a table")
    metrics.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.evaluation.file_scores import score_files
    from fusionprep.files import json_text

    scores = score_files(
        arguments.anatomical,
        arguments.functional,
        arguments.fused,
        arguments.mask,
        modality=arguments.functional_modality,
        names=arguments.only,
    )
    if arguments.json:
        print(json_text({"Slices": scores.slices, "Metrics": scores.values}).strip())
    else:
        print(_table(scores))


def _table(scores: "FileScores") -> str:
    """The scores as people read them, one a line."""
    from fusionprep.evaluation.file_scores import meanings

    known = meanings()
    rows = [("NAME", "VALUE", "BETTER", "WHAT IT IS")]
    for name, value in scores.values.items():
        better, meaning = known[name]
        shown = f"{value:.4g}" if math.isfinite(value) else "-"
        short = meaning if len(meaning) <= SHORT else f"{meaning[: SHORT - 1].rstrip()}…"
        rows.append((name, shown, better.replace("neither", "-"), short))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    many = [] if scores.slices == 1 else [f"means over {scores.slices} slices"]
    return "\n".join([*lines, *many])
