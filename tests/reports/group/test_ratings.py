"""Ratings by people: the file, and what they leave out."""

import os

import pandas as pd
import pytest

from bids_app.run import main
from fusionprep.errors import DataError, NoInputError
from fusionprep.reports.group.ratings import Rating, read_ratings
from fusionprep.reports.group.report import write_group_report
from fusionprep.reports.group.rows import ScanEntry
from tests.reports.group.cohort import write_cohort

HEAD = "participant_id\tsession_id\tmodality\ttracer\treconstruction\trun\trating\tnote\n"


def _scan(participant: str, **values) -> ScanEntry:
    empty = dict.fromkeys(("session_id", "tracer", "reconstruction", "run", "task", "acquisition"))
    known = {"participant_id": participant, "modality": "PET", **empty, **values}
    return ScanEntry(known, None, "", ())


SCANS = [
    _scan("sub-01", tracer="FDG", run="1"),
    _scan("sub-01", tracer="FDG", run="2"),
    _scan("sub-01", modality="CT"),
    _scan("sub-02", session_id="ses-a", tracer="FDG"),
]


@pytest.fixture
def read(tmp_path):
    def from_text(text: str):
        path = tmp_path / "ratings.tsv"
        path.write_text(text, encoding="utf-8")
        return read_ratings(path, SCANS)

    return from_text


def test_rows_find_their_scans(read):
    ratings, warnings = read(
        HEAD
        + "sub-01\tn/a\tPET\tFDG\tn/a\t2\tfail\thead moved\n"
        + "sub-02\tses-a\tPET\tFDG\tn/a\tn/a\tn/a\tlook again\r\n"
    )
    assert ratings == {1: Rating("fail", "head moved"), 3: Rating(None, "look again")}
    assert not warnings


def test_a_column_that_is_not_there_is_for_any_value(read):
    ratings, _ = read("participant_id\trating\n01\treview\n")
    assert sorted(ratings) == [0, 1, 2]


def test_the_last_row_counts(read):
    ratings, _ = read("participant_id\tmodality\trating\nsub-01\tCT\tfail\nsub-01\tCT\tpass\n")
    assert ratings == {2: Rating("pass", "")}


def test_a_row_without_a_scan_is_told(read):
    ratings, (warning,) = read(HEAD + "sub-09\tn/a\tPET\tn/a\tn/a\tn/a\tfail\tn/a\n")
    assert not ratings
    assert warning == "ratings.tsv, line 2: no scan matches sub-09 PET"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column participant_id"),
        ("participant_id\tnote\n", "no column rating"),
        ("participant_id\trating\tcolour\n", "unknown columns: colour"),
        ("participant_id\trating\trating\n", "a column twice"),
        ("participant_id\trating\nsub-01\n", "line 2: 1 values for 2 columns"),
        ("participant_id\trating\nsub-01\tgood\n", "line 2: rating 'good' is not one of pass"),
    ],
)
def test_a_malformed_file_is_refused(read, text, message):
    with pytest.raises(DataError, match=message):
        read(text)


def test_a_file_that_is_no_text_or_not_there(tmp_path):
    (tmp_path / "ratings.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot read"):
        read_ratings(tmp_path / "ratings.tsv", SCANS)
    with pytest.raises(NoInputError, match="does not exist"):
        read_ratings(tmp_path / "missing.tsv", SCANS)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort")
    write_cohort(out, 12, with_ct=0)
    return out


def _run(out, text, capsys):
    (out / "ratings.tsv").write_text(text)
    code = main([str(out), str(out), "group", "--ratings", str(out / "ratings.tsv")])
    return code, capsys.readouterr()


def test_a_scan_rated_fail_is_left_out(cohort, capsys):
    text = "participant_id\trating\tnote\nsub-07\tfail\t<b>no</b>\nsub-99\tpass\tn/a\n"
    code, told = _run(cohort, text, capsys)
    assert code == 0
    assert told.err == "warning: ratings.tsv, line 3: no scan matches sub-99\n"
    table = pd.read_csv(cohort / "group_fusion.tsv", sep="\t", dtype=str, keep_default_na=False)
    rated = table[table.participant_id == "sub-07"]
    assert set(rated.rating) == {"fail"}
    assert set(rated.rating_note) == {"<b>no</b>"}
    assert set(rated.excluded) == {"true"}
    assert set(rated.outlier) == {"n/a"}
    html = (cohort / "group_fusion.html").read_text()
    assert "sub-07" not in html.split('id="first"')[1].split('id="scans"')[0]
    assert "PET FDG: 11, median" in html
    assert "rated fail, left out: &lt;b&gt;no&lt;/b&gt;" in html


def test_a_scan_that_a_person_passed_is_used_whatever_the_verdict(cohort, capsys):
    _run(cohort, "participant_id\trating\nsub-07\tpass\n", capsys)
    html = (cohort / "group_fusion.html").read_text()
    assert "MNI152NLin2009aSym_res-1: 12 scans" in html
    write_group_report(cohort)
    assert "MNI152NLin2009aSym_res-1: 11 scans" in (cohort / "group_fusion.html").read_text()


def test_bad_ratings_end_with_one_line_and_write_nothing(cohort, capsys):
    before = {path: path.stat().st_mtime_ns for path in cohort.glob("group_*")}
    code, told = _run(cohort, "participant_id\trating\nsub-01\tgood\n", capsys)
    assert code == 65
    assert told.err.startswith("fusionapp: error: ratings.tsv, line 2")
    assert told.err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in cohort.glob("group_*")} == before


def test_ratings_may_come_from_a_pipe(cohort, capsys):
    """As with a shell's <(…): read once, under the path given, which leads to no other."""
    reading, writing = os.pipe()
    os.write(writing, b"participant_id\trating\nsub-99\tpass\n")
    os.close(writing)
    code = main([str(cohort), str(cohort), "group", "--ratings", f"/dev/fd/{reading}"])
    os.close(reading)
    assert code == 0
    assert "no scan matches sub-99" in capsys.readouterr().err


def test_a_folder_in_place_of_ratings(cohort, capsys):
    assert main([str(cohort), str(cohort), "group", "--ratings", str(cohort)]) == 65
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "it is a folder" in told


def test_ratings_are_for_the_group_level(cohort, capsys, tmp_path):
    assert main([str(cohort), str(tmp_path), "participant", "--ratings", "x.tsv"]) == 64
    assert "--ratings is for the group level" in capsys.readouterr().err


def test_without_outputs_there_is_nothing_to_gather(tmp_path, capsys):
    assert main([str(tmp_path), str(tmp_path), "group"]) == 66
    assert "looked for folders sub-*" in capsys.readouterr().err


def test_crashes_of_a_run_that_left_no_report_are_told(tmp_path):
    (tmp_path / "sub-02").mkdir()
    for run, words in (("20260101", "old"), ("20260102", "corrupt image")):
        folder = tmp_path / "logs" / run
        folder.mkdir(parents=True)
        (folder / "crash-1.txt").write_text(
            f"Node: fusionprep_wf.sub_02_wf.n4\n\nfusionprep.errors.DataError: {words}\n"
        )
    assert main([str(tmp_path), str(tmp_path), "group"]) == 0
    html = (tmp_path / "group_fusion.html").read_text()
    incomplete = html.split('id="incomplete"')[1].split("</table>")[0]
    assert "corrupt image" in incomplete
    assert "old" not in incomplete
