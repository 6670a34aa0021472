"""``fusionprep simulate-cohort``."""

import argparse

from fusionprep.arguments import folder, whole_number
from fusionprep.cohort.options import CLASSES, MOST_SUBJECTS, STRONGEST, THREE_CLASSES, VOXELS
from fusionprep.commands.shared import Commands
from fusionprep.errors import UsageError

MOST_SEED = 2**31


def add(commands: Commands) -> None:
    simulate = commands.add_parser(
        "simulate-cohort",
        help="write a cohort of controls and patients who can be told apart to a known degree",
        description="Simulate controls and patients with atrophy in their T1w and hypometabolism "
        "in their FDG PET, and write them as fusionapp writes its derivatives in template space, "
        "for fusionprep classify. People of one class differ in both by a standard deviation of 1, "
        "so that how well classes can be told apart at best is known: OUT/sourcedata/truth has it.",
    )
    simulate.add_argument("out", type=folder, metavar="OUT", help="empty or new folder")
    simulate.add_argument(
        "--subjects", type=whole_number(4, MOST_SUBJECTS), default=240, metavar="N",
        help="in equal shares of the classes (default: %(default)s)",
    )  # fmt: skip
    _add_strengths(simulate)
    simulate.add_argument(
        "--mci",
        action="store_true",
        help="a third class, MCI, half as far from controls as patients are",
    )
    simulate.add_argument(
        "--voxel-size", type=whole_number(*VOXELS), default=4, metavar="MM",
        help="of all images in template space (default: %(default)s)",
    )  # fmt: skip
    simulate.add_argument(
        "--whole",
        action="store_true",
        help="whole heads at 1 mm as a raw BIDS dataset for fusionapp, in place of derivatives; "
        "for a few subjects, since each takes a while",
    )
    simulate.add_argument("--seed", type=whole_number(0, MOST_SEED), default=0, metavar="N")
    simulate.set_defaults(run=_run)


def _add_strengths(simulate: argparse.ArgumentParser) -> None:
    about = f"difference of mean {{}} in standard deviations, 0 to {STRONGEST:g} (default: 1)"
    simulate.add_argument(
        "--effect-mri", type=float, metavar="D", help=about.format("atrophy, which the T1w shows")
    )
    simulate.add_argument(
        "--effect-pet",
        type=float,
        metavar="D",
        help=about.format("hypometabolism, which the PET shows"),
    )
    simulate.add_argument(
        "--correlation",
        type=float,
        default=0.0,
        metavar="R",
        help="of atrophy and hypometabolism within a class, above -1 and below 1: the higher, the "
        "less the two images add to each other (default: %(default)g)",
    )
    simulate.add_argument(
        "--null", action="store_true", help="no difference between the classes at all"
    )


def _run(arguments: argparse.Namespace) -> None:
    from fusionprep.cohort.dataset import write_cohort
    from fusionprep.cohort.design import Design, Strengths
    from fusionprep.cohort.truth import ceilings
    from fusionprep.cohort.whole import write_whole

    given = (arguments.effect_mri, arguments.effect_pet)
    if arguments.null and given != (None, None):
        raise UsageError("--null leaves no effect; give either it or --effect-mri and --effect-pet")
    mri, pet = (0.0 if arguments.null else 1.0 if effect is None else effect for effect in given)
    strengths = Strengths(mri, pet, arguments.correlation)
    classes = THREE_CLASSES if arguments.mci else CLASSES
    design = Design(arguments.subjects, strengths, classes, arguments.seed)
    if arguments.whole:
        write_whole(arguments.out, design)
    else:
        write_cohort(arguments.out, design, voxel_size=arguments.voxel_size)
    best = ", ".join(f"{name} {told['area']:.3f}" for name, told in ceilings(strengths).items())
    print(f"cohort: {arguments.out}")
    print(f"best possible area under the ROC curve: {best}")
