"""PiB from 0 to 90 min and from 50 to 70 min of one simulated person, through the whole App."""

import csv
import itertools
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fusionprep.bids.radionuclides import HALF_LIVES
from fusionprep.demo.dataset import SubjectTruth, write_demo_dataset
from fusionprep.image.regions import CEREBELLAR_CORTEX, CEREBELLAR_WHITE, load_atlas
from tests.app.runs import Run, run_app, sidecar, sidecar_of
from tests.interfaces.test_frame_window import (
    DOSE,
    LATE,
    TISSUES,
    USUAL,
    WEIGHT_KG,
    Tissue,
    activity,
)
from tests.validator import issues

TRACER = "11CPIB"
WHITE = Tissue(0.10, 0.05, 0.01, 0.05)
EARLY = USUAL[USUAL <= 2700]
RUNS = {"01": USUAL, "02": LATE, "03": EARLY, "04": USUAL, "05": LATE}
"""Boundaries of frames, s after injection."""

UNTIMED, CROPPED = "04", "05"
"""Runs of which the injection is not known, and whose field of view ends above the cerebellum."""
FWHM_MM = 6.0


def at(points: np.ndarray, image: nib.Nifti1Image, order: int = 1) -> np.ndarray:
    """An image, or a vector field, at (…, 3) world coordinates."""
    voxels = np.moveaxis(nib.affines.apply_affine(np.linalg.inv(image.affine), points), -1, 0)
    data = np.asarray(image.dataobj, np.float32)
    if data.ndim == 3:
        return ndimage.map_coordinates(data, voxels, order=order)
    parts = np.moveaxis(data, -1, 0)
    return np.stack([ndimage.map_coordinates(part, voxels, order=1) for part in parts], -1)


def fractions(truth: SubjectTruth, pet: nib.Nifti1Image) -> list[np.ndarray]:
    """Gray matter of cerebrum and cerebellum, and white matter, as the scanner sees them."""
    grid = np.moveaxis(np.indices(pet.shape[:3]), 0, -1)
    points = nib.affines.apply_affine(truth.t1w_from_pet @ pet.affine, grid)
    template = points + at(points, nib.load(truth.template_displacement))
    labels = at(template, load_atlas(), order=0)
    cerebellum = np.isin(labels, (*CEREBELLAR_CORTEX, *CEREBELLAR_WHITE))
    # the atlas leaves out the outermost voxels of the gray matter
    cerebellum = ndimage.binary_dilation(cerebellum, iterations=1)
    gm, wm = (at(points, nib.load(path)) for path in (truth.gm, truth.wm))
    sigma = FWHM_MM / 2.355 / np.array(pet.header.get_zooms()[:3])
    return [ndimage.gaussian_filter(x, sigma) for x in (gm * ~cerebellum, gm * cerebellum, wm)]


def acquire(bids_dir: Path, truth: SubjectTruth) -> None:
    """Replace the PET of ``sub-01`` by runs of PiB, bound in the cortex, not the cerebellum."""
    (old,) = (bids_dir / "sub-01" / "pet").glob("*_pet.nii.gz")
    like, given = nib.load(old), sidecar(old)
    parts = fractions(truth, like)
    curves = [activity(tissue) for tissue in (*TISSUES[TRACER], WHITE)]
    rng = np.random.default_rng(5)
    for run, boundaries in RUNS.items():
        frames = []
        for start, end in itertools.pairwise(boundaries):
            means = [curve[int(start) : int(end)].mean() for curve in curves]
            frame = sum(part * mean for part, mean in zip(parts, means, strict=True))
            noise = 0.1 * np.sqrt(300 / (end - start)) * np.sqrt(frame * frame.max())
            frames.append(frame + noise * rng.standard_normal(frame.shape))
        image = nib.Nifti1Image(np.stack(frames, -1).astype(np.float32), like.affine)
        path = old.with_name(f"sub-01_trc-{TRACER}_run-{run}_pet.nii.gz")
        if run == CROPPED:
            image = image.slicer[:, :, image.shape[2] // 2 + 4 :]
        nib.save(image, path)
        middles = (boundaries[:-1] + boundaries[1:]) / 2
        told = given | {
            "TracerName": TRACER,
            "TracerRadionuclide": "C11",
            "InjectedRadioactivity": DOSE / 1e6,
            "BodyWeight": WEIGHT_KG,
            "ScanStart": float(boundaries[0]),
            "FrameTimesStart": boundaries[:-1].astype(float).tolist(),
            "FrameDuration": np.diff(boundaries).astype(float).tolist(),
            "DecayCorrectionFactor": (2.0 ** (middles / HALF_LIVES["C11"])).tolist(),
        }
        if run == UNTIMED:
            del told["InjectionStart"]
        sidecar_of(path).write_text(json.dumps(told), "utf-8")
    old.unlink()
    sidecar_of(old).unlink()


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> tuple[Path, SubjectTruth]:
    folder = tmp_path_factory.mktemp("pib") / "bids"
    truth = write_demo_dataset(folder, voxel_size=3.0, subjects=("01",))["01"]
    acquire(folder, truth)
    return folder, truth


@pytest.fixture(scope="module")
def finished(raw, tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("windows") / "out"
    spaces = ("--output-spaces", "T1w", "MNI152NLin2009aSym:res-2")
    run = run_app(raw[0], out, *spaces)
    assert run.code == 0, run.stderr
    group = run_app(raw[0], out, level="group")
    assert group.code == 0, group.stderr
    return run


def derivative(finished: Run, run: str, desc: str) -> Path:
    name = f"sub-01_trc-{TRACER}_run-{run}_space-T1w_desc-{desc}_pet.nii.gz"
    return finished.output_dir / "sub-01" / "pet" / name


def said(finished: Run, run: str, desc: str = "preproc") -> dict:
    return sidecar(derivative(finished, run, desc))


@pytest.mark.slow
def test_a_whole_scan_gives_the_suvr_of_a_late_one(finished, raw):
    gm = np.asarray(nib.load(raw[1].gm).dataobj) > 0.9
    mean = {
        (run, desc): np.asarray(nib.load(derivative(finished, run, desc)).dataobj)[gm].mean()
        for run, desc in itertools.product(RUNS, ("suvr", "suv"))
        if (run, desc) != (UNTIMED, "suv") and run != CROPPED
    }
    for desc in ("suvr", "suv"):
        assert mean["01", desc] == pytest.approx(mean["02", desc], rel=0.02)
    assert mean["03", "suvr"] < 0.9 * mean["02", "suvr"]
    assert not derivative(finished, UNTIMED, "suv").exists()


@pytest.mark.slow
def test_sidecars_say_which_frames_and_which_region(finished):
    whole = said(finished, "01")
    assert whole["FrameSelection"]["Frames"] == [30, 31, 32]
    assert whole["FrameSelection"]["MinutesAfterInjection"] == [50, 70]
    averaging = whole["FrameAveraging"]
    assert (averaging["Frames"], averaging["DurationSeconds"]) == (3, 1200)
    assert (averaging["StartSeconds"], averaging["EndSeconds"]) == (3000, 4200)
    assert said(finished, "02")["FrameSelection"]["Frames"] == [1, 2, 3, 4]
    assert len(said(finished, "03")["FrameSelection"]["Frames"]) == 28
    untimed = said(finished, UNTIMED)["FrameSelection"]
    assert len(untimed["Frames"]) == 34
    assert untimed["Reason"] == "InjectionStart is not given"
    early = said(finished, "03")["Registration"]
    assert early["Verdict"] == "review"
    assert "0 to 45 min after injection, covers less than half" in early["VerdictReason"]
    suvr = said(finished, "01", "suvr")["SUVR"]
    assert suvr["Region"] == "cerebellar-gm"
    assert suvr["RegionReason"].startswith("usual for [11C]PiB (Price et al.")
    assert issues(finished.output_dir) == []


@pytest.mark.slow
def test_a_scan_without_the_cerebellum_has_all_but_the_suvr(finished):
    assert derivative(finished, CROPPED, "suv").exists()
    assert derivative(finished, CROPPED, "fusedAverage").exists()
    assert not derivative(finished, CROPPED, "suvr").exists()
    told = said(finished, CROPPED)["SUVRNotComputed"]
    assert "mean uptake in the reference region cerebellar-gm is 0" in told
    assert f"no SUVR: {told}" in finished.stderr
    figures = finished.output_dir / "sub-01" / "figures"
    assert not list(figures.glob(f"*run-{CROPPED}_desc-suvr_pet.svg"))


@pytest.mark.slow
def test_report_and_group_table_say_it_too(finished):
    with (finished.output_dir / "group_fusion.tsv").open(encoding="utf-8") as stream:
        rows = {row["run"]: row for row in csv.DictReader(stream, delimiter="\t")}
    assert [rows[run]["frames_used"] for run in sorted(RUNS)][:2] == ["3", "4"]
    assert (rows["01"]["frames_start"], rows["01"]["frames_end"]) == ("50", "70")
    assert rows[UNTIMED]["frames_start"] == "n/a"
    assert rows[UNTIMED]["frames_reason"] == "InjectionStart is not given"
    assert rows[CROPPED]["suvr_region"] == "n/a"
    assert {rows[run]["suvr_region"] for run in RUNS if run != CROPPED} == {"cerebellar-gm"}
    report = (finished.output_dir / "sub-01.html").read_text("utf-8")
    assert "Why these frames" in report
    methods = (finished.output_dir / "logs" / "CITATION.md").read_text("utf-8")
    assert "whose middle was 50 to 70 min after injection" in " ".join(methods.split())
    figures = finished.output_dir / "sub-01" / "figures"
    shaded = {
        run: 'fill-opacity="0.22"'
        in (figures / f"sub-01_trc-{TRACER}_run-{run}_desc-frames_pet.svg").read_text("utf-8")
        for run in RUNS
    }
    assert shaded == {run: run == "01" for run in RUNS}
    assert "of 34 frames, numbers 30 to 32 are taken, 50 to 70 min" in finished.stderr
    assert "all 34 frames are averaged, not those of the usual window" in finished.stderr
