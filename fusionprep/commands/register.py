"""``fusionprep register``."""

import argparse

from fusionprep.arguments import file, path
from fusionprep.choices import Device, choices
from fusionprep.commands.shared import Commands, add_force, add_overwrite, refuse_failed
from fusionprep.image.transform_files import TRANSFORMS
from fusionprep.modalities import MODALITIES, PET


def add(commands: Commands) -> None:
    register = commands.add_parser(
        "register",
        help="align a volume with an MRI",
        description="Align a volume with an MRI of the same person, rigidly and from whichever"
        " pose, and say whether the result can be trusted.",
    )
    register.add_argument(
        "moving", type=path, metavar="MOVING", help="NIfTI volume to move, e.g. a static PET"
    )
    register.add_argument(
        "fixed", type=path, metavar="FIXED", help="MRI of the head, best T1-weighted"
    )
    register.add_argument(
        "-o",
        "--output",
        type=file,
        required=True,
        help="NIfTI file to write: MOVING on the grid of FIXED; a JSON sidecar comes beside it",
    )
    register.add_argument(
        "--transform",
        type=file,
        metavar="FILE",
        help=f"ITK transform to write ({', '.join(TRANSFORMS)})",
    )
    register.add_argument(
        "--modality",
        default=PET.name,
        choices=[modality.name for modality in MODALITIES],
        help=f"of MOVING (default: {PET.name})",
    )
    register.add_argument(
        "--mask", type=path, help="brain mask on the grid of FIXED (default: one is made)"
    )
    register.add_argument("--json", action="store_true", help="print the sidecar instead of a line")
    register.add_argument("--device", default="auto", choices=choices(Device))
    add_overwrite(register)
    add_force(register)
    register.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.files import json_text
    from fusionprep.models.file_registration import RegistrationRequest, register_files, sidecar

    request = RegistrationRequest(
        moving=arguments.moving,
        fixed=arguments.fixed,
        output=arguments.output,
        transform=arguments.transform,
        mask=arguments.mask,
        modality=arguments.modality,
        device=arguments.device,
        overwrite=arguments.overwrite,
    )
    aligned = register_files(request)
    print(json_text(sidecar(request, aligned)).strip() if arguments.json else aligned.in_words())
    refuse_failed(aligned, request.output, force=arguments.force)
