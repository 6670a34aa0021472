"""The truth about a cohort: severities, and how well they tell classes apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusionprep.bids.subject_tables import PARTICIPANTS
from fusionprep.cohort.design import Design, Person, Strengths, area_of
from fusionprep.cohort.options import CLASSES
from fusionprep.demo.dataset import TRUTH_DIR
from fusionprep.files import json_text, table_text, write_text

SEVERITIES = "severities.tsv"
CEILINGS = "ceilings.json"
ATROPHY, HYPOMETABOLISM, BOTH = "atrophy", "hypometabolism", "both"


def ceilings(strengths: Strengths) -> dict[str, dict[str, float]]:
    """Detectability and area under the ROC curve of the best linear observer, patients to controls.

    Of one who knows everybody's :data:`ATROPHY` without error, which the T1w shows; one who knows
    the :data:`HYPOMETABOLISM`, which the PET shows; and one who knows both.
    """
    found = {ATROPHY: strengths.mri, HYPOMETABOLISM: strengths.pet, BOTH: strengths.both}
    return {name: {"d": d, "area": area_of(d)} for name, d in found.items()}


def sample_areas(people: Sequence[Person], strengths: Strengths) -> dict[str, float]:
    """Areas of the same observers in one sample of patients and controls, which vary by chance."""
    ill = np.array([person.diagnosis == CLASSES[1] for person in people])
    well = np.array([person.diagnosis == CLASSES[0] for person in people])
    severities = np.array([(person.atrophy, person.hypometabolism) for person in people])
    scores = {ATROPHY: severities[:, 0], HYPOMETABOLISM: severities[:, 1]}
    scores[BOTH] = severities @ best_weights(strengths)
    return {name: _area(score[ill], score[well]) for name, score in scores.items()}


def best_weights(strengths: Strengths) -> np.ndarray:
    """Weights (2,) of both severities in the best linear score; equal where there is no signal."""
    means = np.array([strengths.mri, strengths.pet])
    if not means.any():
        return np.ones(2)
    covariance = [[1.0, strengths.correlation], [strengths.correlation, 1.0]]
    return np.linalg.solve(covariance, means)


def _area(ill: np.ndarray, well: np.ndarray) -> float:
    above = np.sign(ill[:, None] - well)
    return float((above.mean() + 1) / 2)


def write_truth(out: Path, people: Sequence[Person], design: Design) -> None:
    """Write ``sourcedata/truth`` of a cohort."""
    folder = out / TRUTH_DIR
    columns = {
        "participant_id": {"Description": f"Subject as in {PARTICIPANTS}"},
        ATROPHY: {"Description": "Severity of atrophy, in standard deviations of controls"},
        HYPOMETABOLISM: {
            "Description": "Severity of hypometabolism, in standard deviations of controls"
        },
    }
    rows = [
        {
            "participant_id": f"sub-{person.label}",
            ATROPHY: f"{person.atrophy:.6f}",
            HYPOMETABOLISM: f"{person.hypometabolism:.6f}",
        }
        for person in people
    ]
    write_text(folder / SEVERITIES, table_text(list(columns), rows))
    write_text((folder / SEVERITIES).with_suffix(".json"), json_text(columns))
    write_text(folder / CEILINGS, json_text(_told(people, design)))


def _told(people: Sequence[Person], design: Design) -> dict[str, Any]:
    strengths = design.strengths
    return {
        "Description": "Best that a linear observer can do to tell patients from controls, by the"
        " strengths that were set, and by the severities of these subjects",
        "Strengths": {ATROPHY: strengths.mri, HYPOMETABOLISM: strengths.pet},
        "Correlation": strengths.correlation,
        "Seed": design.seed,
        "Ceilings": ceilings(strengths),
        "AreasInThisSample": sample_areas(people, strengths),
    }
