"""The options of the frames of dynamic PET: motion between them, and keeping them."""

import argparse

from fusionprep.choices import MotionCorrection, choices


def add_motion_options(group: argparse._ArgumentGroup) -> None:
    """Declare options of frames among those of processing."""
    group.add_argument(
        "--hmc",
        choices=choices(MotionCorrection),
        help="head motion between frames of dynamic PET: auto corrects it where a part of the brain"
        " moves by more than 1 mm (default: auto)",
    )
    group.add_argument(
        "--keep-frames",
        action="store_true",
        help="write the frames of dynamic PET too, in T1w space at the PET's voxel size",
    )
