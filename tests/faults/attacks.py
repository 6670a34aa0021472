"""What all attacks share: a table of them by id, and how a command must stand one.

An attack prepares a scene and says how the command must end. Whatever the attack, there must be no
traceback, no hang, no process left behind, and no half-written file.
"""

import contextlib
import io
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bids_app.run import main
from tests.app.runs import Run, unfinished

SECONDS = 60


@dataclass(frozen=True)
class Scene:
    """The folders of an attack, which it may change as it likes.

    Attributes
    ----------
    bids, out, work
        A dataset that is the attack's own, and folders that do not exist yet.
    """

    bids: Path
    out: Path
    work: Path


@dataclass(frozen=True)
class Attack:
    """One way to stop a run.

    Attributes
    ----------
    what
        The attack in a phrase.
    prepare
        Changes the scene; returns options for the command line.
    codes
        Exit codes with which the command may end.
    says
        Regular expression that its terminal output must match; empty for any.
    """

    what: str
    prepare: Callable[[Scene], Sequence[str]]
    codes: tuple[int, ...] = (0,)
    says: str = ""


def in_table(attacks: Mapping[str, Attack]) -> pytest.MarkDecorator:
    """Parametrize a test by a table of attacks, each under its id."""
    return pytest.mark.parametrize(
        "attack", [pytest.param(attack, id=name) for name, attack in attacks.items()]
    )


def attempt(scene: Scene, *options: str, level: str = "participant") -> Run:
    """Run the command in this process, which is quick; an exception that escapes it is a failure.

    For runs that process nothing: ``--dry-run``, ``--boilerplate-only``, the group level, errors.
    """
    arguments = [str(scene.bids), str(scene.out), level, "-w", str(scene.work), *options]
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), time_limit():
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Run(int(code), stdout.getvalue(), stderr.getvalue(), scene.out, scene.work)


@contextlib.contextmanager
def time_limit(seconds: int = SECONDS) -> Iterator[None]:
    """Fail where something takes longer, which is a hang."""

    def fail(*_: object) -> None:
        # no OSError, which the code under attack expects
        pytest.fail(f"hangs: not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def stands(run: Run, attack: Attack) -> None:
    """Assert that a command has stood an attack."""
    said = run.stdout + run.stderr
    assert "Traceback" not in said, said
    assert run.code in attack.codes, f"exit code {run.code}: {said}"
    assert re.search(attack.says, said), said
    if run.output_dir.is_dir() and os.access(run.output_dir, os.R_OK):
        assert not unfinished(run.output_dir)
