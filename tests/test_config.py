import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from fusionprep.config import Config, Execution, Fusion, Processing, Selection
from fusionprep.config_file import read_options, read_values, to_toml
from fusionprep.config_regions import Regions
from fusionprep.errors import UsageError
from fusionprep.modalities import T2W

FOLDERS = {"bids_dir": Path("/raw"), "output_dir": Path("/out"), "work_dir": Path("/work")}


def round_trip(config: Config, tmp_path) -> Config:
    path = tmp_path / "fusionprep.toml"
    path.write_text(to_toml(config), "utf-8")
    return Config.from_options(**read_options(path))


def test_defaults_survive_the_file(tmp_path):
    assert round_trip(Config.from_options(**FOLDERS), tmp_path) == Config.from_options(**FOLDERS)


def test_every_option_survives_the_file(tmp_path):
    every = Config.from_options(
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
        modalities=("pet", "ct", "flair"),
        output_spaces=("T1w", "MNI152NLin2009aSym:res-2"),
        models=("densefuse",),
        weights={"densefuse": Path("/own/densefuse.safetensors")},
        planes="triplanar",
        colour_map="vivid",
        dicom_reference="/dicom/{subject}/*_T1",
        batch_size=16,
        device="cpu",
        pet2anat_method="auto",
        registration_backend="ants",
        max_day_gap=3,
        anat_session="b",
        ignore=("lesions",),
        derivatives={"fmriprep": Path("/fmriprep")},
        skull_strip_t1w="skip",
        denoise_t1w="on",
        anat_contrast="FLAIR",
        frames="50-70",
        suvr_region="/masks/pons.nii.gz",
        atlas=("dk", "/rois/space-T1w_dseg.nii"),
        atlas_labels=("/rois/names.tsv",),
        fs_subjects_dir=Path("/freesurfer"),
        pvc=("mg", "gtm"),
        psf="5x5x6",
        target_resolution=8.0,
        combine_runs=True,
        hmc="on",
        keep_frames=True,
        nprocs=4,
        omp_nthreads=2,
        mem_gb=7.5,
        plugin_file=Path("/slurm.yml"),
        plugin={"plugin": "SLURM", "plugin_args": {"max_jobs": 9}},
        ratings_file=Path("/ratings.tsv"),
        stop_on_first_crash=True,
        write_graph=True,
        resource_monitor=True,
        random_seed=9,
        sloppy=True,
        verbose=2,
    )
    default = Config.from_options(**FOLDERS)
    same = [name for name, value in every.options().items() if value == default.options()[name]]
    # what is brought to a resolution is not smoothed besides
    assert same == [*FOLDERS, "smooth"]
    assert round_trip(every, tmp_path) == every


def test_null_in_a_filter_is_written_as_the_word_the_layout_knows(tmp_path):
    filters = {"pet": {"session": None, "run": [None, 1]}, "t1w": {"acquisition": "*"}}
    config = round_trip(Config.from_options(**FOLDERS, bids_filters=filters), tmp_path)
    assert config.selection.bids_filters == {
        "pet": {"session": "Query.NONE", "run": ["Query.NONE", 1]},
        "t1w": {"acquisition": "*"},
    }
    assert round_trip(config, tmp_path) == config


def test_unset_options_are_left_out_of_the_file():
    values = tomllib.loads(to_toml(Config.from_options(**FOLDERS)))
    written = {*values, *values["selection"], *values["execution"]}
    assert not {"mem_gb", "anat_session", "plugin_file", "bids_database_dir"} & written


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
        ("fusion_weights = {unet = 1}", "option weights.unet"),
        ("fusion_weights = 'unet'", "option weights"),
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
        Config.from_options(**FOLDERS).fusion.device = "cuda"


EARLIER = """
bids_dir = "/raw"
output_dir = "/out"
work_dir = "/work"
participant_label = ["01"]
modalities = ["pet", "ct"]
fusion_models = ["densefuse", "max"]
pet2anat_method = "auto"
nprocs = 3

[bids_filters.pet]
run = 1

[fusion_weights]
densefuse = "/own/densefuse.safetensors"
"""


def test_a_file_of_the_first_release_still_replays(tmp_path):
    path = tmp_path / "fusionprep.toml"
    path.write_text(EARLIER, "utf-8")
    assert Config.from_options(**read_options(path)) == Config.from_options(
        **FOLDERS,
        participant_label=("01",),
        modalities=("pet", "ct"),
        models=("densefuse", "max"),
        weights={"densefuse": Path("/own/densefuse.safetensors")},
        pet2anat_method="auto",
        nprocs=3,
        bids_filters={"pet": {"run": 1}},
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"pet2anat_method": "nonsense"},
            "pet2anat_method cannot be 'nonsense'; choose from rigid",
        ),
        ({"planes": "diagonal"}, "planes cannot be 'diagonal'; choose from axial, triplanar"),
        ({"modalities": ("spect",)}, "modalities cannot be 'spect'; choose from pet, ct"),
        ({"modalities": ()}, "modalities must name one or more"),
        ({"models": ("best",)}, "models cannot be 'best'"),
        ({"anat_contrast": "CT"}, "anat_contrast cannot be 'CT'; choose from T1w, FLAIR, T2w"),
        ({"output_spaces": ("T1w", "T1 w")}, "is not of the form"),
        ({"suvr_region": "pons", "output_spaces": ("T1w",)}, "add it to --output-spaces"),
        ({"frames": "late"}, "--frames 'late' is not auto, all or START-END"),
        ({"frames": "70-50"}, "it must end after it begins"),
        ({"frames": "50-70 min"}, "two numbers of minutes after injection such as 50-70"),
        ({"frames": "0-9999"}, "at most 1440 min after injection"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"colour": 1}, "unknown option: colour"),
    ],
)
def test_values_that_cannot_be_are_refused_where_made(options, message):
    with pytest.raises(UsageError, match=message):
        Config.from_options(**FOLDERS, **options)


def test_groups_refuse_them_too():
    with pytest.raises(UsageError, match="device cannot be 'tpu'"):
        Fusion(device="tpu")
    with pytest.raises(UsageError, match="needs flair among --modalities"):
        Config(**FOLDERS, fusion=Fusion(anat_contrast="FLAIR"))


def test_the_contrast_joins_the_modalities():
    config = Config.from_options(**FOLDERS, anat_contrast="T2w")
    assert config.selection.modalities == ("pet", "t2w")
    assert config.fusion.contrast == T2W
    assert config.with_options(batch_size=9).selection == config.selection


def test_every_option_is_explained():
    documented = "".join(
        group.__doc__ for group in (Config, Selection, Processing, Regions, Fusion, Execution)
    )
    named = set(re.findall(r"\b\w+\b", documented))
    assert set(Config.from_options(**FOLDERS).options()) <= named


def test_values_of_another_version_are_read_without_its_options_being_known(tmp_path):
    path = tmp_path / "fusionprep.toml"
    path.write_text(EARLIER + '\n[motion]\nframes = "all"\n', "utf-8")
    values = read_values(path)
    assert values["participant_label"] == ["01"]
    assert values["models"] == ["densefuse", "max"]
    with pytest.raises(UsageError, match=r"unknown option in .*: motion"):
        read_options(path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"atlas": ()}, "must name one or more"),
        ({"atlas": ("dk", "dk")}, "each once"),
        ({"atlas": ("none", "dk")}, "goes with no other"),
        ({"atlas": ("auto", "dk")}, "leave one out"),
        ({"atlas": ("dk",), "atlas_labels": ("names.tsv",)}, "goes with a file of --atlas"),
    ],
)
def test_atlases_that_do_not_go_together(options, said):
    with pytest.raises(UsageError, match=said):
        Regions(**options)
