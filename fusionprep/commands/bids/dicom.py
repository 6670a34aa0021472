"""``fusionprep bids dicom``."""

import argparse

from fusionprep.arguments import path
from fusionprep.commands.bids.shared import add_out, add_pet, add_series, pet_of, tell
from fusionprep.commands.shared import Commands


def add(sources: Commands) -> None:
    dicom = sources.add_parser(
        "dicom",
        help="a folder of DICOM files",
        description="MR, PET and CT series of one or more people, in a folder and those below it."
        " What a series is, is told from its headers; what is left out, and why, is said. Needs"
        " pydicom and dcm2niix (pip install 'fusionprep[convert]').",
    )
    dicom.add_argument("source", type=path, metavar="FOLDER")
    add_out(dicom)
    dicom.add_argument(
        "--subject", metavar="LABEL", help="of the only patient (default: the PatientID)"
    )
    add_series(dicom)
    add_pet(dicom)
    dicom.add_argument(
        "--sessions-by-date",
        action="store_true",
        help="make a session of each date, called by the days since the first, e.g. d0000",
    )
    dicom.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.conversion.dicom import DICOMRequest, convert_dicom

    tell(
        *convert_dicom(
            DICOMRequest(
                source=arguments.source,
                out=arguments.out,
                subject=arguments.subject,
                series=dict(arguments.series),
                given=pet_of(arguments),
                by_date=arguments.sessions_by_date,
                overwrite=arguments.overwrite,
                authors=tuple(arguments.authors),
            )
        )
    )
