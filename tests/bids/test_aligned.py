"""Releases whose images are aligned already: all have ``space-`` and none a datatype folder."""

import pytest

from fusionprep.bids.layout import check_dataset
from fusionprep.bids.names import OutputNames
from fusionprep.bids.sidecars import still_true
from tests.bids.skeleton import (
    only_plan,
    pet,
    plans_of,
    t1w,
    write_dataset,
    write_image,
    write_json,
)

ALL = ("pet", "ct", "flair")


def aligned(space, *suffixes, subject="0001"):
    return [f"sub-{subject}/sub-{subject}_space-{space}_{suffix}.nii.gz" for suffix in suffixes]


def write_release(root, *images):
    """A folder of derivatives as CERMEP is distributed, without any description."""
    write_dataset(root, *images)
    (root / "dataset_description.json").unlink()
    check_dataset(root, skip_validation=True)
    return root


def used(plan):
    images = {pairing.image.path.name for pairing in plan.pairings}
    return images | {image.path.name for image in plan.t1ws}


@pytest.mark.parametrize("folder", ["derivatives/coregistration", "derivatives/MNI"])
@pytest.mark.parametrize("ct", ["ct", "CT"])
def test_the_layouts_of_cermep(tmp_path, folder, ct):
    images = aligned("pet", "T1w", "FLAIR", ct, "pet")
    root = write_release(tmp_path / folder, *images)
    plan = plans_of(root, modalities=ALL)["0001"]
    assert not plan.problems
    assert [pairing.modality.name for pairing in plan.pairings] == ["pet", "ct", "flair"]
    assert used(plan) == {path.split("/")[1] for path in images}
    assert "images are those of space-pet, as there is no T1w without space-" in plan.notes


def test_a_kept_index_serves_aligned_images_too(tmp_path):
    root = write_release(tmp_path / "raw", *aligned("MNI", "T1w", "pet"))
    for _ in range(2):
        plan = plans_of(root, bids_database_dir=tmp_path / "index")["0001"]
        assert len(plan.pairings) == 1


def test_a_described_derivative_dataset(tmp_path):
    root = write_dataset(tmp_path, *aligned("MNI", "T1w", "pet"))
    description = {"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    write_json(root / "dataset_description.json", description)
    assert len(plans_of(root)["0001"].pairings) == 1


def test_images_of_one_label_only(tmp_path):
    """The label that covers most of what is asked for, then one that is not a template's."""
    root = write_release(
        tmp_path,
        *aligned("MNI", "T1w", "pet"),
        *aligned("pet", "T1w", "pet", "ct"),
        *aligned("T1", "FLAIR"),
    )
    plan = plans_of(root, modalities=("pet", "ct"))["0001"]
    assert used(plan) == {f"sub-0001_space-pet_{suffix}.nii.gz" for suffix in ("T1w", "pet", "ct")}
    left_out = "left out, not of space-pet: sub-0001_space-MNI_T1w.nii.gz"
    assert [note for note in plan.expected if note.startswith(left_out)]
    plan = plans_of(root)["0001"]
    assert used(plan) == {"sub-0001_space-pet_T1w.nii.gz", "sub-0001_space-pet_pet.nii.gz"}


def test_labels_are_not_mixed(tmp_path):
    root = write_release(tmp_path, *aligned("MNI", "T1w"), *aligned("pet", "pet"))
    plan = plans_of(root)["0001"]
    assert not plan.pairings
    assert "has no PET image" in plan.problems[0].message
    (note,) = plan.expected
    assert note.startswith("left out, taken for a derivative because of space-: ")


def test_each_subject_is_looked_at_for_itself(tmp_path):
    root = write_dataset(
        tmp_path, t1w(), pet(), *aligned("MNI", "T1w", "pet"), *aligned("MNI", "pet", subject="01")
    )
    plans = plans_of(root)
    assert used(plans["01"]) == {"sub-01_T1w.nii.gz", "sub-01_pet.nii.gz"}
    assert used(plans["0001"]) == {"sub-0001_space-MNI_T1w.nii.gz", "sub-0001_space-MNI_pet.nii.gz"}


def test_with_a_raw_t1w_images_with_space_stay_out(tmp_path):
    """As before: the raw T1w has no PET to go with, and derivatives do not stand in for it."""
    root = write_dataset(tmp_path, t1w(), *aligned("MNI", "T1w", "pet", subject="01"))
    plan = only_plan(root)
    assert not plan.pairings
    assert plan.problems[0].message == "sub-01 has no PET image"


def test_a_filter_does_not_make_derivatives_stand_in_for_a_raw_t1w(tmp_path):
    derivatives = aligned("MNI", "T1w", "pet", subject="01")
    root = write_dataset(tmp_path, t1w(rest="_run-01"), pet(), *derivatives)
    plan = only_plan(root, bids_filters={"t1w": {"run": None}})
    assert not plan.pairings
    assert "has no T1w image" in plan.problems[0].message


def test_descriptions_stay_out(tmp_path):
    root = write_release(
        tmp_path, *aligned("MNI", "T1w", "desc-smooth_pet"), *aligned("MNI_desc-brain", "T1w")
    )
    plan = plans_of(root)["0001"]
    assert not plan.pairings
    assert any(
        "because of desc-: sub-0001_space-MNI_desc-brain_T1w" in note for note in plan.expected
    )


def test_filters_and_options_hold_for_aligned_images(tmp_path):
    root = write_release(
        tmp_path,
        *aligned("MNI", "T1w"),
        *aligned("pet", "T1w"),
        "sub-0001/sub-0001_trc-FDG_space-MNI_pet.nii.gz",
        "sub-0001/sub-0001_trc-PIB_space-pet_pet.nii.gz",
    )
    plan = plans_of(root, tracer_label=("PIB",))["0001"]
    assert [image.entities["space"] for image in plan.t1ws] == ["pet"]
    plan = plans_of(root, bids_filters={"pet": {"space": "pet"}})["0001"]
    assert [image.entities["space"] for image in plan.t1ws] == ["pet"]
    plan = plans_of(root, bids_filters={"t1w": {"space": "T1"}})["0001"]
    assert not plan.pairings


def test_an_unreadable_sidecar_is_named(tmp_path):
    root = write_release(tmp_path, *aligned("MNI", "T1w", "pet"))
    (root / "sub-0001/sub-0001_space-MNI_pet.json").write_text("{", encoding="utf-8")
    (problem,) = plans_of(root)["0001"].problems
    assert "sub-0001_space-MNI_pet.json" in problem.message


def test_derivatives_do_not_claim_the_space_of_their_source(tmp_path):
    sidecar = {"SpatialReference": "MNI152", "Resolution": "1 mm MNI", "TracerName": "FDG"}
    root = write_release(tmp_path, *aligned("MNI", "T1w"))
    write_image(root / aligned("MNI", "pet")[0], sidecar=sidecar)
    (pairing,) = plans_of(root)["0001"].pairings
    assert pairing.image.entities["space"] == pairing.t1w.entities["space"] == "MNI"
    name = OutputNames(pairing.image, pairing.modality)(space="T1w", desc="preproc")
    assert name == "sub-0001/pet/sub-0001_trc-FDG_space-T1w_desc-preproc_pet.nii.gz"
    assert still_true(pairing.image.metadata) == {"TracerName": "FDG"}


def test_the_plan_does_not_depend_on_the_order_of_files(tmp_path):
    spaces = ("b", "a", "c")
    images = [path for space in spaces for path in aligned(space, "T1w", "pet")]
    for number, order in enumerate((images, images[::-1])):
        root = write_release(tmp_path / str(number), *order)
        plan = plans_of(root)["0001"]
        assert used(plan) == {"sub-0001_space-a_T1w.nii.gz", "sub-0001_space-a_pet.nii.gz"}


def test_a_filter_that_names_another_suffix_is_kept_to(tmp_path):
    derivatives = aligned("MNI", "UNIT1", "pet", subject="01")
    root = write_dataset(tmp_path, "sub-01/anat/sub-01_UNIT1.nii.gz", pet(), *derivatives)
    plan = only_plan(root, bids_filters={"t1w": {"suffix": "UNIT1"}})
    assert used(plan) == {"sub-01_UNIT1.nii.gz", "sub-01_pet.nii.gz"}
