"""A subject of a work directory belongs to one run at a time."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bids_app.claims import claimed
from bids_app.holders import SECONDS_OF_LIFE, read_holder, this_process
from bids_app.run import main
from fusionprep.errors import OutputError
from tests.bids.skeleton import PET_SIDECAR, pet, t1w, write_dataset
from tests.bids.test_concurrency import ROUNDS, at_once

RUNS = 3
HOLD = """
import sys, time
from pathlib import Path
from bids_app.claims import claimed
with claimed(Path(sys.argv[1]), sys.argv[2:], "theirs"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that has sub-01."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), "01"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def marks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_marks_are_there_while_a_run_is_and_no_longer(tmp_path):
    with claimed(tmp_path / "work", ["01", "a+b"], "mine") as claims:
        assert claims.labels == ["01", "a+b"]
        assert not claims.failures
        assert marks(tmp_path / "work") == [
            ".running-mine.json", ".running-sub-01", ".running-sub-a+b",
        ]  # fmt: skip
        assert claims.holds("01")
        claims.release("01")
        assert not claims.holds("01")
        assert marks(tmp_path / "work") == [".running-mine.json", ".running-sub-a+b"]
    assert marks(tmp_path / "work") == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, OSError])
def test_marks_go_whatever_ends_a_run(tmp_path, error):
    with pytest.raises(error), claimed(tmp_path, ["01"], "mine"):
        raise error
    assert marks(tmp_path) == []


def test_the_other_run_is_named(tmp_path, holder):
    told = json.loads((tmp_path / ".running-theirs.json").read_text("utf-8"))
    with pytest.raises(OutputError) as caught, claimed(tmp_path, ["01"], "mine"):
        pass
    line = str(caught.value)
    assert f"sub-01 is being processed in the work directory {tmp_path}" in line
    assert f"by process {holder.pid} on {told['host']} since {told['since']} (run theirs)" in line
    assert "wait for its end, or choose another work directory" in line
    assert "\n" not in line
    assert marks(tmp_path) == [".running-sub-01", ".running-theirs.json"]


def test_of_many_subjects_those_that_are_free_are_processed(tmp_path, holder):
    with claimed(tmp_path, ["01", "02", "03"], "mine") as claims:
        assert claims.labels == ["02", "03"]
        (failure,) = claims.failures
        assert (failure.subject, failure.code) == ("sub-01", 73)
        assert "theirs" in failure.message
    assert marks(tmp_path) == [".running-sub-01", ".running-theirs.json"]


def test_where_all_are_taken_one_line_says_so(tmp_path):
    with (
        claimed(tmp_path, ["01", "02", "03"], "theirs"),
        pytest.raises(OutputError, match=r"^sub-01 and 2 more are being processed"),
        claimed(tmp_path, ["01", "02", "03"], "mine"),
    ):
        pass


def test_subjects_side_by_side(tmp_path, holder):
    with claimed(tmp_path, ["02"], "mine") as claims:
        assert claims.labels == ["02"]


def test_a_killed_run_holds_nobody_up(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert marks(tmp_path) == [".running-sub-01", ".running-theirs.json"]
    started = time.monotonic()
    with claimed(tmp_path, ["01"], "mine") as claims:
        assert claims.labels == ["01"]
    assert time.monotonic() - started < 5
    assert marks(tmp_path) == []


def test_a_run_that_lost_its_subjects_leaves_those_of_others(tmp_path):
    with claimed(tmp_path, ["01"], "asleep") as claims:
        (tmp_path / ".running-asleep.json").unlink()
        with claimed(tmp_path, ["01"], "mine") as others:
            assert not claims.holds("01")
            claims.release("01")
            claims.end()
            assert others.holds("01")
            assert marks(tmp_path) == [".running-mine.json", ".running-sub-01"]


def taken_over(work: Path) -> None:
    """Another run finds no life in those that have subjects, and takes sub-01."""
    for pulse in work.glob(".running-*.json"):
        pulse.unlink()
    (work / ".running-sub-01").write_text("theirs")


@pytest.mark.parametrize("loses", [False, True])
def test_a_run_that_lost_a_subject_leaves_its_report_to_the_other(
    tmp_path, monkeypatch, capsys, loses
):
    images = [image(subject=label) for label in ("01", "02") for image in (t1w, pet)]
    write_dataset(tmp_path / "bids", *images, sidecar=PET_SIDECAR)
    out, work = tmp_path / "out", tmp_path / "work"

    def run_no_step(config, plans, run_uuid, finish, *, boilerplate_only):
        for plan in plans:
            (out / f"sub-{plan.label}").mkdir()
        if loses:
            taken_over(work)
            (out / "sub-01.html").write_text("theirs")
        for plan in plans:
            finish(plan, [], True)

    monkeypatch.setattr("bids_app.execution.build_and_run", run_no_step)
    options = ["participant", "-w", str(work), "--skip-bids-validation"]
    code = main([str(tmp_path / "bids"), str(out), *options])
    told = capsys.readouterr().err
    assert code == (73 if loses else 0), told
    assert told.count("another run took the subject over") == loses
    assert ((out / "sub-01.html").read_text() == "theirs") == loses
    assert "<html" in (out / "sub-02.html").read_text()
    assert (work / ".running-sub-01").exists() == loses


def test_a_sign_of_life_is_given_again_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr("bids_app.claims.SECONDS_OF_A_BEAT", 0.05)
    with claimed(tmp_path, ["01"], "mine"):
        pulse = tmp_path / ".running-mine.json"
        os.utime(pulse, (0, 0))
        deadline = time.monotonic() + 10
        while pulse.stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pulse.unlink()
        # a beat without its file, or with a server that is away, ends nothing
        time.sleep(0.2)


def test_cleaning_deletes_results_and_nothing_else(tmp_path):
    (tmp_path / "fusionprep_0_1_0_wf" / "sub_01_wf").mkdir(parents=True)
    (tmp_path / "mine.txt").touch()
    with claimed(tmp_path, ["01"], "mine", clean=True):
        assert marks(tmp_path) == [".running-mine.json", ".running-sub-01", "mine.txt"]
    assert marks(tmp_path) == ["mine.txt"]


def test_cleaning_while_another_run_is_there_is_refused(tmp_path, holder):
    (tmp_path / "fusionprep_0_1_0_wf").mkdir()
    before = marks(tmp_path)
    with (
        pytest.raises(OutputError, match=f"--clean-workdir would delete.* process {holder.pid} "),
        claimed(tmp_path, ["02"], "mine", clean=True),
    ):
        pass
    assert marks(tmp_path) == before
    holder.kill()
    holder.wait()
    with claimed(tmp_path, ["02"], "mine", clean=True):
        assert not (tmp_path / "fusionprep_0_1_0_wf").exists()


def test_a_run_waits_for_one_that_cleans(tmp_path, monkeypatch):
    monkeypatch.setattr("bids_app.claims.SECONDS_BETWEEN_LOOKS", 0.0)
    (tmp_path / ".cleaning").write_text("theirs")
    pulse = tmp_path / ".running-theirs.json"
    pulse.write_text(json.dumps(this_process("theirs")))
    looks = []

    def look(_: float) -> None:
        looks.append(1)
        if len(looks) == 3:
            pulse.unlink()

    monkeypatch.setattr("bids_app.claims.time.sleep", look)
    with claimed(tmp_path, ["01"], "mine"):
        assert len(looks) == 3


def test_what_a_process_tells_of_itself(tmp_path):
    told = this_process("r")
    assert told["pid"] == os.getpid()
    assert None not in told.values()
    pulse = tmp_path / ".running-r.json"
    pulse.write_text(json.dumps(told))
    holder = read_holder(pulse, pulse.stat().st_mtime + 10 * SECONDS_OF_LIFE)
    # it can be seen, so that its age does not count
    assert holder.alive
    assert "last sign of life" not in holder.description


def take(number: int, folder: Path, run: str, label: str) -> bool:
    work, tried = folder / f"work{number}", folder / f"tried{number}"
    tried.mkdir(exist_ok=True)
    try:
        with claimed(work, [label], run):
            (tried / run).touch()
            deadline = time.monotonic() + 30
            while len(list(tried.iterdir())) < RUNS and time.monotonic() < deadline:
                time.sleep(0.01)
            return True
    except OutputError:
        (tried / run).touch()
        return False


def left_by_the_dead(folder: Path) -> None:
    for number in range(ROUNDS):
        work = folder / f"work{number}"
        work.mkdir()
        (work / ".running-sub-01").write_text("dead")
        gone = this_process("dead") | {"ticks": 1}
        (work / ".running-dead.json").write_text(json.dumps(gone))


@pytest.mark.parametrize("dead", [False, True], ids=["free", "left by a dead run"])
def test_of_several_at_once_one_has_the_subject(tmp_path, dead):
    if dead:
        left_by_the_dead(tmp_path)
    found = at_once(take, [(tmp_path, f"run{i}", "01") for i in range(RUNS)])
    for number in range(ROUNDS):
        assert sum(own[number] for own in found) == 1
        assert marks(tmp_path / f"work{number}") == []


def test_several_subjects_at_once(tmp_path):
    found = at_once(take, [(tmp_path, f"run{i}", f"0{i}") for i in range(RUNS)])
    assert all(all(own) for own in found)


def test_thousands_of_subjects_take_a_moment(tmp_path):
    labels = [f"{number:05}" for number in range(2000)]
    started = time.process_time()
    with claimed(tmp_path, labels, "mine") as claims:
        assert len(claims.labels) == 2000
    assert time.process_time() - started < 10
    assert marks(tmp_path) == []
