import json

import nibabel as nib
import numpy as np
import pytest

from fusionprep.bids.names import derivative_path
from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.training.datasets import read_pairs
from fusionprep.training.derivatives import split_subjects
from fusionprep.training.options import TrainingOptions
from fusionprep.training.run import train

OPTIONS = TrainingOptions(crop=24, slice_step=2, validation_share=0.34)
SHAPE = (40, 44, 36)


def save(root, relative, data, affine, sidecar):
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(data.astype(np.float32), affine).to_filename(path)
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(sidecar))


def phantom():
    """T1w and CT of a head, uptake and mask of the ball of brain in it."""
    grid = np.indices(SHAPE) - np.array(SHAPE).reshape(3, 1, 1, 1) // 2
    distance = np.linalg.norm(grid, axis=0)
    brain, head = distance < 11, distance < 16
    t1w = np.where(brain, 600 + 100 * np.sin(grid[0]), np.where(head, 300, 20))
    pet = np.where(brain, 5000 + 200 * grid[1], np.where(head, 1500, 0))
    ct = np.where(brain, 40, np.where(distance < 14, 900, np.where(head, 20, -1000)))
    return t1w, pet, ct, brain


def write_subject(root, subject, *, session=None, t1w_session=None, ct=False, zooms=(1, 1, 1)):
    t1w, pet, hounsfield, brain = phantom()
    affine = np.diag([*zooms, 1.0])
    anatomy = derivative_path("anat", "T1w", sub=subject, ses=t1w_session, desc="preproc")
    save(root, anatomy, t1w, affine, {})
    save(root, anatomy.replace("preproc_T1w", "brain_mask"), brain, affine, {"Type": "Brain"})
    sidecar = {"SpatialReference": f"bids::{anatomy}", "TracerName": "FDG"}
    for desc, factor in (("preproc", 1), ("suvr", 1e-4)):
        names = {"trc": "FDG", "space": "T1w", "desc": desc}
        path = derivative_path("pet", "pet", sub=subject, ses=session, **names)
        save(root, path, factor * pet, affine, sidecar)
    template = derivative_path("pet", "pet", sub=subject, ses=session, space="MNI", desc="preproc")
    save(root, template, pet, affine, {"SpatialReference": "a template"})
    if ct:
        path = derivative_path("ct", "ct", sub=subject, ses=session, space="T1w", desc="preproc")
        save(root, path, hounsfield, affine, sidecar)


@pytest.fixture
def cohort(tmp_path):
    root = tmp_path / "out"
    root.mkdir()
    (root / "dataset_description.json").write_text(json.dumps({"DatasetType": "derivative"}))
    write_subject(root, "01", session="A", t1w_session="A")
    write_subject(root, "01", session="B", t1w_session="A")
    write_subject(root, "02", ct=True)
    write_subject(root, "03")
    return root


def test_every_pet_and_ct_is_cut_in_three_orientations(cohort):
    pairs = read_pairs(cohort, OPTIONS)
    scans = {(pair.subject, pair.modality) for pair in pairs}
    assert scans == {("sub-01", "pet"), ("sub-02", "pet"), ("sub-02", "ct"), ("sub-03", "pet")}
    # A ball has its quarter area at 0.87 of its radius, 19 of 21 slices: ten of every second.
    of = [pair for pair in pairs if pair.subject == "sub-03"]
    assert len(of) == 3 * 10
    assert len([pair for pair in pairs if pair.subject == "sub-01"]) == 2 * 3 * 10
    assert {pair.anatomical.shape for pair in of} == {(24, 24)}
    assert all(pair.anatomical.dtype == pair.functional.dtype == np.uint8 for pair in pairs)


def test_sessions_of_a_subject_stay_on_one_side(cohort):
    splits = {}
    for pair in read_pairs(cohort, OPTIONS):
        splits.setdefault(pair.subject, set()).add(pair.split)
    assert sorted(map(len, splits.values())) == [1, 1, 1]
    assert set.union(*splits.values()) == {"train", "val"}


def test_gray_levels_are_those_of_the_app(cohort):
    t1w, pet, _, brain = phantom()
    pairs = [pair for pair in read_pairs(cohort, OPTIONS) if pair.subject == "sub-03"]
    low, high = np.percentile(t1w[brain], (0.5, 99.5))
    white = np.percentile(pet[brain], 99)
    # Sagittal slices come first; the 21 voxels of brain lie in the middle of 24 pixels.
    places = np.flatnonzero(brain.any(axis=(1, 2)))
    area = brain.sum(axis=(1, 2))
    first = places[area[places] >= 0.25 * area.max()][0]
    assert first == 20 - 9
    for image, expected in (
        (pairs[0].anatomical, (t1w - low) / (high - low)),
        (pairs[0].functional, pet / white),
    ):
        levels = np.rint(255 * np.clip(expected, 0, 1)) * brain
        assert np.abs(image[1:22, 1:22] - levels[first, 12:33, 8:29]).max() <= 1
    assert not pairs[0].anatomical[[0, -1]].any()


def test_the_skull_stays_with_a_ct_only(cohort):
    pairs = read_pairs(cohort, OPTIONS)
    ct = [pair for pair in pairs if pair.modality == "ct"]
    pet = [pair for pair in pairs if pair.modality == "pet"]
    middle = ct[len(ct) // 6].functional
    # In the wide window bone of 900 is 178, soft tissue of 40 is 32, air is black.
    assert set(np.unique(middle)) <= {0, 29, 32, 178}
    assert (middle == 178).sum() > 150
    assert max(np.count_nonzero(pair.functional) for pair in pet) < np.pi * 11**2 + 30
    assert max(np.count_nonzero(pair.functional) for pair in ct) > np.pi * 14**2


def test_thick_slices_are_cut_in_their_plane_only(tmp_path, cohort):
    write_subject(cohort, "04", zooms=(1, 1, 5))
    pairs = [pair for pair in read_pairs(cohort, OPTIONS) if pair.subject == "sub-04"]
    assert len(pairs) == 10


def test_the_split_is_drawn_or_named():
    subjects = {f"sub-{number:02}" for number in range(20)}
    drawn = split_subjects(subjects, TrainingOptions(validation_share=0.25))
    assert list(drawn.values()).count("val") == 5
    assert drawn == split_subjects(subjects, TrainingOptions(validation_share=0.25))
    assert drawn != split_subjects(subjects, TrainingOptions(validation_share=0.25, seed=1))
    named = split_subjects(subjects, TrainingOptions(validation_subjects=("sub-03", "07")))
    assert {subject for subject in named if named[subject] == "val"} == {"sub-03", "sub-07"}
    with pytest.raises(UsageError, match="validation_subjects names sub-99; there are: sub-00"):
        split_subjects(subjects, TrainingOptions(validation_subjects=("99",)))
    two = split_subjects({"sub-1", "sub-2"}, TrainingOptions(validation_share=0.99))
    assert sorted(two.values()) == ["train", "val"]
    with pytest.raises(DataError, match=r"only sub-1 .* two subjects"):
        split_subjects({"sub-1"}, TrainingOptions())


def test_what_is_no_output_of_the_app_is_refused(tmp_path, cohort):
    description = cohort / "dataset_description.json"
    description.write_text(json.dumps({"DatasetType": "raw"}))
    with pytest.raises(
        NoInputError, match=r"describes no derivatives; .* output folder of fusionapp"
    ):
        read_pairs(cohort, OPTIONS)
    description.write_text("[]")
    with pytest.raises(DataError, match=r"cannot read .*dataset_description\.json"):
        read_pairs(cohort, OPTIONS)
    (tmp_path / "dataset_description.json").write_text('{"DatasetType": "derivative"}')
    with pytest.raises(NoInputError, match=r"holds no preprocessed PET or CT in T1w space"):
        read_pairs(tmp_path, OPTIONS)


def test_damaged_outputs_are_named(cohort):
    pet = cohort / "sub-03/pet/sub-03_trc-FDG_space-T1w_desc-preproc_pet.nii.gz"
    sidecar = pet.with_name(pet.name.replace(".nii.gz", ".json"))
    text = sidecar.read_text()
    sidecar.write_text("{}")
    with pytest.raises(DataError, match=r"sub-03.* names no T1w as SpatialReference"):
        read_pairs(cohort, OPTIONS)
    sidecar.unlink()
    with pytest.raises(DataError, match=r"cannot read .*sub-03.*json"):
        read_pairs(cohort, OPTIONS)
    sidecar.write_text(text)
    nib.Nifti1Image(np.random.default_rng(0).random((9, 9, 9)), np.eye(4)).to_filename(pet)
    with pytest.raises(DataError, match=r"sub-03.* is not on the grid of its T1w"):
        read_pairs(cohort, OPTIONS)
    pet.write_bytes(b"broken")
    with pytest.raises(DataError, match=r"sub-03.* is corrupt"):
        read_pairs(cohort, OPTIONS)


def test_a_cohort_can_be_trained_on(cohort, tmp_path):
    options = TrainingOptions(epochs=2, steps_per_epoch=3, batch_size=2, crop=24)
    train("unet", cohort, tmp_path / "trained", options)
    card = json.loads((tmp_path / "trained" / "unet.json").read_text())
    patients = {name for entry in card["training_data"]["sets"] for name in entry["patients"]}
    assert patients == {"sub-01", "sub-02", "sub-03"}
