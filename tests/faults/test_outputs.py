"""Hostile files among the outputs, which the group level and the reports read."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from fusionprep.bids.dataset import describe_dataset, prepare_output
from fusionprep.config import Config
from fusionprep.errors import FusionPrepError
from fusionprep.reading import read_json
from fusionprep.reports.subject.report import write_participant_report
from tests.faults.attacks import Scene, attempt, time_limit
from tests.faults.cohort import ends
from tests.reports.group.cohort import write_cohort
from tests.reports.outputs import RUN_UUID, write_anatomy, write_logs

DEEP = b"[" * 1_000_000
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
TITLE = chr(27) + "]0;x" + chr(7)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cohort") / "out"
    write_cohort(out, 3, models=("Average",), bad=None, with_ct=0)
    return out


@pytest.fixture
def outputs(cohort, scene) -> Scene:
    """Three participants' outputs that are the attack's own."""
    shutil.copytree(cohort, scene.out)
    return scene


def _sidecar(out: Path) -> Path:
    return next(out.glob("sub-01/pet/*_desc-preproc_pet.json"))


def _rewritten(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def _pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def _zeros(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


GROUP = {
    "sidecar-deep": lambda out: _sidecar(out).write_bytes(DEEP),
    "sidecar-digits": lambda out: _sidecar(out).write_bytes(b'{"a": ' + b"9" * 6000 + b"}"),
    "sidecar-nulls": lambda out: _sidecar(out).write_bytes(bytes(100)),
    "sidecar-list": lambda out: _sidecar(out).write_bytes(b"[]"),
    "sidecar-pipe": lambda out: _pipe(_sidecar(out)),
    "sidecar-folder": lambda out: _folder(_sidecar(out)),
    "sidecar-zeros": lambda out: _zeros(_sidecar(out)),
    "sidecar-half-character": lambda out: _sidecar(out).write_text(r'{"TracerName": "\ud800"}'),
    "sidecar-kinds": lambda out: _rewritten(
        _sidecar(out), Registration=5, ImageQuality=[], FusionModel="x", TracerName={}, Notes={}
    ),
    "sidecar-numbers": lambda out: _rewritten(
        _sidecar(out), Registration={"Verdict": [], "VerdictReason": {}, "MattesMIAfter": 1e300}
    ),
    "sidecar-html": lambda out: _rewritten(
        _sidecar(out), TracerName=SCRIPT, Registration={"Verdict": SCRIPT, "VerdictReason": SCRIPT}
    ),
    "sidecar-long": lambda out: _rewritten(_sidecar(out), TracerName="x" * (10 << 20)),
    "sidecar-lines": lambda out: _rewritten(_sidecar(out), TracerName=f"a\tb\nc{TITLE}\u2028"),
    "participants-pipe": lambda out: _pipe(out / "participants.tsv"),
    "participants-folder": lambda out: _folder(out / "participants.tsv"),
    "participants-zeros": lambda out: _zeros(out / "participants.tsv"),
    "participants-nulls": lambda out: (out / "participants.tsv").write_bytes(bytes(99)),
    "participants-html": lambda out: (out / "participants.tsv").write_text(
        f"participant_id\t{SCRIPT}\nsub-01\t{SCRIPT}\n"
    ),
    "participants-long": lambda out: (out / "participants.tsv").write_text(
        "participant_id\tnote\nsub-01\t" + "x" * 100_000
    ),
    "picture-pipe": lambda out: _pipe(next(out.glob("sub-01/figures/*.png"))),
    "picture-zeros": lambda out: _zeros(next(out.glob("sub-01/figures/*.png"))),
    "picture-text": lambda out: next(out.glob("sub-01/figures/*.png")).write_text("nothing"),
    "picture-cut": lambda out: next(out.glob("sub-01/figures/*.png")).write_bytes(
        next(out.glob("sub-02/figures/*.png")).read_bytes()[:60]
    ),
    "report-folder": lambda out: _folder(out / "sub-01.html"),
    "crash-pipe": lambda out: _crash(out, _pipe),
    "crash-zeros": lambda out: _crash(out, _zeros),
    "crash-binary": lambda out: _crash(out, lambda path: path.write_bytes(bytes(range(256)))),
    "crash-title": lambda out: _crash(
        out, lambda path: path.write_text(f"Node: w.sub_01_wf.x\nValueError: {TITLE}{SCRIPT}\n")
    ),
    "subject-not-utf8": lambda out: (out / os.fsdecode(b"sub-\xff")).mkdir(),
    "subject-line": lambda out: (out / "sub-a\nb").mkdir(),
    "subject-html": lambda out: (out / "sub-<b>").mkdir(),
    "subject-circle": lambda out: (out / "sub-04").symlink_to("."),
    "loop": lambda out: (out / "sub-01" / "pet" / "up").symlink_to(".."),
    "names": lambda out: [
        _sidecar(out).with_name(os.fsdecode(name)).write_bytes(b"{}")
        for name in (b"sub-\xff_pet.json", b"a::b.json", b"\n.json", b"\x1b]0;x\x07_pet.json")
    ],
}
"""What is done to the outputs of a cohort."""


def _crash(out: Path, make) -> None:
    folder = out / "logs" / "20260101-000000_x"
    folder.mkdir(parents=True)
    make(folder / "crash-20260101-a.txt")


@pytest.mark.parametrize("name", GROUP)
def test_the_group_level_stands_hostile_outputs(name, outputs):
    GROUP[name](outputs.out)
    run = attempt(outputs, level="group")
    ends(run)
    assert re.search("[34] participants, [4-6] fused images", run.stdout)
    page = (outputs.out / "group_fusion.html").read_text("utf-8")
    assert len(page) < 4 << 20
    for harmful in ("<script>alert(1)", "<img src=x", TITLE):
        assert harmful not in page
    table = (outputs.out / "group_fusion.tsv").read_text("utf-8").split("\n")
    assert len({line.count("\t") for line in table if line}) == 1


RATINGS = {
    "pipe": _pipe,
    "folder": _folder,
    "zeros": _zeros,
    "nulls": lambda path: path.write_bytes(bytes(100)),
    "latin": lambda path: path.write_bytes(b"participant_id\trating\n\xe9\tpass\n"),
    "columns": lambda path: path.write_bytes(b"participant_id\trating" + b"\ta" * 10**5),
    "huge": lambda path: path.write_bytes(b"x" * (65 << 20)),
    "title": lambda path: path.write_text(f"participant_id\trating\nsub-01\t{TITLE}\n"),
    "header": lambda path: path.write_text(f"participant_id\trating\t{TITLE}\n"),
}


@pytest.mark.parametrize("name", RATINGS)
def test_ratings_that_cannot_be_used_are_one_line(name, outputs):
    path = outputs.bids.parent / "ratings.tsv"
    RATINGS[name](path)
    run = attempt(outputs, "--ratings", str(path), level="group")
    ends(run, r"ratings\.tsv|the ratings /dev/zero", 65, 66)
    assert not (outputs.out / "group_fusion.html").exists()


DESCRIPTIONS = {
    "deep": lambda path: path.write_bytes(DEEP),
    "list": lambda path: path.write_bytes(b"[]"),
    "pipe": _pipe,
    "folder": _folder,
    "zeros": _zeros,
    "kinds": lambda path: path.write_text('{"GeneratedBy": {"Name": "fusionprep"}}'),
    "digits": lambda path: path.write_bytes(b'{"a": ' + b"1" * 5000 + b"}"),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_an_output_folder_with_a_hostile_description_is_refused(name, scene):
    scene.out.mkdir()
    DESCRIPTIONS[name](scene.out / "dataset_description.json")
    with time_limit(10), pytest.raises(FusionPrepError, match="did not make"):
        prepare_output(_config(scene))


def _config(scene: Scene) -> Config:
    return Config.from_options(bids_dir=scene.bids, output_dir=scene.out, work_dir=scene.work)


RAW = {
    "kinds": {"Name": {"a": 1}, "Authors": {"a": 1}, "License": [1], "DatasetDOI": {"x": []}},
    "authors": {"Authors": [1, None, {"a": []}, "A. Person", ["b"]]},
    "nan": {"Name": "x", "License": float("nan"), "DatasetDOI": float("inf")},
    "script": {"Name": SCRIPT, "License": TITLE, "Authors": [SCRIPT]},
    "half-character": {"Name": "\ud800", "Authors": ["\udfff"], "License": "\udc80"},
}


@pytest.mark.parametrize("name", RAW)
def test_a_hostile_raw_description_gives_a_sound_one(name, scene):
    raw = {"Name": "x", "BIDSVersion": "1.10.0"} | RAW[name]
    (scene.bids / "dataset_description.json").write_text(json.dumps(raw))
    config = _config(scene)
    prepare_output(config)
    written = read_json(scene.out / "dataset_description.json")
    assert written == read_json(scene.out / "dataset_description.json")
    assert all(isinstance(author, str) for author in written["Authors"])
    assert isinstance(describe_dataset(config)["Name"], str)


def test_a_report_shows_hostile_sidecars_as_text(outputs):
    out = outputs.out
    hostile = dict.fromkeys(
        ("TracerName", "Units", "BiasCorrection", "Method", "AttenuationCorrection"), SCRIPT
    )
    hostile |= {"Notes": [SCRIPT, TITLE], "Sources": [SCRIPT], "Resolution": "x" * 10**6}
    for path in (out / "sub-01").rglob("*.json"):
        path.write_text(json.dumps(_all_text(json.loads(path.read_text())) | hostile))
    report = write_participant_report(
        out, "01", run_uuid=RUN_UUID, version="0", errors=[SCRIPT, f"{TITLE}\ud800"]
    )
    text = report.read_text("utf-8")
    assert "<script>alert(1)" not in text
    assert "<img src=x" not in text
    assert len(text) < 4 << 20


def _all_text(value):
    """A sidecar whose every value, but for numbers, is a script."""
    if isinstance(value, dict):
        return {key: _all_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_all_text(item) for item in value]
    return SCRIPT if isinstance(value, str) else value


@pytest.mark.parametrize("make", [_pipe, _folder, _zeros], ids=["pipe", "folder", "zeros"])
def test_a_report_stands_odd_logs(make, tmp_path):
    out = tmp_path / "out"
    write_anatomy(out, "sub-01")
    write_logs(out)
    for name in ("fusionprep.toml", "CITATION.md", "CITATION.bib", "crash-x.txt"):
        make(out / "logs" / RUN_UUID / name)
    with time_limit(20):
        assert write_participant_report(out, "01", run_uuid=RUN_UUID, version="0").is_file()
