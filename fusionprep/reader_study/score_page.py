"""The page of a scored reader study."""

import math
from typing import Any

from fusionprep.pages import page_template
from fusionprep.reader_study.intervals import Estimate
from fusionprep.reader_study.measures import FEWEST_PATIENTS
from fusionprep.reader_study.score_plots import plot_curves, plot_measure, swatch
from fusionprep.reader_study.scoring import Scored, Scores

_NONE = "–"

TASKS = {"choose": "Which of two images has the lesion", "mark": "Is there a lesion, and where"}
"""Tasks in words."""


def html(scores: Scores) -> str:
    """The page, in which everything is inline."""
    told = scores.key.told
    return page_template("reader-scores.tpl", swatch=swatch).render(
        scores=scores,
        told=told,
        titles=scores.titles,
        sections=[_section(task, scores) for task in told["Tasks"]],
        images=len({image.case for image in scores.key.images.values()}),
        lesions=_lesions(scores),
        fewest_patients=FEWEST_PATIENTS,
    )


def _lesions(scores: Scores) -> str:
    told = scores.key.told
    lesions, units = told["Lesions"], told["Units"]
    where = " or ".join(
        {"anatomical": "MRI", "functional": told["Modality"]}[source]
        for source in lesions["Sources"]
    )
    kind = "darker" if lesions["Contrast"] < 0 else "brighter"
    return (
        f"Gaussian spots of {lesions['Size']:g} {units} (standard deviation), "
        f"{abs(lesions['Contrast']):.0%} {kind} than their surroundings, in the {where}; found "
        f"where the mark is at most {scores.radius:g} {units} from the centre"
    )


def _section(task: str, scores: Scores) -> dict[str, Any]:
    scored = [each for each in scores.scored if each.measure.task == task]
    return {
        "task": task,
        "title": TASKS[task],
        "measures": [_measure(each, scores) for each in scored],
        "curves": plot_curves(scores.curves, scores.titles) if task == "mark" else None,
        "agreement": [
            {"title": each.title, "cells": [told(found) for found in each.conditions]}
            for each in scores.agreement
            if ("correct" in each.name) == (task == "choose")
        ],
        "observer": task == "choose",
    }


def _measure(scored: Scored, scores: Scores) -> dict[str, Any]:
    titles, observer = scores.titles, scores.key.told["Conditions"]
    expected = scored.measure.name == "proportion_correct"
    return {
        "title": scored.measure.title,
        "name": scored.measure.name,
        "better": scored.measure.better,
        "chance": scored.measure.chance,
        "ratio": scored.measure.logarithmic,
        "plot": plot_measure(scored, titles, scores.readers),
        "expected": expected,
        "rows": [
            {
                "title": title,
                "value": told(found),
                "readers": [f"{value:.2f}" for value in readers],
                "expected": f"{each['ObserverProportionCorrect']:.2f}" if expected else None,
            }
            for title, found, readers, each in zip(
                titles, scored.conditions, scored.readers.tolist(), observer, strict=True
            )
        ],
        "differences": [
            {
                "first": titles[each.first],
                "second": titles[each.second],
                "value": told(each.estimate, signed=not scored.measure.logarithmic),
                "decided": _decided(each.estimate, 1.0 if scored.measure.logarithmic else 0.0),
            }
            for each in scored.differences
        ],
    }


def _decided(found: Estimate, neutral: float) -> bool:
    return math.isfinite(found.low) and not found.low <= neutral <= found.high


def told(found: Estimate, *, signed: bool = False) -> str:
    """A figure with its interval, to two digits."""
    if not math.isfinite(found.value):
        return _NONE
    form = "+.2f" if signed else ".2f"
    text = f"{found.value:{form}}"
    if math.isfinite(found.low):
        text += f" [{found.low:{form}}, {found.high:{form}}]"
    return text.replace("-", "−")
