"""Trained classifiers in files: weights as safetensors, what they are for in a JSON card."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from fusionprep._version import __version__
from fusionprep.classification.calibration import Platt
from fusionprep.classification.cohort import Cohort, Grid, Source, read_cohort
from fusionprep.classification.evaluation import Plan, design_for, linear_features, training_of
from fusionprep.classification.inputs import REGIONS, TABLES, parse_input
from fusionprep.classification.nested import Design
from fusionprep.classification.networks import NETWORKS
from fusionprep.classification.networks.nested import require_packages
from fusionprep.classification.networks.trained import NetworkModel, train_network_on
from fusionprep.classification.people import classes_of, read_people
from fusionprep.classification.trained import LinearModel, prefixed, train_linear, under
from fusionprep.errors import DataError, OutputError, UnreadableFileError, UsageError
from fusionprep.files import json_text, table_text, write_bytes, write_text
from fusionprep.models.weights import UNREADABLE, read_weights
from fusionprep.reading import read_json_object

WEIGHTS, CARD = "classifier.safetensors", "classifier.json"
_KIND = "fusionprep classifier"
Model: TypeAlias = LinearModel | NetworkModel


def train_classifier(source: Source, plan: Plan, out: Path) -> None:
    """Train on a whole cohort and write the model and its card.

    Parameters
    ----------
    source, plan
        Of one input and one model.

    Raises
    ------
    UsageError
        When a network is to read tables, or a package for it is missing.
    OutputError
        When a file cannot be written.
    """
    (text,), (name,) = source.inputs, plan.models
    if name in NETWORKS:
        require_packages()
        if set(parse_input(text)) & set(TABLES):
            raise UsageError(f"{name} reads images, not tables; choose another --input")
    people = read_people(source.participants)
    classes = classes_of(people, plan.target, plan.wanted)
    cohort = read_cohort(source, classes)
    design, _ = design_for(cohort, classes, plan, people)
    model, chosen = _trained(cohort, text, name, design, plan)
    card = {
        "kind": _KIND,
        "input": text,
        "model": name,
        "target": plan.target,
        "classes": dict(zip(classes.names, np.bincount(design.labels).tolist(), strict=True)),
        "chosen": chosen,
        "folds": plan.folds,
        "seed": plan.seed,
        "voxel_mm": source.voxel_mm,
        "space": source.space,
        "tracer": source.tracer,
        "region_columns": list(cohort.tables[REGIONS][1]) if REGIONS in cohort.tables else [],
        "software": f"fusionprep {__version__}",
        "intended_use": "Research only. How well it does is told by fusionprep classify evaluate, "
        "which trains it again without the subjects that it is tested on.",
    }
    write_classifier(model, card, cohort.grid, out)


def _trained(
    cohort: Cohort, text: str, name: str, design: Design, plan: Plan
) -> tuple[Model, dict[str, float]]:
    """The model, and what was chosen for it."""
    if name in NETWORKS:
        network, epoch = train_network_on(cohort, text, name, design, training_of(plan))
        return network, {"epoch": epoch}
    features = linear_features(cohort, [text])[text]
    linear, strength = train_linear(cohort, features, text, name, design)
    return linear, {"strength": strength}


def write_classifier(model: Model, card: Mapping[str, Any], grid: Grid | None, out: Path) -> None:
    """Write the two files.

    Raises
    ------
    OutputError
        When one cannot be written.
    """
    from safetensors.numpy import save

    tensors = model.tensors()
    if grid is not None:
        tensors |= prefixed("grid.", {**vars(grid), "mask": grid.mask.astype(np.uint8)})
    content = save({key: np.ascontiguousarray(value) for key, value in tensors.items()})
    told = {**card, "sha256": hashlib.sha256(content).hexdigest()}
    try:
        write_bytes(out / WEIGHTS, content)
        write_text(out / CARD, json_text(told))
    except OSError as error:
        raise OutputError(f"cannot write the classifier to {out}: {error.strerror}") from error


def read_classifier(folder: Path) -> tuple[Model, dict[str, Any], Grid | None]:
    """Read what :func:`write_classifier` wrote.

    Raises
    ------
    NoInputError, DataError
        When a file is missing, damaged or not of a classifier, or the two are not of one model.
    UsageError
        When a package for it is missing.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        card = read_json_object(folder / CARD)
    except UnreadableFileError as error:
        raise DataError(f"{error}; give the folder that classify train wrote") from error
    content = read_weights(folder / WEIGHTS)
    if card.get("kind") != _KIND or card.get("sha256") != hashlib.sha256(content).hexdigest():
        raise DataError(f"{folder / CARD} does not describe the {WEIGHTS} beside it; train again")
    if card["model"] in NETWORKS:
        require_packages()
    try:
        tensors = load(content)
        return _model(tensors, card), card, _grid(tensors)
    except (SafetensorError, *UNREADABLE) as error:
        raise DataError(f"{folder / WEIGHTS} is damaged ({error}); train again") from error


def _model(tensors: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> Model:
    text, name = card["input"], card["model"]
    if name in NETWORKS:
        from fusionprep.classification.networks.loop import Training

        return NetworkModel.from_tensors(tensors, text, name, Training())
    return LinearModel.from_tensors(tensors, text)


def _grid(tensors: Mapping[str, np.ndarray]) -> Grid | None:
    found = under(tensors, "grid.")
    if not found:
        return None
    x, y, z = map(int, found["block"])
    shape = tuple(map(int, found["fine_shape"]))
    mask = found["mask"].astype(bool)
    return Grid(mask, found["affine"], (x, y, z), shape, found["fine_affine"])


def predict(folder: Path, root: Path, participants: Path) -> str:
    """Probabilities of every subject, as a TSV.

    Parameters
    ----------
    folder
        Of the classifier.
    root
        Output folder of the App.
    participants
        Table of participants, which only an input with age and sex needs.
    """
    model, card, grid = read_classifier(folder)
    source = Source(
        root, participants, (card["input"],), card["space"], card["tracer"], card["voxel_mm"]
    )
    cohort = read_cohort(source, grid=grid, columns=card["region_columns"])
    return probability_table(
        cohort, model.probabilities(cohort), model.curve, list(card["classes"])
    )


def probability_table(
    cohort: Cohort, probabilities: np.ndarray, curve: Platt, names: list[str]
) -> str:
    """A TSV with a row for each subject."""
    predicted = curve.classes(probabilities)
    rows = [
        {
            "participant_id": subject,
            "visits": str(int(np.sum(cohort.member == number))),
            "predicted": names[predicted[number]],
            **{f"p_{n}": f"{p:.4f}" for n, p in zip(names, probabilities[number], strict=True)},
        }
        for number, subject in enumerate(cohort.subjects)
    ]
    return table_text(list(rows[0]), rows)
