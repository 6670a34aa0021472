"""The options that make scans agree: their resolution, and one scan of several runs."""

import argparse


def add_resolution_options(group: argparse._ArgumentGroup) -> None:
    """Declare options of PET among those of processing."""
    group.add_argument(
        "--target-resolution",
        type=float,
        metavar="FWHM",
        help="smooth each PET to this resolution in mm, so that those of different scanners"
        " agree; needs the point spread (see --psf); registration and --pvc use PET as it was",
    )
    group.add_argument(
        "--smooth",
        type=float,
        metavar="FWHM",
        help="smooth PET by this much in mm, in the brain without loss at its edge; registration"
        " and --pvc use PET as it was",
    )
    group.add_argument(
        "--combine-runs",
        action="store_true",
        help="make one scan of the PET runs of one injection: decay-corrected to one time, on one"
        " time axis, aligned with each other",
    )
