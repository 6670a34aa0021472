"""The options of PET: frames, reference region of SUVR, partial volume."""

import argparse
import os
from pathlib import Path
from typing import Any

from fusionprep.choices import NO_CORRECTION, Correction, choices
from fusionprep.given import check_path, check_text
from fusionprep.spaces import PACKAGED_TEMPLATE
from fusionprep.suvr_regions import REFERENCE_REGIONS, region_names


def add_pet_options(group: argparse._ArgumentGroup) -> None:
    """Declare options of PET among those of processing."""
    group.add_argument(
        "--frames",
        metavar="WINDOW",
        help="frames of dynamic PET to average: auto (the usual window of the tracer), all, or"
        " START-END in minutes after injection, e.g. 50-70 (default: auto)",
    )
    group.add_argument(
        "--suvr-region",
        metavar="REGION",
        help="reference of SUVR: auto (the usual one of the tracer, else whole-brain);"
        f" {_regions(of_atlas=False)}; by an atlas in {PACKAGED_TEMPLATE}, which must be an output"
        f" space, {_regions(of_atlas=True)}; a mask file in the first template's space; or none"
        " (default: auto)",
    )
    group.add_argument(
        "--pvc",
        nargs="+",
        choices=(NO_CORRECTION, *choices(Correction)),
        help="partial-volume corrections of PET in T1w space: mg (Müller-Gärtner), rbv, iy for"
        " images, gtm for a table; fusion takes the uncorrected (default: none)",
    )
    group.add_argument(
        "--psf",
        metavar="FWHM[xFWHMxFWHM]",
        help="with --pvc and --target-resolution: the PET's point spread in mm, from left to right,"
        " back to front, feet to head, e.g. 5.5x5.5x6 (default: by the sidecar, or a table of"
        " scanners)",
    )


def complete_region(options: dict[str, Any]) -> None:
    """Make the path of a mask of the user's own absolute."""
    region = options.get("suvr_region")
    if region is not None and region not in region_names():
        check_text("--suvr-region", region)
        check_path("--suvr-region", Path(region))
        # nodes run in folders of their own
        options["suvr_region"] = os.path.realpath(region)


def _regions(*, of_atlas: bool) -> str:
    return ", ".join(r.name for r in REFERENCE_REGIONS if r.of_atlas == of_atlas)
