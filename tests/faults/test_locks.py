"""Marks in a work directory by which a run has its subjects to itself: of the living and the dead.

A mark of a run that is alive is respected; that of a dead one holds nobody up, nor does what is not
a mark.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bids_app.claims import claimed
from bids_app.holders import SECONDS_OF_LIFE, this_process
from fusionprep.errors import OutputError
from tests.app.runs import CHEAP, command
from tests.faults.attacks import Attack, Scene, attempt, in_table, stands
from tests.faults.obstacles import dangling, device, file, full_folder, holding, loop, pipe
from tests.faults.processes import heed_signals

MARK, PULSE = ".running-sub-01", ".running-theirs.json"
Prepare = Callable[[Scene], list[str]]


def told(age: float = 0.0, **changes: Any) -> Prepare:
    """The mark of another run, which tells this of itself and showed life that long ago."""

    def prepare(scene: Scene) -> list[str]:
        scene.work.mkdir()
        (scene.work / MARK).write_text("theirs")
        pulse = scene.work / PULSE
        pulse.write_text(json.dumps(this_process("theirs") | changes))
        os.utime(pulse, (time.time() - age,) * 2)
        return []

    return prepare


def with_pulse(place: Callable[[Path], None], age: float = 0.0) -> Prepare:
    def prepare(scene: Scene) -> list[str]:
        scene.work.mkdir()
        (scene.work / MARK).write_text("theirs")
        place(scene.work / PULSE)
        if not (scene.work / PULSE).is_symlink():
            os.utime(scene.work / PULSE, (time.time() - age,) * 2)
        return []

    return prepare


def with_mark(place: Callable[[Path], None], name: str = MARK) -> Prepare:
    def prepare(scene: Scene) -> list[str]:
        place(scene.work / name)
        return []

    return prepare


def ended(scene: Scene) -> list[str]:
    process = subprocess.Popen(["true"])
    process.wait()
    return told(pid=process.pid)(scene)


def zombie(scene: Scene) -> list[str]:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return told(pid=pid, ticks=int(fields[19]))(scene)


OLD, FRESH = 2 * SECONDS_OF_LIFE, SECONDS_OF_LIFE / 3
DEAD = {
    "lock-ended": Attack("a process that has ended", ended),
    "lock-zombie": Attack("a process that has ended and was not waited for", zombie),
    "lock-id-used-again": Attack("another process has its id", told(ticks=1)),
    "lock-id-of-init": Attack("process 1 has its id", told(pid=1, ticks=1)),
    "lock-id-too-large": Attack("an id that no process can have", told(pid=10**30)),
    "lock-other-host-old": Attack("another host, long ago", told(OLD, host="node7")),
    "lock-other-boot-old": Attack("before the host was started", told(OLD, boot="b")),
    "lock-other-container-old": Attack("a container, long ago", told(OLD, namespace="pid:[1]")),
    "lock-no-proc-old": Attack("no /proc, long ago", told(OLD, boot=None, namespace=None)),
    "lock-future": Attack("a clock that was wrong", told(-100 * OLD, host="node7")),
    "lock-no-pulse": Attack("no sign of life", with_mark(holding(b"theirs"))),
    "lock-pulse-pipe": Attack("a pipe as sign of life", with_pulse(pipe)),
    "lock-pulse-device": Attack("a device as sign of life", with_pulse(device)),
    "lock-pulse-dangling": Attack("a link to nothing as sign of life", with_pulse(dangling)),
    "lock-pulse-damaged-old": Attack("garbage, long ago", with_pulse(holding(b"\xff{"), OLD)),
    "lock-pulse-list-old": Attack("a list, long ago", with_pulse(holding(b"[]"), OLD)),
    "lock-empty": Attack("killed while it wrote the mark", with_mark(holding(b""))),
    "lock-binary": Attack("bytes as mark", with_mark(holding(bytes(range(256))))),
    "lock-long": Attack("a mark of a megabyte", with_mark(holding(b"x" * 10**6))),
    "lock-elsewhere": Attack("a mark that leads elsewhere", with_mark(holding(b"../../etc/x"))),
    "lock-pipe": Attack("a pipe as mark", with_mark(pipe)),
    "lock-device": Attack("a device as mark", with_mark(device)),
    "lock-dangling": Attack("a link to nothing as mark", with_mark(dangling)),
    "lock-loop": Attack("a link to itself as mark", with_mark(loop)),
    "lock-cleaning-dead": Attack(
        "killed while it cleaned", with_mark(holding(b"theirs"), ".cleaning")
    ),
    "lock-cleaning-pipe": Attack("a pipe as mark of cleaning", with_mark(pipe, ".cleaning")),
    "lock-of-another-subject": Attack(
        "a mark of a subject that is not asked for", with_mark(holding(b"x"), ".running-sub-02")
    ),
}


@in_table(DEAD)
@pytest.mark.parametrize("clean", [False, True], ids=["", "clean"])
def test_what_the_dead_have_left_holds_nobody_up(attack, clean, scene):
    attack.prepare(scene)
    with claimed(scene.work, ["01"], "mine", clean=clean) as claims:
        assert claims.labels == ["01"]
        assert (scene.work / MARK).read_text() == "mine"
    assert not (scene.work / MARK).exists()


ALIVE = {
    "lock-alive": Attack("a run of this machine", told(), (73,)),
    "lock-alive-old": Attack("a run of this machine that was stopped", told(OLD), (73,)),
    "lock-other-host": Attack("a run of another host", told(FRESH, host="node7"), (73,), "node7"),
    "lock-other-boot": Attack("a host that was just started", told(FRESH, boot="b"), (73,)),
    "lock-other-container": Attack("a container", told(FRESH, namespace="pid:[1]"), (73,)),
    "lock-no-proc": Attack("no /proc", told(FRESH, boot=None, namespace=None), (73,)),
    "lock-clocks": Attack("a clock that is a minute off", told(-60, host="node7"), (73,)),
    "lock-pulse-damaged": Attack("garbage, just now", with_pulse(holding(b"\xff{")), (73,)),
    "lock-pulse-words": Attack(
        "words for numbers", told(pid="x", ticks="y", since=[], host={}), (73,)
    ),
}
TAKEN = r"sub-01 is being processed in the work directory .*/work by process .* \(run theirs\)"


@in_table(ALIVE)
def test_a_run_that_is_alive_is_not_disturbed(attack, scene):
    """The whole command: it ends at once, writes nothing, and names the other run."""
    options = (*attack.prepare(scene), *CHEAP, "--participant-label", "01")
    before = sorted(scene.work.iterdir())
    run = attempt(scene, *options)
    stands(run, attack)
    stands(run, Attack("", attack.prepare, (73,), TAKEN))
    assert run.stderr.count("\n") == 1
    assert not scene.out.exists()
    assert sorted(scene.work.iterdir()) == before


@in_table({f"clean-{name}": attack for name, attack in ALIVE.items()})
def test_a_run_that_is_alive_keeps_its_results(attack, scene):
    options = (*attack.prepare(scene), *CHEAP, "--participant-label", "02", "--clean-workdir")
    (scene.work / "fusionprep_0_1_0_wf").mkdir()
    run = attempt(scene, *options)
    stands(run, Attack("", attack.prepare, (73,), "--clean-workdir would delete"))
    assert (scene.work / "fusionprep_0_1_0_wf").is_dir()
    assert not scene.out.exists()


IN_THE_WAY = {
    "work-is-file": Attack("a file", with_mark(file, ""), (73,), "cannot write to the work dir"),
    "work-is-pipe": Attack("a pipe", with_mark(pipe, ""), (73,), "cannot write to the work dir"),
    "work-below-file": Attack(
        "a file above", lambda s: file(s.work.parent / "w") or ["-w", str(s.work.parent / "w/x")],
        (73,), "cannot write to the work dir",
    ),
    "work-pulse-folder": Attack("a folder as sign of life", with_pulse(full_folder), (73,), PULSE),
    "work-mark-folder": Attack("a folder as mark", with_mark(full_folder), (73,), MARK),
}  # fmt: skip


@in_table(IN_THE_WAY)
def test_a_work_directory_that_cannot_be_used_is_found_before_the_output_is_filled(attack, scene):
    run = attempt(scene, *attack.prepare(scene), *CHEAP, "--participant-label", "01")
    stands(run, attack)
    assert run.stderr.count("\n") == 1
    assert not scene.out.exists()


CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
HOLD = """
import sys, time
from pathlib import Path
from bids_app.claims import claimed
with claimed(Path(sys.argv[1]), ["01"], "theirs"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_process_of_another_container_is_not_taken_for_a_dead_one(tmp_path, monkeypatch):
    """Its process id is that of nobody here, or of somebody else."""
    process = subprocess.Popen(
        [*CONTAINER, sys.executable, "-c", HOLD, str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if process.stdout.readline() != "held\n":
        pytest.skip(f"namespaces cannot be made here: {process.stderr.read().strip()}")
    try:
        told = json.loads((tmp_path / PULSE).read_text())
        assert told["namespace"] != this_process("mine")["namespace"]
        with pytest.raises(OutputError, match="3 minutes after"), claimed(tmp_path, ["01"], "m"):
            pass
    finally:
        process.kill()
        process.wait()
    monkeypatch.setattr("bids_app.holders.SECONDS_OF_LIFE", 0.0)
    with claimed(tmp_path, ["01"], "mine") as claims:
        assert claims.labels == ["01"]


def start(scene: Scene) -> subprocess.Popen:
    arguments = command(scene.bids, scene.out, "participant", scene.work, ())
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        preexec_fn=heed_signals,
    )
    deadline = time.monotonic() + 60
    while not (scene.work / ".running-sub-02").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_run_that_is_asked_to_end_gives_its_subjects_back(number, scene):
    process = start(scene)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert not list(scene.work.glob(".running-*"))


@pytest.mark.slow
def test_of_two_runs_at_once_the_second_names_the_first(scene):
    first = start(scene)
    first.send_signal(signal.SIGSTOP)
    try:
        second = attempt(scene, *CHEAP)
        third = attempt(scene, *CHEAP, "--clean-workdir")
    finally:
        first.send_signal(signal.SIGCONT)
        code = first.wait(120)
    assert (second.code, third.code) == (73, 73)
    assert re.search(rf"^fusionapp: error: sub-01 and 1 more .* {first.pid} on ", second.stderr)
    assert f"process {first.pid} on " in third.stderr
    # what it makes of images of zeros
    assert code == 65


@pytest.mark.slow
def test_a_run_that_is_killed_can_be_run_again_at_once(scene):
    process = start(scene)
    process.kill()
    process.wait()
    assert (scene.work / MARK).exists()
    run = attempt(scene, *CHEAP)
    assert "being processed" not in run.stderr
    assert not list(scene.work.glob(".running-*"))


def test_the_subjects_that_are_free_are_processed(scene):
    """Images of zeros fail in their first steps, but in these, and with a report."""
    told()(scene)
    run = attempt(scene, *CHEAP)
    assert run.code == 1
    assert "sub-01 is being processed" in run.stderr
    assert not (scene.out / "sub-01.html").exists()
    assert (scene.out / "sub-02.html").exists()
    assert sorted(path.name for path in scene.work.glob(".running-*")) == [MARK, PULSE]
