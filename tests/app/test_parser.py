import json
import subprocess
import sys
from pathlib import Path

import pytest

from bids_app.parser import ACTIONS, build_parser, parse
from fusionprep.config import Config
from fusionprep.config_file import to_toml
from fusionprep.errors import UsageError
from fusionprep.machine import cpus, planned_memory_gb
from fusionprep.models.registry import model_names

EVERY_OPTION = """
raw out participant --participant-label 01 --session-label a --tracer-label x --rec-label y
--run-label 1 --bids-filter-file filter.json --bids-database-dir index --skip-bids-validation
--modalities pet ct flair --max-day-gap 0 --anat-session ses-b --ignore lesions
 --derivatives fmriprep=made lab=made
--output-spaces T1w MNI152NLin2009aSym:res-2 --pet2anat-method auto --registration-backend ants
--anat-contrast FLAIR
--skull-strip-t1w force --denoise-t1w on
--frames 50-70 --suvr-region pons.nii.gz --random-seed 7 --sloppy
--atlas dk space-T1w_seg-Lab_dseg.nii --atlas-labels names.tsv --fs-subjects-dir freesurfer
--pvc mg iy --psf 5.5x5.5x6 --target-resolution 8 --combine-runs
--fusion-model average densefuse unet --fusion-weights unet=own/unet.safetensors
--fusion-weights densefuse=own/densefuse.safetensors --planes triplanar
--colour-map vivid --dicom-reference dcm/{subject}/{session}
--batch-size 16 --device cpu --nprocs 3 --omp-nthreads 2 --mem 8000M
--use-plugin plugin.yml -w elsewhere --clean-workdir --stop-on-first-crash --reports-only
--boilerplate-only --trust-workdir --dry-run --write-graph --resource-monitor -vv
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with a dataset, which is where the command is given."""
    (tmp_path / "raw").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config_of(*options: str) -> Config:
    return parse(["raw", "out", "participant", *options])[0]


def test_defaults_are_those_of_the_configuration(here):
    config, actions = parse(["raw", "out", "participant"])
    folders = {"bids_dir": here / "raw", "output_dir": here / "out", "work_dir": here / "work"}
    machine = {"nprocs": cpus(), "mem_gb": planned_memory_gb()}
    assert config == Config.from_options(**folders, **machine)
    assert not any(vars(actions).values())


@pytest.mark.parametrize(
    ("option", "field", "prefix"),
    [
        ("--participant-label", "participant_label", "sub-"),
        ("--participant_label", "participant_label", "sub-"),
        ("--session-label", "session_label", "ses-"),
        ("--session_label", "session_label", "ses-"),
        ("--tracer-label", "tracer_label", "trc-"),
        ("--rec-label", "rec_label", "rec-"),
        ("--run-label", "run_label", "run-"),
    ],
)
def test_labels_with_or_without_prefix(here, option, field, prefix):
    assert getattr(config_of(option, "01", f"{prefix}b", "c+d").selection, field) == (
        "01",
        "b",
        "c+d",
    )
    assert getattr(config_of(option, f"{prefix}01").selection, field) == ("01",)


def test_every_option_reaches_the_configuration(here, write_weights):
    (here / "filter.json").write_text('{"pet": {"run": 1, "session": null}}')
    for name in ("pons.nii.gz", "space-T1w_seg-Lab_dseg.nii", "names.tsv"):
        (here / name).touch()
    (here / "freesurfer").mkdir()
    (here / "made" / "sub-01").mkdir(parents=True)
    (here / "plugin.yml").write_text("plugin: MultiProc\n")
    own = {name: write_weights(name)[0] for name in ("unet", "densefuse")}
    config, actions = parse(EVERY_OPTION.split())
    assert config == Config.from_options(
        bids_dir=here / "raw",
        output_dir=here / "out",
        work_dir=here / "elsewhere",
        participant_label=("01",),
        session_label=("a",),
        tracer_label=("x",),
        rec_label=("y",),
        run_label=("1",),
        bids_filters={"pet": {"run": 1, "session": None}},
        bids_database_dir=here / "index",
        skip_bids_validation=True,
        modalities=("pet", "ct", "flair"),
        output_spaces=("T1w", "MNI152NLin2009aSym:res-2"),
        models=("average", "densefuse", "unet"),
        weights=own,
        planes="triplanar",
        colour_map="vivid",
        dicom_reference=f"{here}/dcm/{{subject}}/{{session}}",
        batch_size=16,
        device="cpu",
        pet2anat_method="auto",
        registration_backend="ants",
        max_day_gap=0,
        anat_session="b",
        ignore=("lesions",),
        derivatives={"fmriprep": here / "made", "lab": here / "made"},
        skull_strip_t1w="force",
        denoise_t1w="on",
        anat_contrast="FLAIR",
        frames="50-70",
        suvr_region=str(here / "pons.nii.gz"),
        atlas=("dk", str(here / "space-T1w_seg-Lab_dseg.nii")),
        atlas_labels=(str(here / "names.tsv"),),
        fs_subjects_dir=here / "freesurfer",
        pvc=("mg", "iy"),
        psf="5.5x5.5x6",
        target_resolution=8.0,
        combine_runs=True,
        nprocs=3,
        omp_nthreads=2,
        mem_gb=8.0,
        plugin_file=here / "plugin.yml",
        plugin={"plugin": "MultiProc", "plugin_args": {}},
        stop_on_first_crash=True,
        write_graph=True,
        resource_monitor=True,
        random_seed=7,
        sloppy=True,
        verbose=2,
    )
    assert vars(actions) == dict.fromkeys((*ACTIONS, "own_workdir"), True)


def test_regions_of_the_atlas_go_before_files_of_their_name(here):
    (here / "pons").touch()
    for spaces in ("MNI152NLin2009aSym:res-2", "MNI152NLin6Asym MNI152NLin2009aSym"):
        config = config_of("--suvr-region", "pons", "--output-spaces", *spaces.split())
        assert config.processing.suvr_region == "pons"


def test_options_of_an_earlier_run_and_the_command_line_before_them(here):
    (here / "filter.json").write_text('{"pet": {"session": null}}')
    earlier = config_of("--modalities", "ct", "--nprocs", "3", "--bids-filter-file", "filter.json")
    (here / "a.toml").write_text(to_toml(earlier), "utf-8")
    config = config_of("--config-file", "a.toml", "--nprocs", "5", "-w", "other")
    assert config.selection.modalities == ("ct",)
    assert config.execution.nprocs == 5
    assert config.work_dir == here / "other"
    assert config.selection.bids_filters == {"pet": {"session": "Query.NONE"}}


@pytest.mark.parametrize(
    ("text", "gigabytes"), [("8", 8), ("7.5", 7.5), ("8000M", 8), ("8GB", 8), ("1t", 1000)]
)
def test_amounts_of_memory(here, text, gigabytes):
    assert config_of("--mem", text).execution.mem_gb == pytest.approx(gigabytes)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "raw out",
        "raw out participant --nprocs 0",
        "raw out participant --nprocs two",
        "raw out participant --max-day-gap -1",
        "raw out participant --mem 0",
        "raw out participant --mem much",
        "raw out participant --modalities mri",
        "raw out participant --modalities",
        "raw out participant --fusion-model best",
        "raw out participant --fusion-weights unet",
        "raw out participant --fusion-weights densefuse=a --fusion-weights densefuse=b",
        "raw out participant --pet2anat-method affine",
        "raw out participant --planes sagittal",
        "raw out participant --colour-map hot",
        "raw out participant --batch-size 0",
        "raw out participant --device tpu",
        "raw out participant --colour red",
    ],
)
def test_what_argparse_refuses_ends_with_64(here, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(arguments.split())
    assert caught.value.code == 64
    assert "fusionapp: error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--output-spaces MNI:1", "not of the form"),
        ("--output-spaces MNI152NLin2009aSym MNI152NLin2009aSym:res-1", "a space twice"),
        (
            "--suvr-region thalamus",
            "not one of auto, whole-brain, .*, pons, none, and no such file",
        ),
        ("--suvr-region pons --output-spaces T1w", "an atlas in MNI152NLin2009aSym; add it"),
        ("--suvr-region cerebellar-gm --output-spaces MNI152NLin6Asym", "add it to"),
        ("--suvr-region raw/mask.nii.gz --output-spaces T1w", "needs a template"),
        ("--frames late", "--frames 'late' is not auto, all or START-END"),
        ("--frames 70-50", "--frames 70-50 cannot be a window: it must end after it begins"),
        ("--frames 50-50", "it must end after it begins"),
        ("--frames 50", "is not auto, all or START-END"),
        ("--atlas Schaefer2018", "no such atlas on this machine"),
        ("--atlas own.nii", "own.nii: no such file"),
        ("--atlas dk --output-spaces T1w", "is in MNI152NLin2009aSym; add it to --output-spaces"),
        ("--atlas-labels names.tsv", "goes with a file of --atlas"),
        ("--fs-subjects-dir missing", "no such folder"),
        ("--ignore lesions lesions", "--ignore must name one or more, each once"),
        ("--pvc none mg", "--pvc none goes with no other"),
        ("--pvc mg mg", "--pvc must name one or more, each once"),
        ("--psf 6", "--psf is for --pvc, --smooth and --target-resolution"),
        ("--smooth 6 --target-resolution 8", "leave out --smooth"),
        ("--smooth nan", "--smooth takes a full width .* of 1 to 25 mm, not nan"),
        ("--target-resolution 80", "--target-resolution takes .* not 80"),
        ("--pvc mg --psf 5x6", "one for each axis .*; not 5x6"),
        ("--pvc mg --psf nanx6x6", "--psf takes a full width at half maximum of 1 to 25 mm"),
        ("--pvc mg --psf 0.6", "of 1 to 25 mm"),
        ("--modalities pet pet", "modalities must name one or more, each once"),
        ("--fusion-model average average", "models must name one or more, each once"),
        ("--fusion-model average gmpet --modalities ct", "gmpet fuses PET only"),
        ("-w raw", "the work directory .* is inside the dataset"),
        ("-w raw/work", "the work directory .* is inside the dataset"),
        ("-w out/work", "the work directory .* is inside the output folder"),
        ("-w . --clean-workdir", "--clean-workdir would delete the dataset"),
        ("--config-file missing.toml", "cannot read the configuration file"),
        ("--bids-filter-file missing.json", "cannot read the BIDS filter file"),
        ("--bids-filter-file list.json", "must hold an object of objects"),
        ("--bids-filter-file flat.json", "must hold an object of objects"),
    ],
)
def test_what_does_not_fit_together_is_refused(here, options, message):
    (here / "raw" / "mask.nii.gz").touch()
    (here / "list.json").write_text("[]")
    (here / "flat.json").write_text('{"pet": 1}')
    with pytest.raises(UsageError, match=message) as caught:
        config_of(*options.split())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--fusion-weights readfuse=none.safetensors", "No such file"),
        ("--fusion-weights readfuse=text.safetensors", "text.safetensors is not a safetensors"),
        ("--fusion-weights readfuse=own/unet.safetensors", "does not hold weights of readfuse"),
        (
            "--fusion-weights unet=own/unet.safetensors",
            "does not belong to a model of",
        ),
        ("--fusion-model max --fusion-weights max=own/unet.safetensors", "max has no weights"),
        ("--config-file own.toml", "does not hold weights of readfuse"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_before_anything_runs(
    here, write_weights, options, message
):
    write_weights("unet")
    (here / "text.safetensors").write_text("text")
    (here / "own.toml").write_text('[fusion_weights]\nreadfuse = "own/unet.safetensors"\n')
    with pytest.raises(UsageError, match=message) as caught:
        config_of(*options.split())
    assert "\n" not in str(caught.value)


def test_the_output_may_be_in_derivatives_but_not_elsewhere_in_the_dataset(here):
    parse(["raw", "raw/derivatives/fusionprep", "participant"])
    for output, message in (("raw", "the dataset itself"), ("raw/out", "is inside the dataset")):
        with pytest.raises(UsageError, match=message):
            parse(["raw", output, "participant"])


def test_a_link_into_the_dataset_is_seen_through(here):
    (here / "link").symlink_to(here / "raw")
    with pytest.raises(UsageError, match="is inside the dataset"):
        parse(["raw", "link/out", "participant"])


def test_cleaning_never_takes_the_output_folder_along(here):
    with pytest.raises(UsageError, match="would delete the output folder"):
        parse(["raw", "all/out", "participant", "-w", "all", "--clean-workdir"])
    parse(["raw", "all/out", "participant", "-w", "all"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('device = "tpu"', "device cannot be 'tpu'; choose from auto, cpu, cuda"),
        ('planes = "sagittal"', "planes cannot be 'sagittal'; choose from axial, triplanar"),
        ("batch_size = 0", "batch_size must be at least 1"),
        ('fusion_models = ["best"]', "models cannot be 'best'"),
        ("modalities = []", "modalities must name one or more"),
        ("nprocs = 0", "nprocs must be at least 1"),
        ("max_day_gap = -1", "max_day_gap must be at least 0"),
        ("mem_gb = 0", "mem_gb must be above 0"),
        ("bids_filters = {pet = 1}", "object of objects"),
        ("colour = 1", "unknown option"),
    ],
)
def test_a_configuration_file_cannot_say_more_than_the_command_line(here, text, message):
    (here / "a.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        config_of("--config-file", "a.toml")


def test_usage_errors_end_the_command_with_64(here):
    done = command("raw", "raw", "participant")
    assert done.returncode == 64
    assert done.stderr.splitlines() == [
        "fusionapp: error: the output folder is the dataset itself; choose another"
    ]


def command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "bids_app.run", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_names_every_model_and_version_says_which():
    done = command("--help")
    assert done.returncode == 0
    for name in model_names():
        assert name in done.stdout
    assert command("--version").stdout.startswith("fusionapp ")


def test_help_imports_nothing_heavy():
    script = """
import contextlib, io, json, sys
from bids_app.run import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main(["--help"])
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(json.loads(done.stdout))
    assert "bids_app.parser" in loaded
    heavy = {
        "torch", "nilearn", "nipype", "niworkflows", "nireports", "SimpleITK", "ants",
        "matplotlib", "sklearn", "scipy", "bids", "pandas", "deepbet",
    }  # fmt: skip
    assert not heavy & loaded


def test_every_option_has_a_help_text():
    text = build_parser().format_help()
    for option in ("--fusion-model", "--suvr-region", "--dry-run", "--config-file", "--mem"):
        assert option in text


@pytest.mark.parametrize(
    ("options", "modalities"),
    [
        ("", ("pet",)),
        ("--anat-contrast T1w", ("pet",)),
        ("--anat-contrast FLAIR", ("pet", "flair")),
        ("--anat-contrast T2w --modalities ct", ("ct", "t2w")),
        ("--anat-contrast T2w --modalities t2w pet", ("t2w", "pet")),
    ],
)
def test_the_contrast_fused_with_is_brought_to_the_t1w(here, options, modalities):
    config, _ = parse(f"raw out participant -w elsewhere {options}".split())
    assert config.selection.modalities == modalities
