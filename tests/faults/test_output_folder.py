"""Output folders that hold what no run has put there, or that a run has left damaged."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.runs import resize
from tests.faults import obstacles
from tests.faults.attacks import Attack, Scene, attempt, in_table, stands
from tests.faults.obstacles import dangling, device, file, folder, full_folder, holding, loop, pipe

# everything but the images, which takes a second
QUICK = ("--boilerplate-only", "--skip-bids-validation", "--fusion-model", "average")
RUN = "20260101-120000_00000000-0000-4000-8000-000000000000"
IMAGE = "sub-01_space-T1w_desc-preproc_pet"


def obstacle(name: str, place: Callable[[Path], None]) -> Callable[[Scene], list[str]]:
    """Something in the output folder; an empty name is the folder itself."""

    def prepare(scene: Scene) -> list[str]:
        place(scene.out / name if name else scene.out)
        return []

    return prepare


def refused(name: str, place: Callable[[Path], None], says: str = "") -> Attack:
    """Ends before anything is processed, with a line that names what is in the way."""
    named = says or f"{name.replace('.', '[.]')}"
    return Attack(f"{place.__name__} at {name}", obstacle(name, place), (73,), named)


def mended(name: str, place: Callable[[Path], None], says: str = "") -> Attack:
    return Attack(f"{place.__name__} at {name}", obstacle(name, place), (0,), says)


FOLDERS_AS_FILES = (
    *(".bidsignore", "README.md", "dataset_description.json", "descriptions.tsv"),
    *("descriptions.json", "participants.tsv", "participants.json"),
    *("logs/CITATION.md", "logs/CITATION.bib", "sub-01.html"),
    *("sub-01/figures/sub-01_desc-about_T1w.html", f"sub-01/pet/{IMAGE}.nii.gz"),
    *(f"sub-01/pet/{IMAGE}.json", "sub-01/anat/sub-01_dseg.nii.gz"),
    *("sub-01/ses-a/anat/sub-01_ses-a_dseg.json", "sub-01/ses-a/figures/x.svg"),
)
NOT_FOLDERS = ("logs", "sub-01", "sub-01/anat", "sub-01/pet", "sub-01/figures", "sub-01/ses-a")

REFUSED = {
    **{f"out-folder-{name}": refused(name, full_folder) for name in FOLDERS_AS_FILES},
    **{f"out-file-{name}": refused(name, file) for name in NOT_FOLDERS},
    **{f"out-dangling-{name}": refused(name, dangling) for name in NOT_FOLDERS},
    "out-pipe-logs": refused("logs", pipe),
    "out-pipe-subject": refused("sub-01", pipe),
    "out-loop-logs": refused("logs", loop),
    "out-loop-subject": refused("sub-01", loop),
    "out-device-figures": refused("sub-01/figures", device),
    "out-is-file": refused(
        "", file, "cannot write to the output folder .*/out: it is not a folder"
    ),
    "out-is-pipe": refused(
        "", pipe, "cannot write to the output folder .*/out: it is not a folder"
    ),
    "out-is-device": refused("", device, "/dev/zero: it is not a folder"),
    "out-pipe-description": refused("dataset_description.json", pipe),
    "out-device-description": refused("dataset_description.json", device),
}


@in_table(REFUSED)
def test_what_is_in_the_way_is_named_before_anything_is_done(attack, scene):
    run = attempt(scene, *attack.prepare(scene), "--skip-bids-validation")
    stands(run, attack)
    assert run.stderr.count("\n") == 1
    assert not list(scene.out.rglob("fusionprep.toml"))


DESCRIPTIONS = {
    "no-column": b"label\twords\nx\ty\n",
    "half-a-header": b"desc_id\tdescr",
    "half-a-row": b"desc_id\tdescription\ndesc-preproc",
    "binary": bytes(range(256)) * 20,
    "nul": b"desc_id\tdescription\n\0\0\0\n",
    "long-cell": b"desc_id\tdescription\ndesc-x\t" + b"x" * 200_000 + b"\n",
    "empty": b"",
    "utf-16": "desc_id\tdescription\ndesc-x\t\n".encode("utf-16"),
    "json": b'{"desc_id": 1}\n{"more": 2}\n',
    "other-labels": b"desc_id\tdescription\n../../x\ty\n",
}
MENDED = {
    **{
        f"out-descriptions-{name}": mended("descriptions.tsv", holding(content))
        for name, content in DESCRIPTIONS.items()
    },
    "out-is-dangling": mended("", dangling),
    "out-dangling-descriptions": mended("descriptions.tsv", dangling),
    "out-loop-descriptions": mended("descriptions.tsv", loop),
    "out-pipe-descriptions": mended("descriptions.tsv", pipe),
    "out-device-descriptions": mended("descriptions.tsv", device),
    "out-pipe-readme": mended("README.md", pipe),
    "out-dangling-readme": mended("README.md", dangling),
    "out-dangling-citation": mended("logs/CITATION.md", dangling),
    "out-dangling-report": mended("sub-01.html", dangling),
    "out-other-subject-folder": mended("sub-77.html", folder),
    "out-other-file-in-logs": mended("logs/fusionprep.toml", holding(b"[")),
}


@in_table(MENDED)
def test_what_is_only_ours_to_write_is_written_again(attack, scene):
    options = (*attack.prepare(scene), *QUICK, "--participant-label", "01")
    run = attempt(scene, *options)
    stands(run, attack)
    lines = (scene.out / "descriptions.tsv").read_text("utf-8").splitlines()
    assert lines[0] == "desc_id\tdescription"
    assert all(line.startswith("desc-") for line in lines[1:])
    assert any(line.startswith("desc-fusedAverage\t") for line in lines)


@pytest.mark.parametrize("name", ["no-column", "binary", "half-a-row", "empty"])
def test_a_damaged_table_of_labels_is_told(name, scene):
    scene.out.mkdir()
    (scene.out / "descriptions.tsv").write_bytes(DESCRIPTIONS[name])
    assert "descriptions.tsv was damaged" in attempt(scene, *QUICK).stderr
    assert "damaged" not in attempt(scene, *QUICK).stderr


TOML = {
    "garbage": holding(b"\0\1\2[[["),
    "not-utf-8": holding(b"models = ['\xff']"),
    "digits": holding(b"nprocs = " + b"9" * 6000),
    "nested": holding(b"x = " + b"[" * 100_000),
    "label-number": holding(b"participant_label = 7"),
    "label-text": holding(b'participant_label = "01"'),
    "label-mixed": holding(b"participant_label = [1, {}, []]"),
    "models-number": holding(b"models = 3"),
    "group-number": holding(b"selection = 3"),
    "empty": holding(b""),
    "folder": full_folder,
    "pipe": pipe,
    "device": device,
    "dangling": dangling,
    "loop": loop,
}
CRASH = f"logs/{RUN}/crash-20260101-120000-root-register-1.txt"
EARLIER = {
    **{
        f"toml-{name}": mended(f"logs/{RUN}/fusionprep.toml", place) for name, place in TOML.items()
    },
    "logs-not-a-run": mended("logs/20260102", file),
    "logs-run-is-pipe": mended("logs/20260102", pipe),
    "logs-run-is-loop": mended("logs/20260102", loop),
    **{f"crash-{place.__name__}": mended(CRASH, place) for place in (folder, pipe, loop, device)},
    **{
        f"record-{place.__name__}": mended(f"logs/{RUN}/subjects.tsv", place)
        for place in (folder, pipe, loop, device, dangling)
    },
    "record-binary": mended(f"logs/{RUN}/subjects.tsv", holding(bytes(range(256)) * 99)),
    "record-long": mended(f"logs/{RUN}/subjects.tsv", holding(b"sub-01\t" + b"x" * 10**6)),
    "record-names": mended(
        f"logs/{RUN}/subjects.tsv", holding(b"sub-\tstarted\nsub-../x\tfailed\nsub-a/b\tx\n")
    ),
}


def with_results(scene: Scene) -> None:
    """An output folder of an earlier run, as far as reports need one."""
    image = scene.out / "sub-01" / "pet" / f"{IMAGE}.nii.gz"
    image.parent.mkdir(parents=True)
    image.touch()
    image.with_name(f"{IMAGE}.json").write_text(json.dumps({"TracerName": "FDG"}))


@in_table({f"group-{name}": attack for name, attack in EARLIER.items()})
def test_the_group_level_stands_what_earlier_runs_left(attack, scene):
    with_results(scene)
    stands(attempt(scene, *attack.prepare(scene), level="group"), attack)
    assert "sub-01" in (scene.out / "group_fusion.html").read_text("utf-8")


# what else there may be is read in the same way by both levels
OF_REPORTS = (
    *("toml-garbage", "toml-folder", "toml-pipe", "toml-device", "toml-nested", "toml-digits"),
    *("toml-label-mixed", "toml-models-number", "logs-run-is-pipe", "crash-pipe", "record-pipe"),
)


@in_table({f"reports-{name}": EARLIER[name] for name in OF_REPORTS})
def test_reports_stand_what_earlier_runs_left(attack, scene):
    with_results(scene)
    options = ("--reports-only", "--participant-label", "01", "--skip-bids-validation")
    stands(attempt(scene, *attack.prepare(scene), *options), attack)
    assert (scene.out / "sub-01.html").is_file()


GROUP = {
    **{
        f"group-folder-{name}": refused(name, full_folder)
        for name in (
            *("group_fusion.tsv", "group_fusion.json", "group_fusion.html"),
            *("group_incomplete.tsv", "group_figures/000_x_mean.png"),
        )
    },
    **{
        f"group-{place.__name__}-figures": refused("group_figures", place)
        for place in (file, pipe, dangling, loop)
    },
    **{
        f"group-{place.__name__}-table": mended("group_fusion.tsv", place)
        for place in (pipe, dangling, loop, device)
    },
    **{
        f"group-participants-{place.__name__}": mended("participants.tsv", place)
        for place in (folder, pipe, dangling, loop)
    },
    "group-participants-binary": mended("participants.tsv", holding(bytes(range(256)))),
    "group-report-folder": mended("sub-01.html", folder),
    "group-subject-file": mended("sub-05", file),
    "group-subject-loop": mended("sub-05", loop),
    "group-logs-file": mended("logs", file),
    "group-logs-loop": mended("logs", loop),
}


@in_table(GROUP)
def test_the_group_level_names_what_is_in_its_way(attack, scene):
    with_results(scene)
    run = attempt(scene, *attack.prepare(scene), level="group")
    stands(run, attack)
    if run.code:
        assert run.stderr.count("\n") == 1


@pytest.fixture
def read_only_out(scene):
    scene.out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(scene.out)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"file systems cannot be mounted here: {error}")
    with_results(scene)
    resize(scene.out, "ro")
    yield scene
    subprocess.run(["umount", str(scene.out)], check=True)


@pytest.mark.parametrize(
    ("level", "options"),
    [("participant", ()), ("participant", ("--reports-only",)), ("group", ())],
    ids=["out-read-only", "reports-read-only", "group-read-only"],
)
def test_a_read_only_output_folder_is_found_at_once(level, options, read_only_out):
    run = attempt(read_only_out, *options, level=level)
    stands(run, Attack("read-only", lambda _: (), (73,), "cannot write to .*/out"))
    assert run.stderr.count("\n") == 1


def test_every_obstacle_is_one(tmp_path):
    """The table would prove nothing if nothing was in the way."""
    for place in (folder, full_folder, file, pipe, dangling, loop, device):
        path = tmp_path / "deep" / place.__name__
        place(path)
        assert path.is_symlink() or path.exists()
    assert obstacles.__doc__
