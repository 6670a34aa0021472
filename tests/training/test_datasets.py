import numpy as np
import pytest
from PIL import Image

from fusionprep.errors import DataError, NoInputError
from fusionprep.training.datasets import PairSamples, augment, random_crop, read_pairs
from fusionprep.training.options import TrainingOptions
from fusionprep.training.pairs import SlicePair


def as_it_is(anatomical, functional, rng):
    return {"anatomical": anatomical, "functional": functional}


def make_pairs(counts):
    rng = np.random.default_rng(0)
    return [
        SlicePair(dataset, "train", "A", "pet", *rng.integers(1, 256, (2, 40, 32), np.uint8))
        for dataset, count in counts.items()
        for _ in range(count)
    ]


def test_a_folder_of_neither_kind_is_refused(tmp_path):
    with pytest.raises(NoInputError, match=r"expected slices\.csv .*dataset_description\.json"):
        read_pairs(tmp_path, TrainingOptions())


def test_whole_pairs_are_gray_levels_in_unit_range():
    pairs = make_pairs({"a": 2})
    samples = PairSamples(pairs, as_it_is, seed=0)
    assert len(samples) == 2
    np.testing.assert_allclose(samples[1]["functional"][0], pairs[1].functional / 255, rtol=1e-6)


def test_crops_depend_on_seed_epoch_and_index_only():
    def samples(seed):
        return PairSamples(make_pairs({"a": 4}), as_it_is, seed=seed, count=20, crop=16)

    first, second = samples(3), samples(3)
    assert len(first) == 20
    assert first[2]["anatomical"].shape == (1, 16, 16)
    second[0]
    assert np.array_equal(first[2]["anatomical"], second[2]["anatomical"])
    second.epoch = 1
    assert not np.array_equal(first[2]["anatomical"], second[2]["anatomical"])
    assert not np.array_equal(first[2]["anatomical"], samples(4)[2]["anatomical"])


def test_datasets_are_drawn_equally_often():
    shown = []

    def remember(anatomical, functional, rng):
        # The mean level of a crop tells the black dataset from the bright one.
        shown.append(anatomical.mean() > 0.9 * 0.6)
        return as_it_is(anatomical, functional, rng)

    black, bright = (np.full((2, 40, 32), level, np.uint8) for level in (30, 255))
    pairs = [SlicePair("large", "train", "A", "pet", *black)] * 90
    pairs.append(SlicePair("small", "train", "A", "pet", *bright))
    samples = PairSamples(pairs, remember, seed=0, count=400, crop=16)
    for index in range(400):
        samples[index]
    assert np.mean(shown) == pytest.approx(0.5, abs=0.08)


def test_both_images_are_turned_alike_and_dimmed_apart():
    image = np.arange(1, 65, dtype=np.float32).reshape(8, 8) / 64
    scales, turns = [], set()
    for seed in range(60):
        first, second = augment(np.stack([image, image]), np.random.default_rng(seed), 0.7)
        scales += [first.max(), second.max()]
        np.testing.assert_allclose(first / first.max(), second / second.max(), rtol=1e-5)
        turns.add(tuple(np.rint(64 * first[0, [0, -1]] / first.max())))
    assert min(scales) >= 0.7
    assert max(scales) <= 1
    assert np.std(scales) > 0.05
    assert len(turns) == 8


def test_crops_avoid_air():
    image = np.zeros((1, 100, 100), np.float32)
    image[:, :60, :60] = 1
    crops = [random_crop(image, 32, np.random.default_rng(seed)) for seed in range(200)]
    empty = np.mean([np.count_nonzero(crop) < 0.1 * crop.size for crop in crops])
    assert empty < 0.02


def test_an_image_smaller_than_the_crop_is_refused():
    with pytest.raises(DataError, match="smaller than the crop"):
        random_crop(np.ones((2, 20, 40)), 32, np.random.default_rng(0))


def write_pairs(folder, images):
    """Writes pairs of one dataset under any names of files, with their table."""
    rows = ["dataset,split,file,subject"]
    for name, (split, mri, pet) in images.items():
        rows.append(f"set,{split},{name},{name[0]}")
        for kind, image in (("mri", mri), ("pet", pet)):
            path = folder / "set" / split / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    (folder / "slices.csv").write_text("\n".join(rows))


def test_what_fuse_reads_is_read_small_ones_are_padded_and_empty_ones_left_out(tmp_path, capsys):
    rng = np.random.default_rng(0)
    texture = rng.integers(1, 256, (50, 60), np.uint8)
    deep = rng.integers(5000, 65536, (50, 60)).astype(np.uint16)
    black, small = np.zeros((50, 60), np.uint8), texture[:31, :60]
    write_pairs(
        tmp_path,
        {
            "a.png": ("train", texture, texture),
            "b.tif": ("train", deep, deep[::-1]),
            "c.jpg": ("train", small, small),
            "d.png": ("train", texture, black),
            "e.jpeg": ("val", texture, texture),
        },
    )
    pairs = read_pairs(tmp_path, TrainingOptions(crop=40))
    assert [pair.file for pair in pairs] == ["a.png", "b.tif", "c.jpg", "e.jpeg"]
    np.testing.assert_array_equal(pairs[1].anatomical, np.rint(deep / 257))
    assert pairs[2].anatomical.shape == (40, 60)
    assert not pairs[2].functional[:4].any()
    assert pairs[2].functional[4:-5].any()
    told = capsys.readouterr().err
    assert "1 of 5 pairs left out, with a slice that shows nothing (e.g. set d d.png)" in told
    assert "1 of 5 pairs padded with black to the crops of 40 pixels (e.g. set c c.jpg)" in told
    samples = PairSamples(pairs[:3], as_it_is, seed=0, count=12, crop=40)
    assert {samples[index]["anatomical"].shape for index in range(12)} == {(1, 40, 40)}


def test_nothing_but_empty_slices_cannot_be_trained_on(tmp_path):
    black = np.zeros((50, 60), np.uint8)
    texture = np.random.default_rng(0).integers(1, 256, (50, 60), np.uint8)
    write_pairs(tmp_path, {"a.png": ("train", texture, black), "b.png": ("val", texture, texture)})
    with pytest.raises(DataError, match="holds no train pair"):
        read_pairs(tmp_path, TrainingOptions(crop=40))
