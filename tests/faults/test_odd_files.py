"""Pipes, devices, sockets, folders and links in circles in place of what is read."""

import os
import re
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fusionprep.errors import UnreadableFileError
from fusionprep.reading import read_bytes, read_json, read_table, unfetched
from tests.bids.skeleton import PET_SIDECAR, pet, t1w, write_dataset
from tests.faults.attacks import Attack, Scene, attempt, in_table, stands, time_limit
from tests.faults.cohort import Damage, Subject, dry_run, ends, label_of


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        # the names of sockets are short
        here = os.open(path.parent, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def _link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _chain(path: Path) -> None:
    """Two links that lead to each other."""
    other = path.with_name(f"other-{path.name}")
    path.symlink_to(other.name)
    other.symlink_to(path.name)


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "is a pipe"),
    "socket": (make_socket, "is a socket"),
    "folder": (Path.mkdir, "is a folder"),
    "zeros": (_link_to("/dev/zero"), "is a device"),
    "random": (_link_to("/dev/urandom"), "is a device"),
    "terminal": (_link_to("/dev/tty"), "is a device|cannot be read"),
    "circle": (lambda path: path.symlink_to(path.name), "symbolic links"),
    "chain": (_chain, "symbolic links"),
    "nowhere": (_link_to("nowhere"), "link to a file that is not there"),
    "process": (_link_to("/proc/self/fd"), "is a folder|cannot be read"),
}
"""What may lie under a name, how it is made, and what is said of it."""


def _put(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink(missing_ok=True)
    make(path)


def _in_place(which: str, kind: str) -> Damage:
    make, says = ODD[kind]
    return Damage(
        f"{which}: {kind}",
        lambda subject: _put(getattr(subject, which), make),
        rf"skipped: .*({says}).*sub-\w+_(pet|T1w)\.(nii\.gz|json)"
        rf"|skipped: .*sub-\w+_(pet|T1w)\.(nii\.gz|json).*({says})",
    )


def _beside(kind: str, ending: str, says: str) -> Damage:
    """Something odd that would be read beside the PET."""
    make, _ = ODD[kind]

    def apply(subject: Subject) -> None:
        make(subject.pet.with_name(subject.pet.name.replace("_pet.nii.gz", ending)))

    return Damage(f"{kind} as {ending}", apply, says)


def _table(kind: str, level: str) -> Damage:
    make, _ = ODD[kind]

    def apply(subject: Subject) -> None:
        make(subject.folder / f"sub-{subject.label}_{level}.tsv")

    return Damage(f"{level}.tsv: {kind}", apply, rf"(?s)  PET: .*_{level}\.tsv (cannot|is)")


def _loop(what: str, place: str, target: str, says: str = "  PET: ") -> Damage:
    """A link to a folder further up."""
    return Damage(what, lambda subject: (subject.folder / place).symlink_to(target), says)


def _many_loops(subject: Subject) -> None:
    """Were each followed from each, the walk would not end."""
    for number in range(12):
        (subject.folder / f"ses-{number}").symlink_to("..")
        (subject.pet.parent / f"up-{number}").symlink_to("../..")


def _deep_folders(subject: Subject) -> None:
    folder = subject.folder / "pet"
    for _ in range(200):
        folder = folder / "deeper"
    folder.mkdir(parents=True)


def _another_dataset(subject: Subject) -> None:
    """A folder kept elsewhere, as people link to what is shared."""
    outside = subject.bids.parent / "elsewhere" / subject.label
    outside.parent.mkdir(exist_ok=True)
    shutil.move(subject.folder, outside)
    subject.folder.symlink_to(outside)


SUBJECTS = {
    **{f"pet-{kind}": _in_place("pet", kind) for kind in ODD},
    **{f"t1w-{kind}": _in_place("t1w", kind) for kind in ("pipe", "zeros", "circle", "folder")},
    **{f"sidecar-{kind}": _in_place("sidecar", kind) for kind in ODD},
    **{
        f"frames-{kind}": _beside(kind, "_pet.tsv", r"skipped: .*table.*_pet\.tsv")
        for kind in ("pipe", "folder", "zeros", "circle", "socket")
    },
    **{f"scans-{kind}": _table(kind, "scans") for kind in ("pipe", "zeros", "folder", "circle")},
    **{f"sessions-{kind}": _table(kind, "sessions") for kind in ("pipe", "random", "socket")},
    **{
        f"unrelated-{kind}": _beside(kind, "_events.txt", "  PET: ")
        for kind in ("pipe", "socket", "chain")
    },
    "loop-anatomy": _loop("anat leads to the subject", "anat/up", ".."),
    "loop-root": _loop("a link to the dataset", "pet/root", "../.."),
    "loop-session": _loop("a session that is the subject", "ses-x", "."),
    "loop-self": _loop("a session that is itself", "ses-y", "ses-y"),
    "loop-slash": _loop("a link to the root of the system", "anat/all", "/sys"),
    "loops": Damage("a dozen of them in each folder", _many_loops, "  PET: "),
    "depths": Damage("200 folders deep", _deep_folders, "  PET: "),
    "link-outside": Damage("a subject kept elsewhere", _another_dataset, "  PET: "),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Mapping[str, str]:
    return dry_run(tmp_path_factory.mktemp("odd"), SUBJECTS)


@pytest.mark.parametrize("name", SUBJECTS)
def test_what_is_no_file_costs_one_image(name, told):
    assert re.search(SUBJECTS[name].says, told[label_of(name)]), told[label_of(name)]


def _at(name: str, kind: str, *options: str):
    """Something odd under a name in the dataset."""

    def prepare(scene: Scene) -> list[str]:
        _put(scene.bids / name, ODD[kind][0])
        return ["--dry-run", *options]

    return prepare


def _option(option: str, kind: str):
    """Something odd that an option names."""

    def prepare(scene: Scene) -> list[str]:
        path = scene.bids.parent / "named"
        _put(path, ODD[kind][0])
        return [option, str(path), "--dry-run"]

    return prepare


def _loop_at_root(scene: Scene) -> list[str]:
    for label in ("03", "04"):
        (scene.bids / f"sub-{label}").symlink_to(".")
    (scene.bids / "sub-05").symlink_to("sub-05")
    return ["--dry-run"]


def _as(which: str, kind: str):
    """Something odd in place of a folder of the command line."""

    def prepare(scene: Scene) -> list[str]:
        path = getattr(scene, which)
        if path.exists():
            shutil.rmtree(path)
        ODD[kind][0](path)
        return ["--boilerplate-only"]

    return prepare


DESCRIPTION, SKIP = "dataset_description.json", "--skip-bids-validation"
NOT_READ = r"cannot read .*dataset_description\.json"
ATTACKS = {
    **{
        f"description-{kind}": Attack(kind, _at(DESCRIPTION, kind), (16,), NOT_READ + "|has no")
        for kind in ("pipe", "zeros", "folder", "circle", "socket", "nowhere")
    },
    **{
        f"description-{kind}-unchecked": Attack(kind, _at(DESCRIPTION, kind, SKIP), (16,), NOT_READ)
        for kind in ("pipe", "zeros", "folder", "circle")
    },
    **{
        f"inherited-{kind}": Attack(
            kind, _at("pet.json", kind), says=r"skipped: .*sidecar.*pet\.json"
        )
        for kind in ("pipe", "zeros", "folder", "circle")
    },
    **{
        f"participants-{kind}": Attack(kind, _at("participants.tsv", kind), says="2 images of 2")
        for kind in ("pipe", "zeros", "folder", "circle")
    },
    **{
        f"columns-{kind}": Attack(kind, _at("participants.json", kind), says="2 images of 2")
        for kind in ("pipe", "zeros", "folder")
    },
    **{
        f"filters-{kind}": Attack(
            kind,
            _option("--bids-filter-file", kind),
            (64,),
            "cannot read the BIDS filter file|symbolic",
        )
        for kind in ODD
    },
    **{
        f"config-{kind}": Attack(
            kind,
            _option("--config-file", kind),
            (64, 66, 0),
            "cannot read the config|2 images|symbolic",
        )
        for kind in ("pipe", "zeros", "folder", "circle", "socket", "nowhere")
    },
    **{
        f"index-{kind}": Attack(
            kind,
            _option("--bids-database-dir", kind),
            (64, 73),
            "cannot write|symbolic|is not a folder",
        )
        for kind in ("pipe", "circle", "zeros")
    },
    "subjects-loop": Attack(
        "subjects that are links in circles", _loop_at_root, says="2 images of"
    ),
    "dataset-circle": Attack(
        "a dataset that is a circle", _as("bids", "circle"), (64,), "symbolic"
    ),
    "dataset-pipe": Attack(
        "a dataset that is a pipe", _as("bids", "pipe"), (64, 66), "not exist|symbolic"
    ),
    "out-circle": Attack("an output folder in circles", _as("out", "circle"), (64,), "symbolic"),
    "out-pipe": Attack(
        "an output folder a pipe",
        _as("out", "pipe"),
        (64, 73),
        "cannot write|symbolic|is not a folder",
    ),
    "work-circle": Attack("a work directory in circles", _as("work", "circle"), (64,), "symbolic"),
    "work-zeros": Attack(
        "a work directory a device",
        _as("work", "zeros"),
        (64, 73),
        "cannot write|symbolic|is not a folder",
    ),
}


@in_table(ATTACKS)
def test_what_is_no_file_is_one_line(attack, scene):
    stands(attempt(scene, *attack.prepare(scene)), attack)


def test_an_index_that_is_no_file_is_told(scene):
    folder = scene.bids.parent / "index"
    folder.mkdir()
    os.mkfifo(folder / "layout_index.sqlite")
    run = attempt(scene, "--dry-run", "--bids-database-dir", str(folder))
    ends(run, "index .* is a pipe", 64)


@pytest.mark.parametrize("kind", ODD)
def test_the_reader_opens_regular_files_only(kind, tmp_path):
    path = tmp_path / "x"
    ODD[kind][0](path)
    with time_limit(5):
        assert unfetched(path)
        for read in (read_bytes, read_json, read_table):
            with pytest.raises(UnreadableFileError, match=re.escape(str(path))):
                read(path)


def test_folders_and_files_that_may_not_be_read(tmp_path):
    """As another user, since nothing is closed to root."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    labels = ("01", "02", "03", "04", "05")
    images = [image(subject=label) for label in labels for image in (t1w, pet)]
    bids = write_dataset(tmp_path / "bids", *images, sidecar=PET_SIDECAR)
    for closed in (
        "sub-02/pet",
        "sub-03",
        "sub-04/pet/sub-04_pet.nii.gz",
        "sub-05/pet/sub-05_pet.json",
    ):
        (bids / closed).chmod(0)
    # folders of pytest are root's own
    above = [folder for folder in tmp_path.parents if folder.stat().st_mode & 0o077 == 0]
    above.append(tmp_path)
    modes = {folder: folder.stat().st_mode for folder in above}
    try:
        for folder in above:
            folder.chmod(0o755)
        os.seteuid(65534)
        run = attempt(Scene(bids, tmp_path / "out", tmp_path / "work"), "--dry-run")
    finally:
        os.seteuid(0)
        for folder, mode in modes.items():
            folder.chmod(mode)
    ends(run, "1 image of 1 of 5")
    for closed in ("02/pet", "03"):
        assert re.search(rf"skipped: cannot read the folder .*/sub-{closed}; ", run.stdout)
    assert re.search(r"skipped: .*sub-04_pet\.nii\.gz", run.stdout)
    assert re.search(r"skipped: .*sub-05_pet\.json", run.stdout)
