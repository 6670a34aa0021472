"""The options of regional values."""

import argparse
import os
from pathlib import Path
from typing import Any

from fusionprep.arguments import path
from fusionprep.atlases import AUTO, NO_ATLAS, PACKAGED, is_file, is_pattern
from fusionprep.given import check_path, check_text
from fusionprep.spaces import PACKAGED_TEMPLATE


def add_region_options(group: argparse._ArgumentGroup) -> None:
    """Declare the options of :class:`~fusionprep.config_regions.Regions`."""
    group.add_argument(
        "--atlas",
        nargs="+",
        metavar="ATLAS",
        help=f"measure PET in the regions of {PACKAGED} (Desikan-Killiany, in {PACKAGED_TEMPLATE});"
        " NAME or NAME:DESC of an atlas of TemplateFlow whose files are on this machine; a file of"
        " labels, in the space that space- or tpl- of its name says, else in the first template;"
        " with space-T1w in its name, {subject} and {session} in its path stand for labels;"
        f" or {NO_ATLAS} (default: {AUTO}, which is {PACKAGED} where its template is an output"
        " space)",
    )
    group.add_argument(
        "--atlas-labels",
        nargs="+",
        metavar="TSV",
        help="table with the columns index and name for each file of --atlas (default: the one"
        " beside it under its name)",
    )
    group.add_argument(
        "--fs-subjects-dir",
        type=path,
        metavar="DIR",
        help="FreeSurfer's folder of subjects, sub-LABEL or sub-LABEL_ses-LABEL: measure PET in"
        " the regions of mri/aparc+aseg.mgz too",
    )


def completed_regions(options: dict[str, Any]) -> None:
    """Make paths among the options absolute, since nodes run in folders of their own."""
    for name in ("atlas", "atlas_labels"):
        if name in options:
            flag = f"--{name.replace('_', '-')}"
            options[name] = tuple(
                _absolute(flag, text) if name == "atlas_labels" or is_file(text) else text
                for text in options[name]
            )
    if options.get("fs_subjects_dir") is not None:
        options["fs_subjects_dir"] = Path(os.path.realpath(options["fs_subjects_dir"]))


def _absolute(flag: str, text: str) -> str:
    check_text(flag, text)
    if not is_pattern(text):
        check_path(flag, Path(text))
    # a link is not followed: the name of a file says which space it is in
    return str(Path(text).absolute())
