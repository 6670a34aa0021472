import csv

import numpy as np
import pytest
from PIL import Image

from fusionprep.errors import DataError, NoInputError
from fusionprep.training.options import TrainingOptions
from fusionprep.training.slices import read_slice_pairs, read_slice_table

ROWS = [
    ("ct-mri", "train", "1.png", "A"),
    ("ct-mri", "train", "2.png", "A"),
    ("ct-mri", "val", "3.png", "B"),
]


@pytest.fixture
def write_table(tmp_path):
    def write(
        rows, columns=("dataset", "split", "file", "subject"), skip=(), folders=("ct", "mri")
    ):
        with (tmp_path / "slices.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([columns, *rows])
        rng = np.random.default_rng(0)
        for dataset, split, file, _ in rows:
            for modality in folders:
                folder = tmp_path / dataset / split / modality
                folder.mkdir(parents=True, exist_ok=True)
                if file not in skip:
                    Image.fromarray(rng.integers(0, 256, (24, 20), np.uint8)).save(folder / file)
        return tmp_path

    return write


def test_the_table_names_the_images_of_each_slice(write_table):
    groups = read_slice_table(write_table(ROWS))
    assert [(group.split, group.subject) for group in groups] == [
        ("train", "A"),
        ("train", "A"),
        ("val", "B"),
    ]
    assert sorted(groups[0].images) == ["ct", "mri"]
    assert groups[0].images["mri"].read_bytes()


def test_a_patient_on_both_sides_is_refused(write_table):
    rows = [*ROWS, ("ct-mri", "val", "4.png", "A")]
    with pytest.raises(DataError, match=r"both training and validation: A;"):
        read_slice_table(write_table(rows))


def test_bad_tables_are_refused(tmp_path, write_table):
    with pytest.raises(NoInputError, match=r"slices\.csv"):
        read_slice_table(tmp_path)
    with pytest.raises(DataError, match="no slice"):
        read_slice_table(write_table([]))
    with pytest.raises(DataError, match="lacks the column"):
        read_slice_table(write_table(ROWS, columns=("dataset", "split", "file", "patient")))
    with pytest.raises(DataError, match="not train or val"):
        read_slice_table(write_table([("ct-mri", "test", "1.png", "A")]))
    with pytest.raises(NoInputError, match=r"9\.png"):
        read_slice_table(write_table([("ct-mri", "val", "9.png", "C")], skip=("9.png",)))


def test_every_anatomical_slice_is_paired_with_every_functional_one(write_table):
    root = write_table(ROWS, folders=("ct", "pet", "t1", "t2"))
    pairs = read_slice_pairs(root, TrainingOptions())
    assert len(pairs) == 3 * 4
    first = [pair for pair in pairs if pair.split == "train"][:4]
    assert [pair.modality for pair in first] == ["ct", "pet", "ct", "pet"]
    t2, pet = (
        np.asarray(Image.open(root / f"ct-mri/train/{name}/1.png")) for name in ("t2", "pet")
    )
    assert np.array_equal(first[3].anatomical, t2)
    assert np.array_equal(first[3].functional, pet)


def test_pseudo_colour_becomes_luminance_or_level(write_table, tmp_path):
    root = write_table(ROWS, folders=("mri", "pet"))
    colour = np.zeros((24, 20, 3), np.uint8)
    colour[:12] = (255, 0, 0)
    for split, file in (("train", "1.png"), ("train", "2.png"), ("val", "3.png")):
        Image.fromarray(colour).save(root / "ct-mri" / split / "pet" / file)
    luminance = read_slice_pairs(root, TrainingOptions())[0].functional
    assert np.unique(luminance).tolist() == [0, 76]
    (root / "map.csv").write_text("0,0,0\n0,0,255\n255,0,0\n")
    options = TrainingOptions(functional_levels="colormap", colormap="map.csv")
    assert np.unique(read_slice_pairs(root, options)[0].functional).tolist() == [0, 255]


def test_the_shared_slices_are_split_by_patient(shared_data):
    groups = read_slice_table(shared_data / "slices")
    subjects = {
        split: {g.subject for g in groups if g.split == split} for split in ("train", "val")
    }
    assert len(groups) == 774
    assert not subjects["train"] & subjects["val"]
