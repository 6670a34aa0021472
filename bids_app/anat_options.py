"""The options of the T1w."""

import argparse

from fusionprep.choices import Denoising, SkullStrip, choices


def add_anat_options(group: argparse._ArgumentGroup) -> None:
    """Declare options of the T1w among those of processing."""
    group.add_argument(
        "--skull-strip-t1w",
        choices=choices(SkullStrip),
        help="auto leaves a skull-stripped T1w as it is (default: auto)",
    )
    group.add_argument(
        "--denoise-t1w",
        choices=choices(Denoising),
        help="take noise out of the T1w before its tissues are found: on, off, or auto, which does"
        " where the noise is high (default: auto)",
    )
