"""``fusionprep bids nyu-petmr``."""

import argparse

from fusionprep.arguments import path
from fusionprep.commands.bids.shared import add_out, add_pet, add_series, kind_in, pet_of, tell
from fusionprep.commands.shared import Commands
from fusionprep.given import shown
from fusionprep.modalities import T1W


def add(sources: Commands) -> None:
    petmr = sources.add_parser(
        "nyu-petmr",
        help="a hybrid PET/MR such as that of NYU's CAI2R, a folder for each person",
        description="Folders of DICOM series or NIfTI files, one for each person and called as the"
        " subject will be. What a series or a file is, is told from headers and names; nothing"
        " relies on the names that CAI2R uses, which could not be verified.",
    )
    petmr.add_argument("source", type=path, metavar="FOLDER")
    add_out(petmr)
    add_series(petmr)
    petmr.add_argument(
        "--files",
        action="append",
        default=[],
        type=_files,
        metavar="PATTERN=KIND",
        help="what NIfTI files are, e.g. '*mprage*=t1w'; the first pattern counts (repeatable)",
    )
    add_pet(petmr)
    petmr.set_defaults(run=_run)


def _files(text: str) -> tuple[str, str]:
    """An argparse type: a pattern of file names and what such files are."""
    pattern, _, kind = text.rpartition("=")
    if not pattern:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not PATTERN=KIND, such as '*mprage*={T1W.name}'"
        )
    return pattern, kind_in(kind, text)


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.conversion.nyu import PETMRRequest, convert_petmr

    tell(
        *convert_petmr(
            PETMRRequest(
                source=arguments.source,
                out=arguments.out,
                series=dict(arguments.series),
                files=dict(arguments.files),
                given=pet_of(arguments),
                overwrite=arguments.overwrite,
                authors=tuple(arguments.authors),
            )
        )
    )
