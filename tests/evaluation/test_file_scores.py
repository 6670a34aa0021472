"""Metrics of one fused file, from the command line."""

import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fusionprep.cli import main
from fusionprep.evaluation.guards import guards
from fusionprep.evaluation.metrics import fusion_metrics, metric_names

from .images import sources


def run(*words):
    return main([str(word) for word in words])


@pytest.fixture
def pictures(tmp_path):
    """Two sources and their maximum: PNG, 16-bit TIFF and an RGB PNG of one gray."""
    a, b = sources()
    fused = np.maximum(a, b).astype(np.uint8)
    Image.fromarray(a.astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray((b * 257).astype(np.uint16)).save(tmp_path / "b.tif")
    Image.fromarray(np.repeat(fused[..., None], 3, axis=2)).save(tmp_path / "f.png")
    return tmp_path, a, b, fused.astype(float)


def test_every_metric_and_guard_of_pictures_as_json(pictures, capsys):
    folder, a, b, fused = pictures
    words = ("metrics", folder / "a.png", folder / "b.tif", folder / "f.png")
    assert run(*words, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    expected = fusion_metrics(a, b, fused) | guards(a, b, fused)
    assert told["Slices"] == 1
    assert list(told["Metrics"]) == list(expected)
    for name, value in expected.items():
        assert told["Metrics"][name] == pytest.approx(value, nan_ok=True) or np.isnan(value)


def test_the_table_names_each_metric_with_its_direction(pictures, capsys):
    folder, a, b, fused = pictures
    assert run("metrics", folder / "a.png", folder / "b.tif", folder / "f.png") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    rows = {line[0]: line for line in lines[1:]}
    assert set(metric_names()) < set(rows)
    assert float(rows["MI"][1]) == pytest.approx(fusion_metrics(a, b, fused)["MI"], rel=1e-3)
    assert (rows["MI"][2], rows["MSE"][2], rows["EN"][2]) == ("higher", "lower", "-")


def test_volumes_are_means_over_slices_inside_the_mask(tmp_path, capsys):
    a, b = sources(64)
    depth = np.linspace(0.9, 1, 6)
    volumes = {"a": a[..., None] * depth, "b": b[..., None] * depth * 40}
    volumes["f"] = np.maximum(a, b)[..., None] * depth / 255
    volumes["mask"] = (np.maximum(a, b) > 0)[..., None] * (depth > 0.95)
    for name, data in volumes.items():
        image = nib.Nifti1Image(data.astype(np.float32), np.eye(4))
        image.to_filename(tmp_path / f"{name}.nii.gz")
    files = [tmp_path / f"{name}.nii.gz" for name in ("a", "b", "f")]
    assert run("metrics", *files, "--json", "--only", "MI", "Qabf") == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["Slices"] == 6
    assert {"MI", "Qabf", "through_plane"} <= set(whole["Metrics"])
    assert "VIF" not in whole["Metrics"]
    mask = ("--mask", tmp_path / "mask.nii.gz")
    assert run("metrics", *files, "--json", "--only", "MI", *mask) == 0
    assert json.loads(capsys.readouterr().out)["Slices"] == 3


def test_wrong_files_are_said_in_one_line(pictures, capsys):
    folder = pictures[0]
    Image.fromarray(np.zeros((96, 90), np.uint8)).save(folder / "other.png")
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(folder / "small.png")
    a, b, f = (folder / name for name in ("a.png", "b.tif", "f.png"))
    for words, code, message in [
        ((a, b, folder / "none.png"), 1, "there is no file"),
        ((a, b, folder / "other.png"), 1, "other.png is 96x90"),
        ((folder / "small.png",) * 3, 1, "at least 48 x 48"),
        ((a, b, f, "--only", "XYZ"), 64, "unknown fusion metric 'XYZ'"),
        ((a, b, f, "--mask", folder / "small.png"), 1, "small.png is 20x20"),
    ]:
        assert run("metrics", *words) == code
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
