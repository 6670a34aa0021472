"""``fusionprep bids harvard``."""

import argparse

from fusionprep.arguments import number, path
from fusionprep.commands.bids.shared import add_pet, add_target, pet_of, target_of, tell
from fusionprep.commands.shared import Commands
from fusionprep.given import shown
from fusionprep.modalities import CONTRASTS, T1W, get_modality


def add(sources: Commands) -> None:
    stack = sources.add_parser(
        "harvard",
        help="a folder of PNG slices, as the Whole Brain Atlas has",
        description="Axial slices in two subfolders of same-named PNG files whose names end in"
        " slice numbers, such as mri and pet, stacked to volumes. Where a table slices.csv names"
        " the patients, each is a subject.",
    )
    stack.add_argument("source", type=path, metavar="FOLDER")
    add_target(stack, required=False)
    stack.add_argument(
        "--slice-distance", type=number(0, 50), required=True, metavar="MM", help="of neighbours"
    )
    stack.add_argument(
        "--pixel-size",
        type=number(0, 10),
        default=1.0,
        metavar="MM",
        help="default: 1, assumed",
    )
    stack.add_argument("--slices", type=_range, metavar="FIRST-LAST", help="numbers of those taken")
    stack.add_argument("--top-first", action="store_true", help="the first slice is the uppermost")
    stack.add_argument("--fill-gaps", action="store_true", help="interpolate missing slices")
    stack.add_argument(
        "--colours",
        metavar="luma|FILE",
        help="of pictures in pseudo-colours: their brightness, or a file of R,G,B rows from the"
        " lowest level",
    )
    stack.add_argument(
        "--mri",
        default=T1W.name,
        choices=[modality.name for modality in CONTRASTS],
        help=f"what the MRI is weighted by; fusionapp needs a {T1W.label} (default: {T1W.name})",
    )
    stack.add_argument("--anatomical", metavar="NAME", help="subfolder of anatomical images")
    stack.add_argument("--functional", metavar="NAME", help="subfolder of functional images")
    add_pet(stack)
    stack.set_defaults(run=_run)


def _range(text: str) -> tuple[int, int]:
    """An argparse type: the first and the last of a range of numbers."""
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not FIRST-LAST, such as 41022-41089")
    return int(first), int(last)


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.conversion.harvard import StackRequest, convert_stack

    request = StackRequest(
        source=arguments.source,
        pixel_size=arguments.pixel_size,
        slice_distance=arguments.slice_distance,
        anatomical=arguments.anatomical,
        functional=arguments.functional,
        contrast=get_modality(arguments.mri),
        numbers=arguments.slices,
        top_first=arguments.top_first,
        fill_gaps=arguments.fill_gaps,
        colours=arguments.colours,
    )
    tell(*convert_stack(request, target_of(arguments), pet_of(arguments)))
