import dataclasses
import tomllib
from pathlib import Path

import pytest

from fusionprep.config import Config, read_options
from fusionprep.errors import UsageError

FOLDERS = {"bids_dir": Path("/raw"), "output_dir": Path("/out"), "work_dir": Path("/work")}


def round_trip(config: Config, tmp_path) -> Config:
    path = tmp_path / "fusionprep.toml"
    path.write_text(config.to_toml(), "utf-8")
    return Config(**read_options(path))


def test_defaults_survive_the_file(tmp_path):
    assert round_trip(Config(**FOLDERS), tmp_path) == Config(**FOLDERS)


def test_every_option_survives_the_file(tmp_path):
    every = Config(
        **FOLDERS,
        analysis_level="group",
        participant_label=("01", "ä"),
        session_label=("a",),
        tracer_label=("18FFDG",),
        rec_label=("acdyn",),
        run_label=("1", "02"),
        bids_filters={"pet": {"run": [1, 2], "session": "a"}, "t1w": {}},
        bids_database_dir=Path("/index"),
        skip_bids_validation=True,
        modalities=("pet", "ct"),
        output_spaces=("T1w",),
        fusion_models=("densefuse",),
        fusion_weights={"densefuse": Path("/own/densefuse.safetensors")},
        planes="triplanar",
        batch_size=16,
        device="cpu",
        pet2anat_method="auto",
        registration_backend="ants",
        max_day_gap=3,
        anat_session="b",
        skull_strip_t1w="skip",
        anat_contrast="FLAIR",
        suvr_region="/masks/pons.nii.gz",
        nprocs=4,
        omp_nthreads=2,
        mem_gb=7.5,
        plugin_file=Path("/slurm.yml"),
        ratings_file=Path("/ratings.tsv"),
        stop_on_first_crash=True,
        write_graph=True,
        resource_monitor=True,
        random_seed=9,
        sloppy=True,
        verbose=2,
    )
    default = Config(**FOLDERS)
    same = [
        field.name
        for field in dataclasses.fields(Config)
        if getattr(every, field.name) == getattr(default, field.name)
    ]
    assert same == [*FOLDERS]
    assert round_trip(every, tmp_path) == every


def test_null_in_a_filter_is_written_as_the_word_the_layout_knows(tmp_path):
    filters = {"pet": {"session": None, "run": [None, 1]}, "t1w": {"acquisition": "*"}}
    config = round_trip(Config(**FOLDERS, bids_filters=filters), tmp_path)
    assert config.bids_filters == {
        "pet": {"session": "Query.NONE", "run": ["Query.NONE", 1]},
        "t1w": {"acquisition": "*"},
    }
    assert round_trip(config, tmp_path) == config


def test_unset_options_are_left_out_of_the_file():
    values = tomllib.loads(Config(**FOLDERS).to_toml())
    assert not {"mem_gb", "anat_session", "plugin_file", "bids_database_dir"} & set(values)


def test_a_file_may_hold_a_few_options_only(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('mem_gb = 8\nmodalities = ["pet"]\nwork_dir = "w"\n')
    options = read_options(path)
    assert options == {"mem_gb": 8.0, "modalities": ("pet",), "work_dir": Path("w")}
    assert isinstance(options["mem_gb"], float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nprocs = 'two'", "option nprocs in .* has the wrong type: 'two'"),
        ("nprocs = true", "option nprocs"),
        ("nprocs = 1.5", "option nprocs"),
        ("sloppy = 1", "option sloppy"),
        ("device = 1", "option device"),
        ("modalities = 'pet'", "option modalities"),
        ("bids_dir = 3", "option bids_dir"),
        ("mem_gb = true", "option mem_gb"),
        ("bids_filters = []", "option bids_filters"),
        ("fusion_weights = {unet = 1}", "option fusion_weights.unet"),
        ("fusion_weights = 'unet'", "option fusion_weights"),
        ("colour = 1\nzoom = 2", "unknown option in .*: colour, zoom"),
        ("nprocs = ", "cannot read the configuration file"),
    ],
)
def test_wrong_files_are_refused_by_name(tmp_path, text, message):
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_options(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.toml").write_bytes("device = 'ä'".encode("latin-1"))
    for name in ("missing.toml", "latin.toml", "."):
        with pytest.raises(UsageError, match="cannot read the configuration file"):
            read_options(tmp_path / name)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config(**FOLDERS).device = "cuda"
