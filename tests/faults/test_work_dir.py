"""Work directories that cannot be written, belong to somebody else, or do not last."""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from bids_app.run import main
from bids_app.work_dir import open_work_dir
from fusionprep.errors import UsageError
from tests.faults.attacks import Attack, Scene, attempt, in_table, stands

QUICK = ("--boilerplate-only", "--skip-bids-validation")
STRANGER = 4321
Prepare = Callable[[Scene], Sequence[str]]


def _there(make: Callable[[Path], object], *options: str) -> Prepare:
    """Makes something where the work directory would be."""

    def prepare(scene: Scene) -> Sequence[str]:
        make(scene.work)
        return options

    return prepare


def _elsewhere(path: str) -> Prepare:
    """Names another work directory, ``{}`` being the folder of the scene."""
    return lambda scene: ["-w", path.format(scene.bids.parent)]


def _below_a_file(scene: Scene) -> Sequence[str]:
    scene.work.write_text("x")
    return ["-w", str(scene.work / "w")]


def _folder(path: Path, *, owner: int = 0, mode: int = 0o755, within: str = "") -> None:
    path.mkdir()
    inner = path / within
    inner.mkdir(exist_ok=True)
    os.chown(inner, owner, owner)
    inner.chmod(mode)


def _strange(**how: object) -> Callable[[Path], object]:
    return lambda path: _folder(path, owner=STRANGER, **how)


CANNOT = "fusionapp: error: cannot write to the work directory .*; choose another with -w"
LONG = "--work-dir: the path .*: File name too long"
FOREIGN = "the work directory .* belongs to user 4321, not to .*--trust-workdir"
UNUSABLE = {
    "work-a-file": Attack("a file", _there(lambda p: p.write_text("x")), (73,), CANNOT),
    "work-a-fifo": Attack("a named pipe", _there(os.mkfifo), (73,), CANNOT),
    "work-below-a-file": Attack("below a file", _below_a_file, (73,), CANNOT),
    "work-a-device": Attack("a device", _elsewhere("/dev/null"), (73,), CANNOT),
    "work-below-a-device": Attack("below a device", _elsewhere("/dev/null/w"), (73,), CANNOT),
    "work-in-proc": Attack("below /proc", _elsewhere("/proc/w"), (73,), CANNOT),
    "work-in-sys": Attack("below /sys", _elsewhere("/sys/w"), (73,), CANNOT),
    "work-long-name": Attack("a name of 300 letters", _elsewhere("{}/" + 300 * "w"), (64,), LONG),
    "work-long-path": Attack("a path of 6000", _elsewhere("{}" + 3000 * "/w"), (64,), LONG),
}
FOREIGNERS = {
    "work-of-a-stranger": Attack("of another user", _there(_strange()), (64,), FOREIGN),
    "work-of-a-stranger-open": Attack(
        "the same, open to all", _there(_strange(mode=0o777)), (64,), FOREIGN
    ),
    "results-of-a-stranger": Attack(
        "results of another user in our folder",
        _there(_strange(within="fusionprep_0_1_0_wf")), (64,), FOREIGN,
    ),
}  # fmt: skip
USABLE = {
    "work-new": Attack("a new folder", lambda _: []),
    "work-deep": Attack("a new folder in new folders", _elsewhere("{}/a/b/work")),
    "work-unicode": Attack("blanks and letters of all kinds", _elsewhere("{}/wörk 工 'x'")),
    "work-trusted": Attack(
        "of another user whom we trust", _there(_strange(), "--trust-workdir")
    ),
    "work-trusted-results": Attack(
        "results of another user whom we trust",
        _there(_strange(within="fusionprep_0_1_0_wf"), "--trust-workdir"),
    ),
    "work-other-things": Attack(
        "our folder with things of another user", _there(_strange(within="others"))
    ),
    "work-open-to-all": Attack(
        "our folder that all may write to", _there(lambda p: _folder(p, mode=0o777)),
        says="warning: everybody can write to the work directory",
    ),
    "work-open-to-all-trusted": Attack(
        "the same, trusted", _there(lambda p: _folder(p, mode=0o777), "--trust-workdir")
    ),
}  # fmt: skip


@in_table(UNUSABLE)
def test_an_unusable_folder_is_found_before_anything_is_written(attack, scene):
    run = attempt(scene, *QUICK, *attack.prepare(scene))
    stands(run, attack)
    assert run.stderr.count("\n") == 1
    assert not scene.out.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
@in_table(FOREIGNERS)
def test_a_folder_of_somebody_else_is_refused(attack, scene):
    run = attempt(scene, *QUICK, *attack.prepare(scene))
    stands(run, attack)
    assert run.stderr.count("\n") == 1
    assert not scene.out.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
@in_table(USABLE)
def test_other_folders_are_used(attack, scene):
    run = attempt(scene, *QUICK, *attack.prepare(scene))
    stands(run, attack)
    if not attack.says:
        assert "work" not in run.stderr
    assert scene.out.is_dir()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_folder_is_private_and_its_parents_are_not(umask, tmp_path):
    before = os.umask(umask)
    try:
        open_work_dir(tmp_path / "a" / "work", trusted=False, named=True)
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "work").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o777 & ~umask


def test_the_mode_of_a_folder_that_is_there_stays(tmp_path):
    tmp_path.chmod(0o750)
    open_work_dir(tmp_path, trusted=False, named=True)
    assert tmp_path.stat().st_mode & 0o777 == 0o750
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("owner", "refused"), [(STRANGER, False), (0, False), (5, True)])
def test_a_user_may_use_folders_of_their_own_and_of_root(owner, refused):
    says = r"belongs to .*user 5\)?, not to user 4321"
    with tempfile.TemporaryDirectory() as place:
        # pytest's own folders are closed to other users
        Path(place).chmod(0o755)
        folder = Path(place) / "work"
        _folder(folder, owner=owner, mode=0o777)
        os.seteuid(STRANGER)
        try:
            with pytest.raises(UsageError, match=says) if refused else nullcontext():
                open_work_dir(folder, trusted=False, named=True)
        finally:
            os.seteuid(0)


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A file system in memory of one page, full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4k,mode=700", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("kind", ["work-disk-full", "work-read-only"])
def test_a_disk_that_takes_nothing_is_found_before_anything_is_written(kind, scene, disk):
    if kind == "work-disk-full":
        (disk / "x").write_bytes(bytes(4096))
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    run = attempt(scene, *QUICK, "-w", str(disk))
    stands(run, Attack(kind, lambda _: [], (73,), CANNOT))
    assert run.stderr.count("\n") == 1
    assert not scene.out.exists()


OVERLAY = "20 1 0:20 / / rw - overlay overlay rw"
BESIDE = "21 20 0:21 / /tmp{} rw - {} x rw"
LASTS = {
    "container-without-w": (OVERLAY, False, r"without -w, .* in the container, and are lost"),
    "container-tmpfs": (
        f"{OVERLAY}\n{BESIDE.format('', 'tmpfs')}", False, r"in memory \(tmpfs\) in the container"
    ),
    "container-mounted": (f"{OVERLAY}\n{BESIDE.format('', 'ext4')}", False, ""),
    "container-w": (OVERLAY, True, ""),
    "container-w-tmpfs": (
        f"{OVERLAY}\n{BESIDE.format('', 'tmpfs')}", True, r"is in memory \(tmpfs\)"
    ),
    "container-mount-over-tmpfs": (
        f"{OVERLAY}\n{BESIDE.format('', 'tmpfs')}\n{BESIDE.format('', 'nfs4')}", False, ""
    ),
    "container-mount-of-a-like-name": (
        f"{OVERLAY}\n{BESIDE.format('/wor', 'ext4')}", False, "without -w"
    ),
    "container-unknown": ("", False, "without -w"),
}  # fmt: skip


@pytest.mark.parametrize(("mounts", "named", "says"), LASTS.values(), ids=list(LASTS))
def test_what_a_container_loses_is_said(mounts, named, says, tmp_path, monkeypatch, capsys):
    root = tmp_path / "root"
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "mountinfo").write_text(mounts)
    monkeypatch.setenv("IS_CONTAINER", "1")
    open_work_dir(tmp_path / "work", trusted=False, named=named, root=root)
    told = capsys.readouterr().err
    assert told.count("\n") == bool(says)
    assert re.search(says, told)


def test_nothing_is_said_outside_of_a_container(tmp_path, monkeypatch, capsys):
    for name in ("IS_CONTAINER", "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER", "container"):
        monkeypatch.delenv(name, raising=False)
    open_work_dir(tmp_path / "work", trusted=False, named=False, root=tmp_path)
    assert not capsys.readouterr().err


def test_the_command_knows_that_no_folder_was_named(scene, monkeypatch, capsys):
    monkeypatch.chdir(scene.bids.parent)
    monkeypatch.setenv("IS_CONTAINER", "1")
    monkeypatch.setattr("bids_app.work_dir.file_system", lambda *_: ("overlay", Path("/")))
    assert main([str(scene.bids), str(scene.out), "participant", *QUICK]) == 0
    assert f"intermediate results go to {scene.bids.parent}/work" in capsys.readouterr().err


def test_a_dry_run_makes_no_folder(scene):
    assert attempt(scene, "--dry-run").code == 0
    assert not scene.work.exists()
