"""``fusionprep models``."""

import argparse

from fusionprep.commands.shared import Commands
from fusionprep.models.registry import get_model, model_names


def add(commands: Commands) -> None:
    models = commands.add_parser("models", help="list the fusion models")
    models.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> None:
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
