"""Subjects whose run was cut off: the group level names every one, and no other."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fusionprep.bids.run_record import record_end, record_start
from tests.app.runs import CHEAP, command
from tests.faults.attacks import Attack, Scene, attempt, stands
from tests.reports import outputs

FIRST, SECOND = "20260101-120000_run", "20260102-120000_run"
CUT = "not finished"


@dataclass(frozen=True)
class Case:
    """What runs have left, and what the group level has to say.

    Attributes
    ----------
    prepare
        Leaves it in an output folder.
    incomplete
        Label to a part of the reason; nobody else is incomplete.
    """

    prepare: Callable[[Path], object]
    incomplete: dict[str, str]


def results(out: Path, *labels: str) -> None:
    for label in labels:
        outputs.write_anatomy(out, f"sub-{label}")
        outputs.write_pet(out, f"sub-{label}")
        (out / f"sub-{label}.html").write_text("<p>report</p>")


def told(out: Path, run: str, **options: object) -> None:
    folder = out / "logs" / run
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    (folder / "fusionprep.toml").write_text("\n".join(lines))


def ran(out: Path, run: str, *labels: str, ended: tuple[str, ...] = (), **options: object) -> None:
    """A run over some subjects that came to the end of some of them."""
    told(out, run, **{"models": ["readfuse"], **options})
    record_start(out, run, labels)
    for label in ended:
        record_end(out, run, label)


def cut_before_any(out: Path) -> None:
    ran(out, FIRST, "01", "02")


def cut_after_one(out: Path) -> None:
    ran(out, FIRST, "01", "02", ended=("01",))
    results(out, "01")


def cut_half_way(out: Path) -> None:
    ran(out, FIRST, "01", "02", ended=("01",))
    results(out, "01", "02")
    (out / "sub-02.html").unlink()


def finished_later(out: Path) -> None:
    cut_half_way(out)
    ran(out, SECOND, "02", ended=("02",))
    results(out, "02")


def finished_and_cut_when_repeated(out: Path) -> None:
    results(out, "01")
    ran(out, FIRST, "01", ended=("01",), nprocs=4)
    ran(out, SECOND, "01", nprocs=1, participant_label=["01"])


def finished_and_cut_with_another_model(out: Path) -> None:
    results(out, "01")
    ran(out, FIRST, "01", ended=("01",))
    ran(out, SECOND, "01", models=["selfuse"])


def damaged_options(out: Path) -> None:
    finished_and_cut_when_repeated(out)
    (out / "logs" / SECOND / "fusionprep.toml").write_bytes(b"\xff[")


def failed(out: Path) -> None:
    results(out, "01")
    ran(out, FIRST, "01", "02", ended=("01",))
    record_end(out, FIRST, "02", ["T1w is empty\tfrom\nend to end", "/data/x/y.nii.gz is corrupt"])


def failed_then_finished(out: Path) -> None:
    failed(out)
    ran(out, SECOND, "02", ended=("02",))
    results(out, "02")


def failed_then_cut(out: Path) -> None:
    failed(out)
    ran(out, SECOND, "02", models=["selfuse"])


def finished_then_failed(out: Path) -> None:
    results(out, "01", "02")
    ran(out, FIRST, "01", "02", ended=("01", "02"))
    ran(out, SECOND, "02")
    record_end(out, SECOND, "02", ["the disk is full"])


def removed(out: Path) -> None:
    results(out, "01")
    ran(out, FIRST, "01", "02", ended=("01", "02"))


def array_job(out: Path) -> None:
    results(out, *(f"{number:02}" for number in range(1, 4)))
    for number in range(1, 5):
        label = f"{number:02}"
        ran(out, f"2026010{number}_job", label, ended=(label,) if number < 4 else ())


def half_a_line(out: Path) -> None:
    """The disk was full, or the machine went down, while the end was written."""
    results(out, "01", "02")
    ran(out, FIRST, "01", "02", ended=("01",))
    with (out / "logs" / FIRST / "subjects.tsv").open("a") as record:
        record.write("sub-02\tfinis")


def after_half_a_line(out: Path) -> None:
    half_a_line(out)
    record_end(out, FIRST, "02")


def without_records(out: Path) -> None:
    results(out, "01")
    told(out, FIRST)


def record_of_header(out: Path) -> None:
    results(out, "01")
    ran(out, FIRST)


def record_removed(out: Path) -> None:
    cut_half_way(out)
    shutil.rmtree(out / "logs")


def unknown_words(out: Path) -> None:
    results(out, "01")
    ran(out, FIRST, "01", ended=("01",))
    with (out / "logs" / FIRST / "subjects.tsv").open("a") as record:
        record.write("sub-01\tpostponed\t2099\t\nsub-09\nnobody\tstarted\n\n\tx\n")


def windows_lines(out: Path) -> None:
    cut_after_one(out)
    path = out / "logs" / FIRST / "subjects.tsv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def with_plus(out: Path) -> None:
    results(out, "a+b")
    ran(out, FIRST, "a+b", "c+d", ended=("a+b",))


def two_at_once(out: Path) -> None:
    """Two runs with different subjects, one of which was cut off."""
    results(out, "01")
    told(out, FIRST)
    told(out, SECOND)
    record_start(out, FIRST, ["01"])
    record_start(out, SECOND, ["02"])
    record_end(out, FIRST, "01")


def many(out: Path) -> None:
    ran(out, FIRST, *(f"{number:03}" for number in range(30)))


CASES = {
    "cut-before-any-output": Case(cut_before_any, {"01": CUT, "02": CUT}),
    "cut-after-one-subject": Case(cut_after_one, {"02": CUT}),
    "cut-half-way": Case(cut_half_way, {"02": CUT}),
    "finished-by-a-later-run": Case(finished_later, {}),
    "repeated-and-cut": Case(finished_and_cut_when_repeated, {}),
    "other-model-and-cut": Case(finished_and_cut_with_another_model, {"01": "other options"}),
    "cut-with-damaged-options": Case(damaged_options, {"01": CUT}),
    "failed": Case(failed, {"02": "T1w is empty from end to end; …/y.nii.gz is corrupt"}),
    "failed-then-finished": Case(failed_then_finished, {}),
    "failed-then-cut": Case(failed_then_cut, {"02": CUT}),
    "finished-then-failed": Case(finished_then_failed, {"02": "the disk is full"}),
    "outputs-removed": Case(removed, {"02": "its outputs were removed"}),
    "array-job": Case(array_job, {"04": CUT}),
    "half-a-line": Case(half_a_line, {"02": CUT}),
    "after-half-a-line": Case(after_half_a_line, {}),
    "of-an-earlier-version": Case(without_records, {}),
    "nobody-asked-for": Case(record_of_header, {}),
    "logs-removed": Case(record_removed, {}),
    "unknown-words": Case(unknown_words, {}),
    "windows-lines": Case(windows_lines, {"02": CUT}),
    "label-with-plus": Case(with_plus, {"c+d": CUT}),
    "two-at-once": Case(two_at_once, {"02": CUT}),
    "thirty": Case(many, {f"{number:03}": CUT for number in range(30)}),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_the_group_level_names_all_who_are_incomplete(case, scene):
    case.prepare(scene.out)
    run = attempt(scene, level="group")
    stands(run, Attack("", lambda _: ()))
    header, *rows = (scene.out / "group_incomplete.tsv").read_text("utf-8").splitlines()
    assert header == "participant_id\treason"
    found = dict(row.split("\t") for row in rows)
    assert set(found) == {f"sub-{label}" for label in case.incomplete}
    html = (scene.out / "group_fusion.html").read_text("utf-8")
    listed = html.split('id="incomplete"')[1].split("<details>")[0]
    for label, reason in case.incomplete.items():
        assert reason in found[f"sub-{label}"]
        assert f"sub-{label}" in listed
    warned = "incomplete: " in run.stderr
    assert warned == bool(case.incomplete)
    if warned:
        assert f"warning: {len(found)} of " in run.stderr


def test_the_terminal_names_some_of_many(scene):
    many(scene.out)
    (line,) = attempt(scene, level="group").stderr.splitlines()
    assert line == (
        "warning: 30 of 30 participants are incomplete: sub-000, sub-001, sub-002, sub-003,"
        " sub-004, sub-005, sub-006, sub-007, sub-008, sub-009 and 20 more"
        " (reasons in group_incomplete.tsv)"
    )


def cut(scene: Scene, number: signal.Signals) -> None:
    """Start a run of two subjects and end it as soon as it has said whom it processes."""
    process = subprocess.Popen(
        command(scene.bids, scene.out, "participant", scene.work, ()),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 60
    while not list(scene.out.glob("logs/*/subjects.tsv")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, number)
    process.wait(60)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_a_run_that_ends_before_its_first_output_leaves_its_subjects_named(number, scene):
    cut(scene, number)
    assert not (scene.out / "sub-01").exists()
    run = attempt(scene, level="group")
    assert run.code == 0
    assert "2 of 2 participants are incomplete: sub-01, sub-02" in run.stderr
    assert (scene.out / "group_incomplete.tsv").read_text("utf-8").count(CUT) == 2


def test_subjects_that_fail_are_recorded_with_their_reason(scene):
    """Images of zeros fail; each subject's end is written down."""
    run = attempt(scene, *CHEAP, "--participant-label", "02")
    assert run.code == 65
    (record,) = scene.out.glob("logs/*/subjects.tsv")
    rows = [line.split("\t") for line in record.read_text("utf-8").splitlines()]
    assert rows[0] == ["participant_id", "status", "time", "message"]
    assert [row[:2] for row in rows[1:3]] == [["sub-02", "started"], ["sub-02", "failed"]]
    assert "sub-02_" in rows[2][3]


def test_methods_alone_make_nobody_incomplete(scene):
    options = ("--boilerplate-only", "--skip-bids-validation", "--fusion-model", "average")
    assert attempt(scene, *options).code == 0
    assert not list(scene.out.glob("logs/*/subjects.tsv"))
