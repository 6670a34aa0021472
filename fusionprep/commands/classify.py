"""``fusionprep classify``."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fusionprep.arguments import folder, number, path, whole_number
from fusionprep.choices import Device, choices
from fusionprep.classification.linear_models import LINEAR_MODELS
from fusionprep.classification.networks import NETWORKS
from fusionprep.commands.shared import Commands

if TYPE_CHECKING:
    from fusionprep.classification.cohort import Source

_INPUT = (
    "t1w, pet, suvr, gm, gm-pet, the name of a fusion model, regions, age-sex; several side by "
    "side as in t1w+pet"
)
_DESCRIPTION = (
    "Tell classes of subjects apart by images in template space that fusionapp wrote: does the "
    "fused image serve better than its sources?"
)


def add(commands: Commands) -> None:
    classify = commands.add_parser(
        "classify", help="tell classes of subjects apart", description=_DESCRIPTION
    )
    kinds = classify.add_subparsers(required=True, metavar="COMMAND")
    _add_evaluate(kinds)
    _add_train(kinds)
    _add_predict(kinds)


def _add_evaluate(kinds: Commands) -> None:
    evaluate = kinds.add_parser(
        "evaluate",
        help="how well inputs and models do, by cross-validation",
        description="Nested, stratified cross-validation over subjects: every choice is made "
        "without the fold that is tested. Writes results.json, predictions.tsv and report.html.",
    )
    _add_data(evaluate)
    _add_cohort(evaluate)
    evaluate.add_argument("--inputs", nargs="+", required=True, metavar="INPUT", help=_INPUT)
    evaluate.add_argument(
        "--models",
        nargs="+",
        default=["ridge"],
        choices=(*LINEAR_MODELS, *NETWORKS),
        metavar="MODEL",
        help=f"linear: {', '.join(LINEAR_MODELS)} (default: ridge); CNNs: {', '.join(NETWORKS)}",
    )
    evaluate.add_argument(
        "--group",
        default="",
        metavar="COLUMN",
        help="column of the table of participants, e.g. site, whose groups stay in one fold",
    )
    evaluate.add_argument(
        "--permutations",
        type=whole_number(0, 100_000),
        default=1000,
        metavar="N",
        help="permutations of the test against chance, for linear models (default: %(default)s)",
    )
    evaluate.set_defaults(run=_evaluate)


def _add_train(kinds: Commands) -> None:
    train = kinds.add_parser(
        "train",
        help="train a classifier on a whole cohort",
        description="Train one model on one input of all subjects. Writes classifier.safetensors "
        "and classifier.json.",
    )
    _add_data(train)
    _add_cohort(train)
    train.add_argument("--input", required=True, metavar="INPUT", help=_INPUT)
    train.add_argument("--model", default="ridge", choices=(*LINEAR_MODELS, *NETWORKS))
    train.set_defaults(run=_train)


def _add_predict(kinds: Commands) -> None:
    predict = kinds.add_parser(
        "predict",
        help="probabilities of the classes for other subjects",
        description="Writes predictions.tsv, a row for each subject.",
    )
    _add_data(predict)
    predict.add_argument(
        "--classifier", type=path, required=True, metavar="DIR", help="what train wrote"
    )
    predict.set_defaults(run=_predict)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "derivatives", type=path, metavar="DERIVATIVES", help="output folder of fusionapp"
    )
    parser.add_argument(
        "--participants",
        type=path,
        metavar="FILE",
        help="table of participants (default: participants.tsv in DERIVATIVES)",
    )
    parser.add_argument("--out", type=folder, required=True, metavar="DIR", help="where to write")


def _add_cohort(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--space", default="", metavar="NAME", help="template, where there are images in several"
    )
    parser.add_argument(
        "--tracer", default="", metavar="LABEL", help="trc- of the PET, where there are several"
    )
    parser.add_argument(
        "--target",
        default="diagnosis",
        metavar="COLUMN",
        help="column of the table of participants with the classes (default: %(default)s)",
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        default=[],
        metavar="VALUE",
        help="two or three values of it; of two the second is the one to detect (default: all, "
        "controls first)",
    )
    parser.add_argument(
        "--voxel",
        type=number(0.5, 20),
        default=4.0,
        metavar="MM",
        help="side of the voxels that images are averaged to (default: %(default)s)",
    )
    parser.add_argument(
        "--folds",
        type=whole_number(3, 100),
        default=5,
        metavar="K",
        help="of the cross-validation (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, 2**31),
        default=0,
        metavar="N",
        help="by which folds and permutations are drawn (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs",
        type=whole_number(1, 10_000),
        default=60,
        metavar="N",
        help="of networks, at most (default: %(default)s)",
    )
    parser.add_argument("--device", default="auto", choices=choices(Device))


def _participants(arguments: argparse.Namespace) -> Path:
    from fusionprep.bids.subject_tables import PARTICIPANTS

    return arguments.participants or arguments.derivatives / PARTICIPANTS


def _source(arguments: argparse.Namespace, inputs: Sequence[str]) -> "Source":
    from fusionprep.classification.cohort import Source

    return Source(
        arguments.derivatives,
        _participants(arguments),
        tuple(dict.fromkeys(inputs)),
        arguments.space,
        arguments.tracer,
        arguments.voxel,
    )


def _evaluate(arguments: argparse.Namespace) -> None:
    from fusionprep.classification.evaluation import Plan, evaluate
    from fusionprep.classification.page import write_evaluation

    plan = Plan(
        arguments.target,
        tuple(arguments.classes),
        arguments.group,
        tuple(dict.fromkeys(arguments.models)),
        arguments.folds,
        arguments.permutations,
        arguments.seed,
        arguments.epochs,
        arguments.device,
    )
    write_evaluation(evaluate(_source(arguments, arguments.inputs), plan), arguments.out)
    print(f"report: {arguments.out / 'report.html'}")


def _train(arguments: argparse.Namespace) -> None:
    from fusionprep.classification.evaluation import Plan
    from fusionprep.classification.saved import CARD, train_classifier

    plan = Plan(
        arguments.target,
        tuple(arguments.classes),
        models=(arguments.model,),
        folds=arguments.folds,
        seed=arguments.seed,
        epochs=arguments.epochs,
        device=arguments.device,
    )
    train_classifier(_source(arguments, [arguments.input]), plan, arguments.out)
    print(f"classifier: {arguments.out / CARD}")


def _predict(arguments: argparse.Namespace) -> None:
    from fusionprep.classification.saved import predict
    from fusionprep.files import write_text

    found = predict(arguments.classifier, arguments.derivatives, _participants(arguments))
    table = arguments.out / "predictions.tsv"
    write_text(table, found)
    print(f"predictions: {table}")
