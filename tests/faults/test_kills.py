"""Signals to a run, at each of its stages, to the main process, a worker, or all of them.

The attacks on a run that processes follow one another on the same folders: each resumes what the
one before left, and the last one is followed by an undisturbed run, which must leave what a run
that nobody has disturbed leaves, byte by byte.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil
import pytest

from fusionprep.signals import InterruptionError, endings
from tests.app.runs import Run, check_readable, unfinished
from tests.faults.attacks import Attack, Scene, in_table, stands
from tests.faults.processes import (
    ROOT,
    SECONDS_OF_A_RUN,
    Launch,
    Started,
    attempt_apart,
    cheaply,
    derivatives,
    process_apart,
    started,
)

SECONDS_TO_END = 30.0
INTERRUPTED = """
import sys
from fusionprep.signals import InterruptionError, endings

def run():
    try:
        with endings(InterruptionError):
            exec("import signal; signal.raise_signal(signal.SIGTERM)")
    except KeyboardInterrupt as interrupt:
        return 128 + interrupt.args[0]

sys.exit(run())
"""


@dataclass(frozen=True)
class Blow:
    """When a run is hit, whom, and by which signals.

    Attributes
    ----------
    at
        What the run must have said; seconds of processor time where it says nothing yet.
    whom
        ``main``, ``worker`` (the busiest), ``workers``, or ``all``.
    pause_s
        Between the signals.
    """

    at: str | float
    signals: tuple[signal.Signals, ...]
    whom: str = "main"
    pause_s: float = 0.0


def _blow(at: str | float, *signals: signal.Signals, whom: str = "main", pause_s: float = 0.0):
    return lambda _: Blow(at, signals, whom, pause_s)


INT, TERM, HUP, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL
QUIT, PIPE, STOP, CONT = signal.SIGQUIT, signal.SIGPIPE, signal.SIGSTOP, signal.SIGCONT
USR1, XCPU, ALRM = signal.SIGUSR1, signal.SIGXCPU, signal.SIGALRM

# the handlers may not be there yet, or no more
PLANNING = {
    "kill-plan-int": Attack("Ctrl-C while it plans", _blow(0.3, INT), (0, 130, -INT)),
    "kill-plan-term": Attack("SIGTERM while it plans", _blow(0.3, TERM), (0, 143, -TERM)),
    "kill-plan-hup": Attack("SIGHUP while it plans", _blow(0.3, HUP), (0, 129, -HUP)),
    "kill-plan-kill": Attack("SIGKILL while it plans", _blow(0.3, KILL), (0, -KILL)),
    "kill-plan-pipe": Attack("SIGPIPE while it plans", _blow(0.3, PIPE), (0,)),
}

# in the order of the steps, so that each finds something to do
RUNNING = {
    "kill-build-kill": Attack("SIGKILL while it prepares", _blow(0.9, KILL), (-KILL,)),
    "kill-start-term": Attack("SIGTERM at the first step", _blow("conform", TERM), (143,)),
    "kill-int-all": Attack("Ctrl-C in a terminal", _blow("extract brain", INT, whom="all"), (130,)),
    "kill-hup-all": Attack("a terminal is closed", _blow("correct bias", HUP, whom="all"), (129,)),
    "kill-main": Attack("SIGKILL of the main process", _blow("register", KILL), (-KILL,)),
    "kill-all": Attack("SIGKILL of all", _blow("register", KILL, whom="all"), (-KILL,)),
    "kill-quit": Attack("SIGQUIT, which Ctrl-\\ sends", _blow("register", QUIT), (-QUIT, 131)),
    "kill-usr1": Attack("SIGUSR1", _blow("register", USR1), (-USR1,)),
    "kill-alrm": Attack("SIGALRM", _blow("register", ALRM), (-ALRM,)),
    "kill-xcpu": Attack("SIGXCPU, as schedulers send it", _blow("register", XCPU), (-XCPU,)),
    "kill-twice": Attack("Ctrl-C twice", _blow("register", INT, INT, pause_s=0.2), (130, -INT)),
    "kill-term-kill": Attack(
        "SIGTERM, and SIGKILL at once", _blow("register", TERM, KILL, pause_s=0.1), (-KILL, 143)
    ),
    "kill-term-hup": Attack(
        "SIGTERM and SIGHUP together", _blow("register", TERM, HUP), (143, 129, -HUP)
    ),
    "kill-stopped": Attack(
        "SIGTERM of a process that is stopped",
        _blow("register", STOP, TERM, CONT, pause_s=0.5), (143,),
    ),
    "kill-stopped-worker": Attack(
        "SIGTERM while workers are stopped", _blow("register", STOP, whom="workers"), (143,)
    ),
    "kill-writing": Attack("SIGKILL while figures are drawn", _blow("assess", KILL), (-KILL,)),
    "kill-fusing": Attack("SIGTERM while it fuses", _blow("fuse average", TERM), (143,)),
    "kill-pipe": Attack("SIGPIPE", _blow("fuse average", PIPE), (0,)),
}  # fmt: skip

GROUP = {
    "kill-group": Attack("SIGKILL of the group level", _blow(0.3, KILL), (0, -KILL)),
    "kill-group-term": Attack("SIGTERM of the group level", _blow(0.3, TERM), (0, 143, -TERM)),
}

WORKERS = {
    "worker-kill": Attack("SIGKILL of a worker", _blow("register", KILL, whom="worker")),
    "worker-term": Attack("SIGTERM of a worker", _blow("register", TERM, whom="worker"), (0, 1)),
    "worker-segv": Attack("a worker crashes", _blow("register", signal.SIGSEGV, whom="worker")),
    "worker-bus": Attack("a bus error", _blow("segment", signal.SIGBUS, whom="worker")),
    "worker-all": Attack("SIGKILL of all workers", _blow("segment", KILL, whom="workers")),
    "worker-pause": Attack(
        "a worker is stopped for a while", _blow("register", STOP, CONT, whom="worker", pause_s=2.0)
    ),
}


def strike(run: Started, blow: Blow) -> bool:
    """Wait for the moment, and send the signals; whether it came before the end."""
    if not moment(run, blow.at):
        return False
    workers = run.workers()
    targets = {
        "main": [run.process.pid],
        "all": [worker.pid for worker in workers] + [run.process.pid],
        "workers": [worker.pid for worker in workers],
        "worker": [max(workers, key=_cpu_time).pid] if workers else [],
    }[blow.whom]
    assert targets
    for place, number in enumerate(blow.signals):
        time.sleep(blow.pause_s * bool(place))
        for pid in targets:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
    return True


def moment(run: Started, at: str | float) -> bool:
    """Whether the moment came before the end."""
    if isinstance(at, str):
        return run.wait_for(at)
    while _cpu_time(psutil.Process(run.process.pid)) < at:
        if run.process.poll() is not None:
            return False
        time.sleep(0.01)
    return True


def _cpu_time(process: psutil.Process) -> float:
    try:
        return process.cpu_times().user
    except psutil.Error:
        return 0.0


def struck(scene: Scene, launch: Launch, blow: Blow, seconds: float) -> Run:
    """Run a command, hit it, and see how it ends."""
    with started(scene, launch) as run:
        assert strike(run, blow), f"ended before: {run.said()}"
        return run.end(seconds)


@in_table(PLANNING)
def test_a_signal_while_it_plans(attack, scene):
    run = struck(scene, Launch(("--dry-run",)), attack.prepare(scene), SECONDS_TO_END)
    stands(run, attack)


def test_the_exit_code_tells_the_signal_wherever_it_came(tmp_path):
    """Here in code that is compiled at run time, as that of a dataclass is."""
    (tmp_path / "command.py").write_text(INTERRUPTED)
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    command = [sys.executable, "-m", "command"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert done.returncode == 128 + TERM


def test_a_signal_while_python_collects_garbage_is_noted_without_a_traceback(capsys):
    class Last:
        def __del__(self):
            signal.raise_signal(TERM)

    with endings(InterruptionError) as came:
        Last()
    assert came == [TERM]
    assert capsys.readouterr().err == ""


@pytest.fixture(scope="module")
def resumed(tiny, tmp_path_factory) -> Scene:
    """Folders on which the attacks follow one another."""
    folder = tmp_path_factory.mktemp("resumed")
    return Scene(tiny, folder / "out", folder / "work")


@pytest.mark.slow
@in_table(RUNNING)
def test_a_run_that_is_killed_leaves_whole_files_and_no_process(attack, resumed):
    blow = attack.prepare(resumed)
    # only what does not end a run takes longer
    seconds = SECONDS_OF_A_RUN if 0 in attack.codes else SECONDS_TO_END
    for last in (False, True):
        before = unfinished(resumed.out)
        with started(resumed, cheaply(Launch())) as run:
            hit = strike(run, blow)
            if blow.signals == (STOP,):
                run.process.send_signal(TERM)
            ended = run.end(seconds)
        if hit:
            break
        # the attack before came so late that nothing was left to do
        assert not last, f"ended before: {ended.stderr}"
        for folder in (resumed.out, resumed.work):
            shutil.rmtree(folder)
    assert "Traceback" not in ended.stderr
    assert ended.code in attack.codes, ended.stderr
    check_readable(resumed.out)
    if KILL not in blow.signals and ended.code >= 0:
        assert set(unfinished(resumed.out)) <= set(before)


@pytest.mark.slow
def test_what_was_killed_time_and_again_is_as_if_it_was_not(resumed, undisturbed):
    run = process_apart(resumed, Launch())
    assert run.code == 0, run.stderr
    found = derivatives(run.output_dir)
    assert found.keys() == undisturbed.keys()
    assert [name for name in found if found[name] != undisturbed[name]] == []


@pytest.mark.slow
@in_table(GROUP)
def test_a_group_level_that_is_killed(attack, resumed):
    stands(struck(resumed, Launch(level="group"), attack.prepare(resumed), SECONDS_TO_END), attack)
    assert attempt_apart(resumed, Launch(level="group")).code == 0
    check_readable(resumed.out)


@pytest.mark.slow
@in_table(WORKERS)
def test_a_run_goes_on_without_a_worker(attack, tiny, tmp_path, undisturbed):
    scene = Scene(tiny, tmp_path / "out", tmp_path / "work")
    blow = attack.prepare(scene)
    with started(scene, cheaply(Launch())) as hit:
        assert strike(hit, blow), hit.said()
        run = hit.end()
    stands(run, attack)
    if run.code:
        run = process_apart(scene, Launch())
        assert run.code == 0, run.stderr
    assert derivatives(scene.out) == undisturbed
