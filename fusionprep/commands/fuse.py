"""``fusionprep fuse``."""

import argparse

from fusionprep.arguments import file, path, whole_number
from fusionprep.choices import ColourMapName, Device, Planes, choices
from fusionprep.commands.shared import (
    Commands,
    add_force,
    add_overwrite,
    add_weights,
    refuse_failed,
)
from fusionprep.image.transform_files import TRANSFORMS
from fusionprep.modalities import FUSED, PET
from fusionprep.models.registry import DEFAULT_MODEL, model_names
from fusionprep.training.options import MOST


def add(commands: Commands) -> None:
    fuse = commands.add_parser(
        "fuse",
        help="fuse two images",
        description="Fuse two images: NIfTI volumes, which --register aligns, or aligned PNG, JPEG"
        " or TIFF slices.",
    )
    fuse.add_argument(
        "mri",
        type=path,
        metavar="MRI",
        help="anatomical image; for gmpet and gmpet_prob, the probability of gray matter",
    )
    fuse.add_argument(
        "functional",
        type=path,
        metavar=PET.label,
        help=f"{', '.join(modality.label for modality in FUSED)}, on the grid of the MRI unless"
        " --register or --resample is given",
    )
    fuse.add_argument("--model", default=DEFAULT_MODEL, choices=model_names())
    add_weights(fuse)
    fuse.add_argument(
        "-o",
        "--output",
        type=file,
        required=True,
        help="fused image to write, NIfTI on the grid of the MRI or PNG",
    )
    add_overwrite(fuse)
    fuse.add_argument(
        "--mask",
        type=path,
        help="brain mask on the grid of the MRI (default: the head that either image shows is"
        " fused, and --register finds the brain)",
    )
    fuse.add_argument(
        "--functional-modality",
        default=PET.name,
        choices=[modality.name for modality in FUSED],
        help=f"of the second image; decides how a volume is scaled (default: {PET.name})",
    )
    fuse.add_argument("--tracer", help="e.g. 18FFDG; decides how PET and SPECT are scaled")
    _add_registration(fuse)
    _add_dicom(fuse)
    _add_fusion_options(fuse)
    fuse.set_defaults(run=_run)


def _add_registration(fuse: argparse.ArgumentParser) -> None:
    bringing = fuse.add_mutually_exclusive_group()
    bringing.add_argument(
        "--register",
        dest="bringing",
        action="store_const",
        const="register",
        default="as is",
        help="align the second volume with the MRI first, from whichever pose",
    )
    bringing.add_argument(
        "--resample",
        dest="bringing",
        action="store_const",
        const="resample",
        help="bring the second volume to the grid of the MRI; both are aligned by their headers",
    )
    fuse.add_argument(
        "--save-transform",
        type=file,
        metavar="FILE",
        help=f"with --register: ITK transform to write ({', '.join(TRANSFORMS)})",
    )
    add_force(fuse)


def _add_colour(fuse: argparse.ArgumentParser) -> None:
    shown = fuse.add_mutually_exclusive_group()
    shown.add_argument(
        "--colour",
        action="store_true",
        help="PET or SPECT in colour over the MRI, without a model; a PNG gets the key of the"
        " colours beside it",
    )
    shown.add_argument(
        "--gray",
        action="store_true",
        help="gray levels alone: otherwise, a picture in colour passes its colours on",
    )
    fuse.add_argument(
        "--functional-colours",
        metavar="MAP",
        help="pseudo-colours of the second picture, by which its levels are read: a file of R,G,B"
        " rows, or a name that matplotlib knows, e.g. hot (default: its luma)",
    )
    fuse.add_argument(
        "--colour-map",
        default=choices(ColourMapName)[0],
        choices=choices(ColourMapName),
        help="clear, in which both images are read best, or vivid (default: clear)",
    )


def _add_fusion_options(fuse: argparse.ArgumentParser) -> None:
    fuse.add_argument(
        "--planes",
        default="axial",
        choices=choices(Planes),
        help="triplanar takes the mean of three orientations (default: axial)",
    )
    _add_colour(fuse)
    fuse.add_argument(
        "--batch-size",
        type=whole_number(1, MOST),
        metavar="N",
        help="slices in memory at once (default: 4 on a CPU, what fits on a GPU)",
    )
    fuse.add_argument("--device", default="auto", choices=choices(Device))


def _add_dicom(fuse: argparse.ArgumentParser) -> None:
    fuse.add_argument(
        "--dicom-reference",
        type=path,
        metavar="SERIES",
        help="folder of the DICOM series that the MRI was converted from: the fused NIfTI is also"
        " written as DICOM on its grid and under its study, into a folder beside it",
    )


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.dicom.beside import check_reference, write_beside
    from fusionprep.models.files import FusionRequest, fuse_files

    if arguments.dicom_reference is not None:
        check_reference(arguments.output, arguments.dicom_reference, arguments.mri)
    aligned = fuse_files(
        FusionRequest(
            anatomical=arguments.mri,
            functional=arguments.functional,
            output=arguments.output,
            model=arguments.model,
            weights=arguments.weights,
            mask=arguments.mask,
            modality=arguments.functional_modality,
            tracer=arguments.tracer,
            planes=arguments.planes,
            batch_size=arguments.batch_size,
            device=arguments.device,
            colour=arguments.colour,
            colour_map=arguments.colour_map,
            overwrite=arguments.overwrite,
            gray=arguments.gray,
            source_colours=arguments.functional_colours,
            bringing=arguments.bringing,
            transform=arguments.save_transform,
        )
    )
    if aligned is not None:
        print(aligned.in_words())
        refuse_failed(aligned, arguments.output, force=arguments.force)
    if arguments.dicom_reference is not None:
        write_beside(arguments.output, arguments.dicom_reference)
