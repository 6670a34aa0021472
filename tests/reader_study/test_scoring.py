"""Answers read, checked and scored."""

import json

import numpy as np
import pytest

from fusionprep.cli import main
from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.reader_study.answers import COLUMNS, read_answers, read_key
from fusionprep.reader_study.lesions import Kind
from fusionprep.reader_study.page import write_study
from fusionprep.reader_study.request import StudyRequest
from fusionprep.reader_study.scoring import score
from fusionprep.reader_study.study import make_study
from fusionprep.reader_study.views import Conditions
from tests.reader_study.pairs import write_pairs


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    views = Conditions(models=("average", "max"))
    pairs = write_pairs(root, 30)
    study = make_study(StudyRequest(pairs, None, views, images=20, kind=Kind(3.0, 0.5)))
    write_study(study, root / "out")
    return root / "out" / "key.json"


def answer(key, trial, told, *, right=True, off=0.0, rating=None):
    """A row of answers."""
    images = [key["Images"][name] for name in told["Images"]]
    row = dict.fromkeys(COLUMNS, "n/a") | {
        "study": key["Study"], "reader": "AB", "order": "1", "trial": trial, "task": told["Task"],
        "left": told["Images"][0], "seconds": "4.00",
    }  # fmt: skip
    if told["Task"] == "choose":
        wanted = next(
            name for name, image in zip(told["Images"], images, strict=True)
            if (image["Lesion"] is not None) == right
        )  # fmt: skip
        return row | {"right": told["Images"][1], "chosen": wanted}
    lesion = images[0]["Lesion"]
    if rating is None:
        rating = 5 if (lesion is not None) == right else 0
    x, y = lesion["Place"] if lesion else (3, 3)
    place = {"x": f"{x + off:.2f}", "y": f"{y:.2f}"} if rating else {}
    return row | {"rating": str(rating)} | place


def write(path, rows):
    lines = [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)]
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    return path


def rows_of(made, choose=None):
    key = json.loads(made.read_text())
    choose = choose or (lambda *_: {})
    return [answer(key, name, told, **choose(key, told)) for name, told in key["Trials"].items()]


def scored(made, paths, **options):
    key = read_key(made)
    return {
        each.measure.name: each for each in score(key, read_answers(paths, key), **options).scored
    }


def test_a_reader_without_fault(made, tmp_path):
    found = scored(made, [write(tmp_path / "a.tsv", rows_of(made))])
    for name in ("proportion_correct", "lroc_area", "lesions_found"):
        assert [each.value for each in found[name].conditions] == [1, 1]
        assert all(0.6 < each.low < 1 for each in found[name].conditions)
    assert [each.value for each in found["false_marks"].conditions] == [0, 0]
    assert [each.value for each in found["seconds_mark"].conditions] == pytest.approx([4, 4])


def test_a_condition_in_which_nothing_is_right(made, tmp_path):
    def worse_with_max(key, told):
        return {"right": key["Images"][told["Images"][0]]["Condition"] != "max"}

    found = scored(made, [write(tmp_path / "a.tsv", rows_of(made, worse_with_max))])
    assert [each.value for each in found["proportion_correct"].conditions] == [1, 0]
    assert found["proportion_correct"].differences[0].estimate.value == 1
    assert [each.value for each in found["lroc_area"].conditions] == [1, 0]


def test_the_radius_decides_what_is_found(made, tmp_path):
    path = write(tmp_path / "a.tsv", rows_of(made, lambda *_: {"off": 6}))
    assert scored(made, [path])["lesions_found"].conditions[0].value == 1
    assert scored(made, [path], radius=5)["lesions_found"].conditions[0].value == 0
    chance = scored(made, [path])["lroc_area"].measure.chance
    smaller = scored(made, [path], radius=3.75)["lroc_area"].measure.chance
    assert smaller == pytest.approx(chance / 4)


def test_times_are_compared_as_ratios(made, tmp_path):
    key, rows = json.loads(made.read_text()), rows_of(made)
    rng = np.random.default_rng(0)
    for row in rows:
        factor = 2 if key["Images"][row["left"]]["Condition"] == "max" else 1
        row["seconds"] = f"{factor * 5 * np.exp(0.1 * rng.standard_normal()):.3f}"
    found = scored(made, [write(tmp_path / "a.tsv", rows)])["seconds_mark"]
    assert found.conditions[0].value == pytest.approx(5, rel=0.1)
    ratio = found.differences[0].estimate
    assert ratio.low < 0.5 < ratio.high
    assert ratio.high < 0.6


def test_several_readers_and_the_files(made, tmp_path, capsys):
    rng = np.random.default_rng(0)
    paths = []
    for name in ("AB", "CD", "EF"):
        rows = rows_of(made, lambda *_: {"right": rng.random() < 0.8})
        paths.append(write(tmp_path / f"{name}.tsv", [row | {"reader": name} for row in rows]))
    command = ["reader-study", "score", str(made), *map(str, paths), "--out", str(tmp_path / "s")]
    assert main(command) == 0
    assert "other readers like these 3" in capsys.readouterr().out
    table = [line.split("\t") for line in (tmp_path / "s" / "scores.tsv").read_text().splitlines()]
    told = json.loads((tmp_path / "s" / "scores.json").read_text())
    assert len(told["Measures"]) == len(table) - 1
    own = [
        float(line[4])
        for line in table
        if line[:2] == ["proportion_correct", "max"] and line[3] != "all"
    ]
    whole = next(line for line in table if line[:2] == ["proportion_correct", "max"])
    assert float(whole[4]) == pytest.approx(np.mean(own), abs=1e-5)
    assert float(whole[5]) < float(whole[4]) < float(whole[6])
    assert {line[0] for line in table} >= {"kappa_correct", "kappa_marked", "icc_ratings"}
    page = (tmp_path / "s" / "scores.html").read_text()
    assert "95%" in page
    assert "other patients like these" in page


PROBLEMS = {
    "another study": (
        lambda rows: [row | {"study": "0123456789ab"} for row in rows],
        r"line 2: answers of the study '0123456789ab', but the key is of",
    ),
    "a row twice": (lambda rows: [*rows, rows[3]], r"line \d+: trial \w+ is there twice.* line 5"),
    "missing": (lambda rows: rows[:-2], r"lacks 2 of the \d+ trials, e.g. \w+; finish the study"),
    "unknown": (lambda rows: [rows[0] | {"trial": "x"}, *rows], "the study has no trial 'x'"),
    "two readers": (lambda rows: [rows[0] | {"reader": "CD"}, *rows[1:]], "answers of AB, CD"),
    "rating": (lambda rows: [row | {"rating": "7"} for row in rows], "'7' is not one of 0 to 5"),
    "place": (
        lambda rows: [row | {"x": "-3"} if row["x"] != "n/a" else row for row in rows],
        r"\('-3', '[\d.]+'\) is not a place in the image",
    ),
    "time": (lambda rows: [row | {"seconds": "soon"} for row in rows], "'soon' is not a time"),
    "chosen": (lambda rows: [row | {"chosen": "n/a"} for row in rows], "is not one of the two"),
    "images": (lambda rows: [row | {"left": "abc"} for row in rows], "task or images are not"),
    "empty": (lambda rows: rows[:0], "has no answers"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_answers_that_cannot_be_used_say_why(made, tmp_path, name):
    change, words = PROBLEMS[name]
    path = write(tmp_path / "answers.tsv", change(rows_of(made)))
    with pytest.raises(DataError, match=words) as caught:
        read_answers([path], read_key(made))
    assert "answers.tsv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(made, tmp_path):
    path = write(tmp_path / "a.tsv", rows_of(made))
    key = read_key(made)
    with pytest.raises(UsageError, match="both of the reader AB"):
        read_answers([path, path], key)
    with pytest.raises(NoInputError, match="there is no"):
        read_answers([tmp_path / "none.tsv"], key)
    with pytest.raises(DataError, match="has no column"):
        read_answers([made], key)
    with pytest.raises(NoInputError, match="there is no"):
        read_key(tmp_path / "none.json")
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(DataError, match="is not the key of a reader study"):
        read_key(other)
    told = json.loads(made.read_text())
    told["Trials"].popitem()
    other.write_text(json.dumps(told))
    with pytest.raises(DataError, match="is damaged"):
        read_key(other)
