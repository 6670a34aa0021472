import nibabel as nib
import numpy as np
import pytest

from fusionprep.evaluation.registration import target_registration_error
from fusionprep.image.io import new_image
from fusionprep.image.registration import (
    RigidResult,
    brain_overlap,
    describe_rigid,
    judge_rigid,
    mutual_information,
    register_rigid,
)
from fusionprep.image.resample import downsample, itk_from_ras, resample


def shifted_header(image: nib.Nifti1Image, shift) -> tuple[nib.Nifti1Image, np.ndarray]:
    """The same voxels elsewhere in the world, and the matrix that took them there."""
    moved = nib.affines.from_matvec(np.eye(3), shift)
    return new_image(np.asarray(image.dataobj), moved @ image.affine), moved


@pytest.mark.parametrize("modality", ["pet", "ct", "flair"])
def test_error_is_below_a_millimetre(person, modality):
    result = register_rigid(person.t1w(), person.moving(modality))
    error = target_registration_error(
        result.t1w_from_moving, person.t1w_from(modality), person.mask()
    )
    before = target_registration_error(np.eye(4), person.t1w_from(modality), person.mask())
    assert before.mean() > 5
    assert error.mean() < 1
    assert error.max() < 1.5
    assert result.method == "rigid"
    assert result.mi_after > result.mi_before


@pytest.mark.parametrize(
    ("modality", "shift"),
    [
        ("pet", (120.0, -60.0, 40.0)),
        ("ct", (-100.0, 80.0, 60.0)),
        # table positions of PET/CT scanners: the images do not overlap at all
        ("pet", (0.0, 0.0, -1000.0)),
        ("ct", (400.0, 0.0, 0.0)),
    ],
)
def test_headers_that_are_far_off(person, modality, shift):
    moving, moved = shifted_header(person.moving(modality), shift)
    result = register_rigid(person.t1w(), moving, sloppy=True)
    truth = person.t1w_from(modality) @ np.linalg.inv(moved)
    assert target_registration_error(result.t1w_from_moving, truth, person.mask()).mean() < 1


def test_result_is_a_rigid_transform_and_repeats(person):
    first, second = (
        register_rigid(person.t1w(), person.moving("pet"), sloppy=True) for _ in range(2)
    )
    rotation = first.t1w_from_moving[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_array_equal(first.t1w_from_moving, second.t1w_from_moving)
    assert (first.mi_before, first.mi_after) == (second.mi_before, second.mi_after)


@pytest.fixture(scope="module")
def aligned(person):
    """The PET brought to the T1w by the true transform, on a grid of its own."""
    grid = new_image(np.zeros((70, 80, 66), np.float32), np.diag([3.0, 3.0, 3.0, 1.0]))
    brain = np.argwhere(np.asarray(person.mask().dataobj) > 0).mean(axis=0)
    centre = nib.affines.apply_affine(person.mask().affine, brain)
    affine = nib.affines.from_matvec(np.eye(3) * 3, centre - 3 * (np.array(grid.shape) - 1) / 2)
    grid = new_image(np.zeros(grid.shape, np.float32), affine)
    return resample(person.moving("pet"), grid, itk_from_ras(person.t1w_from("pet")))


def test_auto_keeps_an_alignment_that_is_right(person, aligned):
    result = register_rigid(person.t1w(), aligned, method="auto", sloppy=True)
    assert result.method == "identity"
    np.testing.assert_array_equal(result.t1w_from_moving, np.eye(4))
    assert result.mi_after == result.mi_before


def test_auto_corrects_an_alignment_that_is_wrong(person, aligned):
    moving, moved = shifted_header(aligned, (6.0, 0.0, 0.0))
    result = register_rigid(person.t1w(), moving, method="auto", sloppy=True)
    assert result.method == "rigid"
    error = target_registration_error(result.t1w_from_moving, np.linalg.inv(moved), person.mask())
    assert error.mean() < 1


def test_identity_does_not_search(person):
    result = register_rigid(person.t1w(), person.moving("pet"), method="identity")
    np.testing.assert_array_equal(result.t1w_from_moving, np.eye(4))
    assert result.method == "identity"
    assert result.mi_before == result.mi_after > 0


def test_mutual_information_peaks_at_the_truth_and_is_zero_apart(person):
    fixed = downsample(person.t1w(), 1.0)
    floating = downsample(person.moving("pet"), 1.0)
    truth = person.t1w_from("pet")
    scores = [
        mutual_information(fixed, floating, nib.affines.from_matvec(np.eye(3), (x, 0, 0)) @ truth)
        for x in (0.0, 4.0, 12.0, 40.0)
    ]
    assert scores == sorted(scores, reverse=True)
    apart = nib.affines.from_matvec(np.eye(3), (2000, 0, 0))
    assert mutual_information(fixed, floating, apart) == 0


def cube(shape=(20, 20, 20), start=5, stop=15) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[start:stop, start:stop, start:stop] = True
    return mask


def test_overlap_of_the_brain_with_itself_is_one():
    assert brain_overlap(cube().astype(np.float32), cube()) == 1


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_overlap_counts_shared_voxels_whatever_the_units(scale):
    """Half of a bright cube of the brain's size lies in the brain."""
    moved = np.roll(cube(), 5, axis=0) * np.float32(scale)
    assert brain_overlap(moved, cube()) == pytest.approx(0.5)


def test_overlap_with_nothing_is_zero():
    assert brain_overlap(np.zeros((20, 20, 20), np.float32), cube()) == 0
    assert brain_overlap(~cube() * np.float32(1), cube()) == 0


def test_overlap_of_a_partial_scan_is_its_share():
    scan = cube() * np.float32(1)
    scan[:, :, 12:] = 0
    assert brain_overlap(scan, cube()) == pytest.approx(0.7)


def test_overlap_tells_the_simulated_pet_from_a_misplaced_one(person):
    mask = np.asarray(person.mask().dataobj) > 0
    right, wrong = (
        np.asarray(resample(person.moving("pet"), person.mask(), itk_from_ras(matrix)).dataobj)
        for matrix in (
            person.t1w_from("pet"),
            nib.affines.from_matvec(np.eye(3), (60, 0, 0)) @ person.t1w_from("pet"),
        )
    )
    assert brain_overlap(right, mask) > 0.75
    assert brain_overlap(wrong, mask) < 0.65


def result(before=0.5, after=1.0, degrees=0.0) -> RigidResult:
    matrix = nib.affines.from_matvec(nib.eulerangles.euler2mat(np.radians(degrees)), (1, 2, 3))
    return RigidResult(matrix, "rigid", before, after)


@pytest.mark.parametrize(
    ("scores", "overlap", "verdict", "reason"),
    [
        ({}, 0.9, "pass", "expected range"),
        ({}, None, "pass", "expected range"),
        ({"after": 0.0}, 0.9, "fail", "do not overlap"),
        ({"before": 0.001, "after": 0.01}, None, "fail", "nothing in common"),
        ({"before": 1.0, "after": 0.9}, 0.9, "fail", "fell"),
        ({"before": 1.0, "after": 0.96}, 0.9, "pass", "expected range"),
        ({}, 0.49, "fail", "49%"),
        ({}, 0.64, "review", "64%"),
        ({"degrees": 31}, 0.9, "review", "31 degrees"),
        ({"degrees": 29}, None, "pass", "expected range"),
    ],
)
def test_verdicts(scores, overlap, verdict, reason):
    found = judge_rigid(result(**scores), overlap)
    assert found.verdict == verdict
    assert reason in found.reason
    assert found.as_fields() == {"Verdict": verdict, "VerdictReason": found.reason}


@pytest.mark.parametrize("degrees", [0.0, 5.0, 90.0, 180.0])
def test_angle_of_a_rotation(degrees):
    assert result(degrees=degrees).rotation_degrees == pytest.approx(degrees, abs=1e-5)


def test_description_gives_the_shift_at_the_brain():
    """A rotation about the brain's centre moves it nowhere, wherever the origin is."""
    centre = np.array([30.0, -200.0, 900.0])
    rotation = nib.eulerangles.euler2mat(0.2, 0.1, -0.3)
    matrix = nib.affines.from_matvec(rotation, centre - rotation @ centre)
    about_centre = RigidResult(matrix, "rigid", 0.12345, 0.98765)
    fields = describe_rigid(about_centre, judge_rigid(about_centre, 0.8), 0.81234, centre)
    assert fields["TranslationMillimetres"] == pytest.approx(0, abs=1e-3)
    assert fields["RotationDegrees"] == pytest.approx(about_centre.rotation_degrees, abs=1e-3)
    assert fields["MattesMIBefore"] == 0.1235
    assert fields["MattesMIAfter"] == 0.9877
    assert fields["BrainOverlap"] == 0.8123
    assert fields["Verdict"] == "pass"
    assert fields["Software"].startswith("SimpleITK 2")
    shift = RigidResult(nib.affines.from_matvec(np.eye(3), (3, 4, 12)), "rigid", 0.1, 0.2)
    fields = describe_rigid(shift, judge_rigid(shift, None), None, centre)
    assert fields["TranslationMillimetres"] == pytest.approx(13)
    assert fields["BrainOverlap"] is None
