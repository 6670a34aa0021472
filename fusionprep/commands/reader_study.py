"""``fusionprep reader-study``."""

import argparse
import sys

from fusionprep.arguments import NamedPaths, folder, number, path, whole_number
from fusionprep.choices import ColourMapName, Device, ReaderTask, SourceView, choices
from fusionprep.commands.shared import Commands
from fusionprep.modalities import APP_FUSED, PET
from fusionprep.models.registry import model_names
from fusionprep.training.options import MOST

MOST_IMAGES = 1000
LARGEST_LESION = 50.0


def add(commands: Commands) -> None:
    study = commands.add_parser(
        "reader-study",
        help="have people look for lesions in fused images, and score them",
        description="What people can see in images shown in different ways: make writes a page on "
        "which they look for planted lesions, score compares their answers.",
    )
    steps = study.add_subparsers(required=True, metavar="STEP")
    make = steps.add_parser(
        "make",
        help="write the page for the readers, and the key",
        description="Write study.html, which readers open in a browser, without a network, and "
        "key.json, which score needs and readers must not see.",
    )
    _add_images(make)
    _add_conditions(make)
    _add_questions(make)
    make.add_argument("--out", type=folder, required=True, metavar="DIR", help="where to write")
    make.set_defaults(run=_make)
    score = steps.add_parser(
        "score",
        help="score the answers of readers",
        description="Proportion correct, localisation ROC, agreement and time in each condition, "
        "and differences between conditions, with intervals: scores.html, .tsv and .json.",
    )
    score.add_argument("key", type=path, metavar="KEY", help="key.json of the study")
    score.add_argument(
        "answers", type=path, nargs="+", metavar="ANSWERS", help="answers-NAME.tsv of each reader"
    )
    score.add_argument(
        "--radius",
        type=number(0, MOST),
        metavar="R",
        help="how far from a lesion's centre a mark may be, in mm, or pixels of pictures "
        "(default: 2.5 times the lesions' --size)",
    )
    score.add_argument("--out", type=folder, required=True, metavar="DIR", help="where to write")
    score.set_defaults(run=_score)


def _add_images(make: argparse.ArgumentParser) -> None:
    images = make.add_mutually_exclusive_group(required=True)
    images.add_argument(
        "--pairs",
        type=path,
        metavar="DIR",
        help="folder with two subfolders of same-named PNG slices or NIfTI volumes, such as mri and"
        " pet",
    )
    images.add_argument(
        "--derivatives", type=path, metavar="DIR", help="output folder of fusionapp"
    )
    make.add_argument("--anatomical", metavar="NAME", help="subfolder of anatomical images")
    make.add_argument("--functional", metavar="NAME", help="subfolder of functional images")
    make.add_argument(
        "--modality",
        default=PET.name,
        choices=[modality.name for modality in APP_FUSED],
        help=f"that is taken from --derivatives (default: {PET.name})",
    )


def _add_conditions(make: argparse.ArgumentParser) -> None:
    make.add_argument("--models", nargs="+", default=(), metavar="NAME", choices=model_names())
    make.add_argument(
        "--weights",
        action=NamedPaths,
        default={},
        metavar="NAME=FILE",
        help="safetensors file of your own training of a model, in place of the packaged weights "
        "(repeatable)",
    )
    make.add_argument(
        "--colour",
        nargs="+",
        default=(),
        choices=choices(ColourMapName),
        help="colour tables of PET or SPECT over the MRI",
    )
    make.add_argument(
        "--sources",
        nargs="+",
        default=(),
        choices=choices(SourceView),
        help="images without fusion: one alone, or both",
    )
    make.add_argument("--device", default="auto", choices=choices(Device))


def _add_questions(make: argparse.ArgumentParser) -> None:
    make.add_argument(
        "--images",
        type=whole_number(4, MOST_IMAGES),
        default=40,
        metavar="N",
        help="half of them with a lesion; each is shown in every condition (default: 40)",
    )
    make.add_argument(
        "--tasks",
        nargs="+",
        default=choices(ReaderTask),
        choices=choices(ReaderTask),
        help="which of two images has a lesion, or where in an image it is (default: both)",
    )
    make.add_argument(
        "--lesions",
        nargs="+",
        default=("anatomical", "functional"),
        choices=("anatomical", "functional"),
        help="the images in which lesions are planted (default: one in the one, the next in the "
        "other)",
    )
    make.add_argument(
        "--size",
        type=number(0, LARGEST_LESION),
        default=4.0,
        metavar="S",
        help="of a lesion: standard deviation in mm, or in pixels of pictures (default: 4)",
    )
    make.add_argument(
        "--contrast",
        type=number(0, 10),
        default=0.5,
        metavar="C",
        help="of a lesion, as a share of what is around it (default: 0.5)",
    )
    make.add_argument(
        "--dark", action="store_true", help="lesions are darker than what is around them"
    )
    make.add_argument(
        "--seed", type=whole_number(0, MOST), default=0, metavar="N", help="of all that is random"
    )


def _make(arguments: argparse.Namespace) -> None:
    from fusionprep.modalities import get_modality
    from fusionprep.reader_study.lesions import Kind
    from fusionprep.reader_study.page import advice, check_folder, expectations, write_study
    from fusionprep.reader_study.request import StudyRequest
    from fusionprep.reader_study.study import make_study
    from fusionprep.reader_study.views import Conditions

    check_folder(arguments.out)
    request = StudyRequest(
        pairs=arguments.pairs,
        derivatives=arguments.derivatives,
        conditions=Conditions(
            models=tuple(arguments.models),
            weights=arguments.weights,
            colours=tuple(arguments.colour),
            sources=tuple(arguments.sources),
            device=arguments.device,
        ),
        anatomical=arguments.anatomical,
        functional=arguments.functional,
        modality=get_modality(arguments.modality),
        images=arguments.images,
        tasks=tuple(arguments.tasks),
        sources=tuple(arguments.lesions),
        kind=Kind(arguments.size, -arguments.contrast if arguments.dark else arguments.contrast),
        seed=arguments.seed,
    )
    study = make_study(request)
    page, key = write_study(study, arguments.out)
    for line in advice(study, page.stat().st_size):
        print(line, file=sys.stderr)
    print("proportion correct of a model observer who knows the place (guessing: 0.50)")
    for line in expectations(study):
        print(line)
    print(f"for the readers: {page}\nkeep from them: {key}")


def _score(arguments: argparse.Namespace) -> None:
    from fusionprep.reader_study.score_files import score_files

    for line in score_files(arguments.key, arguments.answers, arguments.out, arguments.radius):
        print(line)
