"""What an evaluation found, as JSON and as a table of predictions."""

from typing import Any

import numpy as np

from fusionprep._version import __version__
from fusionprep.classification.evaluation import Entry, Evaluation
from fusionprep.evaluation.roc import (
    Interval,
    area_interval,
    balanced_accuracy,
    brier,
    inflation,
    recalls,
    reliability,
)
from fusionprep.files import table_text


def results(evaluation: Evaluation) -> dict[str, Any]:
    """Everything that is reported, ready for JSON: no figure without its interval.

    Intervals are ``[value, low, high]``.
    """
    plan, source, cohort = evaluation.plan, evaluation.source, evaluation.cohort
    names, labels = evaluation.classes.names, evaluation.design.labels
    return {
        "software": f"fusionprep {__version__}",
        "target": plan.target,
        "classes": {name: int(np.sum(labels == number)) for number, name in enumerate(names)},
        "positive": names[-1] if len(names) == 2 else None,
        "subjects": len(cohort.subjects),
        "scans": len(cohort.scans),
        "left_out": list(cohort.left_out),
        "folds": plan.folds,
        "group": plan.group or None,
        "permutations": plan.permutations,
        "seed": plan.seed,
        "voxel_mm": source.voxel_mm,
        "voxels": int(cohort.grid.mask.sum()) if cohort.grid else None,
        "variance_inflation": inflation(plan.folds),
        "results": [_entry(evaluation, entry) for entry in evaluation.entries],
        "differences": [
            {
                "first": {"input": one.input, "model": one.model},
                "second": {"input": other.input, "model": other.model},
                "auc": _triple(found.interval),
                "p": found.p,
            }
            for one, other, found in evaluation.differences()
        ],
    }


def _entry(evaluation: Evaluation, entry: Entry) -> dict[str, Any]:
    design, names = evaluation.design, evaluation.classes.names
    predictions = entry.predictions
    rates = recalls(design.labels, predictions.predicted, len(names))
    of_two = {"specificity": rates[0], "sensitivity": rates[1]} if len(names) == 2 else {}
    return {
        "input": entry.input,
        "model": entry.model,
        "auc": _triple(area_interval(entry.area, design.labels, evaluation.plan.folds)),
        "p_permutation": entry.p,
        "balanced_accuracy": _triple(balanced_accuracy(rates)),
        **{name: _triple(rate) for name, rate in of_two.items()},
        "recognised": {name: _triple(rate) for name, rate in zip(names, rates, strict=True)},
        "brier": _triple(brier(predictions.probabilities, design.labels)),
        "reliability": {
            name: [
                {"told": told, "seen": _triple(seen)}
                for told, seen in reliability(
                    predictions.probabilities[:, number], design.labels == number
                )
            ]
            for number, name in enumerate(names)
            if number or len(names) > 2
        },
        "chosen_in_inner_folds": list(predictions.chosen),
    }


def _triple(interval: Interval) -> list[float]:
    return [interval.value, interval.low, interval.high]


def predictions_table(evaluation: Evaluation) -> str:
    """A TSV with a row for each subject, input and model."""
    names = evaluation.classes.names
    columns = ["participant_id", "input", "model", "fold", "target", "predicted"]
    columns += [f"score_{name}" for name in names] + [f"p_{name}" for name in names]
    rows = []
    for entry in evaluation.entries:
        found = entry.predictions
        for number, subject in enumerate(evaluation.cohort.subjects):
            values = [*found.scores[number], *found.probabilities[number]]
            scores = zip(columns[6:], values, strict=True)
            rows.append(
                {
                    "participant_id": subject,
                    "input": entry.input,
                    "model": entry.model,
                    "fold": str(evaluation.design.folds[number]),
                    "target": names[evaluation.design.labels[number]],
                    "predicted": names[found.predicted[number]],
                    **{name: f"{value:.6g}" for name, value in scores},
                }
            )
    return table_text(columns, rows)
