"""``fusionprep bids pair``."""

import argparse

from fusionprep.arguments import path
from fusionprep.commands.bids.shared import add_pet, add_target, pet_of, target_of, tell
from fusionprep.commands.shared import Commands
from fusionprep.modalities import APP_FUSED, PET, get_modality


def add(sources: Commands) -> None:
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
    add_target(pair, required=True)
    pair.add_argument(
        "--functional-modality",
        default=PET.name,
        choices=[modality.name for modality in APP_FUSED],
        help=f"of the second image (default: {PET.name})",
    )
    add_pet(pair)
    pair.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.conversion.pair import convert_pair

    modality = get_modality(arguments.functional_modality)
    tell(
        convert_pair(
            arguments.mri, arguments.functional, target_of(arguments), pet_of(arguments), modality
        )
    )
