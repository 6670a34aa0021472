"""What the sources of ``fusionprep bids`` have in common."""

import argparse
from typing import TYPE_CHECKING

from fusionprep.arguments import folder, number
from fusionprep.given import shown
from fusionprep.modalities import APP_MODALITIES, T1W
from fusionprep.plausibility import BODY_WEIGHT, INJECTED_DOSE

SKIP = "skip"
"""What ``--series`` calls a series that is left out."""

if TYPE_CHECKING:
    from fusionprep.conversion.pet_fields import PETGiven
    from fusionprep.conversion.requests import Outcome, Target


def add_target(parser: argparse.ArgumentParser, *, required: bool) -> None:
    add_out(parser)
    parser.add_argument(
        "--subject", required=required, metavar="LABEL", help="e.g. 01: letters and digits"
    )
    parser.add_argument("--session", metavar="LABEL", help="default: none")
    parser.add_argument(
        "--weight",
        type=number(0, BODY_WEIGHT.high),
        metavar="KG",
        help="body weight, which SUV needs",
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=folder, metavar="OUT", help="the BIDS dataset")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a subject or session that is there"
    )
    parser.add_argument(
        "--author",
        action="append",
        default=[],
        dest="authors",
        metavar="NAME",
        help="of a new dataset, for its description (repeatable)",
    )


def add_pet(parser: argparse.ArgumentParser) -> None:
    pet = parser.add_argument_group("what is known of the PET, beside what the files say")
    pet.add_argument("--tracer", metavar="NAME", help="e.g. 18FFDG")
    pet.add_argument("--units", help="of the image, e.g. Bq/mL")
    pet.add_argument(
        "--dose", type=number(0, INJECTED_DOSE.high), metavar="MBQ", help="injected, in MBq"
    )
    pet.add_argument(
        "--frame-starts",
        type=_seconds,
        metavar="S[,S…]",
        help="start of each frame, seconds after the injection",
    )
    pet.add_argument(
        "--frame-durations", type=_seconds, metavar="S[,S…]", help="duration of each, in seconds"
    )
    pet.add_argument(
        "--decay-corrected",
        choices=("injection", "scan", "no"),
        help="to the injection, to the start of the scan, or not",
    )
    pet.add_argument("--manufacturer", help="of the scanner, e.g. Siemens")
    pet.add_argument("--scanner", metavar="MODEL", help="e.g. Biograph mMR")


def add_series(parser: argparse.ArgumentParser) -> None:
    kinds = ", ".join([*(modality.name for modality in APP_MODALITIES), SKIP])
    parser.add_argument(
        "--series",
        action="append",
        default=[],
        type=_series,
        metavar="NUMBER=KIND",
        help=f"what a series is, whatever its headers say: {kinds} (repeatable)",
    )


def _series(text: str) -> tuple[int, str]:
    """An argparse type: the number of a series and what it is."""
    number, _, kind = text.partition("=")
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{shown(text)} is not NUMBER=KIND, such as 5={T1W.name}")
    return int(number), kind_in(kind, text)


def kind_in(kind: str, text: str) -> str:
    """What an image is said to be, in the part after ``=`` of an option's text."""
    kinds = [*(modality.name for modality in APP_MODALITIES), SKIP]
    if kind.lower() not in kinds:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} names no kind of image after = (kinds: {', '.join(kinds)})"
        )
    return kind.lower()


def _seconds(text: str) -> tuple[float, ...]:
    """An argparse type: numbers, separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not a list of seconds, such as 0,60,120"
        ) from error


def target_of(arguments: argparse.Namespace) -> "Target":
    from fusionprep.conversion.requests import Target

    return Target(
        arguments.out,
        arguments.subject,
        arguments.session,
        arguments.weight,
        arguments.overwrite,
        tuple(arguments.authors),
    )


def pet_of(arguments: argparse.Namespace) -> "PETGiven":
    from fusionprep.conversion.pet_fields import PETGiven

    return PETGiven(
        tracer=arguments.tracer,
        units=arguments.units,
        dose=arguments.dose,
        starts=arguments.frame_starts,
        durations=arguments.frame_durations,
        decay_corrected=arguments.decay_corrected,
        manufacturer=arguments.manufacturer,
        scanner=arguments.scanner,
    )


def tell(*outcomes: "Outcome") -> None:
    for outcome in outcomes:
        print(f"written: {outcome.folder}")
        for note in outcome.notes:
            print(f"  {note}")
