"""What runs write down of their subjects, and what is read of it."""

import os

import pytest

from fusionprep.bids.run_record import read_courses, record_end, record_start
from tests.reports import outputs
from tests.validator import issues

RUN = "20260101-120000_run"


@pytest.fixture
def record(tmp_path):
    record_start(tmp_path, RUN, ["01", "a+b"])
    return tmp_path / "logs" / RUN / "subjects.tsv"


def test_a_run_that_ended_nobody(tmp_path, record):
    courses = read_courses(tmp_path)
    assert set(courses) == {"01", "a+b"}
    (course,) = courses["01"]
    assert (course.run, course.ended, course.errors) == (RUN, None, [])
    assert not course.finished


def test_ends_are_added_one_by_one(tmp_path, record):
    before = record.read_bytes()
    record_end(tmp_path, RUN, "01")
    record_end(tmp_path, RUN, "a+b", ["first\tline\nof two", "second"])
    assert record.read_bytes().startswith(before)
    courses = read_courses(tmp_path)
    assert courses["01"][0].finished
    assert courses["01"][0].ended >= courses["01"][0].started
    assert courses["a+b"][0].errors == ["first line of two", "second"]
    assert not courses["a+b"][0].finished


def test_it_is_a_table(tmp_path, record):
    record_end(tmp_path, RUN, "01", ["what"])
    header, *rows = record.read_text("utf-8").splitlines()
    columns = header.split("\t")
    assert columns == ["participant_id", "status", "time", "message"]
    assert {len(row.split("\t")) for row in rows} == {len(columns)}


def test_runs_are_in_the_order_of_their_starts(tmp_path, record):
    # of a machine whose clock was set to winter
    record_start(tmp_path, "20251231-120000_later", ["01"])
    assert [course.run for course in read_courses(tmp_path)["01"]] == [RUN, "20251231-120000_later"]


def test_an_end_after_half_a_line_is_a_line(tmp_path, record):
    with record.open("ab") as file:
        file.write(b"sub-01\tfini")
    record_end(tmp_path, RUN, "01")
    assert read_courses(tmp_path)["01"][0].finished


def test_an_end_without_a_start_counts(tmp_path):
    (tmp_path / "logs" / RUN).mkdir(parents=True)
    record_end(tmp_path, RUN, "01")
    assert read_courses(tmp_path)["01"][0].finished


def test_a_record_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        record_end(tmp_path, "no such run", "01")


@pytest.mark.parametrize("message", ["half a character \ud800", "Köln", "\0", "x" * 10**5])
def test_any_message_can_be_recorded(tmp_path, record, message):
    record_end(tmp_path, RUN, "01", [message])
    (course,) = read_courses(tmp_path)["01"]
    assert len(course.errors) == 1
    assert course.errors[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads anything")
def test_a_record_of_somebody_else_says_nothing(tmp_path, record):
    record.chmod(0)
    assert read_courses(tmp_path) == {}


def test_thousands_of_subjects_and_runs(tmp_path):
    labels = [f"{number:05}" for number in range(3000)]
    record_start(tmp_path, RUN, labels)
    for label in labels[:300]:
        record_start(tmp_path, f"20260102-{label}", [label])
    courses = read_courses(tmp_path)
    assert len(courses) == 3000
    assert len(courses["00000"]) == 2


def test_records_are_nothing_to_the_validator(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-01")
    (tmp_path / "dataset_description.json").write_text(
        '{"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "derivative",'
        ' "GeneratedBy": [{"Name": "fusionprep"}]}'
    )
    before = {(issue["code"], issue["location"]) for issue in issues(tmp_path)}
    record_start(tmp_path, RUN, ["01", "02"])
    record_end(tmp_path, RUN, "01")
    (tmp_path / ".bidsignore").write_text("/group_*\n")
    (tmp_path / "group_incomplete.tsv").write_text("participant_id\treason\nsub-02\tx\n")
    after = {(issue["code"], issue["location"]) for issue in issues(tmp_path)}
    assert not [place for _, place in after - before if "logs" in place or "group" in place]
    assert {code for code, _ in after} <= {code for code, _ in before}
