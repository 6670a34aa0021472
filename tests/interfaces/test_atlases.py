"""Labels brought to a T1w, and tables of what a PET has there."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.image.io import new_image
from fusionprep.image.resample import itk_from_ras, resample
from fusionprep.image.transform_files import write_transform
from fusionprep.interfaces.atlases import BringAtlas, MeasureFrames, MeasureRegions
from fusionprep.reading import read_table

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def saved(path: Path, image: nib.Nifti1Image) -> str:
    nib.save(image, path)
    return str(path)


@pytest.fixture
def labels() -> np.ndarray:
    grid = np.zeros((20, 20, 20), np.int32)
    grid[4:10, 4:16, 4:16], grid[10:16, 4:16, 4:16] = 11, 12
    grid[2, 2, :3] = 13
    return grid


@pytest.fixture
def table(tmp_path) -> str:
    (tmp_path / "names.tsv").write_text("index\tname\n11\tleft half\n12\tright half\n13\tspeck\n")
    return str(tmp_path / "names.tsv")


def test_an_atlas_is_written_with_the_names_of_its_own_labels(tmp_path, labels, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = new_image(labels, AFFINE)
    nib.save(nib.MGHImage(labels, AFFINE), tmp_path / "aparc+aseg.mgz")
    mask = saved(tmp_path / "mask.nii", new_image((labels > 0).astype(np.uint8), AFFINE))
    t1w = saved(tmp_path / "t1w.nii", new_image(np.ones(labels.shape, np.float32), AFFINE))
    own = saved(tmp_path / "own.nii.gz", image)
    (tmp_path / "own.tsv").write_text("index\tname\n11\tA\n99\tnowhere\n")
    for options, expected in (
        (
            {"in_file": str(tmp_path / "aparc+aseg.mgz"), "freesurfer": True},
            ["Left-Caudate", "Left-Putamen", "Left-Pallidum"],
        ),
        ({"in_file": own, "names": str(tmp_path / "own.tsv")}, ["A", "label_12", "label_13"]),
    ):
        found = BringAtlas(name="x", t1w=t1w, mask=mask, **options).run().outputs
        np.testing.assert_array_equal(np.asarray(nib.load(found.out_file).dataobj), labels)
        rows = read_table(Path(found.table))
        assert [row["name"] for row in rows] == expected
        assert [row["index"] for row in rows] == ["11", "12", "13"]


def test_the_table_of_regions(tmp_path, labels, table, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pet = np.where(labels == 11, 10.0, 4.0).astype(np.float32)
    pet[:, :, 14:] = 0
    pet[4:10, 4:16, 14:16] = 10.0
    paths = {
        "pet": saved(tmp_path / "pet.nii", new_image(pet, AFFINE)),
        "labels": saved(tmp_path / "labels.nii", new_image(labels, AFFINE)),
        "table": table,
    }
    found = MeasureRegions(**paths, suv_factor=0.5).run().outputs.out_file
    left, right, speck = read_table(Path(found))
    assert left == {
        "index": "11", "name": "left half", "volume-mm3": "6912", "voxels": "864",
        "coverage": "1", "mean": "10", "sd": "0", "suv": "5", "suvr": "n/a", "absent": "n/a",
    }  # fmt: skip
    assert (right["mean"], right["suv"]) == ("n/a", "n/a")
    assert right["absent"] == "83 % of it in the field of view"
    assert speck["absent"] == "number of its voxels: 3, fewer than 10"
    assert speck["volume-mm3"] == "24"


@pytest.fixture
def dynamic(tmp_path, labels, table) -> dict[str, object]:
    """Inputs of MeasureFrames: the head moved by 3 mm, activity doubles, then halves."""
    t1w_from_pet = np.eye(4)
    t1w_from_pet[0, 3] = 3.0
    grid = np.diag([2.5, 2.5, 2.5, 1.0])
    grid[:3, 3] = -6
    truth = resample(
        new_image(np.where(labels == 11, 20.0, 8.0).astype(np.float32), AFFINE),
        new_image(np.zeros((20, 20, 20), np.float32), grid),
        itk_from_ras(np.linalg.inv(t1w_from_pet)),
    )
    base = np.asarray(truth.dataobj)
    frames = np.stack([base, 2 * base, 0.5 * base], axis=-1)
    static = resample(
        new_image(frames @ np.array([10, 20, 30]) / 60, grid),
        new_image(labels, AFFINE),
        itk_from_ras(t1w_from_pet),
    )
    reference = np.zeros(labels.shape, np.uint8)
    reference[12:15, 6:14, 6:14] = 1
    write_transform(itk_from_ras(t1w_from_pet), tmp_path / "xfm.txt")
    return {
        "in_file": saved(tmp_path / "pet.nii.gz", nib.Nifti1Image(frames, grid)),
        "static": saved(tmp_path / "static.nii", static),
        "transform": str(tmp_path / "xfm.txt"),
        "labels": saved(tmp_path / "labels.nii", new_image(labels, AFFINE)),
        "table": table,
        "region": saved(tmp_path / "region.nii", new_image(reference, AFFINE)),
        "durations": [10.0, 20.0, 30.0],
    }


def test_curves_of_a_dynamic_pet(tmp_path, dynamic, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = MeasureFrames(**dynamic, starts=[0.0, 10.0, 30.0], suv_factor=0.1).run().outputs
    rows = read_table(Path(found.tacs))
    assert list(rows[0]) == ["frame_start", "frame_end", "left half", "right half", "speck"]
    assert [(row["frame_start"], row["frame_end"]) for row in rows] == [
        ("0", "10"), ("10", "30"), ("30", "60"),
    ]  # fmt: skip
    left = np.array([float(row["left half"]) for row in rows])
    np.testing.assert_allclose(left / left[0], [1, 2, 0.5], rtol=1e-4)
    assert {row["speck"] for row in rows} == {"n/a"}
    suv = [float(row["left half"]) for row in read_table(Path(found.suv))]
    np.testing.assert_allclose(suv, 0.1 * left, rtol=1e-4)
    # of the same frame, so that a ratio does not follow the activity
    ratios = [float(row["right half"]) for row in read_table(Path(found.suvr))]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)
    assert ratios[0] == pytest.approx(1.0, abs=0.1)
    spread = [float(row["left half"]) for row in read_table(Path(found.sd))]
    assert 0 < spread[0] < 5


def test_the_mean_over_frames_is_that_of_the_static_image(tmp_path, dynamic, monkeypatch):
    monkeypatch.chdir(tmp_path)
    curves = read_table(Path(MeasureFrames(**dynamic).run().outputs.tacs))
    assert {row["frame_start"] for row in curves} == {"n/a"}
    values = MeasureRegions(pet=dynamic["static"], labels=dynamic["labels"], table=dynamic["table"])
    static = {row["name"]: row["mean"] for row in read_table(Path(values.run().outputs.out_file))}
    for name in ("left half", "right half"):
        mean = np.average([float(row[name]) for row in curves], weights=dynamic["durations"])
        assert mean == pytest.approx(float(static[name]), rel=1e-5)
