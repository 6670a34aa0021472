"""Body weight at a scan: units, sessions, rows that contradict each other."""

import json
from pathlib import Path

import pytest

from fusionprep.bids.body_weight import body_weight
from fusionprep.bids.types import ImageFile

POUND = 0.45359237


def weight_of(root, session=None, metadata=None):
    ses, folder = (f"_ses-{session}", f"ses-{session}/") if session else ("", "")
    path = root / f"sub-01/{folder}pet/sub-01{ses}_pet.nii.gz"
    entities = {"sub": "01", **({"ses": session} if session else {})}
    return body_weight(ImageFile(path, entities, "pet", metadata or {}), root)


def write(root: Path, name: str, *rows: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row.replace(" ", "\t") + "\n" for row in rows), "utf-8")


def describe(root: Path, name: str, **columns) -> None:
    (root / name).write_text(json.dumps(columns), "utf-8")


@pytest.mark.parametrize(
    ("column", "cell", "about", "kg"),
    [
        ("weight", "154", {"Units": "lb"}, 154 * POUND),
        ("weight", "154", {"Units": "lbs"}, 154 * POUND),
        ("weight", "154", {"units": "Pounds"}, 154 * POUND),
        ("weight", "154", {"Description": "body weight in pounds"}, 154 * POUND),
        ("weight", "70000", {"Units": "g"}, 70),
        ("weight", "11", {"Units": "stone"}, 11 * 6.35029318),
        ("weight", "70", {"Units": "kg"}, 70),
        ("weight", "70", {"Description": "at the visit"}, 70),
        ("weight_lb", "154", {}, 154 * POUND),
        ("Weight(lbs)", "154", {}, 154 * POUND),
        ("weight_kg", "70", {}, 70),
        ("BodyWeight", "77.5kg", {}, 77.5),
        ("weight", "77,5", {}, 77.5),
        ("weight", "170lb", {}, 170 * POUND),
        ("weight", "77.5kg", {"Units": "kg"}, 77.5),
        ("weight", "154", "lb", 154 * POUND),
    ],
)
def test_units_of_participants(tmp_path, column, cell, about, kg):
    write(tmp_path, "participants.tsv", f"participant_id {column}", f"sub-01 {cell}")
    describe(tmp_path, "participants.json", **{column: about})
    assert weight_of(tmp_path).kg == pytest.approx(kg)


@pytest.mark.parametrize(
    ("column", "cell", "about", "problem"),
    [
        ("weight", "154", {"Units": "furlong"}, "weight is 154 in 'furlong', an unknown unit"),
        ("weight_kg", "154", {"Units": "lb"}, "weight_kg is 154 both in lb and in kg"),
        ("weight", "154lb", {"Units": "kg"}, "weight is 154lb both in lb and in kg"),
        ("weight", "heavy", {}, "weight is 'heavy', not a number"),
        ("weight", "70000", {}, "the body weight of 7e+04 kg is outside 0.5 to 350 kg"),
        ("weight", "70", {"Units": "g"}, "the body weight of 0.07 kg is outside"),
        ("weight", "-70", {}, "the body weight of -70 kg is outside"),
        ("weight", "0", {}, "the body weight is 0 in participants.tsv"),
        ("weight", "n/a", {}, "the body weight is not given"),
    ],
)
def test_weights_that_cannot_be(tmp_path, column, cell, about, problem):
    write(tmp_path, "participants.tsv", f"participant_id {column}", f"sub-01 {cell}")
    describe(tmp_path, "participants.json", **{column: about})
    found = weight_of(tmp_path)
    assert found.kg is None
    assert problem in found.problem


def test_a_column_of_units(tmp_path):
    write(tmp_path, "participants.tsv", "participant_id weight weight_unit", "sub-01 154 lb")
    assert weight_of(tmp_path).kg == pytest.approx(154 * POUND)


ROWS = ("participant_id session_id weight", "sub-01 ses-a 60", "sub-01 ses-b 72", "sub-02 ses-a 90")


@pytest.mark.parametrize(("session", "kg"), [("a", 60), ("b", 72), ("A", 60)])
def test_a_row_for_each_session(tmp_path, session, kg):
    write(tmp_path, "participants.tsv", *ROWS)
    assert weight_of(tmp_path, session).kg == kg


@pytest.mark.parametrize("session", ["c", None])
def test_rows_that_differ_and_none_of_the_session_give_no_weight(tmp_path, session):
    write(tmp_path, "participants.tsv", *ROWS)
    found = weight_of(tmp_path, session)
    assert found.kg is None
    assert "it is 60 kg in participants.tsv (session ses-a), 72 kg" in found.problem


def test_rows_without_sessions_that_differ_give_no_weight(tmp_path):
    write(tmp_path, "participants.tsv", "participant_id weight", "sub-01 60", "sub-01 72")
    assert "60 kg in participants.tsv, 72 kg" in weight_of(tmp_path, "a").problem


def test_rows_that_agree_give_the_weight_and_whose_it_is(tmp_path):
    write(tmp_path, "participants.tsv", ROWS[0], "sub-01 1 60", "sub-01 2 60")
    found = weight_of(tmp_path, "03")
    assert found.kg == 60
    assert "that of session 1: there is none of ses-03" in found.notes[0]
    assert weight_of(tmp_path, "01").notes == ()


def test_the_nearest_table_comes_first(tmp_path):
    write(tmp_path, "participants.tsv", "participant_id weight", "sub-01 60")
    assert weight_of(tmp_path, "a").kg == 60
    sessions = "sub-01/sub-01_sessions.tsv"
    write(tmp_path, sessions, "session_id weight", "ses-a 143", "ses-b 90")
    describe(tmp_path, "sessions.json", weight={"Units": "lb"})
    assert weight_of(tmp_path, "a").kg == pytest.approx(143 * POUND)
    write(
        tmp_path,
        "sub-01/ses-a/sub-01_ses-a_scans.tsv",
        "filename weight",
        "pet/sub-01_ses-a_pet.nii.gz 66",
        "anat/sub-01_ses-a_T1w.nii.gz 99",
    )
    assert weight_of(tmp_path, "a").kg == 66
    assert weight_of(tmp_path, "a", {"BodyWeight": "67 kg"}).kg == 67
    assert weight_of(tmp_path, "a", {"PatientWeight": 0}).kg == 66


def test_weights_of_one_scan_that_contradict_give_none(tmp_path):
    write(tmp_path, "sub-01/sub-01_sessions.tsv", "session_id weight", "ses-a 70")
    found = weight_of(tmp_path, "a", {"BodyWeight": 154})
    assert found.kg is None
    assert "154 kg in the sidecar, 70 kg in sub-01_sessions.tsv" in found.problem


def test_a_weight_far_from_that_of_the_participant_is_doubtful(tmp_path):
    write(tmp_path, "participants.tsv", "participant_id weight", "sub-01 70")
    assert weight_of(tmp_path, None, {"BodyWeight": 90}).doubts == ()
    found = weight_of(tmp_path, None, {"BodyWeight": 154})
    assert found.kg == 154
    assert "154 kg is not that of participants.tsv, 70 kg" in found.doubts[0]


@pytest.mark.parametrize(
    ("age", "units", "doubtful"),
    [
        ("38", None, True),
        ("89+", None, True),
        ("038Y", None, True),
        ("60-65", None, True),
        (">89", None, True),
        ("456", "months", True),
        ("6", None, False),
        ("72", "months", False),
    ],
)
def test_an_adult_of_21_kg_has_to_be_looked_at(tmp_path, age, units, doubtful):
    write(tmp_path, "participants.tsv", "participant_id age weight", f"sub-01 {age} 21")
    describe(tmp_path, "participants.json", age={"Units": units} if units else {})
    found = weight_of(tmp_path)
    assert found.kg == 21
    assert any("an adult of 21 kg is outside 35 to 250 kg" in d for d in found.doubts) == doubtful


def test_the_text_about_an_age_is_not_its_unit(tmp_path):
    write(tmp_path, "participants.tsv", "participant_id age weight", "sub-01 38 21")
    describe(tmp_path, "participants.json", age={"Description": "on the day of the scan"})
    assert weight_of(tmp_path).doubts


def test_without_an_age_21_kg_is_a_note(tmp_path):
    write(tmp_path, "participants.tsv", "participant_id weight", "sub-01 21")
    assert "no age is given" in weight_of(tmp_path).notes[0]


def test_a_table_in_utf16_is_read(tmp_path):
    rows = "participant_id\tweight\r\nsub-01\t64\r\n"
    for encoding in ("utf-16", "utf-16-le", "utf-8-sig"):
        (tmp_path / "participants.tsv").write_text(rows, encoding, newline="")
        assert weight_of(tmp_path).kg == 64


def test_a_table_that_was_not_fetched_is_the_reason(tmp_path):
    (tmp_path / "participants.tsv").symlink_to(".git/annex/objects/xx/MD5E-s1--x.tsv")
    assert "participants.tsv is a link to a file that is not there" in weight_of(tmp_path).problem
    assert weight_of(tmp_path, None, {"BodyWeight": 64}).kg == 64


def test_a_table_that_cannot_be_read_is_the_reason(tmp_path):
    (tmp_path / "participants.tsv").write_bytes(b"participant_id\n" + b"x" * 200_000)
    assert "participants.tsv cannot be read (not a table" in weight_of(tmp_path).problem


def test_a_description_that_cannot_be_read_leaves_the_unit_unknown(tmp_path):
    write(tmp_path, "participants.tsv", "participant_id weight", "sub-01 64")
    (tmp_path / "participants.json").write_text("{", "utf-8")
    assert "participants.json cannot be read" in weight_of(tmp_path).problem
