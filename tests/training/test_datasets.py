import csv

import numpy as np
import pytest
from PIL import Image

from fusionprep.errors import DataError, NoInputError
from fusionprep.training.datasets import SingleSlices, random_crop, read_slice_table

ROWS = [
    ("ct-mri", "train", "1.png", "A"),
    ("ct-mri", "train", "2.png", "A"),
    ("ct-mri", "val", "3.png", "B"),
]


@pytest.fixture
def write_slices(tmp_path):
    def write(rows, columns=("dataset", "split", "file", "subject"), skip=()):
        with (tmp_path / "slices.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([columns, *rows])
        rng = np.random.default_rng(0)
        for dataset, split, file, _ in rows:
            for modality in ("ct", "mri"):
                folder = tmp_path / dataset / split / modality
                folder.mkdir(parents=True, exist_ok=True)
                if file not in skip:
                    Image.fromarray(rng.integers(0, 256, (24, 20), np.uint8)).save(folder / file)
        return tmp_path

    return write


def test_the_table_names_the_images_of_each_slice(write_slices):
    groups = read_slice_table(write_slices(ROWS))
    assert [(group.split, group.subject) for group in groups] == [
        ("train", "A"),
        ("train", "A"),
        ("val", "B"),
    ]
    assert sorted(groups[0].images) == ["ct", "mri"]
    assert groups[0].images["mri"].read_bytes()


def test_a_patient_on_both_sides_is_refused(write_slices):
    rows = [*ROWS, ("ct-mri", "val", "4.png", "A")]
    with pytest.raises(DataError, match=r"both training and validation: A;"):
        read_slice_table(write_slices(rows))


def test_bad_tables_are_refused(tmp_path, write_slices):
    with pytest.raises(NoInputError, match=r"slices\.csv"):
        read_slice_table(tmp_path)
    with pytest.raises(DataError, match="no slice"):
        read_slice_table(write_slices([]))
    with pytest.raises(DataError, match="lacks the column"):
        read_slice_table(write_slices(ROWS, columns=("dataset", "split", "file", "patient")))
    with pytest.raises(DataError, match="not train or val"):
        read_slice_table(write_slices([("ct-mri", "test", "1.png", "A")]))
    with pytest.raises(NoInputError, match=r"9\.png"):
        read_slice_table(write_slices([("ct-mri", "val", "9.png", "C")], skip=("9.png",)))


def test_the_shared_slices_are_split_by_patient(shared_data):
    groups = read_slice_table(shared_data / "slices")
    subjects = {
        split: {g.subject for g in groups if g.split == split} for split in ("train", "val")
    }
    assert len(groups) == 774
    assert not subjects["train"] & subjects["val"]


def test_slices_are_gray_levels_in_unit_range(write_slices):
    groups = read_slice_table(write_slices(ROWS))
    path = groups[0].images["ct"]
    item = SingleSlices([path])[0]
    assert item.shape == (1, 24, 20)
    np.testing.assert_allclose(item[0].numpy(), np.asarray(Image.open(path)) / 255, atol=1e-6)


def test_crops_depend_on_seed_epoch_and_index_only(write_slices):
    groups = read_slice_table(write_slices(ROWS))
    paths = [path for group in groups for path in group.images.values()]
    first, second = (SingleSlices(paths, crop=16, seed=3) for _ in range(2))
    assert first[2].shape == (1, 16, 16)
    second[0]
    assert np.array_equal(first[2], second[2])
    second.epoch = 1
    assert not np.array_equal(first[2], second[2])
    assert not np.array_equal(first[2], SingleSlices(paths, crop=16, seed=4)[2])


def test_crops_avoid_air():
    image = np.zeros((100, 100), np.float32)
    image[:60, :60] = 1
    crops = [random_crop(image, 32, np.random.default_rng(seed)) for seed in range(200)]
    empty = np.mean([np.count_nonzero(crop) < 0.1 * crop.size for crop in crops])
    assert empty < 0.02


def test_an_image_smaller_than_the_crop_is_refused():
    with pytest.raises(DataError, match="smaller than the crop"):
        random_crop(np.ones((20, 40)), 32, np.random.default_rng(0))
