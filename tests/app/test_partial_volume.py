"""Partial-volume correction through the App, on a phantom whose activity is known."""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.demo.dataset import read_truth
from fusionprep.reading import read_table
from fusionprep.reports.group.regions import write_region_table
from tests import validator
from tests.app.runs import Run, run_app, sidecar
from tests.app.true_regions import true_labels

METHODS = ("mg", "gtm", "rbv", "iy")
IMAGES = ("MG", "RBV", "IY")
PRECENTRAL, WHITE = 1024, 2


@pytest.fixture(scope="module")
def corrected(phantom, finished, tmp_path_factory) -> Run:
    """All corrections, from the work directory of a run without them."""
    folder = tmp_path_factory.mktemp("corrected")
    out = folder / "out"
    truth = read_truth(phantom)["01"]
    atlas = folder / "sub-01_space-T1w_seg-Lab_dseg.nii.gz"
    nib.save(nib.Nifti1Image(true_labels(truth), nib.load(truth.gm).affine), atlas)
    options = ("--pvc", *METHODS, "--psf", "6", "--suvr-region", "gm", "--atlas", str(atlas))
    run = run_app(phantom, out, *options, work_dir=finished.work_dir)
    assert run.code == 0, run.stderr
    return run


@pytest.fixture(scope="module")
def activity(phantom):
    return read_truth(phantom)["01"].activity


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


@pytest.fixture(scope="module")
def gray(corrected) -> np.ndarray:
    path = corrected.output_dir / "sub-01" / "anat" / "sub-01_label-GM_probseg.nii.gz"
    return voxels(path) > 0.5


def test_gray_matter_has_its_activity(corrected, activity, gray):
    before, after = (voxels(corrected.image("01", desc)) for desc in ("preproc", "pvcMG"))
    inside = gray & (after != 0)
    assert inside.sum() > 0.9 * gray.sum()
    assert before[inside].mean() < 0.8 * activity["GM"]
    assert after[inside].mean() == pytest.approx(activity["GM"], rel=0.1)
    for desc in ("pvcRBV", "pvcIY"):
        image = voxels(corrected.image("01", desc))
        assert before[gray].mean() < image[gray].mean() < 1.05 * activity["GM"]


def test_the_table_has_the_means_of_tissues(corrected, activity):
    (path,) = corrected.output_dir.glob("sub-01/pet/*_desc-pvcGTM_morph.tsv")
    with path.open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert float(rows["GM"]["mean"]) == pytest.approx(activity["GM"], rel=0.1)
    assert float(rows["WM"]["mean"]) == pytest.approx(activity["WM"], rel=0.2)
    assert float(rows["GM"]["uncorrected"]) < 0.8 * activity["GM"]
    assert 0 < float(rows["GM"]["variance"]) ** 0.5 < 0.05 * activity["GM"]
    told = sidecar(path)
    assert set(rows["GM"]) <= set(told)
    assert told["Units"] == "Bq/mL"


def test_the_table_of_regions_has_both(corrected, activity):
    (path,) = corrected.output_dir.glob("sub-01/pet/*_seg-Lab_morph.tsv")
    rows = {int(row["index"]): row for row in read_table(path)}
    told = sidecar(path)
    assert set(rows[PRECENTRAL]) <= set(told)
    gray = rows[PRECENTRAL]
    assert float(gray["mean"]) < 0.8 * activity["GM"]
    for method, allowed in (("MG", 0.1), ("GTM", 0.1), ("RBV", 0.25), ("IY", 0.25)):
        assert float(gray[f"mean_pvc{method}"]) == pytest.approx(activity["GM"], rel=allowed)
        assert float(gray[f"suvr_pvc{method}"]) == pytest.approx(1, abs=0.15)
    assert gray["tissue_pvc"] == "GM"
    assert 0 < float(gray["variance_pvcGTM"]) ** 0.5 < 0.1 * activity["GM"]
    assert rows[WHITE]["mean_pvcMG"] == "n/a"
    assert float(rows[WHITE]["mean_pvcGTM"]) == pytest.approx(activity["WM"], rel=0.25)
    done = told["PartialVolumeCorrection"]
    assert done["SUVR"]["Reference"] == pytest.approx(activity["GM"], rel=0.1)
    assert "NotComputed" not in done
    table, problems = write_region_table(corrected.output_dir)
    assert not problems
    (row,) = read_table(table)
    names = [f"Lab_label_{PRECENTRAL}_{name}" for name in ("suvr_pvcGTM", "variance_pvcGTM")]
    assert [row[name] for name in names] == [gray["suvr_pvcGTM"], gray["variance_pvcGTM"]]
    assert all("partial volume" in sidecar(table)[name]["Description"] for name in names[:1])


@pytest.mark.parametrize("method", IMAGES)
def test_suvr_refers_to_the_corrected_region(corrected, gray, method):
    image, ratio = (corrected.image("01", desc) for desc in (f"pvc{method}", f"suvrPvc{method}"))
    told = sidecar(ratio)
    reference = told["SUVR"]["Reference"]
    np.testing.assert_allclose(voxels(ratio) * reference, voxels(image), rtol=1e-4, atol=1)
    values = voxels(ratio)[gray & (voxels(ratio) != 0)]
    assert values.mean() == pytest.approx(1, abs=0.05)
    assert told["Units"] == "arbitrary"
    uncorrected = sidecar(corrected.image("01", "suvr"))["SUVR"]["Reference"]
    assert reference > 1.1 * uncorrected


@pytest.mark.parametrize("method", IMAGES)
def test_sidecars_tell_what_was_done(corrected, method):
    told = sidecar(corrected.image("01", f"pvc{method}"))
    done = told["PartialVolumeCorrection"]
    assert done["PointSpreadFWHM"] == [6, 6, 6]
    assert done["PointSpreadSource"] == "given with --psf"
    assert all(6.5 < width < 7.5 for width in done["PointSpreadFWHMOnGrid"])
    assert told["Units"] == "Bq/mL"
    assert told["SkullStripped"]
    assert ("Threshold" in done) == (method == "MG")
    written = [source.removeprefix("bids::") for source in told["Sources"]]
    assert all((corrected.output_dir / source).is_file() for source in written)


def test_fusion_and_what_is_not_corrected_stay_as_they_were(corrected, finished):
    for desc in ("preproc", "suv", "fusedAverage"):
        with_it, without = (voxels(run.image("01", desc)) for run in (corrected, finished))
        np.testing.assert_array_equal(with_it, without)
    assert not list(finished.output_dir.glob("sub-01/pet/*vc*"))


def test_report_and_methods_text_show_it(corrected):
    report = (corrected.output_dir / "sub-01.html").read_text("utf-8")
    for method in IMAGES:
        assert f"desc-pvc{method}_pet.svg" in report
    text = (corrected.output_dir / "logs" / "CITATION.md").read_text("utf-8")
    assert "Gaussian point spread of 6 mm (given with --psf)" in text
    assert "Müller-Gärtner et al., 1992" in text
    assert text.count("Rousset") > 1
    assert "of all regions, each of its tissue" in text


def test_the_validator_accepts_the_names(corrected):
    assert not validator.issues(corrected.output_dir)


def test_an_unknown_scanner_is_an_error_that_says_how(phantom, tmp_path):
    run = run_app(phantom, tmp_path / "out", "--pvc", "mg")
    assert run.code == 65
    (line,) = run.lines_about("01")
    assert "scanner: fusionprep Simulated PET" in line
    assert "--psf FWHM" in line


def test_the_dry_run_tells_the_point_spread(phantom, tmp_path):
    run = run_app(phantom, tmp_path / "out", "--pvc", "mg", "--psf", "5x5x6", "--dry-run")
    assert "point spread 5 x 5 x 6 mm (given with --psf)" in run.stdout
