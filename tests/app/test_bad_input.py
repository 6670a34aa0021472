"""A dataset of a sound subject and many damaged ones: each fails alone, with a line of its own."""

import gzip
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.app.runs import (
    Run,
    add_copy,
    check_readable,
    corrupt,
    edit_sidecar,
    replace_voxels,
    run_app,
    sidecar_of,
    unfinished,
    zero_affine,
)


def half(image: Path) -> None:
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])


def fill_with_noise(image: Path) -> None:
    """At 2 mm: at 3 mm so much of it is taken for brain that the volume gives it away."""
    loaded = nib.load(image)
    sizes = nib.affines.voxel_sizes(loaded.affine)
    shape = np.round(np.array(loaded.shape) * sizes / 2).astype(int)
    voxels = np.random.default_rng(0).normal(100, 20, shape).astype(np.float32)
    affine = nib.affines.rescale_affine(loaded.affine, loaded.shape, 2.0, shape)
    nib.save(nib.Nifti1Image(voxels, affine), image)


def twice(voxels: np.ndarray) -> np.ndarray:
    return np.stack([voxels, 2 * voxels], axis=-1)


# label: the image of the copy that is damaged, how, and the line this must give
DAMAGED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "gzheader": (
        "pet",
        lambda image: corrupt(image, 0, 256),
        r"cannot read the PET \(.*gzip.*\): .*sub-gzheader_.*_pet\.nii\.gz; copy it again",
    ),
    "gzmiddle": (
        "pet",
        lambda image: corrupt(image, image.stat().st_size // 2, 512),
        r"sub-gzmiddle_trc-18FFDG_pet\.nii\.gz is corrupt .*; copy or convert it again",
    ),
    "t1wmiddle": (
        "t1w",
        lambda image: corrupt(image, image.stat().st_size // 2, 512),
        r"sub-t1wmiddle_T1w\.nii\.gz is corrupt .*; copy or convert it again",
    ),
    "truncated": (
        "t1w",
        half,
        r"the T1w is damaged .*: .*sub-truncated_T1w\.nii\.gz; copy it again",
    ),
    "nan+1": (
        "pet",
        lambda image: replace_voxels(image, lambda v: np.full_like(v, np.nan)),
        r"PET holds no finite value .*: .*sub-nan\+1_.*_pet\.nii\.gz; .* again",
    ),
    "zero": (
        "pet",
        lambda image: replace_voxels(image, np.zeros_like),
        r"PET holds no finite value .*: .*sub-zero_.*_pet\.nii\.gz; .* again",
    ),
    "affine": (
        "t1w",
        zero_affine,
        r"the affine of the T1w is zero .*: .*sub-affine_T1w\.nii\.gz; convert the image again",
    ),
    "petaffine": (
        "pet",
        zero_affine,
        r"the affine of the PET is zero .*: .*sub-petaffine_.*_pet\.nii\.gz; convert .* again",
    ),
    "fourd": (
        "t1w",
        lambda image: replace_voxels(image, twice),
        r"the T1w is 4-D \(2 volumes\): .*sub-fourd_T1w\.nii\.gz; give a 3-D image",
    ),
    "frames": (
        "pet",
        lambda image: replace_voxels(image, twice),
        r"sub-frames_.*_pet\.nii\.gz has 2 frames but .* lists 1; correct the sidecar or the image",
    ),
    "badjson": (
        "pet",
        lambda image: sidecar_of(image).write_text('{"Units": "Bq/mL",', "utf-8"),
        r"cannot read the sidecar .*sub-badjson_.*_pet\.json: .*; correct or remove it",
    ),
    "badtimes": (
        "pet",
        lambda image: edit_sidecar(image, FrameDuration=["long"]),
        r"sub-badtimes_.*_pet\.(nii\.gz|json)",
    ),
    "nopet": ("pet", lambda image: shutil.rmtree(image.parent), r"has no PET image$"),
    "not1w": (
        "t1w",
        lambda image: shutil.rmtree(image.parent),
        r"has no T1w image for sub-not1w_trc-18FFDG_pet\.nii\.gz; add one",
    ),
    "noise": (
        "t1w",
        fill_with_noise,
        r"sub-noise_T1w\.nii\.gz shows noise where the brain should be; look at the image",
    ),
}
# those whose damage only shows when the voxels are read
CRASHED = {"gzmiddle", "t1wmiddle", "nan_1", "zero", "noise"}


@pytest.fixture(scope="module")
def bad(phantom, tmp_path_factory) -> Run:
    """One run on all of them, and on one whose PET has no sidecar, which is allowed."""
    folder = tmp_path_factory.mktemp("bad") / "raw data"
    shutil.copytree(phantom, folder, ignore=shutil.ignore_patterns("sourcedata", "ct"))
    for label, (kind, damage, _) in DAMAGED.items():
        damage(add_copy(folder, label)[kind])
    pet = add_copy(folder, "bare")["pet"]
    sidecar_of(pet).unlink()
    replace_voxels(pet, twice)
    return run_app(folder, folder.parent / "out", "--resource-monitor")


def test_the_exit_code_says_bad_data(bad):
    assert bad.code == 65
    assert f"2 of {len(DAMAGED) + 2} subjects finished without errors" in bad.stdout


@pytest.mark.parametrize("label", DAMAGED)
def test_a_bad_subject_has_one_clear_line_and_a_report(bad, label):
    lines = bad.lines_about(label)
    assert len(lines) == 1, lines
    assert re.search(DAMAGED[label][2], lines[0].split(" (details:")[0])
    report = (bad.output_dir / f"sub-{label}.html").read_text("utf-8")
    assert "1 error" in report
    assert not list((bad.output_dir / f"sub-{label}").rglob("*_desc-fused*_pet.nii.gz"))


def test_no_traceback_is_shown(bad):
    assert "Traceback" not in bad.stderr + bad.stdout
    remarks = ("[", "note: ", "warning: ")
    told = [line for line in bad.stderr.splitlines() if not line.startswith(remarks)]
    assert len(told) == len(DAMAGED) + 1, told  # and how many steps ran


def test_other_subjects_are_complete(bad):
    for label in ("01", "bare"):
        for rest in ("preproc", "suvr", "fusedAverage", "fusedAverageColor"):
            assert bad.image(label, rest).is_file()
        assert not bad.lines_about(label)
        assert "No errors to report" in (bad.output_dir / f"sub-{label}.html").read_text("utf-8")
    assert check_readable(bad.output_dir) > 0
    assert unfinished(bad.output_dir) == []


def test_frames_without_a_sidecar_weigh_the_same(bad):
    static = bad.image("bare", "preproc")
    averaging = json.loads(sidecar_of(static).read_text("utf-8"))["FrameAveraging"]
    assert averaging == {"Frames": 2, "Weights": "equal", "DurationSeconds": None}
    assert not bad.image("bare", "suv").exists()
    # the frames were the good subject's PET and twice that
    mean, single = (
        np.asarray(nib.load(bad.image(label, "preproc")).dataobj).mean() for label in ("bare", "01")
    )
    assert mean / single == pytest.approx(1.5, rel=0.01)


def test_steps_that_do_not_need_the_bad_image_run(bad):
    for label in ("nan+1", "gzmiddle", "zero"):
        assert list((bad.output_dir / f"sub-{label}" / "anat").glob("*_desc-preproc_T1w.nii.gz"))


def test_crash_files_are_kept_for_what_failed_while_running(bad):
    crashes = list(bad.output_dir.glob("logs/*/crash-*.txt"))
    nodes = {re.search(r"^Node: .*?\.sub_(\w+)_wf\.", path.read_text("utf-8"))[1]
             for path in crashes}  # fmt: skip
    assert nodes == CRASHED
    assert len(crashes) == len(CRASHED)
    for path in crashes:
        assert str(path.relative_to(bad.output_dir)) in bad.stderr


def test_no_output_tells_a_path_of_this_machine(bad):
    secrets = [str(bad.output_dir.parent), str(Path(__file__).parents[2]), sys.prefix]
    for path in bad.output_dir.rglob("*"):
        if not path.is_file() or path.is_relative_to(bad.output_dir / "logs"):
            continue
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        for secret in secrets:
            assert secret.encode() not in content, path
    methods = (bad.output_dir / "logs" / "CITATION.md").read_text("utf-8")
    assert not any(secret in methods for secret in secrets)


def test_reports_written_anew_keep_the_errors_of_their_run(phantom, bad):
    raw = bad.output_dir.parent / "raw data"
    bare = "--participant-label", "bare"
    assert run_app(raw, bad.output_dir, *bare, work_dir=bad.work_dir).code == 0
    labels = "--participant-label", "01", "bare", "nan+1"
    run = run_app(raw, bad.output_dir, "--reports-only", *labels, work_dir=bad.work_dir)
    assert run.code == 65
    assert "2 of 3 subjects finished without errors" in run.stdout
    assert len(run.lines_about("nan+1")) == 1
    report = (bad.output_dir / "sub-nan+1.html").read_text("utf-8")
    assert "PET holds no finite value" in report
