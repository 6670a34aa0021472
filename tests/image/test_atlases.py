"""Labels read from files of several kinds, and where they come to lie on a T1w."""

import nibabel as nib
import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.image.atlases import (
    freesurfer_names,
    labels_in_t1w,
    named_labels,
    packaged_labels,
    read_labels,
    read_names,
)
from fusionprep.image.io import new_image
from fusionprep.image.resample import itk_from_ras


@pytest.fixture
def t1w() -> nib.Nifti1Image:
    """2 mm, RAS, its middle away from the scanner's."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-37, -41, -30)
    return new_image(np.ones((40, 44, 36), np.float32), affine)


def brain_of(t1w: nib.Nifti1Image) -> nib.Nifti1Image:
    mask = np.zeros(t1w.shape, np.uint8)
    mask[8:32, 8:36, 8:30] = 1
    return new_image(mask, t1w.affine)


def blocks(t1w: nib.Nifti1Image) -> np.ndarray:
    """Labels that tell all sides apart."""
    labels = np.zeros(t1w.shape, np.int32)
    labels[10:20, 10:30, 10:20] = 17
    labels[20:30, 10:30, 10:20] = 1035
    labels[20:30, 10:20, 20:28] = 2035
    return labels


def test_a_conformed_segmentation_of_freesurfer_comes_to_its_place(t1w, tmp_path):
    """FreeSurfer's grid is 256³ at 1 mm in LIA, its affine that of the scanner."""
    labels = blocks(t1w)
    conformed = np.array([[-1.0, 0, 0, 90], [0, 0, 1, -100], [0, -1, 0, 95], [0, 0, 0, 1]])
    header = nib.freesurfer.mghformat.MGHHeader()
    to_t1w = np.linalg.inv(t1w.affine) @ conformed
    at = np.rint(nib.affines.apply_affine(to_t1w, np.argwhere(np.ones((180, 190, 200))))).astype(
        int
    )
    known = ((at >= 0) & (at < t1w.shape)).all(axis=1)
    voxels = np.zeros((180, 190, 200), np.int32)
    voxels.reshape(-1)[known] = labels[tuple(at[known].T)]
    path = tmp_path / "aparc+aseg.mgz"
    nib.save(nib.MGHImage(voxels, conformed, header), path)
    read = read_labels(path)
    assert nib.aff2axcodes(read.affine) == ("R", "A", "S")
    moved = labels_in_t1w(read, t1w, brain_of(t1w))
    assert moved.get_data_dtype() == np.int32
    np.testing.assert_array_equal(np.asarray(moved.dataobj), labels)
    names = named_labels(labels, freesurfer_names())
    assert names == {17: "Left-Hippocampus", 1035: "ctx-lh-insula", 2035: "ctx-rh-insula"}


def test_an_atlas_in_a_template_goes_through_its_transform(t1w):
    labels = blocks(t1w)
    shift = np.eye(4)
    shift[:3, 3] = (4.0, -6.0, 2.0)
    template = new_image(labels, np.linalg.inv(shift) @ t1w.affine)
    moved = labels_in_t1w(template, t1w, brain_of(t1w), itk_from_ras(shift))
    np.testing.assert_array_equal(np.asarray(moved.dataobj), labels)


def test_labels_of_cortex_and_white_matter_stay_in_the_tissue(t1w):
    labels = blocks(t1w)
    labels[10:20, 10:20, 10:14] = 2
    labels[10:20, 20:30, 10:14] = 8
    gm, wm = np.zeros((2, *t1w.shape), np.float32)
    gm[:, :24] = 0.8
    wm[:15] = 0.6
    image, tissues = new_image(labels, t1w.affine), (new_image(x, t1w.affine) for x in (gm, wm))
    moved = labels_in_t1w(image, t1w, brain_of(t1w), tissues=tuple(tissues))
    cortex = (labels >= 1000) | (labels == 8)
    lost = (cortex & (gm <= 0.5)) | ((labels == 2) & (wm <= 0.5))
    assert {int(label) for label in np.unique(labels[lost])} == {2, 8, 1035}
    np.testing.assert_array_equal(np.asarray(moved.dataobj), np.where(lost, 0, labels))


def test_labels_of_another_head_are_refused(t1w):
    elsewhere = np.zeros(t1w.shape, np.int32)
    elsewhere[:8] = 5
    with pytest.raises(DataError, match="only 0% of the labels lie in the brain"):
        labels_in_t1w(new_image(elsewhere, t1w.affine), t1w, brain_of(t1w))


def test_labels_are_not_changed_by_a_grid_that_shears(t1w):
    labels = blocks(t1w)
    sheared = t1w.affine.copy()
    sheared[1, 2] = 0.3
    moved = labels_in_t1w(new_image_of(labels, sheared), t1w, brain_of(t1w))
    assert set(np.unique(moved.dataobj)) <= {0, 17, 1035, 2035}
    assert (np.asarray(moved.dataobj) == labels).mean() > 0.85


def new_image_of(labels: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    return nib.Nifti1Image(labels, affine)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((4, 4, 4), 0.5), "numbers that are not whole"),
        (np.zeros((4, 4, 4)), "must hold labels"),
        (np.full((4, 4, 4), -1.0), "must hold labels"),
        (np.ones((4, 4, 4, 2)), "4-D"),
        (np.full((4, 4, 4), np.nan), "not whole"),
    ],
)
def test_what_is_no_image_of_labels_is_refused(tmp_path, values, said):
    nib.save(nib.Nifti1Image(values.astype(np.float32), np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(DataError, match=said):
        read_labels(tmp_path / "a.nii.gz")


def test_a_damaged_file_of_freesurfer_is_refused(tmp_path):
    path = tmp_path / "aparc+aseg.mgz"
    nib.save(nib.MGHImage(np.ones((9, 9, 9), np.int32), np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="cannot read"):
        read_labels(path)


def test_names_of_labels(tmp_path):
    path = tmp_path / "names.tsv"
    path.write_text("index\tname\tcolor\n0\tbackground\t#0\n3\tVis 1\t#1\n7\tVis 1\t#2\n9\t\t#3\n")
    names = read_names(path)
    assert names == {3: "Vis 1", 7: "Vis 1_7", 9: "label_9"}
    assert named_labels(np.array([[[0, 3, 12]]]), names) == {3: "Vis 1", 12: "label_12"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label\tname\n1\ta\n", "columns index and name"),
        ("index\tname\n1\ta\n1\tb\n", "two lines with index 1"),
        ("index\tname\nx\ta\n", "'x' is not a whole number"),
        ("", "columns index and name"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, said):
    (tmp_path / "names.tsv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_names(tmp_path / "names.tsv")


def test_every_label_of_the_packaged_atlas_has_a_name():
    names = named_labels(np.asarray(packaged_labels().dataobj), freesurfer_names())
    assert len(names) > 80
    assert not [name for name in names.values() if name.startswith("label_")]
    assert len(set(names.values())) == len(names)
