"""Occlusion maps point to where an effect was planted."""

import json

import nibabel as nib
import numpy as np
import pytest

from fusionprep.classification.cohort import Cohort, Grid
from fusionprep.classification.evaluation import linear_features
from fusionprep.classification.folds import assign_folds
from fusionprep.classification.inputs import Scan
from fusionprep.classification.nested import Design, cross_validate
from fusionprep.classification.occlusion import (
    NETWORK_CUBE,
    NetworkOcclusion,
    class_contrasts,
    cubes,
    linear_occlusion,
)
from fusionprep.cli import main
from tests.classification.derivatives import AFFINE, write_derivatives

SHAPE = (12, 18, 12)
PLACE = (slice(6, 12), slice(6, 12), slice(0, 6))


def planted(rng, classes=2, subjects=48):
    labels = np.arange(subjects) % classes
    images = {k: rng.normal(size=(subjects, *SHAPE)).astype(np.float32) for k in ("suvr", "gm")}
    images["suvr"][(slice(None), *PLACE)] -= 0.5 * labels[:, None, None, None]
    grid = Grid(np.ones(SHAPE, bool), AFFINE, (1, 1, 1), SHAPE, AFFINE)
    names = tuple(f"sub-{n:02d}" for n in range(subjects))
    scans = tuple(Scan(name, "") for name in names)
    age = (np.stack([labels + rng.normal(size=subjects)], axis=1), ("age",))
    cohort = Cohort(scans, names, np.arange(subjects), images, {"age-sex": age}, grid)
    return cohort, Design(cohort.member, labels, assign_folds(labels, 3, 0))


@pytest.mark.parametrize("classes", [2, 3])
def test_linear_maps_add_up_and_show_the_place(classes):
    cohort, design = planted(np.random.default_rng(0), classes)
    text = "suvr+gm"
    features = linear_features(cohort, [text])[text]
    found = cross_validate(features, "ridge", design)
    maps = linear_occlusion(cohort, features, text, "ridge", design, found)
    assert set(maps) == {"suvr", "gm"}
    peak = np.unravel_index(np.argmax(maps["suvr"]), SHAPE)
    assert all(axis.start <= at < axis.stop for axis, at in zip(PLACE, peak, strict=True))
    assert maps["suvr"].max() > 3 * maps["gm"].max()
    # every voxel is in 27 cubes but for those at the border
    assert sum(each.sum() for each in maps.values()) / 27 == pytest.approx(1, abs=0.3)


def test_what_a_table_holds_is_part_of_the_whole():
    cohort, design = planted(np.random.default_rng(1))
    whole = {}
    for text in ("suvr", "suvr+age-sex"):
        features = linear_features(cohort, [text])[text]
        found = cross_validate(features, "ridge", design)
        whole[text] = linear_occlusion(cohort, features, text, "ridge", design, found)["suvr"].sum()
    assert whole["suvr+age-sex"] < whole["suvr"]


def test_maps_of_networks_show_the_place():
    pytest.importorskip("lightning")
    from fusionprep.classification.networks.loop import Training
    from fusionprep.classification.networks.nested import cross_validate_network

    cohort, design = planted(np.random.default_rng(2), subjects=30)
    cohort.images["suvr"][(slice(None), *PLACE)] -= 1.0 * design.labels[:, None, None, None]
    volumes = np.stack([cohort.images["suvr"], cohort.images["gm"]], axis=1)
    training = Training(epochs=6, rate=3e-3)
    watch = NetworkOcclusion("suvr+gm", volumes, cohort.grid.mask, design, training)
    cross_validate_network("cnn-simple", volumes, cohort.grid.mask, design, training, watch)
    maps = watch.found.maps(cohort.grid.mask)
    peak = np.unravel_index(np.argmax(maps["suvr"]), SHAPE)
    assert all(axis.start <= at < axis.stop for axis, at in zip(PLACE, peak, strict=True))
    assert maps["suvr"].max() > 2 * maps["gm"].max()


def test_contrasts_are_means_of_a_class_minus_those_of_others():
    found = class_contrasts(np.array([0, 1, 1, 0, 0]), 2)
    assert found == pytest.approx(np.array([[-1 / 3, 1 / 2, 1 / 2, -1 / 3, -1 / 3]]))
    assert class_contrasts(np.array([0, 1, 2, 2]), 3).sum(axis=1) == pytest.approx(0)


def test_cubes_cover_the_mask_once():
    mask = np.zeros((14, 7, 5), bool)
    mask[3:9, 2:, :] = True
    count = np.zeros(mask.shape, int)
    for cube in cubes(mask):
        count[cube] += 1
    assert (count[mask] == 1).all()
    assert count.max() == 1
    assert count.shape[0] > 2 * NETWORK_CUBE


def test_maps_of_networks_and_linear_models_are_on_the_page(tmp_path):
    pytest.importorskip("lightning")
    pytest.importorskip("monai")
    root = write_derivatives(tmp_path / "out", [0, 1] * 15)
    out = tmp_path / "found"
    command = ["classify", "evaluate", str(root), "--out", str(out), "--folds", "3", "--voxel", "2"]
    command += ["--inputs", "suvr+gm", "age-sex", "--models", "ridge", "cnn-simple"]
    assert main([*command, "--permutations", "20", "--epochs", "2", "--device", "cpu"]) == 0
    found = json.loads((out / "results.json").read_text())
    # networks do not read tables
    rows = [(row["input"], row["model"], row["p_permutation"]) for row in found["results"]]
    assert [row[:2] for row in rows] == [
        ("suvr+gm", "ridge"), ("age-sex", "ridge"), ("suvr+gm", "cnn-simple")
    ]  # fmt: skip
    assert rows[2][2] is None
    page = (out / "report.html").read_text()
    path = out / "maps" / "suvr-and-gm_ridge_suvr-occlusion.nii.gz"
    assert path.name in page
    image = nib.load(path)
    assert image.shape == (12, 12, 12)
    assert np.allclose(image.affine, AFFINE)
    assert path.with_name("suvr-and-gm_ridge_suvr-occlusion.svg").read_text().startswith("<?xml")
