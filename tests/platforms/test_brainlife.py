"""The Brainlife App makes a dataset of its inputs, runs, and sorts what comes out."""

import json
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import pytest

from bids_app.exitcodes import ExitCode
from bids_app.platforms.brainlife.inputs import (
    PARAMETERS,
    ConfigError,
    find_images,
    find_options,
    read_config,
    write_dataset,
)
from bids_app.platforms.brainlife.outputs import copy_reports, describe, sort_images
from fusionprep import __version__
from tests.bids.skeleton import write_image, write_json
from tests.platforms.conftest import PLATFORMS
from tests.platforms.test_boutiques import INPUTS

APP = PLATFORMS / "brainlife"
REGISTRATION = {"Verdict": "review", "VerdictReason": "half of the brain"}


@pytest.fixture
def staged(tmp_path) -> Path:
    """Inputs as Brainlife stages them, in folders beside that of the task."""
    write_image(tmp_path / "a" / "t1.nii.gz")
    write_image(tmp_path / "b" / "pet.nii.gz", sidecar={"Units": "Bq/mL", "FrameDuration": [600]})
    write_image(tmp_path / "c" / "ct.nii")
    return tmp_path


def config_of(staged: Path, **changes) -> dict:
    """A configuration of T1w and PET as Brainlife writes it; None takes something away."""
    t1_meta = {"subject": "A-1", "session": "base line"}
    pet_meta = {"subject": "sub-A1", "session": "", "TracerName": "FDG", "Units": "none", "tags": 1}
    config = {
        "t1": str(staged / "a" / "t1.nii.gz"),
        "pet": str(staged / "b" / "pet.nii.gz"),
        "ct": "",
        "model": "average",
        "_app": "5f1",
        "_inputs": [
            {"id": "anatomy", "keys": ["t1"], "meta": t1_meta},
            {"id": "pet", "keys": ["pet"], "meta": pet_meta},
        ],
    }
    return {key: value for key, value in {**config, **changes}.items() if value is not None}


def task_of(folder: Path, config: object) -> Path:
    """A task's folder: a clone of the App with its configuration."""
    task = folder / "task"
    shutil.copytree(APP, task)
    write_json(task / "config.json", config)
    return task


def launch(task: Path, environment, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["./main"],
        cwd=task,
        env={**environment, "FUSIONAPP_IMAGE": "", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_dataset_of_the_inputs(staged):
    # nothing is known about the CT: it is of the same subject
    write_dataset(find_images(config_of(staged, ct=str(staged / "c" / "ct.nii"))), staged / "bids")
    assert files(staged / "bids") == [
        ".bidsignore",
        "dataset_description.json",
        "sub-A1/ct/sub-A1_ct.nii",
        "sub-A1/pet/sub-A1_pet.json",
        "sub-A1/pet/sub-A1_pet.nii.gz",
        "sub-A1/ses-baseline/anat/sub-A1_ses-baseline_T1w.nii.gz",
    ]
    sidecar = json.loads((staged / "bids/sub-A1/pet/sub-A1_pet.json").read_text("utf-8"))
    # the file beside the image takes precedence over the metadata, whose BIDS fields alone count
    assert sidecar == {"TracerName": "FDG", "Units": "Bq/mL", "FrameDuration": [600]}


def test_sidecar_may_be_named(staged):
    named = write_json(staged / "other.json", {"Units": "kBq/mL"})
    images = {image.key: image for image in find_images(config_of(staged, pet_json=str(named)))}
    assert images["pet"].metadata == {"TracerName": "FDG", "Units": "kBq/mL"}
    assert images["t1"].metadata == {}


def test_without_metadata_the_subject_is_01(staged):
    assert {image.subject for image in find_images(config_of(staged, _inputs=None))} == {"01"}


def test_options_of_the_parameters(staged):
    config = config_of(
        staged,
        ct=str(staged / "c" / "ct.nii"),
        output_spaces="T1w MNI152NLin2009aSym:res-2",
        suvr_region="",
        atlas="dk Schaefer2018:100Parcels7Networks",
        pvc=["mg", "gtm"],
        psf="6",
        sloppy=True,
        random_seed=0,
    )
    assert find_options(config, find_images(config)) == [
        "--modalities", "pet", "ct", "--fusion-model", "average",
        "--output-spaces", "T1w", "MNI152NLin2009aSym:res-2",
        "--atlas", "dk", "Schaefer2018:100Parcels7Networks", "--pvc", "mg", "gtm", "--psf", "6",
        "--random-seed", "0", "--sloppy",
    ]  # fmt: skip


def test_parameters_are_options_of_the_command():
    assert set(PARAMETERS.values()) <= {given.get("command-line-flag") for given in INPUTS.values()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"t1": None}, "must name a T1w"),
        ({"pet": None}, "a PET (pet) or a CT (ct)"),
        ({"pet": "gone.nii.gz"}, "pet: there is no file gone.nii.gz"),
        ({"t1": "t1.mgz"}, "t1 must be the path of one .nii.gz or .nii file, not 't1.mgz'"),
        ({"t1": ["a.nii.gz", "b.nii.gz"]}, "t1 must be the path of one"),
        ({"pet_json": "gone.json"}, "pet_json: gone.json cannot be read"),
        ({"modell": "unet"}, "unknown: modell; parameters are anat_contrast"),
        ({"model": "unet max"}, "model must be one word, not 'unet max'"),
        ({"model": "--write-graph"}, "model cannot be '--write-graph'"),
        (
            {
                "_inputs": [
                    {"keys": ["t1"], "meta": {"subject": "1"}},
                    {"keys": ["pet"], "meta": {"subject": "2"}},
                ]
            },
            "of several subjects: 1, 2",
        ),
        ({"_inputs": [{"keys": ["t1"], "meta": {"subject": "../"}}]}, "no letter or digit"),
    ],
)
def test_what_is_wrong_with_a_configuration(staged, changes, said):
    config = config_of(staged, **changes)
    with pytest.raises(ConfigError) as error:
        find_options(config, find_images(config))
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_configuration_that_is_none(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError):
        read_config(tmp_path / "config.json")


def test_main_tells_a_bad_configuration(staged, environment):
    task = task_of(staged, config_of(staged, pet=""))
    done = launch(task, environment)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.splitlines() == [
        "config.json: must name a T1w (t1) and a PET (pet) or a CT (ct)"
    ]
    product = json.loads((task / "product.json").read_text("utf-8"))
    assert product == {"brainlife": [{"type": "error", "msg": done.stderr.strip()}]}


def test_main_passes_on_the_failure_of_the_command(staged, environment):
    task = task_of(staged, config_of(staged, model="alchemy"))
    done = launch(task, environment)
    assert done.returncode == ExitCode.USAGE
    (message,) = json.loads((task / "product.json").read_text("utf-8"))["brainlife"]
    assert message["type"] == "error"
    assert message["msg"].startswith("fusionapp failed with exit code 64: fusionapp: error:")
    assert "invalid choice: 'alchemy'" in message["msg"]


def test_main_runs_everything_in_the_image(staged, environment):
    """A stand-in for Apptainer shows what would be run, and where."""
    engine = staged / "bin" / "apptainer"
    engine.parent.mkdir()
    engine.write_text(
        '#!/bin/bash\nprintf "%s\\n" "$*" >> calls.txt\n'
        'while [ "$1" != image.sif ]; do shift; done\nshift\n"$@"\n'
    )
    engine.chmod(0o755)
    path = f"{engine.parent}:{environment['PATH']}"
    task = task_of(staged, config_of(staged, model="alchemy"))
    launch(task, environment, PATH=path, FUSIONAPP_IMAGE="image.sif", SLURM_CPUS_PER_TASK="3")
    calls = (task / "calls.txt").read_text("utf-8").splitlines()
    start = f"-B {staged} --pwd {task} image.sif "
    assert [call.partition(start)[2] for call in calls] == [
        "python3 inputs.py",
        "fusionapp bids output_derivatives participant -w work --skip-bids-validation --nprocs 3"
        " --modalities pet --fusion-model alchemy",
        "python3 outputs.py 64",
    ]
    assert all(call.startswith("exec --cleanenv ") for call in calls)


def test_default_image_is_of_this_version():
    assert f"fusionapp:{__version__}}}" in (APP / "main").read_text("utf-8")


def derivatives(root: Path) -> Path:
    """Derivatives with every image that may be mistaken for another."""
    stem = root / "sub-1" / "ses-a"
    for name in (
        "anat/sub-1_ses-a_desc-preproc_T1w",
        "anat/sub-1_ses-a_space-MNI152NLin2009aSym_res-1_desc-preproc_T1w",
        "anat/sub-1_ses-a_desc-brain_mask",
        "anat/sub-1_ses-a_space-MNI152NLin2009aSym_res-1_desc-brain_mask",
        "anat/sub-1_ses-a_space-T1w_desc-fusedCTAverageColor_T1w",
        "anat/sub-1_ses-a_space-T1w_desc-fusedCTAverage_T1w",
        "pet/sub-1_ses-a_space-MNI152NLin2009aSym_res-1_desc-fusedAverage_pet",
        "pet/sub-1_ses-a_space-T1w_desc-fusedAverageColor_pet",
        "pet/sub-1_ses-a_space-T1w_desc-fusedAverage_pet",
        "pet/sub-1_ses-a_space-T1w_desc-preproc_pet",
        "pet/sub-1_ses-a_space-T1w_desc-suvr_pet",
    ):
        write_image(stem / f"{name}.nii.gz", sidecar={"Name": name, "Units": "Bq/mL"})
    write_json(stem / "anat/sub-1_ses-a_dseg.json", {"TissueVolumesMillilitres": {"GM": 7.5}})
    write_json(root / "sub-1" / "figures" / "picture.svg", 0)
    (root / "sub-1.html").write_text("report")
    return root


def test_outputs_go_to_the_datatypes(tmp_path):
    root = derivatives(tmp_path / "output_derivatives")
    sidecars = sort_images(root, tmp_path)
    names = {folder: sidecar["Name"].rpartition("/")[2] for folder, sidecar in sidecars.items()}
    assert names == {
        "output_t1": "sub-1_ses-a_desc-preproc_T1w",
        "output_mask": "sub-1_ses-a_desc-brain_mask",
        "output_pet": "sub-1_ses-a_space-T1w_desc-preproc_pet",
        "output_fused": "sub-1_ses-a_space-T1w_desc-fusedAverage_pet",
        "output_fused_ct": "sub-1_ses-a_space-T1w_desc-fusedCTAverage_T1w",
    }
    copy_reports(root, tmp_path)
    assert [name for name in files(tmp_path) if not name.startswith("output_derivatives")] == [
        "output_fused/pet.json", "output_fused/pet.nii.gz",
        "output_fused_ct/t1.json", "output_fused_ct/t1.nii.gz",
        "output_mask/mask.json", "output_mask/mask.nii.gz",
        "output_pet/pet.json", "output_pet/pet.nii.gz",
        "output_report/html/sub-1.html", "output_report/html/sub-1/figures/picture.svg",
        "output_t1/t1.json", "output_t1/t1.nii.gz",
    ]  # fmt: skip


def test_product_tells_verdict_volumes_and_tags(tmp_path):
    root = derivatives(tmp_path / "output_derivatives")
    fused = {"FusionModel": {"Name": "average"}, "TracerName": "FDG"}
    product = describe(
        root, {"output_pet": {"Registration": REGISTRATION}, "output_fused": fused}, 0, ""
    )
    assert product == {
        "brainlife": [
            {
                "type": "warning",
                "msg": "Registration of the PET to the T1w: review (half of the brain)",
            },
            {
                "type": "plotly",
                "name": "Tissue volumes",
                "data": [{"type": "bar", "x": ["GM"], "y": [7.5]}],
                "layout": {"yaxis": {"title": "ml"}},
            },
        ],
        "tissue_volumes_ml": {"GM": 7.5},
        "output_pet": {"tags": ["space-T1w"], "meta": {}},
        "output_fused": {"tags": ["space-T1w", "average"], "meta": {"TracerName": "FDG"}},
    }


def test_product_stays_small_whatever_the_log_says(tmp_path):
    log = f"sub-1: {'x' * 9999}\n0 of 1 subjects finished without errors\n"
    (message,) = describe(tmp_path, {}, 65, log)["brainlife"]
    assert message["msg"].startswith("fusionapp failed with exit code 65: sub-1: xxx")
    assert len(message["msg"]) < 500


@pytest.mark.slow
def test_main_processes_a_subject(phantom, tmp_path, environment):
    source = phantom / "sub-01"
    config = {
        "t1": str(source / "anat" / "sub-01_T1w.nii.gz"),
        "pet": str(source / "pet" / "sub-01_trc-18FFDG_pet.nii.gz"),
        "ct": str(source / "ct" / "sub-01_ct.nii.gz"),
        "model": "average",
        "output_spaces": "T1w",
        "sloppy": True,
        "_inputs": [{"id": "t1", "keys": ["t1"], "meta": {"subject": "9"}}],
    }
    task = task_of(tmp_path, config)
    done = launch(task, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("t1/t1", "mask/mask", "pet/pet", "ct/ct", "fused/pet", "fused_ct/t1"):
        image = nib.load(task / f"output_{name}.nii.gz")
        assert image.shape == nib.load(task / "output_t1" / "t1.nii.gz").shape
    assert (task / "output_report" / "html" / "sub-9.html").is_file()
    product = json.loads((task / "product.json").read_text("utf-8"))
    kinds = [message["type"] for message in product["brainlife"]]
    assert kinds.count("plotly") == 1
    assert "error" not in kinds
    assert product["brain_volume_ml"] > 1000
    assert product["output_fused"]["tags"] == ["space-T1w", "average"]
    assert (task / "product.json").stat().st_size < 4096
    assert not (task / "work").exists()
