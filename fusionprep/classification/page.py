"""The page of an evaluation, and the files beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusionprep.classification.evaluation import Entry, Evaluation
from fusionprep.classification.figures import (
    interval_text,
    mean_roc,
    plot_intervals,
    plot_reliability,
    plot_roc,
)
from fusionprep.classification.linear_models import LINEAR_MODELS
from fusionprep.classification.maps import DrawnMap, write_maps
from fusionprep.classification.networks import NETWORKS
from fusionprep.classification.occlusion import LINEAR_CUBE, NETWORK_CUBE
from fusionprep.classification.results import predictions_table, results
from fusionprep.errors import OutputError
from fusionprep.evaluation.roc import Interval
from fusionprep.files import json_text, write_text
from fusionprep.pages import page_template

MODEL_TITLES = {
    **LINEAR_MODELS,
    **{name: entry.title for name, entry in NETWORKS.items()},
}
"""Models in words."""

_COLUMNS = ("auc", "balanced_accuracy", "sensitivity", "specificity", "brier")


def write_evaluation(evaluation: Evaluation, out: Path) -> None:
    """Write ``results.json``, ``predictions.tsv``, ``report.html`` and the maps it shows.

    Raises
    ------
    OutputError
        When a file cannot be written.
    """
    found = results(evaluation)
    try:
        write_text(out / "results.json", json_text(found))
        write_text(out / "predictions.tsv", predictions_table(evaluation))
        write_text(out / "report.html", html_page(evaluation, found, write_maps(evaluation, out)))
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror}") from error


def html_page(
    evaluation: Evaluation, found: Mapping[str, Any], maps: Sequence[DrawnMap] = ()
) -> str:
    """The page.

    Parameters
    ----------
    found
        As :func:`fusionprep.classification.results.results` has it.
    maps
        Written already.
    """
    rows = found["results"]
    return page_template("report-classify.tpl").render(
        found=found,
        binary=len(found["classes"]) == 2,
        facts=_facts(found),
        reading=_reading(found),
        areas=plot_intervals(
            "Areas under the ROC curve",
            [(f"{row['input']}, {row['model']}", Interval(*row["auc"])) for row in rows],
            0.5,
        ),
        rows=[_row(row) for row in rows],
        differences=[_difference(each) for each in found["differences"]],
        maps=maps,
        cubes=_cubes(found["voxel_mm"]),
        panels=[
            _panel(evaluation, entry, row)
            for entry, row in zip(evaluation.entries, rows, strict=True)
        ],
    )


def _facts(found: Mapping[str, Any]) -> dict[str, str]:
    classes = ", ".join(f"{count} {name}" for name, count in found["classes"].items())
    facts = {
        "Subjects": f"{found['subjects']} ({classes}), {found['scans']} visits",
        "Cross-validation": f"{found['folds']} folds of whole subjects, seed {found['seed']}"
        + (f"; each {found['group']} is in one fold" if found["group"] else ""),
    }
    if found["voxels"]:
        facts["Images"] = f"{found['voxels']:,} voxels of {found['voxel_mm']:g} mm in the brain"
    if found["positive"]:
        facts["To be detected"] = found["positive"]
    if left := found["left_out"]:
        facts["Left out"] = f"{len(left)}: {'; '.join(left[:10])}{' …' if left[10:] else ''}"
    return facts


def _reading(found: Mapping[str, Any]) -> list[str]:
    """How to read the figures, in paragraphs."""
    many = len(found["classes"]) > 2
    area = "the mean of the areas of each class against the others" if many else "the area"
    return [
        f"AUC is {area} under the ROC curve: the probability that of two subjects of different "
        "classes the right one has the higher score; .5 is chance. Subjects are compared within a "
        "fold only, since every fold has its own model.",
        "Brackets hold 95 % intervals. Those of areas and of their differences are DeLong's with "
        f"the variance multiplied by {found['variance_inflation']:g} (Nadeau and Bengio), since "
        "models of different folds are trained on mostly the same subjects; without that, one "
        "interval in seven would miss chance where there is no effect. Those of rates are "
        "Wilson's.",
        "p of the permutation test is the share of permutations of the classes, with everything "
        "fitted and chosen again, whose area is as large; networks have none, since each permutation "
        "would be a training run for every fold. Of differences, p is that of the z test. "
        "None is corrected for how many there are.",
        "A class is predicted where its probability exceeds its share of the training subjects. "
        "Probabilities are calibrated in the training folds (Platt). A Brier score of "
        f"{'.67' if many else '.25'} is what knowing nothing gets"
        f"{' with three classes' if many else ''}; 0 is best.",
    ]


def _cubes(voxel_mm: float) -> str:
    return (
        "The share of what tells the tested subjects apart, the mean score of a class above that "
        "of the others, that is lost when a cube is replaced by the mean of the training images. "
        f"Cubes have a side of {LINEAR_CUBE * voxel_mm:g} mm with linear models and of "
        f"{NETWORK_CUBE * voxel_mm:g} mm with networks. There is a map where the interval of the "
        "area is above chance; it shows what a model uses, not where a disease is."
    )


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = [row[name] for name in _COLUMNS if name in row]
    if "sensitivity" not in row:
        shown += row["recognised"].values()
    p = row["p_permutation"]
    return {
        "input": row["input"],
        "model": MODEL_TITLES[row["model"]],
        "cells": [interval_text(Interval(*each)) for each in shown],
        "p": "–" if p is None else f"{p:.3f}",
    }


def _difference(each: Mapping[str, Any]) -> dict[str, Any]:
    first, second, found = each["first"], each["second"], Interval(*each["auc"])
    same = first["model"] == second["model"]
    return {
        "first": first["input"] if same else MODEL_TITLES[first["model"]],
        "second": second["input"] if same else MODEL_TITLES[second["model"]],
        "by": MODEL_TITLES[first["model"]] if same else first["input"],
        "auc": f"{found.value:+z.2f} [{found.low:+z.2f}, {found.high:+z.2f}]",
        "clear": found.low > 0 or found.high < 0,
        "p": f"{each['p']:.3f}",
    }


def _panel(evaluation: Evaluation, entry: Entry, row: Mapping[str, Any]) -> dict[str, Any]:
    design, names = evaluation.design, evaluation.classes.names
    curves = {
        name: mean_roc(
            entry.predictions.scores[:, names.index(name)],
            design.labels == names.index(name),
            design.folds,
        )
        for name in row["reliability"]
    }
    bins = {
        name: [(each["told"], Interval(*each["seen"])) for each in points]
        for name, points in row["reliability"].items()
    }
    return {
        "name": f"{entry.input}, {MODEL_TITLES[entry.model]}",
        "roc": plot_roc(f"ROC curve of {entry.name}", curves),
        "reliability": plot_reliability(f"Reliability of {entry.name}", bins),
    }
