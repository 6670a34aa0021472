"""``fusionprep bids``."""

import argparse
from typing import TYPE_CHECKING

from fusionprep.arguments import folder, number, path
from fusionprep.commands.shared import Commands
from fusionprep.given import shown
from fusionprep.modalities import APP_FUSED, APP_MODALITIES, CONTRASTS, PET, T1W, get_modality
from fusionprep.plausibility import BODY_WEIGHT, INJECTED_DOSE

SKIP = "skip"
"""What ``--series`` calls a series that is left out."""

if TYPE_CHECKING:
    from fusionprep.conversion.pet_fields import PETGiven
    from fusionprep.conversion.requests import Outcome, Target


def add(commands: Commands) -> None:
    bids = commands.add_parser(
        "bids",
        help="make a BIDS dataset of images of another kind",
        description="Make a BIDS dataset that fusionapp reads, or add subjects to one. What is read"
        " is never changed.",
    )
    sources = bids.add_subparsers(required=True, metavar="SOURCE")
    _add_pair(sources)
    _add_dicom(sources)
    _add_harvard(sources)


def _add_pair(sources: Commands) -> None:
    pair = sources.add_parser(
        "pair",
        help="two NIfTI files, or two folders with a DICOM series each",
        description="A T1w and a PET or CT: NIfTI files, or folders with a DICOM series. Of JSON"
        " files beside them, fields are copied that describe scanner, sequence, tracer and"
        " reconstruction.",
    )
    pair.add_argument("mri", type=path, metavar="MRI", help="T1-weighted MRI")
    pair.add_argument(
        "functional",
        type=path,
        metavar=PET.label,
        help=f"{' or '.join(modality.label for modality in APP_FUSED)}, on any grid",
    )
    _add_target(pair, required=True)
    pair.add_argument(
        "--functional-modality",
        default=PET.name,
        choices=[modality.name for modality in APP_FUSED],
        help=f"of the second image (default: {PET.name})",
    )
    _add_pet(pair)
    pair.set_defaults(run=_run_pair)


def _add_dicom(sources: Commands) -> None:
    dicom = sources.add_parser(
        "dicom",
        help="a folder of DICOM files",
        description="MR, PET and CT series of one or more people, in a folder and those below it."
        " What a series is, is told from its headers; what is left out, and why, is said. Needs"
        " pydicom and dcm2niix (pip install 'fusionprep[convert]').",
    )
    dicom.add_argument("source", type=path, metavar="FOLDER")
    _add_out(dicom)
    dicom.add_argument(
        "--subject", metavar="LABEL", help="of the only patient (default: the PatientID)"
    )
    _add_series(dicom)
    _add_pet(dicom)
    dicom.add_argument(
        "--sessions-by-date",
        action="store_true",
        help="make a session of each date, called by the days since the first, e.g. d0000",
    )
    dicom.set_defaults(run=_run_dicom)


def _add_harvard(sources: Commands) -> None:
    stack = sources.add_parser(
        "harvard",
        help="a folder of PNG slices, as of the Whole Brain Atlas",
        description="Axial slices in two subfolders of same-named PNG files whose names end in"
        " slice numbers, such as mri and pet, stacked to volumes. Where a table slices.csv names"
        " the patients, each is a subject.",
    )
    stack.add_argument("source", type=path, metavar="FOLDER")
    _add_target(stack, required=False)
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
    _add_pet(stack)
    stack.set_defaults(run=_run_harvard)


def _range(text: str) -> tuple[int, int]:
    """An argparse type: the first and the last of a range of numbers."""
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not FIRST-LAST, such as 41022-41089")
    return int(first), int(last)


def _add_series(parser: argparse.ArgumentParser) -> None:
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
    kinds = [*(modality.name for modality in APP_MODALITIES), SKIP]
    if not number.isdecimal() or kind.lower() not in kinds:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not NUMBER=KIND, such as 5={T1W.name} (kinds: {', '.join(kinds)})"
        )
    return int(number), kind.lower()


def _add_target(parser: argparse.ArgumentParser, *, required: bool) -> None:
    _add_out(parser)
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


def _add_out(parser: argparse.ArgumentParser) -> None:
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


def _add_pet(parser: argparse.ArgumentParser) -> None:
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


def _seconds(text: str) -> tuple[float, ...]:
    """An argparse type: numbers, separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not a list of seconds, such as 0,60,120"
        ) from error


def _target(arguments: argparse.Namespace) -> "Target":
    from fusionprep.conversion.requests import Target

    return Target(
        arguments.out,
        arguments.subject,
        arguments.session,
        arguments.weight,
        arguments.overwrite,
        tuple(arguments.authors),
    )


def _pet(arguments: argparse.Namespace) -> "PETGiven":
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


def _run_pair(arguments: argparse.Namespace) -> None:
    from fusionprep.conversion.pair import convert_pair

    modality = get_modality(arguments.functional_modality)
    _tell(
        convert_pair(
            arguments.mri, arguments.functional, _target(arguments), _pet(arguments), modality
        )
    )


def _run_dicom(arguments: argparse.Namespace) -> None:
    from fusionprep.conversion.dicom import DICOMRequest, convert_dicom

    _tell(
        *convert_dicom(
            DICOMRequest(
                source=arguments.source,
                out=arguments.out,
                subject=arguments.subject,
                series=dict(arguments.series),
                given=_pet(arguments),
                by_date=arguments.sessions_by_date,
                overwrite=arguments.overwrite,
                authors=tuple(arguments.authors),
            )
        )
    )


def _run_harvard(arguments: argparse.Namespace) -> None:
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
    _tell(*convert_stack(request, _target(arguments), _pet(arguments)))


def _tell(*outcomes: "Outcome") -> None:
    for outcome in outcomes:
        print(f"written: {outcome.folder}")
        for note in outcome.notes:
            print(f"  {note}")
