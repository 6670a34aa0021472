"""Trained classifiers in files: weights as safetensors, what they are for in a JSON card."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fusionprep._version import __version__
from fusionprep.classification.calibration import Platt
from fusionprep.classification.cohort import Cohort, Grid, Source, read_cohort
from fusionprep.classification.evaluation import Plan, design_for, linear_features
from fusionprep.classification.inputs import REGIONS
from fusionprep.classification.kernels import TableScale
from fusionprep.classification.people import classes_of, read_people
from fusionprep.classification.trained import LinearModel, train_linear
from fusionprep.errors import DataError, OutputError, UnreadableFileError
from fusionprep.files import json_text, table_text, write_bytes, write_text
from fusionprep.models.weights import UNREADABLE, read_weights
from fusionprep.reading import read_json_object

WEIGHTS, CARD = "classifier.safetensors", "classifier.json"
_KIND = "fusionprep classifier"
_WEIGHTS_OF, _SCALE_OF = "weights.", "scale."


def train_classifier(source: Source, plan: Plan, out: Path) -> None:
    """Train on a whole cohort and write the model and its card.

    Parameters
    ----------
    source, plan
        Of one input and one model.

    Raises
    ------
    OutputError
        When a file cannot be written.
    """
    people = read_people(source.participants)
    classes = classes_of(people, plan.target, plan.wanted)
    cohort = read_cohort(source, classes)
    design, _ = design_for(cohort, classes, plan, people)
    (text,), (name,) = source.inputs, plan.models
    features = linear_features(cohort, [text])[text]
    model = train_linear(cohort, features, text, name, design)
    counts = np.bincount(design.labels)
    card = {
        "kind": _KIND,
        "input": text,
        "model": name,
        "target": plan.target,
        "classes": {n: int(c) for n, c in zip(classes.names, counts, strict=True)},
        "strength": model.strength,
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


def write_classifier(
    model: LinearModel, card: Mapping[str, Any], grid: Grid | None, out: Path
) -> None:
    """Write the two files.

    Raises
    ------
    OutputError
        When one cannot be written.
    """
    from safetensors.numpy import save

    tensors = {"offset": model.offset, **_prefixed("curve.", vars(model.curve))}
    tensors |= {_WEIGHTS_OF + part: weights for part, weights in model.weights.items()}
    for part, scale in model.scales.items():
        # a column that never varied has an infinite deviation, which no file should hold
        inverse = {"median": scale.median, "mean": scale.mean, "inverse": 1 / scale.deviation}
        tensors |= _prefixed(f"{_SCALE_OF}{part}.", inverse)
    if grid is not None:
        tensors |= _prefixed("grid.", {**vars(grid), "mask": grid.mask.astype(np.uint8)})
    content = save({key: np.ascontiguousarray(value) for key, value in tensors.items()})
    told = {**card, "sha256": hashlib.sha256(content).hexdigest()}
    try:
        write_bytes(out / WEIGHTS, content)
        write_text(out / CARD, json_text(told))
    except OSError as error:
        raise OutputError(f"cannot write the classifier to {out}: {error.strerror}") from error


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {prefix + name: np.asarray(value) for name, value in values.items()}


def read_classifier(folder: Path) -> tuple[LinearModel, dict[str, Any], Grid | None]:
    """Read what :func:`write_classifier` wrote.

    Raises
    ------
    NoInputError, DataError
        When a file is missing, damaged or not of a classifier, or the two are not of one model.
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
    try:
        tensors = load(content)
        return _model(tensors, card), card, _grid(tensors)
    except (SafetensorError, *UNREADABLE) as error:
        raise DataError(f"{folder / WEIGHTS} is damaged ({error}); train again") from error


def _model(tensors: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> LinearModel:
    parts = str(card["input"]).split("+")
    scales = {}
    for part in parts:
        scale = _under(tensors, f"{_SCALE_OF}{part}.")
        if scale:
            with np.errstate(divide="ignore"):
                scales[part] = TableScale(scale["median"], scale["mean"], 1 / scale["inverse"])
    weights = {part: tensors[_WEIGHTS_OF + part] for part in parts}
    curve = Platt(**_under(tensors, "curve."))
    return LinearModel(weights, scales, tensors["offset"], curve, float(card["strength"]))


def _grid(tensors: Mapping[str, np.ndarray]) -> Grid | None:
    found = _under(tensors, "grid.")
    if not found:
        return None
    x, y, z = map(int, found["block"])
    shape = tuple(map(int, found["fine_shape"]))
    mask = found["mask"].astype(bool)
    return Grid(mask, found["affine"], (x, y, z), shape, found["fine_affine"])


def _under(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


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
