"""The whole app on the demo dataset: what it writes, how right it is, what a second run does."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image as Picture
from scipy import ndimage

from fusionprep.demo.dataset import DYNAMIC, SubjectTruth, read_truth, write_demo_dataset
from fusionprep.demo.scanner import uptake
from fusionprep.evaluation.registration import target_registration_error
from fusionprep.image.masks import dice
from fusionprep.image.region_values import region_values
from fusionprep.image.resample import ras_from_itk, read_transforms
from fusionprep.reading import read_table
from tests.app.runs import files_of
from tests.app.true_regions import true_labels
from tests.validator import issues

EXPECTED_FILES = Path(__file__).parents[1] / "data" / "demo_outputs.txt"
STEM = "sub-{0}/{1}/sub-{0}_"
SMALL_REGION_MM3 = 1000.0


def fusionapp(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "bids_app.run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# What the steps do to the images is the same at both; the coarser half as long.
@pytest.fixture(
    scope="module",
    params=[1.5, pytest.param(1.0, marks=pytest.mark.slow)],
    ids=["coarse", "as-shipped"],
)
def voxel_size(request) -> float:
    return request.param


@pytest.fixture(scope="module")
def space(voxel_size) -> str:
    """The template space, as it stands in names."""
    return f"MNI152NLin2009aSym_res-{1 if voxel_size == 1 else 2}"


@pytest.fixture(scope="module")
def demo(voxel_size, space, tmp_path_factory) -> Path:
    """Raw dataset, derivatives and group report of both demo subjects, at full quality."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo_dataset(folder / "bids", voxel_size=voxel_size)
    run = fusionapp(*participant(folder, space))
    assert run.returncode == 0, run.stderr
    group = fusionapp(folder / "bids", folder / "out", "group")
    assert group.returncode == 0, group.stderr
    return folder


def participant(folder: Path, space: str) -> list[object]:
    template, resolution = space.split("_")
    # 1 mm is the default, and what the demo is run with
    spaces = [] if resolution == "res-1" else ["--output-spaces", "T1w", f"{template}:{resolution}"]
    return [
        folder / "bids", folder / "out", "participant", "-w", folder / "work",
        "--modalities", "pet", "ct", "flair", "--fusion-model", "densefuse", "gmpet",
        "--nprocs", "2", "--skip-bids-validation", *spaces,
    ]  # fmt: skip


@pytest.fixture(params=["01", "02"])
def subject(request) -> str:
    return request.param


@pytest.fixture
def truth(demo, subject) -> SubjectTruth:
    return {key.removeprefix("sub-"): value for key, value in read_truth(demo / "bids").items()}[
        subject
    ]


def output(demo: Path, subject: str, datatype: str, ending: str) -> Path:
    return demo / "out" / (STEM.format(subject, datatype) + ending)


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_files_are_those_on_the_list(demo, space):
    """But for the viewer, which is there only where npm could build its script."""
    written = [name for name in files_of(demo / "out") if "viewer" not in name]
    expected = EXPECTED_FILES.read_text().replace("res-1", space.split("_")[1])
    assert written == sorted(expected.splitlines())


@pytest.mark.parametrize("dataset", ["bids", "out"])
def test_the_official_validator_is_content(demo, dataset):
    assert issues(demo / dataset, ("error", "warning") if dataset == "out" else ("error",)) == []


def test_registration_to_t1w(demo, subject, truth):
    """Millimetres over the brain, and the scores that tell a user of them."""
    mask = nib.load(truth.brain_mask)
    for suffix, datatype, tracer in (
        ("pet", "pet", "trc-18FFDG_"), ("ct", "ct", ""), ("FLAIR", "anat", ""),
    ):  # fmt: skip
        path = output(demo, subject, datatype, f"{tracer}from-{suffix}_to-T1w_mode-image_xfm.txt")
        true = getattr(truth, f"t1w_from_{suffix.lower()}")
        estimate = ras_from_itk(read_transforms([path]))
        error = target_registration_error(estimate, true, mask)
        assert target_registration_error(np.eye(4), true, mask).mean() > 5, suffix
        assert error.mean() < 0.7, suffix
        assert error.max() < 1.2, suffix
        sidecar = output(demo, subject, datatype, f"{tracer}space-T1w_desc-preproc_{suffix}.json")
        scores = json.loads(sidecar.read_text())["Registration"]
        assert scores["Method"] == "rigid"
        assert scores["MattesMIAfter"] > scores["MattesMIBefore"]
        assert scores["OffOptimumMillimetres"] == 0
        assert scores["UncertaintyMillimetres"] < 2
        assert scores["RunnerUp"] is None or scores["RunnerUp"] < 0.75


def test_brain_and_tissues(demo, subject, truth):
    mask = voxels(output(demo, subject, "anat", "desc-brain_mask.nii.gz"))
    assert dice(mask > 0, voxels(truth.brain_mask) > 0) >= 0.93
    for label in ("GM", "WM"):
        found = voxels(output(demo, subject, "anat", f"label-{label}_probseg.nii.gz"))
        assert dice(found > 0.5, voxels(getattr(truth, label.lower())) > 0.5) >= 0.85, label


def test_uptake_ratio_is_that_of_the_scanner_image(demo, subject, truth):
    """GM:WM is judged against the noise-free activity seen through the scanner's 6 mm PSF.

    Once with the phantom's tissues, where only registration and resampling can err, and once with
    those the app found.
    """
    fractions = {label: voxels(getattr(truth, label.lower())) for label in ("GM", "WM", "CSF")}
    ideal = sum(fraction * truth.activity[label] for label, fraction in fractions.items())
    voxel = nib.affines.voxel_sizes(nib.load(truth.gm).affine)
    ideal = ndimage.gaussian_filter(ideal, 6 / 2.355 / voxel)
    pet = voxels(output(demo, subject, "pet", "trc-18FFDG_space-T1w_desc-preproc_pet.nii.gz"))
    found = {
        label: voxels(output(demo, subject, "anat", f"label-{label}_probseg.nii.gz"))
        for label in ("GM", "WM")
    }

    def ratio(image: np.ndarray, tissues: dict[str, np.ndarray], share: float) -> float:
        return image[tissues["GM"] > share].mean() / image[tissues["WM"] > share].mean()

    for share in (0.5, 0.9):
        assert ratio(pet, fractions, share) == pytest.approx(
            ratio(ideal, fractions, share), rel=0.15
        )
    assert ratio(pet, found, 0.5) == pytest.approx(ratio(ideal, fractions, 0.5), rel=0.15)


def test_uptake_values(demo, subject, truth):
    """SUV follows dose and weight, SUVR is 1 over its region, and both keep the proportions."""
    folder = "trc-18FFDG_space-T1w_desc-{}_pet"
    images = {
        kind: voxels(output(demo, subject, "pet", folder.format(kind) + ".nii.gz"))
        for kind in ("preproc", "suv", "suvr")
    }
    mask = voxels(output(demo, subject, "anat", "desc-brain_mask.nii.gz")) > 0
    assert images["suvr"][mask & (images["suvr"] != 0)].mean() == pytest.approx(1, abs=1e-4)
    sidecar = json.loads(output(demo, subject, "pet", folder.format("suv") + ".json").read_text())
    factor = 1000 * sidecar["SUV"]["BodyWeightKilogram"] / sidecar["SUV"]["DecayedDoseBecquerel"]
    brain = images["preproc"][mask]
    np.testing.assert_allclose(images["suv"][mask], brain * factor, rtol=1e-4, atol=1e-4)
    deep_white = voxels(truth.wm) > 0.999
    assert images["preproc"][deep_white].mean() > truth.activity["WM"]


def test_uptake_in_regions(demo, subject, truth, voxel_size):
    """Against the noise-free activity seen through the scanner's 6 mm PSF in the true regions.

    Once in the true regions, where only registration, interpolation and noise can err, and once in
    those the app found. Activity spills into ventricles from all sides, where a border that is a
    little off shows most.
    """
    fractions = {label: voxels(getattr(truth, label.lower())) for label in ("GM", "WM", "CSF")}
    ideal = sum(fraction * truth.activity[label] for label, fraction in fractions.items())
    if subject == "02":
        # the true activity is the mean over all frames, of which the last is averaged alone
        ideal *= uptake(DYNAMIC)[-1]
    size = nib.affines.voxel_sizes(nib.load(truth.gm).affine)
    ideal = ndimage.gaussian_filter(ideal, 6 / 2.355 / size)
    labels = true_labels(truth)
    true = {value.index: value for value in region_values(ideal, labels)}
    rows = read_table(output(demo, subject, "pet", "trc-18FFDG_seg-DK_morph.tsv"))
    pet = voxels(output(demo, subject, "pet", "trc-18FFDG_space-T1w_desc-preproc_pet.nii.gz"))
    own = {int(row["index"]): float(row["mean"]) for row in rows if row["absent"] == "n/a"}
    there = {value.index: value.mean for value in region_values(pet, labels)}
    judged = {
        int(row["index"]): row["name"]
        for row in rows
        if true[int(row["index"])].voxels * size.prod() > SMALL_REGION_MM3
    }
    assert len(judged) > 90
    for means, largest in ((there, 0.03 if voxel_size == 1 else 0.035), (own, 0.08)):
        errors = {name: means[index] / true[index].mean - 1 for index, name in judged.items()}
        assert np.mean(np.abs(list(errors.values()))) < 0.025
        wrong = {name for name, error in errors.items() if abs(error) > largest}
        assert not {name for name in wrong if "Ventricle" not in name and name != "CSF"}
        assert max(np.abs(list(errors.values()))) < 0.15
    found = voxels(output(demo, subject, "anat", "space-T1w_seg-DK_dseg.nii.gz"))
    (putamen,) = (float(row["volume-mm3"]) for row in rows if row["name"] == "Left-Putamen")
    assert putamen == pytest.approx((found == 12).sum() * size.prod(), rel=1e-5)


def test_curves_of_regions_agree_with_the_static_image(demo):
    """Of the second subject, whose PET has frames: of these the last is the static image."""
    rows, curves = (
        read_table(output(demo, "02", "pet", f"trc-18FFDG_seg-DK_{name}.tsv"))
        for name in ("morph", "tacs")
    )
    for row in rows:
        values = [line[row["name"]] for line in curves]
        if row["absent"] != "n/a":
            assert set(values) == {"n/a"}
            continue
        assert float(values[-1]) == pytest.approx(float(row["mean"]), rel=1e-4), row["name"]


def test_template_space(demo, subject, space):
    path = output(demo, subject, "anat", f"space-{space}_desc-preproc_T1w.json")
    sidecar = json.loads(path.read_text())
    assert sidecar["Registration"]["GMDice"] > 0.8
    assert sidecar["Registration"]["Verdict"] == "pass"


def test_fused_images(demo, subject, space):
    """In range, nothing outside the brain, both sources told in the sidecar and in the picture."""
    for place in ("T1w", space):
        stem = f"trc-18FFDG_space-{place}_desc-fusedDenseFuse"
        fused = voxels(output(demo, subject, "pet", f"{stem}_pet.nii.gz"))
        inside = "" if place == "T1w" else f"space-{place}_"
        mask = voxels(output(demo, subject, "anat", f"{inside}desc-brain_mask.nii.gz")) > 0
        assert fused.min() >= 0
        assert fused.max() <= 1
        assert not fused[~mask].any()
        for datatype, image in (
            ("anat", f"{inside}desc-preproc_T1w.nii.gz"),
            ("pet", f"trc-18FFDG_space-{place}_desc-preproc_pet.nii.gz"),
        ):
            source = voxels(output(demo, subject, datatype, image))
            assert np.corrcoef(source[mask], fused[mask])[0, 1] > 0.3, image
        colour = nib.load(output(demo, subject, "pet", f"{stem}Color_pet.nii.gz"))
        assert colour.get_data_dtype().names == ("R", "G", "B")
        sidecar = json.loads(output(demo, subject, "pet", f"{stem}_pet.json").read_text())
        assert [entry["Role"] for entry in sidecar["FusionModel"]["Inputs"]] == [
            "anatomical", "functional",
        ]  # fmt: skip


def test_the_pet_is_confined_to_the_gray_matter_of_the_t1w(demo, subject, truth, space):
    """The sidecar names the map that was used, and the images hold what it says."""
    for place in ("T1w", space):
        stem = f"trc-18FFDG_space-{place}_desc-"
        sidecar = json.loads(output(demo, subject, "pet", f"{stem}fusedGMPET_pet.json").read_text())
        gm, pet = sidecar["FusionModel"]["Inputs"]
        assert sidecar["Sources"] == [gm["Source"], pet["Source"]]
        assert gm["Source"].endswith("_label-GM_probseg.nii.gz")
        assert (f"_space-{place}_" in gm["Source"]) == (place != "T1w")
        assert (gm["Scaling"]["Low"], gm["Scaling"]["High"]) == (0, 1)
        inside = "" if place == "T1w" else f"space-{place}_"
        mask = voxels(output(demo, subject, "anat", f"{inside}desc-brain_mask.nii.gz")) > 0
        probability, uptake = (
            voxels(demo / "out" / item["Source"].removeprefix("bids::")) for item in (gm, pet)
        )
        fused = voxels(output(demo, subject, "pet", f"{stem}fusedGMPET_pet.nii.gz"))
        expected = np.clip(uptake / pet["Scaling"]["High"], 0, 1) * (probability > 0.5) * mask
        np.testing.assert_allclose(fused, expected, atol=1e-5)
        if place == "T1w":
            assert dice(fused > 0, voxels(truth.gm) > 0.5) >= 0.85
    assert not list((demo / "out").glob("sub-*/anat/*fusedCTGMPET*"))


def test_of_dynamic_pet_the_frames_of_the_window_are_averaged(demo):
    name = "trc-18FFDG_space-T1w_desc-preproc_pet.json"
    sidecars = [
        json.loads(output(demo, subject, "pet", name).read_text()) for subject in ("01", "02")
    ]
    chosen = [sidecar["FrameSelection"] for sidecar in sidecars]
    # Of the six frames the last alone has its middle between 30 and 60 min.
    assert [choice["Frames"] for choice in chosen] == [[1], [6]]
    assert [choice["MinutesAfterInjection"] for choice in chosen] == [[40, 60], [38, 60]]
    assert sidecars[1]["FrameAveraging"]["StartSeconds"] == 2280


def test_sidecars_tell_the_quality_of_every_source(demo, subject, truth, space):
    def quality(datatype: str, ending: str) -> dict[str, float]:
        return json.loads(output(demo, subject, datatype, f"{ending}.json").read_text())["Quality"]

    pet = quality("pet", "trc-18FFDG_space-T1w_desc-preproc_pet")
    image = voxels(output(demo, subject, "pet", "trc-18FFDG_space-T1w_desc-preproc_pet.nii.gz"))
    for label, field in (("GM", "GMMean"), ("WM", "WMMean")):
        pure = image[voxels(getattr(truth, label.lower())) > 0.9].mean()
        assert pet[field] == pytest.approx(pure, rel=0.1)
    assert pet["GMWMRatio"] == pytest.approx(pet["GMMean"] / pet["WMMean"], rel=1e-4)
    assert 0.01 < pet["Noise"] < 0.2
    t1w = quality("anat", "desc-preproc_T1w")
    # The scanner's noise is 2 percent of white matter, and tissues have structure of their own.
    assert 10 < t1w["SNRWM"] < 50
    assert t1w["CNR"] > 1
    assert t1w["CJV"] < 1
    ct = quality("ct", "space-T1w_desc-preproc_ct")
    assert 20 < ct["BrainMedianHU"] < 50
    assert 200 < ct["BoneVolumeMillilitres"] < 2000
    template = output(demo, subject, "pet", f"trc-18FFDG_space-{space}_desc-preproc_pet.json")
    assert "Quality" not in json.loads(template.read_text())


def test_sidecars_tell_metrics_and_cost_of_every_fusion(demo):
    """The same metrics for all models, in scalar images only."""
    from fusionprep.evaluation.volumes import SIDECAR_METRICS

    paths = list((demo / "out").glob("sub-*/*/*desc-fused*.json"))
    colour = [path for path in paths if "Color_" in path.name]
    assert (len(paths), len(colour)) == (20, 8)
    for path in paths:
        sidecar = json.loads(path.read_text())
        assert sidecar["FusionModel"]["RunTimeSeconds"] > 0
        assert sidecar["FusionModel"]["Software"].startswith("fusionprep ")
        assert ("FusionMetrics" in sidecar) == (path not in colour)
        if path not in colour:
            metrics = sidecar["FusionMetrics"]
            assert list(metrics) == ["Planes", "Slices", *SIDECAR_METRICS]
            assert (metrics["Planes"], metrics["Slices"]) == ("axial", 8)
            assert all(isinstance(metrics[name], float) for name in SIDECAR_METRICS)
    stem = "trc-18FFDG_space-T1w_desc-fused{}_pet.json"
    both = [
        json.loads(output(demo, "01", "pet", stem.format(model)).read_text())["FusionMetrics"]
        for model in ("DenseFuse", "GMPET")
    ]
    # What is confined to the gray matter keeps less of the T1w.
    assert both[0]["VIF"] > both[1]["VIF"]


def test_small_pictures_show_all_subjects_alike(demo):
    figures = [demo / "out" / f"sub-{label}" / "figures" for label in ("01", "02")]
    # Thumbnails go with the page; the planes in colour are read by the group level alone.
    for pattern, size, most in (
        ("*_desc-thumb*.png", (288, 96), 50_000),
        ("*_desc-planes*.png", (744, 108), 120_000),
    ):
        for folder in figures:
            paths = sorted(folder.glob(pattern))
            assert len(paths) == 3
            for path in paths:
                assert Picture.open(path).size == size
                assert path.stat().st_size < most


def test_ct_keeps_its_units(demo, subject):
    ct = voxels(output(demo, subject, "ct", "space-T1w_desc-preproc_ct.nii.gz"))
    assert ct.min() < -900
    assert ct.max() > 700


def test_group_table(demo):
    table = pd.read_csv(demo / "out" / "group_fusion.tsv", sep="\t", na_values="n/a")
    assert set(table.participant_id) == {"sub-01", "sub-02"}
    # Two subjects and spaces; PET by two models, CT by one.
    assert len(table) == 2 * 2 * 3
    assert (table.registration_verdict == "pass").all()


def test_nothing_names_this_machine(demo):
    for path in (demo / "out").rglob("*"):
        if path.suffix in (".json", ".tsv", ".md", ".html", ".bib") and path.is_file():
            assert str(demo) not in path.read_text(), path


def test_a_second_run_executes_nothing_but_what_is_missing(demo, space):
    fused = output(demo, "01", "pet", "trc-18FFDG_space-T1w_desc-fusedDenseFuse_pet.nii.gz")
    before = fused.read_bytes()
    fused.unlink()
    restored = fusionapp(*participant(demo, space))
    assert "\n1 steps ran, " in "\n" + restored.stderr
    assert fused.read_bytes() == before
