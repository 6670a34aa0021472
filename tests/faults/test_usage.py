"""Command lines and filter files that cannot be right."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bids_app.run import main
from tests.app.runs import Run
from tests.faults.attacks import Attack, Scene, attempt, in_table, stands

DEEP = 100_000
HUGE = "1" * 6000
LONG = "a" * 5000


def told_in_one_line(run: Run, attack: Attack) -> None:
    """Assert that a command has stood an attack, said why in one line, and written nothing."""
    stands(run, attack)
    assert run.stderr.startswith("fusionapp: error: "), run.stderr
    assert run.stderr.count("\n") == 1, run.stderr
    assert len(run.stderr) < 1500
    assert not run.output_dir.exists()


def _given(*options: str) -> Callable[[Scene], Sequence[str]]:
    def prepare(scene: Scene) -> list[str]:
        return [option.format(root=scene.bids.parent) for option in options]

    return prepare


def _filters(content: object) -> Callable[[Scene], Sequence[str]]:
    """A filter file of text or bytes, or of what becomes JSON."""

    def prepare(scene: Scene) -> list[str]:
        path = scene.bids.parent / "filters.json"
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return ["--bids-filter-file", str(path)]

    return prepare


def _pipe_without_writer(option: str) -> Callable[[Scene], Sequence[str]]:
    def prepare(scene: Scene) -> list[str]:
        os.mkfifo(scene.bids.parent / "pipe")
        return [option, str(scene.bids.parent / "pipe")]

    return prepare


def _loop(option: str) -> Callable[[Scene], Sequence[str]]:
    def prepare(scene: Scene) -> list[str]:
        (scene.bids.parent / "loop").symlink_to("loop")
        return [option, str(scene.bids.parent / "loop" / "file")]

    return prepare


def _refused(what: str, prepare: Callable[[Scene], Sequence[str]], says: str) -> Attack:
    return Attack(what, prepare, (64,), says)


OF_FILTERS = {
    "filters-list": ("a list as filters", [1], "must hold an object"),
    "filters-text": ("a text as filters", '"pet"', "must hold an object"),
    "filters-null": ("null as filters", "null", "must hold an object"),
    "filters-nan": ("NaN as filters", "NaN", "must hold an object"),
    "filters-empty": ("an empty file", "", "cannot read the BIDS filter file"),
    "filters-broken": ("JSON cut off", '{"pet": {"run": 1', "cannot read the BIDS filter file"),
    "filters-binary": ("bytes of an image", b"\x1f\x8b\x08\x00\xff\xfe", "not text in Unicode"),
    "filters-zeros": ("a file of zeros", bytes(1000), "cannot read the BIDS filter file"),
    "filters-large": ("a file of 5 MB", b" " * 5_000_000, "larger than 4096 kB"),
    "filters-deep-lists": ("lists a hundred thousand deep", "[" * DEEP, "cannot read the BIDS"),
    "filters-deep-objects": ("objects as deep", '{"pet":' * DEEP, "cannot read the BIDS"),
    "filters-twice": ("a query twice", '{"pet": {"run": 1}, "pet": {}}', "'pet' is given twice"),
    "filters-entity-twice": ("an entity twice", '{"pet": {"run": 1, "run": 2}}', "given twice"),
    "filters-two-names": ("two names", {"pet": {"ses": "a", "session": "b"}}, "'session' twice"),
    "filters-flat": ("values in place of queries", {"pet": 1}, "must hold an object of objects"),
    "filters-query": ("an unknown query", {"bold": {"run": 1}}, "unknown query .* 'bold'; use"),
    "filters-query-name": ("a query of a long name", {LONG: {}}, "unknown query in the BIDS"),
    "filters-entity": ("a misspelt entity", {"pet": {"sesion": "a"}}, "'sesion' is not an entity"),
    "filters-scope": ("an option of pybids", {"pet": {"scope": "x"}}, "'scope' is not an entity"),
    "filters-return": ("another", {"pet": {"return_type": "id"}}, "'return_type' is not an"),
    "filters-self": ("a name of Python's", {"pet": {"self": 1}}, "'self' is not an entity"),
    "filters-escapes": ("what steers a terminal", {"pet": {"\x1b[2J": 1}}, "is not an entity"),
    "filters-object": ("an object as value", {"pet": {"run": {"a": 1}}}, "'run' cannot be"),
    "filters-float": ("a float as value", {"pet": {"run": 1.5}}, "'run' cannot be 1.5"),
    "filters-value-nan": ("NaN as value", '{"pet": {"run": NaN}}', "'run' cannot be nan"),
    "filters-bool": ("true as value", {"pet": {"run": True}}, "'run' cannot be True"),
    "filters-nested": ("a list in a list", {"pet": {"run": [[1]]}}, r"'run' cannot be \[1\]"),
    "filters-nothing": ("an empty list", {"pet": {"run": []}}, "'run' lists no value"),
    "filters-blank": ("an empty text", {"pet": {"session": ""}}, "'session' is empty"),
    "filters-nul": ("a NUL character", {"pet": {"session": "a\0"}}, "holds a NUL character"),
    "filters-surrogate": ("half a character", {"pet": {"session": "\ud800"}}, "not in UTF-8"),
    "filters-digits": ("6000 digits", f'{{"pet": {{"run": {HUGE}}}}}', "cannot read the BIDS"),
    "filters-large-int": ("twenty digits", {"pet": {"run": 10**20}}, "'run' must be at most"),
    "filters-negative": ("a negative run", {"pet": {"run": -1}}, "'run' must be at least 0"),
    "filters-pattern": (
        "a broken pattern",
        {"pet": {"regex_search": True, "session": "["}},
        "not a regular expression",
    ),
    "filters-pattern-repeat": (
        "a pattern that repeats too often",
        {"pet": {"regex_search": True, "session": ["a", "a{99999999999}"]}},
        "not a regular expression",
    ),
    "filters-search": ("a word for yes", {"pet": {"regex_search": "yes"}}, "must be true or false"),
}
OF_OPTIONS = {
    "seed-large": (("--random-seed", str(2**32)), "must be at most 4294967295"),
    "seed-negative": (("--random-seed", "-1"), "must be at least 0"),
    "seed-digits": (("--random-seed", HUGE), "is not a whole number"),
    "seed-float": (("--random-seed", "1e3"), "'1e3' is not a whole number"),
    "nprocs-nan": (("--nprocs", "nan"), "'nan' is not a whole number"),
    "nprocs-large": (("--nprocs", "9" * 30), "must be at most"),
    "option-nprocs-negative": (("--nprocs", "-4"), "must be at least 1"),
    "nprocs-blank": (("--nprocs", ""), "'' is not a whole number"),
    "threads-large": (("--omp-nthreads", "100000"), "must be at most 10000"),
    "gap-inf": (("--max-day-gap", "inf"), "'inf' is not a whole number"),
    "gap-large": (("--max-day-gap", "1" * 40), "must be at most"),
    "batch-zero": (("--batch-size", "0"), "must be at least 1"),
    "batch-large": (("--batch-size", "1" * 20), "must be at most"),
    "option-mem-nan": (("--mem", "nan"), "'nan' is not an amount of memory"),
    "option-mem-inf": (("--mem", "inf"), "'inf' is not an amount of memory"),
    "option-mem-negative": (("--mem=-8",), "'-8' is not an amount of memory"),
    "mem-large": (("--mem", "9" * 400), "mem_gb must be at most"),
    "mem-terabytes": (("--mem", "9999999T"), "mem_gb must be at most"),
    "option-mem-unit": (("--mem", "8 apples"), "is not an amount of memory"),
    "label-wildcard": (("--participant-label", "sub-*"), "participant_label cannot be '\\*'"),
    "label-path": (("--participant-label", "../../etc"), "no wildcards, no paths"),
    "label-folder": (("--session-label", "ses-a/"), "no wildcards, no paths"),
    "label-dots": (("--participant-label", ".."), "no wildcards, no paths"),
    "label-blank": (("--participant-label", ""), "participant_label is empty"),
    "label-space": (("--participant-label", " "), "participant_label cannot be ' '"),
    "label-prefix": (("--participant-label", "sub-"), "participant_label is empty"),
    "label-pattern": (("--tracer-label", "(FDG"), "tracer_label cannot be"),
    "label-lines": (("--run-label", "1\n2"), "run_label cannot be"),
    "label-bytes": (("--participant-label", "\udcff"), "not in UTF-8"),
    "label-t1w": (("--anat-session", "a[0]"), "anat_session cannot be"),
    "label-t1w-blank": (("--anat-session", ""), "anat_session is empty"),
    "work-blank": (("-w", ""), "the path is empty"),
    "work-long": (("-w", LONG), "File name too long"),
    "work-bytes": (("-w", "/tmp/\udcff"), "not in UTF-8"),
    "index-blank": (("--bids-database-dir", ""), "the path is empty"),
    "filter-blank": (("--bids-filter-file", ""), "the path is empty"),
    "filter-folder": (("--bids-filter-file", "{root}"), "it is a folder"),
    "filter-device": (("--bids-filter-file", "/dev/zero"), "larger than"),
    "filter-nothing": (("--bids-filter-file", "/dev/null"), "cannot read the BIDS filter"),
    "filter-missing": (("--bids-filter-file", "{root}/none"), "No such file"),
    "plugin-folder": (("--use-plugin", "{root}"), "it is a folder"),
    "plugin-missing": (("--use-plugin", "{root}/none"), "No such file"),
    "plugin-device": (("--use-plugin", "/dev/zero"), "larger than"),
    "option-plugin-blank": (("--use-plugin", ""), "the path is empty"),
    "config-folder": (("--config-file", "{root}"), "it is a folder"),
    "option-config-device": (("--config-file", "/dev/zero"), "larger than"),
    "config-long": (("--config-file", "{root}/" + LONG), "File name too long"),
    "frames-blank": (("--frames", ""), "frames is empty"),
    "frames-words": (("--frames", "late"), "is not auto, all or START-END"),
    "frames-backwards": (("--frames", "70-50"), "cannot be a window"),
    "frames-huge": (("--frames", f"0-{HUGE}"), "is not auto, all or START-END"),
    "frames-digits": (("--frames", "٥٠-٧٠"), "is not auto, all or START-END"),
    "region-blank": (("--suvr-region", ""), "--suvr-region is empty"),
    "region-long": (("--suvr-region", LONG), "File name too long"),
    "region-folder": (("--suvr-region", "{root}"), "no such file exists"),
    "space-blank": (("--output-spaces", ""), "output_spaces is empty"),
    "space-resolution": (("--output-spaces", f"MNI152NLin6Asym:res-{HUGE}"), "not of the form"),
    "space-path": (("--output-spaces", "../MNI"), "not of the form"),
    "model-long": (("--fusion-model", LONG), "invalid choice"),
    "weights-blank": (("--fusion-weights", "readfuse="), "is not NAME=FILE"),
    "weights-long": (("--fusion-weights", f"readfuse={LONG}"), "File name too long"),
    "weights-folder": (("--fusion-weights", "readfuse={root}"), "is a folder"),
    "option-unknown": (("--fuse-everything",), "unrecognized arguments"),
    "option-lines": (("--fuse\nall",), "unrecognized arguments"),
}
OF_FILES = {
    **{
        f"pipe{option}": (_pipe_without_writer(option), "cannot read")
        for option in ("--bids-filter-file", "--use-plugin", "--config-file")
    },
    **{
        f"loop{option}": (_loop(option), "Too many levels of symbolic links")
        for option in ("--bids-filter-file", "--use-plugin", "--config-file", "-w")
    },
}
ATTACKS = {
    **{
        name: _refused(what, _filters(content), says)
        for name, (what, content, says) in OF_FILTERS.items()
    },
    **{
        name: _refused(" ".join(options)[:50], _given(*options), says)
        for name, (options, says) in OF_OPTIONS.items()
    },
    **{name: _refused(name, prepare, says) for name, (prepare, says) in OF_FILES.items()},
}


@in_table(ATTACKS)
def test_a_wrong_command_line_ends_in_one_line(attack, scene):
    told_in_one_line(attempt(scene, "--dry-run", *attack.prepare(scene)), attack)


@pytest.mark.parametrize("level", ["participants", "session", "PARTICIPANT", "", "participant1"])
def test_an_unknown_level_of_analysis_has_an_exit_code_of_its_own(scene, level):
    run = attempt(scene, level=level)
    told_in_one_line(run, Attack("another level", _given(), (17,), "unknown analysis level"))


def test_patterns_and_wildcards_of_filters_still_serve(scene):
    filters = {"pet": {"regex_search": True, "suffix": "^pe[st]$", "run": None, "space": "*"}}
    run = attempt(scene, "--dry-run", *_filters(filters)(scene))
    assert run.code == 0
    assert run.stderr == ""


@pytest.fixture
def one_way():
    """Makes a pipe that can be read once and whose path leads nowhere else, as ``<(…)`` does."""
    opened = []

    def make(text: str) -> str:
        reading, writing = os.pipe()
        opened.append(reading)
        os.write(writing, text.encode())
        os.close(writing)
        return f"/dev/fd/{reading}"

    yield make
    for handle in opened:
        os.close(handle)


PIPED = {
    "--bids-filter-file": ('{"pet": {"suffix": "pet"}}', "_pet.nii.gz"),
    "--use-plugin": ("plugin: MultiProc\nplugin_args: {n_procs: 1}\n", "_pet.nii.gz"),
    "--config-file": ("[execution]\nnprocs = 1\n", "_pet.nii.gz"),
}


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="no /dev/fd here")
@pytest.mark.parametrize("option", PIPED)
def test_a_file_may_be_a_pipe(scene, one_way, option):
    text, says = PIPED[option]
    run = attempt(scene, "--dry-run", option, one_way(text))
    stands(run, Attack("", _given(), says=says))
    assert run.stderr == ""


def test_a_slow_writer_is_waited_for(scene, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    script = f"exec > {tmp_path}/pipe; sleep 0.5; echo '[execution]'; sleep 0.5; echo 'nprocs = 0'"
    with subprocess.Popen(["sh", "-c", script]), (tmp_path / "pipe").open("rb") as held:
        run = attempt(scene, "--dry-run", "--config-file", f"/dev/fd/{held.fileno()}")
    assert run.code == 64
    assert "nprocs must be at least 1, not 0" in run.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "required: output_dir"),
        (("",), "the path is empty"),
        ((f"/tmp/{LONG}",), "File name too long"),
        (("{root}/loop/demo",), "Too many levels of symbolic links"),
        (("{root}/demo", "--random-seed", "-1"), "must be at least 0"),
        (("{root}/demo", "--random-seed", str(2**32)), "must be at most 4294967295"),
        (("{root}/demo", "--random-seed", HUGE), "is not a whole number"),
        (("{root}/demo", "--subjects", "3"), "unrecognized arguments"),
    ],
)
def test_a_wrong_demo_ends_in_one_line(tmp_path, capsys, options, says):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SystemExit) as ended:
        main(["demo", *(option.format(root=tmp_path) for option in options)])
    assert ended.value.code == 64
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert says in said
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]
