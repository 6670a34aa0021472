"""Disks that fill up or break, and folders and images that go, while a run processes.

A run may fail then, with a line; what it has written is whole, and once the harm is mended the same
command finishes as if there had been none.
"""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.app.runs import check_readable, resize
from tests.faults.attacks import Attack, Scene, in_table
from tests.faults.processes import (
    Launch,
    cheaply,
    derivatives,
    process_apart,
    stands_whole,
    started,
)

ROOM = "100m"
CLOCK = """
import time

_true = time.time
time.time = lambda: _true() + 86400 * (int(_true()) % 3 - 1)
"""
"""A module that Python imports at its start: every second it is another day."""


@dataclass(frozen=True)
class Harm:
    """What is done to a run, when, and how it is mended.

    Attributes
    ----------
    at
        What the run must have said; empty for before its start.
    act, mend
        Called with the scene.
    """

    at: str
    act: Callable[[Scene], object]
    mend: Callable[[Scene], object] = lambda _: None
    launch: Launch = field(default_factory=Launch)


def _disk(place: str, at: str, option: str) -> Callable[[Scene], Harm]:
    """The file system of ``out`` or ``work`` is full, read-only, or has no room for more names."""

    def disk(scene: Scene) -> Path:
        return getattr(scene, place).parent

    def act(scene: Scene) -> None:
        if option == "full":
            used = shutil.disk_usage(disk(scene)).used
            resize(disk(scene), str(max(4096, used)))
        elif option == "names":
            names = os.statvfs(disk(scene))
            _remount(disk(scene), f"nr_inodes={names.f_files - names.f_ffree + 8}")
        else:
            resize(disk(scene), option)

    def mend(scene: Scene) -> None:
        _remount(disk(scene), f"rw,size={ROOM},nr_inodes=0")

    return lambda _: Harm(at, act, mend)


def _remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def _removed(at: str, path: Callable[[Scene], Path]) -> Callable[[Scene], Harm]:
    """Something is moved away, as a deletion from the run's point of view; input comes back."""

    def act(scene: Scene) -> None:
        found = path(scene)
        if found.is_relative_to(scene.bids):
            found.rename(scene.bids.parent / "aside")
        elif found.is_dir():
            shutil.rmtree(found, ignore_errors=True)

    def mend(scene: Scene) -> None:
        aside = scene.bids.parent / "aside"
        if aside.exists():
            aside.rename(path(scene))

    return lambda _: Harm(at, act, mend)


def _overwritten(at: str, rest: str) -> Callable[[Scene], Harm]:
    def act(scene: Scene) -> None:
        path = scene.bids / rest
        shutil.copyfile(path, scene.bids.parent / "aside")
        path.write_bytes(path.read_bytes()[:1000])

    def mend(scene: Scene) -> None:
        shutil.copyfile(scene.bids.parent / "aside", scene.bids / rest)

    return lambda _: Harm(at, act, mend)


def _limited(what: int, most: int) -> Callable[[Scene], Harm]:
    return _launched(before=lambda: resource.setrlimit(what, (most, most)))


def _clock(scene: Scene) -> Harm:
    folder = scene.bids.parent / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(CLOCK)
    path = os.pathsep.join((str(folder), str(Path(__file__).parents[2])))
    return _launched(env={"PYTHONPATH": path})(scene)


def _launched(**arguments) -> Callable[[Scene], Harm]:
    return lambda _: Harm("", lambda _: None, launch=Launch(**arguments))


def _nobody_reads(_: Scene) -> Harm:
    reading, writing = os.pipe()
    os.close(reading)
    return Harm("", lambda _: os.close(writing), launch=Launch(streams={"stderr": writing}))


def _close_streams() -> None:
    for number in (0, 1, 2):
        os.close(number)


PET = "sub-01/pet/sub-01_trc-18FFDG_pet.nii.gz"
SPACE = "No space left on device"

ATTACKS = {
    "out-full": Attack("outputs: disk full", _disk("out", "segment", "full"), (74,), SPACE),
    "out-names": Attack("outputs: no more names", _disk("out", "segment", "names"), (74,), SPACE),
    "out-ro": Attack("outputs: read-only", _disk("out", "segment", "ro"), (74,), "Read-only"),
    "work-full": Attack("work: disk full", _disk("work", "extract", "full"), (74,), SPACE),
    "work-names": Attack("work: no more names", _disk("work", "extract", "names"), (74,), SPACE),
    "work-ro": Attack("work: read-only", _disk("work", "segment", "ro"), (74,), "Read-only"),
    "out-gone": Attack(
        "outputs are deleted", _removed("register", lambda scene: scene.out), (0, 1, 74)
    ),
    "out-subject-gone": Attack(
        "a subject's outputs are deleted",
        _removed("fuse average", lambda scene: scene.out / "sub-01"), (0, 1, 74),
    ),
    "out-logs-gone": Attack(
        "the logs are deleted", _removed("register", lambda scene: scene.out / "logs"), (0, 1, 74)
    ),
    "work-gone": Attack(
        "the work directory is deleted", _removed("register", lambda scene: scene.work), (1, 74)
    ),
    "input-gone": Attack(
        "an image is deleted", _removed("conform", lambda scene: scene.bids / PET), (0, 1, 65, 74)
    ),
    "input-dataset-gone": Attack(
        "the dataset is unmounted",
        _removed("extract", lambda scene: scene.bids / "sub-01"), (0, 1, 65, 74),
    ),
    "input-cut": Attack("an image is cut", _overwritten("conform", PET), (0, 65)),
    "run-file-size": Attack(
        "files of at most 100 kB", _limited(resource.RLIMIT_FSIZE, 100_000), (74,), "too large"
    ),
    "run-files-32": Attack("32 open files", _limited(resource.RLIMIT_NOFILE, 32), (0,)),
    "run-files-64": Attack("64 open files", _limited(resource.RLIMIT_NOFILE, 64), (0,)),
    "run-cpu": Attack("2 s of processor time", _limited(resource.RLIMIT_CPU, 2), (0, 1, -9, -24)),
    "run-clock": Attack("a clock that jumps by days", _clock),
    "run-tmp": Attack("no folder for temporary files", _launched(env={"TMPDIR": "/nowhere"})),
    "run-streams": Attack("all standard streams closed", _launched(before=_close_streams)),
    "run-unread": Attack("nobody reads standard error", _nobody_reads),
    "run-home": Attack("HOME cannot be made", _launched(env={"HOME": "/proc/nowhere"})),
    "run-umask": Attack("files for nobody", _launched(before=lambda: os.umask(0o777))),
}  # fmt: skip


@pytest.fixture
def on_disks(tiny, tmp_path) -> Iterator[Scene]:
    """A dataset of its own, outputs and work each on a disk of its own."""
    shutil.copytree(tiny, tmp_path / "bids")
    disks = [tmp_path / name for name in ("out-disk", "work-disk")]
    mounted = []
    for disk in disks:
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(disk)]
        try:
            subprocess.run(mount, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"file systems cannot be mounted here: {error}")
        mounted.append(disk)
    yield Scene(tmp_path / "bids", disks[0] / "out", disks[1] / "work")
    for disk in mounted:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
@in_table(ATTACKS)
def test_what_goes_while_a_run_processes(attack, on_disks, undisturbed):
    harm = attack.prepare(on_disks)
    with started(on_disks, cheaply(harm.launch)) as hit:
        if harm.at:
            assert hit.wait_for(harm.at), hit.said()
        harm.act(on_disks)
        run = hit.end()
    if min(attack.codes) < 0:
        # killed, the main process or a worker: what it was writing stays, under a temporary name
        assert "Traceback" not in run.stderr
        assert run.code in attack.codes
        check_readable(run.output_dir)
    else:
        stands_whole(run, attack)
    harm.mend(on_disks)
    again = process_apart(on_disks, Launch())
    assert again.code == 0, again.stderr
    assert derivatives(on_disks.out) == undisturbed
