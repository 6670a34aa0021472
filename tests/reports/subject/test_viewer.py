"""The volumes of the subject report's viewer, and the block that shows them."""

import base64
import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial import cKDTree

from fusionprep.errors import DataError
from fusionprep.reports.records import read_subject
from fusionprep.reports.subject import scores, viewer
from fusionprep.reports.subject.blocks import methods_block, scan_block
from fusionprep.reports.subject.report import write_participant_report
from fusionprep.reports.subject.volumes import (
    BEYOND_BRAIN_MM,
    Grid,
    brain_grid,
    sample,
    small_volume,
)
from tests.reports import outputs

SPOT = np.array([14.0, -31.0, 22.0])


def _oblique(zooms: tuple[float, float, float], shape: tuple[int, int, int]) -> np.ndarray:
    """An affine turned by 20 and 10 degrees, first axis flipped, centred on the origin."""
    a, b = np.radians([20.0, 10.0])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ about_z @ np.diag([-zooms[0], zooms[1], zooms[2]])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def _ball(zooms, shape, centre, radius, background=0.0) -> nib.Nifti1Image:
    affine = _oblique(zooms, shape)
    world = nib.affines.apply_affine(affine, np.indices(shape).reshape(3, -1).T)
    near = np.linalg.norm(world - centre, axis=1).reshape(shape) <= radius
    return nib.Nifti1Image((background + 100.0 * near).astype(np.float32), affine)


@pytest.fixture(scope="module")
def mask() -> nib.Nifti1Image:
    return _ball((2.0, 2.0, 2.0), (80, 90, 80), np.zeros(3), 62.0)


@pytest.fixture
def bundles(tmp_path) -> Path:
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "viewer.js").write_text("// the bundle\n")
    return folder


def _volumes(out: Path, label: str) -> list[dict]:
    path = out / f"sub-{label}" / "figures" / f"sub-{label}_desc-viewer_data.js"
    text = path.read_text(encoding="ascii")
    start = "window.fusionprepVolumes = "
    assert text.startswith(start)
    assert text.endswith(";\n")
    return json.loads(text[len(start) : -2])["stages"]


def _written(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(image.to_bytes())


def _image(volume: dict) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(volume["nifti"])))


def test_the_grid_holds_the_brain_with_its_margin(mask):
    grid = brain_grid(mask, spacing=2.0, margin_mm=14.0)
    first = grid.affine[:3, 3]
    last = first + 2.0 * (np.array(grid.shape) - 1)
    assert (first <= -(62.0 - 2.0 + 14.0)).all()
    assert (last >= 62.0 - 2.0 + 14.0).all()
    # the corners of an oblique box stand out, but not by more than its diagonal
    assert (first >= -(62.0 * np.sqrt(3) + 16.0)).all()
    assert np.array_equal(first % 2.0, np.zeros(3))
    with pytest.raises(DataError, match="it is empty"):
        brain_grid(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)))


@pytest.mark.parametrize("zooms", [(1.0, 1.0, 1.0), (0.8, 1.2, 3.0), (4.0, 4.0, 4.0)])
def test_what_is_bright_stays_where_it_is_in_the_world(mask, zooms):
    shape = tuple(int(n) for n in np.ceil(170.0 / np.array(zooms)))
    image = _ball(zooms, shape, SPOT, 9.0)
    small = small_volume(image, brain_grid(mask), np.ones(brain_grid(mask).shape), from_zero=True)
    bright = small.get_fdata()
    voxels = np.indices(bright.shape).reshape(3, -1) * bright.ravel()
    centre = nib.affines.apply_affine(small.affine, voxels.sum(axis=1) / bright.sum())
    assert np.linalg.norm(centre - SPOT) < 1.5
    inside = np.linalg.inv(image.affine) @ np.append(SPOT, 1.0)
    assert image.get_fdata()[tuple(np.round(inside[:3]).astype(int))] == 100.0


@pytest.mark.parametrize("spacing", [1.0, 2.0, 3.1])
def test_along_the_axes_as_in_any_other_direction(spacing):
    voxels = np.random.default_rng(0).normal(size=(30, 25, 20)).astype(np.float32)
    voxels[3, 4, 5] = np.nan
    affine = np.diag([-1.0, 1.3, 2.2, 1.0])
    affine[:3, 3] = 17.3, -11.0, -21.7
    grid = Grid(np.diag([spacing, spacing, spacing, 1.0]), (18, 18, 18))
    turned = nib.Nifti1Image(np.swapaxes(voxels, 0, 1), affine[:, [1, 0, 2, 3]])
    straight = sample(nib.Nifti1Image(voxels, affine), grid, outside=-9.0)
    # with its axes in another order the image is interpolated in three dimensions at once
    assert np.allclose(straight, sample(turned, grid, outside=-9.0), atol=1e-5)
    assert (straight != -9.0).any()


def test_nothing_beyond_an_image_but_its_lowest_value(mask):
    grid = brain_grid(mask)
    far = nib.Nifti1Image(np.full((5, 5, 5), 7.0, np.float32), np.diag([2, 2, 2, 1]))
    far.affine[:3, 3] = 900.0
    assert not sample(far, grid).any()
    air = nib.Nifti1Image(np.linspace(-1000, 50, 1000).reshape(10, 10, 10), np.eye(4))
    sampled = sample(air, grid)
    assert sampled[0, 0, 0] == -1000.0
    assert sample(air, grid, outside=3.0)[0, 0, 0] == 3.0


def test_the_face_is_in_no_volume(tmp_path, bundles):
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(tmp_path, "sub-01")
    anat, pet = (tmp_path / "sub-01" / name for name in ("anat", "pet"))
    # a head that is bright to its last voxel, in every image
    for path in (*anat.glob("*preproc_T1w.nii.gz"), *pet.glob("*.nii.gz")):
        image = nib.load(path)
        kind = image.get_data_dtype()
        levels = np.random.default_rng(0).integers(100, 255, image.shape).astype(np.uint8)
        head = np.empty(image.shape, kind)
        for name in kind.names or ():
            head[name] = levels
        nib.Nifti1Image(head if kind.names else levels.astype(kind), image.affine).to_filename(path)
    viewer.write_viewer(tmp_path, read_subject(tmp_path, "01"), bundles=bundles)
    (stage,) = _volumes(tmp_path, "01")
    assert len(stage["volumes"]) == 4
    mask = outputs.brain()["mask"]
    brain = nib.affines.apply_affine(mask.affine, np.argwhere(mask.get_fdata() > 0))
    for volume in stage["volumes"]:
        shown = _image(volume)
        voxels = np.asanyarray(shown.dataobj)
        bright = voxels["R"] if voxels.dtype.names else shown.dataobj.get_unscaled()
        places = nib.affines.apply_affine(shown.affine, np.argwhere(bright > 0))
        far = cKDTree(brain).query(places)[0]
        # the mask has voxels of 4 mm, whose borders lie up to half their diagonal away
        assert len(places), volume["label"]
        assert 5.0 <= far.max() <= BEYOND_BRAIN_MM + 4.0 * np.sqrt(3) / 2
        assert len(places) * 8 > len(brain) * 64


def test_a_t1w_without_a_brain_mask_is_not_shown(tmp_path, bundles):
    outputs.write_anatomy(tmp_path, "sub-01_ses-1")
    outputs.write_anatomy(tmp_path, "sub-01_ses-2")
    masks = [tmp_path / "sub-01" / ses / "anat" for ses in ("ses-1", "ses-2")]
    for number, folder in enumerate(masks):
        for path in folder.glob("*_desc-brain_mask.*"):
            path.unlink()
        block = viewer.write_viewer(tmp_path, read_subject(tmp_path, "01"), bundles=bundles)
        assert f"T1w ses-{number + 1} (its brain mask is missing" in block
        assert ("<script" in block) is (number == 0)
    assert "No interactive viewer: T1w ses-1 (" in block


def test_values_are_windowed_to_the_brain():
    grid = Grid(np.diag([2.0, 2.0, 2.0, 1.0]), (40, 40, 40))
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32)[:, None, None] + 50.0, grid.shape)
    image = nib.Nifti1Image(ramp.copy(), grid.affine)
    inside = np.zeros(grid.shape)
    inside[10:30] = 1.0
    near = slice(8, 32)  # within 5 mm
    for from_zero in (False, True):
        small = _written(small_volume(image, grid, inside, from_zero=from_zero))
        low, high = np.percentile(ramp[10:30], (1.0, 99.7))
        low = 0.0 if from_zero else low
        assert small.get_data_dtype() == np.uint8
        assert float(small.header["cal_min"]) == pytest.approx(low)
        assert float(small.header["cal_max"]) == pytest.approx(high)
        step = (high - low) / 255
        shown = small.get_fdata()
        assert np.abs(shown - np.clip(ramp, low, high))[near].max() <= step / 2 + 1e-4
        assert np.ptp(shown[[*range(8), *range(32, 40)]]) == 0
        assert np.asarray(small.dataobj.get_unscaled()).max() == 255


def test_the_display_range_of_an_image_that_misses_the_brain():
    grid = Grid(np.diag([2.0, 2.0, 2.0, 1.0]), (20, 20, 20))
    data = np.zeros(grid.shape, np.float32)
    data[10] = 5.0
    inside = np.zeros(grid.shape)
    inside[12:] = 1.0
    image = nib.Nifti1Image(data, grid.affine)
    small = _written(small_volume(image, grid, inside, from_zero=True))
    assert small.get_fdata()[10].max() == pytest.approx(5.0)


def test_own_model_first_then_those_of_the_run(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-01")
    models = ("Average", "DenseFuse", "ReadFuse", "Wavelet")
    outputs.write_pet(tmp_path, "sub-01_trc-18FFDG", models=models)
    (stage,) = viewer.stages(read_subject(tmp_path, "01"), ("wavelet", "densefuse", "readfuse"))
    assert stage.anatomy.label == "T1w"
    assert [layer.label for layer in stage.sources] == ["PET trc-18FFDG"]
    assert stage.fused[0].label == "T1w and PET trc-18FFDG in colour"
    assert [layer.label.split()[0] for layer in stage.fused[1:]] == [
        "ReadFuse",
        "Wavelet",
        "DenseFuse",
        "Average",
    ]


def test_each_scan_lies_over_the_t1w_it_was_paired_with(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-02_ses-1")
    outputs.write_anatomy(tmp_path, "sub-02_ses-2")
    outputs.write_pet(tmp_path, "sub-02_ses-2")
    outputs.write_pet(tmp_path, "sub-02_ses-3", t1w="sub-02_ses-1")
    first, second = viewer.stages(read_subject(tmp_path, "02"))
    assert (first.anatomy.label, second.anatomy.label) == ("T1w ses-1", "T1w ses-2")
    assert [layer.label for layer in first.sources] == ["PET ses-3"]
    assert [layer.label for layer in second.sources] == ["PET ses-2"]


def test_fused_images_that_are_in_the_template_alone_lie_over_the_t1w_there(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(tmp_path, "sub-01")
    for path in (tmp_path / "sub-01" / "pet").glob("*space-T1w_desc-fused*"):
        path.unlink()
    own, template = viewer.stages(read_subject(tmp_path, "01"))
    assert not own.fused
    assert template.anatomy.label == f"T1w in {outputs.TEMPLATE}_res-1"
    assert [layer.label for layer in template.fused] == [
        "T1w and PET in colour",
        "DenseFuse of PET",
    ]
    data, left_out = viewer.viewer_data([own, template], 10_000_000)
    assert not left_out
    assert [len(stage["volumes"]) for stage in data["stages"]] == [2, 3]


def test_the_budget_is_kept_and_what_was_left_out_is_told(tmp_path, bundles, monkeypatch):
    models = ("ReadFuse", "Average", "DenseFuse", "Wavelet")
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(tmp_path, "sub-01", models=models)
    record = read_subject(tmp_path, "01")
    block = viewer.write_viewer(tmp_path, record, models, bundles=bundles)
    (stage,) = _volumes(tmp_path, "01")
    everything = [len(volume["nifti"]) for volume in stage["volumes"]]
    assert len(everything) == 3 + len(models)
    assert "Left out" not in block

    budget = sum(everything[:5]) + everything[5] // 2
    monkeypatch.setattr(viewer, "DATA_BYTES", budget)
    block = viewer.write_viewer(tmp_path, record, models, bundles=bundles)
    (stage,) = _volumes(tmp_path, "01")
    assert [v["label"] for v in stage["volumes"]] == [
        "T1w",
        "PET",
        "T1w and PET in colour",
        "ReadFuse of PET",
        "Average of PET",
    ]
    assert sum(len(v["nifti"]) for v in stage["volumes"]) <= budget
    assert "DenseFuse of PET, Wavelet of PET (to keep this report below 12 MB)." in block


def test_figures_count_towards_the_size_of_the_report(tmp_path, bundles, monkeypatch):
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(tmp_path, "sub-01", models=("ReadFuse", "Average"))
    figures = tmp_path / "sub-01" / "figures"
    figures.mkdir()
    (figures / "sub-01_space-T1w_desc-fusedReadFuse_pet.png").write_bytes(bytes(500_000))
    record = read_subject(tmp_path, "01")
    viewer.write_viewer(tmp_path, record, bundles=bundles)
    whole = sum(path.stat().st_size for path in figures.iterdir())
    for spare, shown in ((viewer.RESERVE_BYTES, 5), (viewer.RESERVE_BYTES - 10_000, 4)):
        monkeypatch.setattr(viewer, "REPORT_BYTES", whole + spare)
        viewer.write_viewer(tmp_path, record, bundles=bundles)
        (stage,) = _volumes(tmp_path, "01")
        assert len(stage["volumes"]) == shown
        assert sum(path.stat().st_size for path in figures.iterdir()) <= viewer.REPORT_BYTES


def test_files_are_the_same_when_written_again(tmp_path, bundles):
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(tmp_path, "sub-01")
    figures = tmp_path / "sub-01" / "figures"
    contents = []
    for _ in range(2):
        viewer.write_viewer(tmp_path, read_subject(tmp_path, "01"), bundles=bundles)
        contents.append({path.name: path.read_bytes() for path in figures.iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"viewer.js", "sub-01_desc-viewer_data.js"}


def test_the_volumes_hold_the_images_of_the_outputs(tmp_path, bundles):
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(tmp_path, "sub-01", Units="<b>Bq/mL</b>")
    viewer.write_viewer(tmp_path, read_subject(tmp_path, "01"), bundles=bundles)
    (stage,) = _volumes(tmp_path, "01")
    pet = stage["volumes"][1]
    assert (pet["kind"], pet["colours"], pet["units"]) == ("PET", "inferno", "<b>Bq/mL</b>")
    shown, source = _image(pet), outputs.brain()["pet"]
    brain = outputs.brain()["mask"].get_fdata() > 0
    high = float(shown.header["cal_max"])
    world = nib.affines.apply_affine(source.affine, np.argwhere(brain))
    voxels = nib.affines.apply_affine(np.linalg.inv(shown.affine), world)
    whole = np.all(np.abs(voxels - np.round(voxels)) < 1e-6, axis=1)
    values = shown.get_fdata()[tuple(np.round(voxels[whole]).astype(int).T)]
    assert whole.sum() > 1000
    expected = np.clip(source.get_fdata()[brain][whole], 0, high)
    assert np.abs(values - expected).max() <= high / 255


def test_the_image_in_colour_is_there_once_with_its_colours(tmp_path, bundles):
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(tmp_path, "sub-01", models=("ReadFuse", "Average"))
    viewer.write_viewer(tmp_path, read_subject(tmp_path, "01"), bundles=bundles)
    (stage,) = _volumes(tmp_path, "01")
    (volume,) = [v for v in stage["volumes"] if v["colours"] is None]
    assert (volume["kind"], volume["label"]) == ("fused", "T1w and PET in colour")
    shown, source = _image(volume), outputs.brain()["colour"]
    voxels, colour = (np.asanyarray(image.dataobj) for image in (shown, source))
    assert (voxels["A"] == 255).all()
    # Voxel centres of the 4 mm grid that are centres of the 2 mm grid as well.
    world = nib.affines.apply_affine(source.affine, np.argwhere(colour["R"] > 0))
    places = nib.affines.apply_affine(np.linalg.inv(shown.affine), world)
    within = np.all((places > 0) & (places < np.array(shown.shape) - 1), axis=1)
    places = tuple(np.round(places[within]).astype(int).T)
    for name in "RGB":
        expected = colour[name][colour["R"] > 0][within].astype(int)
        assert np.abs(voxels[name][places] - expected).mean() < 3
    assert not voxels["G"].any()


def test_without_the_bundle_the_report_says_so(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-01")
    figures = tmp_path / "sub-01" / "figures"
    figures.mkdir()
    (figures / "viewer.js").write_text("of an earlier run")
    (figures / "sub-01_desc-viewer_data.js").write_text("of an earlier run")
    block = viewer.write_viewer(tmp_path, read_subject(tmp_path, "01"), bundles=tmp_path / "none")
    assert "script was not built" in block
    assert "<script" not in block
    assert not list(figures.iterdir())


def test_a_damaged_image_is_told_in_the_report(tmp_path, monkeypatch, bundles):
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(tmp_path, "sub-01")
    outputs.write_logs(tmp_path)
    damaged = tmp_path / "sub-01" / "pet" / "sub-01_space-T1w_desc-preproc_pet.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    monkeypatch.setattr(viewer, "BUNDLES", bundles)
    page = write_participant_report(
        tmp_path, "01", run_uuid=outputs.RUN_UUID, version="0.1.0"
    ).read_text()
    assert page.count("No interactive viewer: …/sub-01_space-T1w_desc-preproc_pet.nii.gz is") == 2
    assert "1 error" in page
    assert "<script" not in page


def test_a_t2w_has_a_section_like_the_flair(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_logs(tmp_path)
    for suffix in ("FLAIR", "T2w"):
        outputs.write_image(
            tmp_path / "sub-01" / "anat" / f"sub-01_space-T1w_desc-preproc_{suffix}",
            outputs.brain()["t1w"],
            Registration={"Verdict": "review", "VerdictReason": f"of the {suffix}"},
        )
    record = read_subject(tmp_path, "01")
    assert [scan.modality.label for scan in record.scans()] == ["FLAIR", "T2w"]
    (stage,) = viewer.stages(record)
    assert [layer.label for layer in stage.sources] == ["FLAIR", "T2w"]
    page = write_participant_report(
        tmp_path, "01", run_uuid=outputs.RUN_UUID, version="0.1.0"
    ).read_text()
    for name in ("flair", "t2w"):
        assert f'<section id="{name}">' in page
    assert page.count("of the T2w") == 2
    assert "No fused image was written" not in page


def test_quality_and_fusion_metrics_are_shown(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(
        tmp_path,
        "sub-01",
        models=("ReadFuse", "Average"),
        Quality={"GMMean": 16246.92, "WMMean": 4000.5, "GMWMRatio": 4.06, "Noise": None},
    )
    for path in (tmp_path / "sub-01" / "pet").glob("*space-T1w_desc-fusedReadFuse_pet.json"):
        sidecar = json.loads(path.read_text())
        sidecar["FusionModel"]["RunTimeSeconds"] = 12.34
        sidecar["FusionMetrics"] = {"Planes": "axial", "Slices": 8, "MI": 3.456, "EN": 5.5, "x": 1}
        path.write_text(json.dumps(sidecar))
    (scan,) = read_subject(tmp_path, "01").scans()
    quality = scores.quality_table(scan.native, scan.variants["suvr"])
    for words in ("16247 Bq/mL", "4000.5 Bq/mL", "4.06", "not available"):
        assert words in quality
    assert "Mean SUVR in gray matter</th><td>2<" in quality
    block = scores.fused_block(scan)
    for words in ("12.3", "EN </th>", "MI ↑</th>", "3.46", "Mean over 8 axial slices"):
        assert words in block
    assert "x ↑" not in block
    assert scores.quality_table(read_subject(tmp_path, "01").anatomies()[0]) == ""


def test_the_dose_is_told_in_words_and_units(tmp_path):
    outputs.write_pet(
        tmp_path, "sub-01", InjectedRadioactivity=185, InjectedRadioactivityUnits="MBq"
    )
    suv = {
        "Factor": 0.000346,
        "InjectedDoseBecquerel": 185e6,
        "DecayedDoseBecquerel": 154.04e6,
        "BodyWeightKilogram": 64.0,
    }
    stem = tmp_path / "sub-01" / "pet" / "sub-01_space-T1w_desc-suv_pet"
    outputs.write_image(stem, outputs.brain()["pet"], SUV=suv)
    (scan,) = read_subject(tmp_path, "01").scans()
    block = scan_block(scan)
    assert "Injected radioactivity</th><td>185 MBq<" in block
    assert "185 MBq FDG, 154 MBq at the time that decay is corrected to, 64 kg<" in block
    assert "refers to pons, mean 8123.5 Bq/mL; chosen with --suvr-region<" in block
    assert "Becquerel" not in block


def test_the_methods_text_is_marked_up():
    text = "# Methods\n\nBy *Nipype* 1.1 (*SciPy* (x)), `a*b`, 2 * 3 * 4, *<b>*.\n\n- *aparc+aseg*"
    assert methods_block(text, None) == (
        "<h3>Methods</h3>\n<p>By <em>Nipype</em> 1.1 (<em>SciPy</em> (x)), <code>a*b</code>,"
        " 2 * 3 * 4, <em>&lt;b&gt;</em>.</p>\n<ul><li><em>aparc+aseg</em></li></ul>"
    )
