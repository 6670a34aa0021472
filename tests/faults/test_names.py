"""Names of files and folders that are not text, are commands to a terminal, or are too long."""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fusionprep.errors import one_line
from tests.app.runs import run_app
from tests.bids.skeleton import PET_SIDECAR, pet, t1w, write_dataset, write_image
from tests.faults.attacks import Attack, Scene, attempt, in_table, stands
from tests.faults.cohort import Damage, Subject, dry_run, ends, label_of

NOT_UTF8 = os.fsdecode(b"\xff\xfe")
ESCAPE = chr(27) + "]0;x" + chr(7)
WITHOUT_PET = "has no PET image"


def renamed(what: str, part: str, says: str) -> Damage:
    """Put a part into the name of the PET, which the run then tells."""

    def apply(subject: Subject) -> None:
        new = subject.pet.name.replace("_pet", f"_acq-{part}_pet")
        subject.pet.rename(subject.pet.with_name(new))

    return Damage(what, apply, says)


def beside(what: str, *names: str, says: str = "  PET: ") -> Damage:
    """Other files, and folders (with a slash at the end), among the images: no matter."""

    def apply(subject: Subject) -> None:
        for name in names:
            path = subject.pet.parent / name
            if name.endswith("/"):
                path.mkdir(parents=True)
            else:
                path.write_bytes(b"x")

    return Damage(what, apply, says)


def session(what: str, name: str, says: str) -> Damage:
    """A session folder of that name with a further PET, which the run then tells."""

    def apply(subject: Subject) -> None:
        folder = subject.folder / name / "pet"
        folder.mkdir(parents=True)
        shutil.copy(subject.pet, folder / f"sub-{subject.label}_{name}_pet.nii.gz")

    return Damage(what, apply, says)


def moved(what: str, change: Callable[[str], str], says: str) -> Damage:
    """Give the folder of the PET another name."""

    def apply(subject: Subject) -> None:
        folder = subject.pet.parent
        folder.rename(folder.with_name(change(folder.name)))

    return Damage(what, apply, says)


SHOWN = "holds characters that cannot be shown"
NAMES = {
    "not-utf8": renamed("bytes that are not UTF-8", NOT_UTF8, r"acq-\\xff\\xfe_pet.*is not UTF-8"),
    "latin": renamed("Latin-1", os.fsdecode(b"\xe9t\xe9"), r"acq-\\xe9t\\xe9_pet.*is not UTF-8"),
    "new-line": renamed("a line break", "a\nb", rf"acq-a\\nb_pet.*{SHOWN}"),
    "return": renamed("a return", "a\rb", rf"acq-a\\rb_pet.*{SHOWN}"),
    "tab": renamed("a tab", "a\tb", rf"acq-a\\tb_pet.*{SHOWN}"),
    "escape": renamed("a title for the terminal", ESCAPE, rf"\\x1b\]0;x\\x07_pet.*{SHOWN}"),
    "bell": renamed("a bell", chr(7), SHOWN),
    "delete": renamed("a delete", chr(127), SHOWN),
    "turned": renamed("text turned round", "\u202egnp", rf"\\u202egnp_pet.*{SHOWN}"),
    "colons": renamed("two colons", "a::b", "acq-a::b_pet.*holds '::'"),
    "only-colons": renamed("colons at the end", "::", "holds '::'"),
    "percent": renamed("a percent sign", "50%s%(x)s%n", "PET: |skipped"),
    "quotes": renamed("quotes", "a'b\"c`d", "PET: |skipped"),
    "dollar": renamed("a variable of a shell", "$(reboot);${HOME}", "PET: |skipped"),
    "braces": renamed("braces", "{0}{x!r}", "PET: |skipped"),
    "backslash": renamed("a backslash", "a\\b\\n", "PET: |skipped"),
    "html": renamed("HTML", "<script>alert(1)<", "PET: |skipped"),
    "blank": renamed("blanks", "a b  c", "PET: |skipped"),
    "stars": renamed("wild cards", "*?[a-z]", "PET: |skipped"),
    "question": renamed("a query", "a?b#c&d=e", "PET: |skipped"),
    "colon": renamed("a colon", "a:b", "PET: |skipped"),
    "drive": renamed("a drive", "C:", "PET: |skipped"),
    "letters": renamed("letters of another script", "\u8111", "PET: |skipped"),
    "dots": renamed("dots", "..", "PET: |skipped"),
    "long": renamed("200 letters", "x" * 200, "leaves no room"),
    "long-ish": renamed("130 letters", "x" * 130, "leaves no room"),
    "long-bytes": renamed("60 letters of three bytes", "\u8111" * 60, "leaves no room|skipped"),
    "other-files": beside(
        "files of such names beside the images",
        NOT_UTF8, "a::b", "a\nb", ESCAPE, "s3::x", "http:", "data:x", "::", "%s", "x" * 255,
    ),
    "other-folders": beside(
        "folders of such names", f"{NOT_UTF8}/", "a::b/", "a\nb/", "s3::x.zarr/", "http:/", "::/",
        "zip::a.nii/", says="zip::a.nii holds '::'|  PET: ",
    ),
    "protocols": beside(
        "names that look like addresses",
        *(f"{name}:x" for name in ("s3", "ftp", "memory", "github", "zip", "data", "file")),
        *(f"{name}::x" for name in ("s3", "simplecache", "memory", "zip")),
    ),
    "layout-config": beside("a configuration of pybids", "layout_config.json"),
    "layout-folder": beside("a folder of that name", "layout_config.json/"),
    "session-not-utf8": session("a session", f"ses-{NOT_UTF8}", r"ses-\\xff\\xfe is not UTF-8"),
    "session-colons": session("a session with colons", "ses-a::b", "ses-a::b holds '::'"),
    "session-line": session("a session with a line break", "ses-a\nb", rf"ses-a\\nb {SHOWN}"),
    "session-long": session("a session of 200 letters", "ses-" + "x" * 200, "leaves no room"),
    "datatype-upper": moved("PET in capitals", str.upper, "PET: |" + WITHOUT_PET),
    "datatype-not-utf8": moved("pet and more", lambda name: name + NOT_UTF8, WITHOUT_PET),
    "datatype-colons": moved("pet::", lambda name: f"{name}::", WITHOUT_PET),
}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Mapping[str, str]:
    return dry_run(tmp_path_factory.mktemp("names"), NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_name_costs_one_image_and_is_told(name, told):
    assert re.search(NAMES[name].says, told[label_of(name)]), told[label_of(name)]


def _subject(label: str):
    """A further subject under such a label."""

    def prepare(scene: Scene) -> list[str]:
        for image in (t1w, pet):
            write_image(scene.bids / image(subject=label))
        return ["--dry-run"]

    return prepare


def _at_root(*names: str):
    def prepare(scene: Scene) -> list[str]:
        for name in names:
            (scene.bids / name).mkdir()
            shutil.copy(scene.bids / pet(), scene.bids / name / "sub-01_acq-b_pet.nii.gz")
        return ["--dry-run"]

    return prepare


def _index(name: str):
    def prepare(scene: Scene) -> list[str]:
        folder = scene.bids.parent / name
        attempt(scene, "--dry-run", "--bids-database-dir", str(folder))
        return ["--dry-run", "--bids-database-dir", str(folder)]

    return prepare


NOT_A_LABEL = "is not a BIDS label"
ATTACKS = {
    "subject-not-utf8": Attack(
        "sub-\\xff", _subject(NOT_UTF8), says=rf"sub-\\xff\\xfe {NOT_A_LABEL}"
    ),
    "subject-colons": Attack("sub-a::b", _subject("a::b"), says=f"sub-a::b {NOT_A_LABEL}"),
    "subject-line": Attack("a line break", _subject("a\nb"), says=rf"sub-a\\nb {NOT_A_LABEL}"),
    "subject-escape": Attack("a title", _subject(ESCAPE), says=NOT_A_LABEL),
    "subject-nothing": Attack("no label", _subject(""), says=NOT_A_LABEL),
    "subject-percent": Attack("a percent sign", _subject("%s%(x)s"), says=NOT_A_LABEL),
    "subject-html": Attack("HTML", _subject("<b>"), says=NOT_A_LABEL),
    "subject-long": Attack("200 letters", _subject("x" * 200), says="leaves no room"),
    "root": Attack(
        "such folders in the root",
        _at_root(NOT_UTF8, "a::b", "s3::x", "a\nb", "data:x", "memory:x", "http:", ESCAPE),
        says="[2-9] images of [2-9] of [2-9]",
    ),
    "index-blank": Attack("an index in a folder 'a b'", _index("a b"), says="2 images of 2 of 2"),
}


@in_table(ATTACKS)
def test_a_bad_name_of_a_folder_costs_that_folder(attack, scene):
    run = attempt(scene, *attack.prepare(scene))
    stands(run, attack)
    assert "with sub-02/anat/sub-02_T1w.nii.gz" in run.stdout


FOLDERS = {
    "not-utf8": (NOT_UTF8, "is not UTF-8"),
    "line": ("a\nb", SHOWN),
    "escape": (ESCAPE, SHOWN),
    "colons": ("a::b", "holds '::'"),
}


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("which", ["bids", "out", "work"])
def test_folders_of_such_names_are_refused(name, which, scene):
    odd, reason = FOLDERS[name]
    scene = Scene(**{**vars(scene), which: scene.bids.parent / odd / which})
    run = attempt(scene, "--boilerplate-only")
    ends(run, f"{re.escape(reason)}|not in UTF-8", 64)
    assert not scene.out.exists()


@pytest.mark.parametrize("name", ["%s", "a?b=c"])
def test_an_index_in_a_folder_of_such_a_name_is_refused(name, scene):
    run = attempt(scene, "--dry-run", "--bids-database-dir", str(scene.bids.parent / name))
    ends(run, "path of the folder for the index holds", 64)


PLAIN = ["%s%(a)s", "a b", "a'b\"c", "{x}", "$HOME", "a:b", "[a]", "<b>", "\u8111"]


@pytest.mark.parametrize("name", PLAIN)
def test_other_names_of_folders_are_taken(name, tmp_path):
    root = tmp_path / name
    bids = write_dataset(root / "bids", t1w(), pet(), sidecar=PET_SIDECAR)
    scene = Scene(bids, root / "out", root / "work")
    run = attempt(scene, "--dry-run")
    ends(run, "1 image of 1 of 1")


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAIN)
def test_a_run_in_folders_of_such_names(name, tmp_path):
    root = tmp_path / name
    bids = write_dataset(root / "bids", t1w(), pet(), sidecar=PET_SIDECAR)
    run = run_app(bids, root / "out", "--boilerplate-only")
    assert "Traceback" not in run.stderr
    assert run.code == 0
    assert (root / "out" / "logs" / "CITATION.md").is_file()


def test_what_is_printed_is_text_on_any_terminal(scene):
    """In a process of its own, whose standard output refuses what is not text."""
    (scene.bids / pet()).rename(scene.bids / pet().replace("_pet", f"_acq-{NOT_UTF8}_pet"))
    run = run_app(scene.bids, scene.out, "--dry-run", work_dir=scene.work)
    assert run.code == 0
    assert r"acq-\xff\xfe_pet.nii.gz" in run.stdout
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("option", ["--config-file", "--bids-filter-file", NOT_UTF8])
def test_a_command_line_that_is_not_text(option, scene):
    name = f"no{ESCAPE}{NOT_UTF8}"
    run = attempt(scene, option, name, "--dry-run")
    ends(run, "", 64, 66)
    assert all(one_line(line) == line for line in run.stderr.splitlines())


def test_a_bad_name_is_told_in_full(tmp_path):
    path = Path(os.fsdecode(b"/data/sub-\xff\n_T1w.nii.gz"))
    assert one_line(f"cannot read {path}") == r"cannot read /data/sub-\xff\n_T1w.nii.gz"
