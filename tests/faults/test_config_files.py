"""Configuration files of every wrong kind: one line, exit code 64, nothing written."""

import pytest

from tests.faults.attacks import Attack, Scene, attempt, in_table
from tests.faults.test_usage import DEEP, HUGE, LONG, told_in_one_line


def _config(content: str | bytes):
    def prepare(scene: Scene) -> list[str]:
        path = scene.bids.parent / "options.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["--config-file", str(path)]

    return prepare


CONTENTS = {
    "config-empty": ("", "it is empty"),
    "config-json": ('{"nprocs": 1}', "cannot read the configuration file"),
    "config-yaml": ("nprocs: 1\n", "cannot read the configuration file"),
    "config-latin": ("device = 'ä'".encode("latin-1"), "not text in Unicode"),
    "config-image": (b"\x1f\x8b\x08" + bytes(300), "cannot read the configuration file"),
    "config-large": (b"#" * 5_000_000, "larger than 4096 kB"),
    "config-deep": ("nprocs = " + "[" * DEEP, "cannot read the configuration file"),
    "config-deep-tables": ("a = " + "{a = " * 20_000, "cannot read the configuration file"),
    "config-dots": ("a." * 1_000_000 + "a = 1", "more than 1000 dots"),
    "config-dotted-table": (f"[{'a.' * 900}a]\n", "unknown option"),
    "config-twice": ("nprocs = 1\nnprocs = 2\n", "cannot read the configuration file"),
    "config-digits": (f"nprocs = {HUGE}", "cannot read the configuration file"),
    "config-hex-digits": (f"nprocs = 0x{HUGE}", "nprocs must be at most"),
    "config-date": ("nprocs = 2020-13-45", "cannot read the configuration file"),
    "config-real-date": ("nprocs = 2020-01-02", "option nprocs .* has the wrong type"),
    "config-time": ("anat_session = 10:00:00", "option anat_session .* has the wrong type"),
    "config-nan": ("nprocs = nan", "option nprocs .* has the wrong type: nan"),
    "config-mem-nan": ("mem_gb = nan", "mem_gb must be above 0, not nan"),
    "config-mem-inf": ("mem_gb = inf", "mem_gb must be at most"),
    "config-mem-negative": ("mem_gb = -inf", "mem_gb must be above 0"),
    "config-mem-large": (f"mem_gb = 0x{HUGE}", "option mem_gb .* has the wrong type"),
    "config-mem-text": ("mem_gb = '8GB'", "option mem_gb .* has the wrong type"),
    "config-seed": ("random_seed = 4294967296", "random_seed must be at most 4294967295"),
    "config-gap": ("max_day_gap = 99999999999", "max_day_gap must be at most"),
    "config-batch": ("batch_size = -1", "batch_size must be at least 1"),
    "config-verbose": ("verbose = -7", "verbose must be at least 0"),
    "config-bool": ("nprocs = true", "option nprocs .* has the wrong type"),
    "config-whole": ("sloppy = 1", "option sloppy .* has the wrong type"),
    "config-list": ("nprocs = [1]", "option nprocs .* has the wrong type"),
    "config-table": ("nprocs = {a = 1}", "option nprocs .* has the wrong type"),
    "config-labels-text": ("participant_label = '01'", "option participant_label .* wrong type"),
    "config-labels-bool": ("participant_label = [true]", "option participant_label .* wrong type"),
    "config-labels-list": ("participant_label = [['01']]", "participant_label .* wrong type"),
    "config-labels-date": ("session_label = [2020-01-02]", "session_label .* wrong type"),
    "config-labels-table": ("run_label = [{a = 1}]", "run_label .* wrong type"),
    "config-labels-digits": (f"run_label = [0x{HUGE}]", "run_label .* wrong type"),
    "config-labels-path": ("participant_label = ['../..']", "no wildcards, no paths"),
    "config-spaces": ("output_spaces = [nan]", "output_spaces .* has the wrong type"),
    "config-models": ("models = 'max'", "option models .* has the wrong type"),
    "config-model": ("models = ['best']", "models cannot be 'best'"),
    "config-level": ("analysis_level = 3", "option analysis_level .* has the wrong type"),
    "config-device": (f"device = '{LONG}'", "device cannot be 'aaa"),
    "config-work-number": ("work_dir = 3", "option work_dir .* has the wrong type"),
    "config-work-nul": ('bids_database_dir = "/tmp/a\\u0000b"', "holds a NUL character"),
    "config-plugin-nul": ('plugin_file = "/tmp/a\\u0000b"', "holds a NUL character"),
    "config-weights-nul": ('[fusion.weights]\nreadfuse = "\\u0000"', "holds a NUL character"),
    "config-frames": ('frames = "70-50"', "cannot be a window"),
    "config-frames-number": ("frames = 50", "option frames in .* has the wrong type"),
    "config-region-nul": ('suvr_region = "a\\u0000"', "holds a NUL character"),
    "config-session-nul": ('anat_session = "a\\u0000"', "holds a NUL character"),
    "config-label-nul": ('participant_label = ["a\\u0000"]', "holds a NUL character"),
    "config-work-blank": ("bids_database_dir = ''", "bids_database_dir .* is empty"),
    "config-work-long": (f"bids_database_dir = '/{LONG}'", "File name too long"),
    "config-weights-list": ("weights = ['a']", "option weights .* has the wrong type"),
    "config-weights-number": ("weights = {readfuse = 1}", "weights.readfuse .* wrong type"),
    "config-weights-blank": ("weights = {readfuse = ''}", "weights.readfuse .* is empty"),
    "config-group": ("selection = 3", "selection in .* must be a table of options"),
    "config-group-list": ("[[fusion]]\nmodels = ['max']", "fusion in .* must be a table"),
    "config-group-nested": ("[fusion.fusion]\nmodels = ['max']", "unknown option .* fusion"),
    "config-unknown": ("colour = 1", "unknown option .* colour"),
    "config-unknown-long": (f"{LONG} = 1", "unknown option"),
    "config-unknown-lines": ('"a\\nb" = 1', "unknown option .* a\\\\nb"),
    "config-filters-flat": ("bids_filters = {pet = 1}", "object of objects"),
    "config-filters-date": ("[bids_filters.pet]\nrun = 2020-01-02", "'run' cannot be datetime"),
    "config-filters-nan": ("[bids_filters.pet]\nrun = nan", "'run' cannot be nan"),
    "config-filters-table": ("[bids_filters.pet.run]\na = 1", "'run' cannot be"),
    "config-filters-digits": (f"[bids_filters.pet]\nrun = 0x{HUGE}", "'run' must be at most"),
    "config-filters-query": ("[bids_filters.bold]\nrun = 1", "unknown query"),
    "config-filters-entity": ("[bids_filters.pet]\nsesion = 'a'", "'sesion' is not an entity"),
    "config-filters-list": ("bids_filters = []", "option bids_filters .* has the wrong type"),
    "config-plugin-text": ("plugin = 'MultiProc'", "option plugin .* has the wrong type"),
    "config-plugin-name": ("[plugin]\nplugin = 3", "must hold plugin: NAME"),
    "config-plugin-date": (
        "[plugin]\nplugin = 'Linear'\nplugin_args = {n_procs = 2020-01-02}",
        "n_procs must be a whole number",
    ),
}
ATTACKS = {
    name: Attack(name.replace("-", " "), _config(content), (64,), says)
    for name, (content, says) in CONTENTS.items()
}


@in_table(ATTACKS)
def test_a_wrong_configuration_file_ends_in_one_line(attack, scene):
    told_in_one_line(attempt(scene, "--dry-run", *attack.prepare(scene)), attack)


@pytest.mark.parametrize("content", ["\ufeffnprocs = 1\n", "run_label = [1, '02']\n"])
def test_what_people_and_windows_write_is_read(scene, content):
    assert attempt(scene, "--dry-run", *_config(content)(scene)).code in (0, 18)


def test_utf_16_is_read(scene):
    assert attempt(scene, "--dry-run", *_config("nprocs = 1\n".encode("utf-16"))(scene)).code == 0
