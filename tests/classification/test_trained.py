"""Trained linear models score as the kernels they come from."""

import csv
import json
import shutil

import numpy as np
import pytest

from fusionprep.classification.cohort import Source, read_cohort
from fusionprep.classification.evaluation import Plan, design_for, linear_features
from fusionprep.classification.linear import STRENGTHS, fit
from fusionprep.classification.linear_models import LINEAR_MODELS
from fusionprep.classification.people import classes_of, read_people
from fusionprep.classification.trained import train_linear
from fusionprep.cli import main
from tests.classification.derivatives import write_derivatives


@pytest.mark.parametrize("model", LINEAR_MODELS)
@pytest.mark.parametrize("labels", [[0, 1] * 10, [0, 1, 2] * 8])
def test_weights_of_voxels_and_columns_score_as_the_kernel(tmp_path, model, labels):
    names = ("CN", "AD", "MCI")
    root = write_derivatives(tmp_path / "out", labels, classes=names)
    text = "t1w+suvr+regions+age-sex"
    source = Source(root, root / "participants.tsv", (text,))
    people = read_people(source.participants)
    classes = classes_of(people, "diagnosis")
    cohort = read_cohort(source, classes)
    design, _ = design_for(cohort, classes, Plan("diagnosis", folds=3), people)
    features = linear_features(cohort, source.inputs)[text]
    trained, strength = train_linear(cohort, features, text, model, design)
    rows = np.arange(len(labels))
    kernel, cross = features.split(rows, rows)
    truth = design.labels
    targets = [[1] if max(labels) == 1 else [0, 1, 2]]
    weights = fit(model, kernel, np.where(truth[:, None] == targets, 1.0, -1.0))
    expected = cross @ weights[STRENGTHS[model].index(strength)]
    scores = trained.scores(cohort)
    assert scores[:, -expected.shape[1] :] == pytest.approx(expected, abs=1e-5)
    chances = trained.probabilities(cohort)
    assert chances.sum(axis=1) == pytest.approx(1)
    assert np.mean(np.argmax(chances, axis=1) == truth) > 0.6


def test_train_and_predict(tmp_path, capsys):
    root = write_derivatives(tmp_path / "out", [0, 1] * 15)
    others = write_derivatives(tmp_path / "others", [0, 1] * 20, seed=1)
    text = "suvr+gm+regions+age-sex"
    made, told = tmp_path / "made", tmp_path / "told"
    assert main(["classify", "train", str(root), "--input", text, "--out", str(made)]) == 0
    card = json.loads((made / "classifier.json").read_text())
    assert card["classes"] == {"CN": 15, "AD": 15}
    assert card["region_columns"] == ["DK_cortex_suvr", "DK_cortex_volume"]
    assert {path.name for path in made.iterdir()} == {"classifier.json", "classifier.safetensors"}
    command = ["classify", "predict", str(others), "--classifier", str(made), "--out", str(told)]
    assert main(command) == 0
    with (told / "predictions.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    right = [row["predicted"] == ("CN", "AD")[n % 2] for n, row in enumerate(rows)]
    assert len(rows) == 40
    assert np.mean(right) > 0.75
    assert all(float(r["p_CN"]) + float(r["p_AD"]) == pytest.approx(1, abs=1e-3) for r in rows)
    # a single subject is predicted as it is among others
    shutil.copytree(others / "sub-003", tmp_path / "one" / "sub-003")
    for name in ("participants.tsv", "group_regions.tsv"):
        shutil.copy(others / name, tmp_path / "one")
    command = ["classify", "predict", str(tmp_path / "one"), "--classifier", str(made)]
    assert main([*command, "--out", str(told)]) == 0
    with (told / "predictions.tsv").open() as file:
        assert list(csv.DictReader(file, delimiter="\t")) == [rows[3]]
    (made / "classifier.safetensors").write_bytes(b"something else")
    assert main([*command, "--out", str(told)]) == 1
    assert "train again" in capsys.readouterr().err


def test_a_network_is_trained_and_predicts(tmp_path, capsys):
    pytest.importorskip("lightning")
    pytest.importorskip("monai")
    root = write_derivatives(tmp_path / "out", [0, 1] * 10)
    made = tmp_path / "made"
    command = ["classify", "train", str(root), "--model", "cnn-simple", "--out", str(made)]
    command += ["--voxel", "2", "--folds", "3", "--epochs", "2", "--device", "cpu"]
    assert main([*command, "--input", "suvr+gm"]) == 0
    card = json.loads((made / "classifier.json").read_text())
    assert 1 <= card["chosen"]["epoch"] <= 2
    told = ["classify", "predict", str(root), "--classifier", str(made), "--out", str(tmp_path)]
    assert main(told) == 0
    with (tmp_path / "predictions.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 20
    assert len({row["p_AD"] for row in rows}) > 1
    assert main([*command, "--input", "suvr+age-sex"]) == 64
    assert "not tables" in capsys.readouterr().err
