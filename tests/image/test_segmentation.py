import nibabel as nib
import numpy as np
import pytest

from fusionprep.image.masks import dice
from fusionprep.image.segmentation import LESION, TISSUES, segment_tissues

VOXEL = (2.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def segmented(person):
    data = np.asarray(person.t1w().dataobj)
    mask = np.asarray(person.mask().dataobj) > 0
    return segment_tissues(data, mask, VOXEL), mask


def test_tissues_of_the_simulated_brain(person, segmented):
    tissues, _ = segmented
    truth = person.tissues()
    overlaps = {name: dice(tissues.labels == i, truth == i) for i, name in enumerate(TISSUES, 1)}
    assert overlaps["GM"] >= 0.85
    assert overlaps["WM"] >= 0.90
    assert overlaps["CSF"] >= 0.75


def test_fractions_of_the_simulated_brain(person, segmented):
    """Before there were mixed voxels the error was twice as large, and most were all or nothing."""
    tissues, mask = segmented
    paths = (person.truth.gm, person.truth.wm, person.truth.csf)
    for name, path, volume in zip(TISSUES, paths, (0.06, 0.06, 0.25), strict=True):
        truth = nib.load(path).get_fdata(dtype=np.float32)[mask]
        found = tissues.fraction[name][mask]
        assert np.abs(found - truth).mean() < 0.07
        assert found.sum() == pytest.approx(truth.sum(), rel=volume)
        assert np.corrcoef(found, truth)[0, 1] > 0.9


def test_fractions_sum_to_one_inside_and_to_nothing_outside(segmented):
    tissues, mask = segmented
    total = sum(tissues.fraction.values())
    np.testing.assert_allclose(total[mask], 1, atol=1e-5)
    assert not total[~mask].any()
    assert min(values.min() for values in tissues.fraction.values()) >= 0
    assert {values.dtype for values in tissues.fraction.values()} == {np.dtype(np.float32)}


def test_labels_are_the_class_with_the_largest_share(segmented):
    tissues, mask = segmented
    stacked = np.stack([tissues.fraction[name] for name in TISSUES])
    np.testing.assert_array_equal(tissues.labels[mask], stacked.argmax(axis=0)[mask] + 1)
    assert not tissues.labels[~mask].any()
    assert tissues.labels.dtype == np.uint8


def layers(noise: float):
    """Slabs of CSF, GM and WM with known intensities; labels in the order of TISSUES."""
    labels = np.repeat([3, 1, 2], 10)[:, None, None] * np.ones((1, 24, 24), int)
    data = np.choose(labels, [0.0, 60.0, 100.0, 20.0])
    rng = np.random.default_rng(0)
    data = data + rng.normal(0, noise, data.shape)
    return data.astype(np.float32), labels


def test_classes_are_named_by_their_intensity():
    data, labels = layers(noise=2.0)
    found = segment_tissues(data, np.ones(data.shape, bool), VOXEL)
    assert (found.labels == labels).mean() > 0.999


def test_fractions_of_voxels_that_hold_two_tissues():
    """Borders are ramps of known fractions between slabs of pure tissue."""
    csf = np.interp(np.arange(60), [12, 21], [1, 0])[:, None, None] * np.ones((60, 40, 40))
    white = np.interp(np.arange(60), [35, 46], [0, 1])[:, None, None] * np.ones((60, 40, 40))
    truth = {"CSF": csf, "GM": 1 - csf - white, "WM": white}
    data = 20 * truth["CSF"] + 60 * truth["GM"] + 100 * truth["WM"]
    data += np.random.default_rng(2).normal(0, 3, data.shape)
    found = segment_tissues(data, np.ones(data.shape, bool), VOXEL)
    for name in TISSUES:
        error = found.fraction[name] - truth[name]
        assert np.abs(error.mean(axis=(1, 2))).max() < 0.1
        assert np.abs(error).mean() < 0.03
        assert found.fraction[name].sum() == pytest.approx(truth[name].sum(), rel=0.02)


def test_neighbours_remove_speckle():
    data, labels = layers(noise=11.0)
    mask = np.ones(data.shape, bool)
    alone = segment_tissues(data, mask, VOXEL, smoothness=0.01)
    together = segment_tissues(data, mask, VOXEL, smoothness=2.0)
    wrong = [(found.labels != labels).mean() for found in (alone, together)]
    assert wrong[0] > 0.04
    assert wrong[1] < wrong[0] / 2


def test_a_few_very_bright_voxels_are_white_matter():
    """Vessels and artefacts neither become CSF nor spoil the classes."""
    data, labels = layers(noise=6.0)
    white = np.argwhere(labels == 2)
    bright = tuple(np.random.default_rng(1).choice(white, 50, replace=False).T)
    data[bright] = np.linspace(150, 400, 50)
    found = segment_tissues(data, np.ones(data.shape, bool), VOXEL)
    assert (found.labels[bright] == 2).all()
    assert (found.labels == labels).mean() > 0.99


def test_units_do_not_matter():
    data, _ = layers(noise=8.0)
    mask = np.ones(data.shape, bool)
    first, second = (segment_tissues(data * scale, mask, VOXEL).labels for scale in (1, 1e4))
    assert (first == second).mean() > 0.999


def test_the_same_seed_gives_the_same_result():
    rng = np.random.default_rng(1)
    data = rng.choice([20.0, 60.0, 100.0], (50, 50, 50)) + rng.normal(0, 10, (50, 50, 50))
    first, second = (segment_tissues(data, np.ones(data.shape), VOXEL, seed=3) for _ in range(2))
    for name in TISSUES:
        np.testing.assert_array_equal(first.fraction[name], second.fraction[name])


def test_a_lesion_is_no_tissue_and_has_no_part_in_the_model(person):
    """Half of a brain with values of no tissue: with its mask the rest is as if it were healthy."""
    data = np.asarray(person.t1w().dataobj, np.float32).copy()
    mask = np.asarray(person.mask().dataobj) > 0
    lesion = mask & (np.indices(mask.shape)[0] < mask.shape[0] * 0.4)
    data[lesion] = 3 * data[mask].max()
    truth = person.tissues()
    with_mask = segment_tissues(data, mask, VOXEL, lesion=lesion)
    without = segment_tissues(data, mask, VOXEL)
    assert (with_mask.labels[lesion] == LESION).all()
    assert not any(fraction[lesion].any() for fraction in with_mask.fraction.values())
    outside = mask & ~lesion
    found = [dice((t.labels == 1) & outside, (truth == 1) & outside) for t in (with_mask, without)]
    assert found[0] >= 0.85
    assert found[1] < 0.6
    alone = segment_tissues(data, outside, VOXEL)
    np.testing.assert_array_equal(with_mask.labels[outside], alone.labels[outside])


def test_an_empty_lesion_changes_nothing(person, segmented):
    data, mask = np.asarray(person.t1w().dataobj), np.asarray(person.mask().dataobj) > 0
    found = segment_tissues(data, mask, VOXEL, lesion=np.zeros_like(mask))
    np.testing.assert_array_equal(found.labels, segmented[0].labels)
    np.testing.assert_array_equal(found.fraction["GM"], segmented[0].fraction["GM"])
