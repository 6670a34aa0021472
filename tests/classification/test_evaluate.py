"""``fusionprep classify evaluate`` on tiny derivatives with a planted effect."""

import csv
import json

import numpy as np
import pytest

from fusionprep.cli import main
from tests.classification.derivatives import write_derivatives


@pytest.fixture(name="root", scope="module")
def _root(tmp_path_factory):
    return write_derivatives(tmp_path_factory.mktemp("data") / "out", [0, 1] * 24, sites=12)


def evaluate(root, out, *options):
    return main(["classify", "evaluate", str(root), "--out", str(out), *map(str, options)])


def test_the_whole_command(root, tmp_path):
    inputs = ("suvr", "gm", "suvr+gm", "average", "regions", "age-sex")
    out = tmp_path / "found"
    assert evaluate(root, out, "--inputs", *inputs, "--permutations", 200) == 0
    found = json.loads((out / "results.json").read_text())
    assert found["classes"] == {"CN": 24, "AD": 24}
    assert found["positive"] == "AD"
    rows = {row["input"]: row for row in found["results"]}
    assert list(rows) == list(inputs)
    for row in rows.values():
        for name in ("auc", "balanced_accuracy", "sensitivity", "specificity", "brier"):
            value, low, high = row[name]
            assert low <= value <= high
            assert high > low
    assert rows["suvr+gm"]["auc"][1] > 0.5
    assert rows["suvr+gm"]["p_permutation"] == pytest.approx(1 / 201)
    assert rows["suvr+gm"]["auc"][0] > rows["gm"]["auc"][0]
    assert len(found["differences"]) == 15
    table = list(csv.DictReader((out / "predictions.tsv").open(), delimiter="\t"))
    assert len(table) == 6 * 48
    chances = [float(r["p_CN"]) + float(r["p_AD"]) for r in table]
    assert chances == pytest.approx([1] * len(table), abs=1e-4)
    page = (out / "report.html").read_text()
    assert page.count("<svg") == 1 + 2 * 6
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_same_seed_gives_the_same_results(root, tmp_path):
    for name in ("one", "other"):
        options = ("--inputs", "suvr", "--permutations", 3, "--models", "ridge", "svm", "logistic")
        assert evaluate(root, tmp_path / name, *options) == 0
    one, other = ((tmp_path / n / "results.json").read_text() for n in ("one", "other"))
    assert one == other
    assert len(json.loads(one)["differences"]) == 3


def test_sites_stay_in_one_fold(root, tmp_path):
    options = ("--inputs", "suvr", "--group", "site", "--folds", 3, "--permutations", 50)
    assert evaluate(root, tmp_path, *options) == 0
    table = list(csv.DictReader((tmp_path / "predictions.tsv").open(), delimiter="\t"))
    people = list(csv.DictReader((root / "participants.tsv").open(), delimiter="\t"))
    site = {row["participant_id"]: row["site"] for row in people}
    folds = {}
    for row in table:
        folds.setdefault(site[row["participant_id"]], set()).add(row["fold"])
    assert all(len(each) == 1 for each in folds.values())


def test_three_classes(tmp_path):
    root = write_derivatives(tmp_path / "out", [0, 1, 2] * 8, classes=("CN", "MCI", "AD"))
    options = ("--inputs", "suvr+gm", "--folds", 4, "--permutations", 30)
    assert evaluate(root, tmp_path, *options, "--classes", "CN", "MCI", "AD") == 0
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["positive"] is None
    row = found["results"][0]
    assert set(row["recognised"]) == set(row["reliability"]) == {"CN", "MCI", "AD"}
    assert np.diff(row["auc"][1:])[0] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--inputs", "mri"), "'mri' is not an input"),
        (("--inputs", "suvr", "--target", "dx"), "no column 'dx'"),
        (("--inputs", "suvr", "--folds", 20), "fewer --folds"),
        (("--inputs", "suvr", "--participants", "none.tsv"), "none.tsv lists no participants"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(root, tmp_path, capsys, options, message):
    assert evaluate(root, tmp_path, *options) in (1, 64)
    assert message in capsys.readouterr().err
