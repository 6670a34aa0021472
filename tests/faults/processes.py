"""Attacks on the command in a process of its own: its surroundings, its limits, and signals.

Every process a run starts inherits a mark in its environment, by which those left behind are found.
"""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from tests.app.runs import CHEAP, Run, check_readable, unfinished
from tests.faults.attacks import SECONDS, Attack, Scene, stands

MARK = "FUSIONPREP_FAULT"
ROOT = Path(__file__).parents[2]
SECONDS_TO_VANISH = 5.0
SECONDS_OF_A_RUN = 300
SECONDS_BETWEEN = 0.02
RUN_TIME = re.compile(rb'"RunTimeSeconds": [0-9.e-]+')


@dataclass(frozen=True)
class Launch:
    """How a process is started.

    Attributes
    ----------
    options
        Of the command line, after ``-w``.
    env
        Changes of the environment; None removes a variable.
    before
        Called in the new process before the command, e.g. to set limits.
    cwd
        Working directory; None is the scene's.
    streams
        Keyword arguments of :class:`subprocess.Popen` for standard streams; those not given go to
        files, which are read as what the command said.
    """

    options: Sequence[str] = ()
    env: Mapping[str, str | None] = field(default_factory=dict)
    before: Callable[[], object] = lambda: None
    cwd: Path | None = None
    level: str = "participant"
    streams: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Started:
    """A command that runs, and what it says."""

    process: subprocess.Popen
    mark: str
    scene: Scene
    stdout: Path
    stderr: Path

    def workers(self) -> list[psutil.Process]:
        """The processes that it started and that still are."""
        return [process for process in alive(self.mark) if process.pid != self.process.pid]

    def wait_for(self, text: str, seconds: float = SECONDS_OF_A_RUN) -> bool:
        """Whether the command said something before it ended."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            # in this order: what is said last is said before the end
            ended = self.process.poll() is not None
            if text in self.stderr.read_text("utf-8", "replace"):
                return True
            if ended:
                return False
            time.sleep(SECONDS_BETWEEN)
        raise TimeoutError(f"not said after {seconds} s: {text}")

    def end(self, seconds: float = SECONDS_OF_A_RUN) -> Run:
        """Wait for the end, which must come, and for that of all it started."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"hangs: not done after {seconds} s: {self.said()}") from None
        assert not self.left_behind(), f"left behind: {self.left_behind()}"
        return Run(code, self.stdout.read_text("utf-8", "replace"), self.said(),
                   self.scene.out, self.scene.work)  # fmt: skip

    def said(self) -> str:
        return self.stderr.read_text("utf-8", "replace")

    def left_behind(self) -> list[psutil.Process]:
        """Processes that have not ended a few seconds after the main one."""
        limit = time.monotonic() + SECONDS_TO_VANISH
        while (rest := alive(self.mark)) and time.monotonic() < limit:
            time.sleep(SECONDS_BETWEEN)
        return rest


@contextmanager
def started(
    scene: Scene, launch: Launch, arguments: Sequence[str] | None = None
) -> Iterator[Started]:
    """Start a command; whatever is left of it is killed at the end."""
    mark = uuid.uuid4().hex
    stdout, stderr = (scene.bids.parent / f"{name}-{mark}.txt" for name in ("stdout", "stderr"))
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), MARK: mark, **launch.env}
    if arguments is None:
        arguments = [
            *(sys.executable, "-m", "bids_app.run"),
            *(str(scene.bids), str(scene.out), launch.level),
            *("-w", str(scene.work), "--skip-bids-validation", *launch.options),
        ]
    with stdout.open("wb") as out, stderr.open("wb") as err:
        streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, **launch.streams}
        process = subprocess.Popen(
            arguments,
            cwd=launch.cwd or scene.bids.parent,
            env={name: value for name, value in env.items() if value is not None},
            start_new_session=True,
            preexec_fn=lambda: _prepare(launch),
            **streams,
        )
    try:
        yield Started(process, mark, scene, stdout, stderr)
    finally:
        for rest in alive(mark):
            with suppress(psutil.Error):
                rest.kill()
        process.wait()


def _prepare(launch: Launch) -> None:
    heed_signals()
    launch.before()


def heed_signals() -> None:
    """Signals as in a terminal: what a shell runs in the background ignores those of its keys.

    After nohup hang-ups too.
    """
    for ending in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(ending, signal.SIG_DFL)


def alive(mark: str) -> list[psutil.Process]:
    """Processes with a mark in their environment, those apart that only wait to be collected."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def attempt_apart(scene: Scene, launch: Launch, seconds: float = SECONDS) -> Run:
    """Run a command that processes nothing in a process of its own."""
    with started(scene, launch) as run:
        return run.end(seconds)


def cheaply(launch: Launch) -> Launch:
    """The same with the options of the cheapest processing."""
    options = [option for option in CHEAP if option != "--skip-bids-validation"]
    return replace(launch, options=[*options, *launch.options])


def process_apart(scene: Scene, launch: Launch) -> Run:
    """Process the scene's subjects, in the cheapest way, in a process of its own."""
    with started(scene, cheaply(launch)) as run:
        return run.end()


def stands_whole(run: Run, attack: Attack) -> None:
    """Assert that a command has stood an attack and that each file it wrote can be read."""
    stands(run, attack)
    if run.output_dir.is_dir():
        check_readable(run.output_dir)


def derivatives(out: Path) -> dict[str, bytes]:
    """Every image and sidecar of the subjects, by its name, but for how long a step took."""
    return {
        str(path.relative_to(out)): RUN_TIME.sub(b"", path.read_bytes())
        for path in sorted(out.glob("sub-*/**/*"))
        if path.is_file() and path.parent.name != "figures" and path not in unfinished(out)
    }
