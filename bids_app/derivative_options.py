"""The option of what was made before."""

import argparse
import os
from pathlib import Path
from typing import Any

from fusionprep.arguments import NamedPaths


def add_derivative_options(group: argparse._ArgumentGroup) -> None:
    """Declare the option of :attr:`~fusionprep.config.Selection.derivatives`."""
    group.add_argument(
        "-d",
        "--derivatives",
        nargs="+",
        action=NamedPaths,
        metavar="NAME=DIR",
        help="take over, where checks agree, the brain mask, tissues and transforms of fMRIPrep,"
        " sMRIPrep, petprep or an earlier run, or of a folder of FreeSurfer's subjects; of several"
        " the first that has them (--bids-filter-file: brain_mask, dseg, probseg)",
    )


def completed_derivatives(options: dict[str, Any]) -> None:
    """Make the folders absolute, since nodes run in folders of their own."""
    named = options.get("derivatives", {})
    if named:
        options["derivatives"] = {
            name: Path(os.path.realpath(folder)) for name, folder in named.items()
        }
