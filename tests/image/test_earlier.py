"""Checks of what others made of a T1w: right and wrong ones on the simulated head."""

import nibabel as nib
import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.image import earlier
from fusionprep.image.io import new_image
from fusionprep.image.masks import dice
from fusionprep.image.resample import downsample


@pytest.fixture(scope="module")
def head(person):
    """T1w, brain mask (bool) and fractions (3, X, Y, Z) of the truth."""
    folder, truth = person.folder, person.truth
    t1w = earlier.read_of_t1w(folder / "anat" / "sub-01_T1w.nii.gz")
    mask = np.asarray(nib.load(truth.brain_mask).dataobj) > 0
    maps = (nib.load(path).get_fdata(dtype=np.float32) for path in (truth.gm, truth.wm, truth.csf))
    return t1w, mask, np.stack([one * mask for one in maps])


def moved(image: nib.Nifti1Image, millimetres: float) -> nib.Nifti1Image:
    affine = image.affine.copy()
    affine[1, 3] += millimetres
    return new_image(np.asarray(image.dataobj), affine)


def image_of(data, like) -> nib.Nifti1Image:
    return new_image(np.asarray(data, np.float32), like.affine)


def test_the_mask_of_the_head_passes_on_any_grid(head):
    t1w, mask, _ = head
    assert earlier.check_brain(mask, t1w)["Dice"] > 0.95
    turned = image_of(mask, t1w).as_reoriented([[2, -1], [0, 1], [1, 1]])
    other = new_image(np.asarray(turned.dataobj), turned.affine)
    back = earlier.on_grid(other, t1w, interpolation="nearest") > 0.5
    np.testing.assert_array_equal(back, mask)


def test_a_mask_of_elsewhere_is_refused(head):
    t1w, mask, _ = head
    shifted = earlier.on_grid(moved(image_of(mask, t1w), 20), t1w, interpolation="nearest") > 0.5
    with pytest.raises(DataError, match=r"overlap with a rough mask of our own is 0\.\d\d"):
        earlier.check_brain(shifted, t1w)
    with pytest.raises(DataError, match="has 0 ml"):
        earlier.check_brain(np.zeros_like(mask), t1w)


def test_the_t1w_of_another_place_is_recognised(head):
    t1w, mask, _ = head
    x = np.linspace(0.7, 1.3, t1w.shape[0], dtype=np.float32)[:, None, None]
    biased = image_of(np.asarray(t1w.dataobj) * x, t1w)
    assert earlier.check_likeness(downsample(biased, 4.0), t1w, mask) > 0.9
    with pytest.raises(DataError, match="is another, or lies elsewhere"):
        earlier.check_likeness(moved(t1w, 9), t1w, mask)


def test_masks_come_as_flags_and_as_probabilities(head):
    t1w, mask, _ = head
    for data in (mask, mask * 255, mask * 0.8):
        found = earlier.as_mask(image_of(data, t1w))
        np.testing.assert_array_equal(np.asarray(found.dataobj), mask)
    with pytest.raises(DataError, match="empty"):
        earlier.as_mask(image_of(0 * mask, t1w))


def test_fractions_stay_as_they_are_on_the_grid_of_the_t1w(head):
    t1w, mask, fractions = head
    maps = {
        name: image_of(one, t1w) for name, one in zip(("GM", "WM", "CSF"), fractions, strict=True)
    }
    taken = earlier.confined(earlier.fractions_of_maps(maps, t1w), np.asarray(t1w.dataobj), mask)
    for name, one in zip(("GM", "WM", "CSF"), fractions, strict=True):
        np.testing.assert_allclose(taken.fraction[name], one, atol=0.01)
    assert ((taken.labels > 0) == mask).mean() > 0.99


def test_wrong_fractions_are_refused(head):
    t1w, mask, fractions = head
    data = np.asarray(t1w.dataobj)
    maps = {
        name: image_of(one, t1w) for name, one in zip(("GM", "WM", "CSF"), fractions, strict=True)
    }
    with pytest.raises(DataError, match="added up, not 0 to 1"):
        earlier.fractions_of_maps({**maps, "CSF": image_of(mask * 2.0, t1w)}, t1w)
    # FSL's FAST counts CSF first
    with pytest.raises(DataError, match="are its labels in another order"):
        earlier.confined(fractions[[2, 0, 1]], data, mask)
    with pytest.raises(DataError, match="of its tissues lie in the brain mask"):
        earlier.confined(np.roll(fractions, 12, axis=2), data, mask)
    with pytest.raises(DataError, match="fill only"):
        earlier.confined(fractions * 0.4, data, mask)


def test_labels_by_their_table(head, tmp_path):
    t1w, mask, fractions = head
    order = np.array([0, 7, 3, 9])
    truth = np.where(mask, fractions.argmax(axis=0) + 1, 0)
    labels = image_of(order[truth], t1w)
    table = tmp_path / "dseg.tsv"
    table.write_text("index\tname\n3\tWhite matter\n7\tGray Matter\n9\tCSF\n")
    found = earlier.classes_of(labels, table=table)
    np.testing.assert_array_equal(np.asarray(found.dataobj), truth)
    with pytest.raises(DataError, match="no table"):
        earlier.classes_of(labels)
    table.write_text("index\tname\n3\tbone\n")
    with pytest.raises(DataError, match="does not name gray matter"):
        earlier.classes_of(labels, table=table)
    with pytest.raises(DataError, match="not whole"):
        earlier.classes_of(image_of(fractions[0], t1w))
    taken = earlier.confined(
        earlier.fractions_of_classes(found, t1w), np.asarray(t1w.dataobj), mask
    )
    np.testing.assert_array_equal(taken.labels, truth)


def test_labels_of_freesurfer(head, tmp_path):
    t1w, mask, fractions = head
    truth = np.where(mask, fractions.argmax(axis=0) + 1, 0)
    # cortex left and right, white matter; CSF around the brain has no label
    left = np.arange(t1w.shape[0])[:, None, None] < t1w.shape[0] // 2
    cortex = np.where(left, 1028, 2028)
    labels = np.select([truth == 1, truth == 2], [cortex, np.where(left, 2, 41)], 0)
    conformed = image_of(labels, t1w).as_reoriented([[0, -1], [2, 1], [1, -1]])
    mgz = tmp_path / "aparc+aseg.mgz"
    nib.save(nib.MGHImage(conformed.get_fdata().astype(np.int32), conformed.affine), mgz)
    read = earlier.read_of_t1w(mgz)
    classes = earlier.classes_of(read, from_freesurfer=True)
    taken = earlier.confined(
        earlier.fractions_of_classes(classes, t1w),
        np.asarray(t1w.dataobj),
        mask,
        rest_is_fluid=True,
    )
    np.testing.assert_array_equal(taken.labels, truth)
    brain = np.where(mask, 90, 0)
    brain[np.unravel_index(mask.argmax(), mask.shape)] = 1
    found = earlier.brain_of_freesurfer(image_of(brain, t1w), image_of(labels, t1w))
    assert dice(np.asarray(found.dataobj), mask) > 0.999
