"""``fusionprep fuse``."""

import argparse

from fusionprep.arguments import file, path, whole_number
from fusionprep.choices import ColourMapName, Device, Planes, choices
from fusionprep.commands.shared import Commands, add_weights
from fusionprep.modalities import FUSED, PET
from fusionprep.models.registry import DEFAULT_MODEL, model_names
from fusionprep.training.options import MOST


def add(commands: Commands) -> None:
    fuse = commands.add_parser(
        "fuse",
        help="fuse two aligned images",
        description="Fuse two aligned images: NIfTI volumes on one grid, or PNG, JPEG or TIFF "
        "slices.",
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
        help=f"{', '.join(modality.label for modality in FUSED)}, on the same grid",
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
    fuse.add_argument(
        "--overwrite", action="store_true", help="replace files that exist, other than the inputs"
    )
    fuse.add_argument(
        "--mask", type=path, help="brain mask (default: the head that either image shows)"
    )
    fuse.add_argument(
        "--functional-modality",
        default=PET.name,
        choices=[modality.name for modality in FUSED],
        help=f"of the second image; decides how a volume is scaled (default: {PET.name})",
    )
    fuse.add_argument("--tracer", help="e.g. 18FFDG; decides how PET and SPECT are scaled")
    fuse.add_argument(
        "--dicom-reference",
        type=path,
        metavar="SERIES",
        help="folder of the DICOM series that the MRI was converted from: the fused NIfTI is also"
        " written as DICOM on its grid and under its study, into a folder beside it",
    )
    _add_fusion_options(fuse)
    fuse.set_defaults(run=_run)


def _add_colour(fuse: argparse.ArgumentParser) -> None:
    fuse.add_argument(
        "--colour",
        action="store_true",
        help="PET or SPECT in colour over the MRI, without a model; a PNG gets the key of the"
        " colours beside it",
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


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.dicom.beside import check_reference, write_beside
    from fusionprep.models.files import FusionRequest, fuse_files

    if arguments.dicom_reference is not None:
        check_reference(arguments.output, arguments.dicom_reference, arguments.mri)
    fuse_files(
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
        )
    )
    if arguments.dicom_reference is not None:
        write_beside(arguments.output, arguments.dicom_reference)
