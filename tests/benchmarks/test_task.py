"""The task benchmark on a handful of people: images where the classifier finds them, tables."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from task import NULL_INPUTS, figures, source
from task_images import fuse_cohort
from task_tables import input_table, null_table

from fusionprep.classification.evaluation import Plan, evaluate
from fusionprep.classification.inputs import BRAIN_MASK, find_scans, image_kinds
from fusionprep.cohort.dataset import write_cohort
from fusionprep.cohort.design import Design, Strengths
from tests.validator import issues

MODELS = ("average", "gmpet_prob")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("task") / "cohort"
    write_cohort(out, Design(12, Strengths(3.0, 3.0)), voxel_size=8)
    for model in MODELS:
        fuse_cohort(out, model)
    return out


def test_fused_images_are_found_by_the_classifier(cohort):
    kinds = {name: image_kinds()[name] for name in MODELS}
    found = find_scans(cohort, {**kinds, "mask": BRAIN_MASK})
    assert len(found.scans) == 12
    for name in MODELS:
        image = nib.load(found.files[name][0])
        mask = nib.load(found.files["mask"][0])
        assert np.array_equal(image.affine, mask.affine)
        values = image.get_fdata()
        assert values.max() > 0.3
        assert not values[mask.get_fdata() == 0].any()
    assert issues(cohort) == []


def test_what_is_fused_is_not_fused_again(cohort):
    path = next(cohort.glob("sub-001/pet/*fusedAverage_pet.nii.gz"))
    before = path.stat().st_mtime_ns
    fuse_cohort(cohort, "average")
    assert path.stat().st_mtime_ns == before


def test_tables(cohort):
    inputs = ("t1w", "suvr", "t1w+suvr", *MODELS, "regions", "age-sex")
    plan = Plan("diagnosis", folds=3, permutations=19)
    found = figures(evaluate(source(cohort, inputs), plan, lambda _: None), None)
    assert [row["input"] for row in found["inputs"]] == list(inputs)
    average = next(row for row in found["inputs"] if row["input"] == "average")
    assert set(average["less"]) == {"t1w", "suvr", "t1w+suvr"}
    text = input_table(found, ("t1w", "suvr"), "t1w+suvr")
    assert text.count("\n") == 1 + len(inputs)
    assert "| input | AUC (95 %) | less t1w | less suvr | less t1w+suvr |" in text


def test_the_table_of_null_cohorts_counts_intervals_that_hold_a_half():
    rows = [
        {"input": "t1w", "area": [0.5 + shift, 0.4 + shift, 0.6 + shift], "p": (number + 0.5) / 20}
        for number, shift in enumerate([0.0] * 19 + [0.2])
    ]
    assert "| t1w | 20 | 0.510 | 95% | 1.00 |" in null_table(rows)
    assert NULL_INPUTS[0] == "t1w"


def test_differences_that_exclude_0_stand_out():
    row = {"input": "max", "model": "ridge", "area": [0.7, 0.6, 0.8], "p": None}
    row["less"] = {"t1w": [0.1, 0.02, 0.18], "suvr": [0.1, -0.02, 0.22]}
    text = input_table({"inputs": [row]}, ("t1w", "suvr"), "t1w+suvr")
    assert "**+0.100 (+0.020, +0.180)** | +0.100 (-0.020, +0.220) |" in text
