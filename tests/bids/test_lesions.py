"""Which files of a dataset are lesion masks of a T1w."""

import pytest

from tests.bids.skeleton import (
    only_pairing,
    only_plan,
    pet,
    plans_of,
    t1w,
    write_dataset,
    write_json,
)
from tests.bids.skeleton import write_image as write_any


def write_image(path):
    """A mask as large as a head."""
    return write_any(path, voxel_size=50.0)


def lesions(root, **options) -> list[str]:
    return [mask.path.name for mask in only_pairing(root, **options).t1w.lesions]


@pytest.mark.parametrize(
    "name",
    [
        "sub-01_label-lesion_roi", "sub-01_T1w_label-lesion_roi", "sub-01_desc-lesion_mask",
        "sub-01_label-lesion_mask", "sub-01_space-orig_label-lesion_mask",
        "sub-01_label-L_desc-T1lesion_mask",
    ],
)  # fmt: skip
def test_names_in_use_are_found_beside_the_t1w(tmp_path, name):
    root = write_dataset(tmp_path, t1w(), pet())
    assert lesions(root) == []
    write_image(root / "sub-01" / "anat" / f"{name}.nii.gz")
    assert lesions(root) == [f"{name}.nii.gz"]
    (note,) = [note for note in only_plan(root).notes if "lesion" in note]
    assert note == f"sub-01_T1w.nii.gz: what {name}.nii.gz marks is a lesion, left out of models"
    assert lesions(root, ignore=("lesions",)) == []


@pytest.mark.parametrize(
    "name",
    [
        # of other images, other spaces, other sides of the brain, and no lesion at all
        "sub-01_FLAIR_label-lesion_roi", "sub-01_acq-dwi_label-lesion_roi",
        "sub-01_space-T2w_desc-lesion_mask", "sub-01_space-MNI152NLin6Asym_label-lesion_roi",
        "sub-01_label-L_mask", "sub-01_desc-brain_mask", "sub-01_desc-lesion_T2w",
        "sub-01_desc-lesionfilled_mask",
    ],
)  # fmt: skip
def test_other_names_are_not(tmp_path, name):
    root = write_dataset(tmp_path, t1w(), pet())
    write_image(root / "sub-01" / "anat" / f"{name}.nii.gz")
    assert lesions(root) == []


def test_runs_and_sessions_are_kept_apart(tmp_path):
    root = write_dataset(tmp_path, t1w("A", "_run-1"), pet("A"), t1w("B"), pet("B"))
    folder = root / "sub-01" / "ses-A" / "anat"
    write_image(folder / "sub-01_ses-A_run-1_label-lesion_roi.nii.gz")
    write_image(folder / "sub-01_ses-A_run-2_label-lesion_roi.nii.gz")
    first, second = (pairing.t1w for pairing in only_plan(root).pairings)
    assert [m.path.name for m in first.lesions] == ["sub-01_ses-A_run-1_label-lesion_roi.nii.gz"]
    assert second.lesions == ()


def test_an_aligned_release_has_its_masks_in_the_same_space(tmp_path):
    space = "_space-MNI152NLin2009aSym"
    root = write_dataset(tmp_path, t1w(rest=space), pet(rest=space))
    folder = root / "sub-01" / "anat"
    write_image(folder / f"sub-01{space}_label-L_desc-T1lesion_mask.nii.gz")
    write_image(folder / "sub-01_label-lesion_roi.nii.gz")
    # that without a space was drawn on the T1w before it was aligned
    assert lesions(root) == [f"sub-01{space}_label-L_desc-T1lesion_mask.nii.gz"]


def test_derivatives_are_looked_at_where_nothing_lies_beside_the_t1w(tmp_path):
    root = write_dataset(tmp_path, t1w(), pet())
    own = root / "derivatives" / "fusionprep"
    write_json(own / "dataset_description.json", {"GeneratedBy": [{"Name": "fusionprep"}]})
    write_image(own / "sub-01" / "anat" / "sub-01_label-lesion_mask.nii.gz")
    assert lesions(root) == []
    traced = write_image(
        root / "derivatives" / "tracing" / "sub-01" / "anat" / "sub-01_desc-lesion_mask.nii.gz"
    )
    assert [mask.path for mask in only_pairing(root).t1w.lesions] == [traced]
    write_image(root / "sub-01" / "anat" / "sub-01_label-lesion_roi.nii.gz")
    assert lesions(root) == ["sub-01_label-lesion_roi.nii.gz"]


def test_a_damaged_mask_is_a_problem_that_names_it(tmp_path):
    root = write_dataset(tmp_path, t1w(), pet())
    path = root / "sub-01" / "anat" / "sub-01_label-lesion_roi.nii.gz"
    path.write_bytes(b"")
    (problem,) = only_plan(root).problems
    assert problem.message.startswith("the lesion mask is an empty file")
    assert str(path) in problem.message
    assert not plans_of(root, ignore=("lesions",))["01"].problems


def test_folders_given_as_derivatives_are_searched_first(tmp_path):
    root = write_dataset(tmp_path / "bids", t1w(), pet())
    names = {"lab": "sub-01_label-lesion_roi.nii.gz", "other": "sub-01_desc-lesion_mask.nii.gz"}
    write_image(root / "derivatives" / "other" / "sub-01" / "anat" / names["other"])
    lab = tmp_path / "lab"
    write_image(lab / "sub-01" / "anat" / names["lab"])
    assert lesions(root) == [names["other"]]
    assert lesions(root, derivatives={"lab": lab}) == [names["lab"]]
