"""``fusionprep bids brainweb``."""

import argparse

from fusionprep.arguments import number, path, whole_number
from fusionprep.commands.bids.shared import add_out, tell
from fusionprep.commands.shared import Commands

LARGEST_SEED = 2**32 - 1


def add(sources: Commands) -> None:
    brainweb = sources.add_parser(
        "brainweb",
        help="BrainWeb's models, with a simulated PET",
        description="Discrete models of BrainWeb and the MRI beside them, as MINC or raw bytes or"
        " shorts (.mnc, .rawb, .raws, each also .gz). An FDG PET is simulated from the classes, in"
        " a pose that sourcedata/truth tells; so is a T1w where there is none.",
    )
    brainweb.add_argument("source", type=path, metavar="FOLDER")
    add_out(brainweb)
    brainweb.add_argument(
        "--subject", metavar="LABEL", help="of the only brain (default: BrainWeb's name of it)"
    )
    pet = brainweb.add_argument_group("of the simulated PET")
    pet.add_argument(
        "--gray-to-white",
        dest="ratio",
        type=number(0, 100),
        metavar="RATIO",
        help="uptake of gray over white matter (default: 4, as is customary for FDG)",
    )
    pet.add_argument(
        "--psf",
        type=number(0, 30),
        metavar="FWHM",
        help="point spread in mm (default: that of fusionapp demo)",
    )
    pet.add_argument(
        "--counts",
        type=number(0, 1e6),
        metavar="FACTOR",
        help="relative to 20 minutes, 40 minutes after 185 MBq (default: 1)",
    )
    pet.add_argument("--voxel-size", type=number(0, 10), metavar="MM", help="default: 2")
    pet.add_argument(
        "--seed", type=whole_number(0, LARGEST_SEED), help="of pose and noise (default: 0)"
    )
    brainweb.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.conversion.brainweb import Simulation, convert_brainweb

    names = ("ratio", "psf", "counts", "voxel_size", "seed")
    given = {name: getattr(arguments, name) for name in names}
    simulation = Simulation(**{name: value for name, value in given.items() if value is not None})
    tell(
        *convert_brainweb(
            arguments.source,
            arguments.out,
            simulation,
            subject=arguments.subject,
            overwrite=arguments.overwrite,
            authors=arguments.authors,
        )
    )
