import nibabel as nib
import numpy as np
import pytest

from fusionprep.image.io import new_image
from fusionprep.image.registration import RigidResult, register_rigid
from fusionprep.image.registration_quality import (
    THIN_OVERLAP,
    Overlap,
    assess_rigid,
    describe_rigid,
    judge_rigid,
)
from fusionprep.image.resample import itk_from_ras, resample
from fusionprep.modalities import PET

GOOD = Overlap(coverage=1.0, bright=0.9)


def cube(shape=(20, 20, 20), start=5, stop=15) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[start:stop, start:stop, start:stop] = True
    return mask


def overlap(moved, seen=None, brain=None) -> Overlap:
    brain = cube() if brain is None else brain
    seen = np.ones(brain.shape, bool) if seen is None else seen
    return Overlap.from_images(moved.astype(np.float32), seen, brain, brain_is_bright=True)


def test_overlap_of_the_brain_with_itself_is_one():
    assert overlap(cube()) == Overlap(1.0, 1.0)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_overlap_counts_shared_voxels_whatever_the_units(scale):
    """Half of a bright cube of the brain's size lies in the brain."""
    assert overlap(np.roll(cube(), 5, axis=0) * scale).bright == pytest.approx(0.5)


def test_overlap_with_nothing_is_zero():
    assert overlap(np.zeros((20, 20, 20))).bright == 0
    assert overlap(~cube()).bright == 0


def test_a_partial_field_of_view_is_coverage_and_no_lack_of_uptake():
    seen = np.ones((20, 20, 20), bool)
    seen[:, :, 12:] = False
    found = overlap(cube() & seen, seen)
    assert found.coverage == pytest.approx(0.7)
    assert found.bright == 1
    assert overlap(cube(), np.zeros((20, 20, 20), bool)) == Overlap(0.0, 0.0)


def test_uptake_is_not_asked_of_ct():
    found = Overlap.from_images(np.zeros((20, 20, 20)), cube(), cube(), brain_is_bright=False)
    assert found == Overlap(1.0, None)


def test_overlap_tells_the_simulated_pet_from_a_misplaced_one(person):
    mask = np.asarray(person.mask().dataobj) > 0
    right, wrong = (
        np.asarray(resample(person.moving("pet"), person.mask(), itk_from_ras(matrix)).dataobj)
        for matrix in (
            person.t1w_from("pet"),
            nib.affines.from_matvec(np.eye(3), (60, 0, 0)) @ person.t1w_from("pet"),
        )
    )
    assert overlap(right, brain=mask).bright > THIN_OVERLAP
    assert overlap(wrong, brain=mask).bright < THIN_OVERLAP


def result(after=1.0, **scores) -> RigidResult:
    matrix = nib.affines.from_matvec(np.eye(3), (1, 2, 3))
    return RigidResult(matrix, "rigid", 0.5, after, **scores)


@pytest.mark.parametrize(
    ("scores", "overlap", "verdict", "reason"),
    [
        ({}, GOOD, "pass", "expected range"),
        ({}, Overlap(1.0, None), "pass", "expected range"),
        ({}, Overlap(0.5, 0.9), "pass", "expected range"),
        ({}, Overlap(0.0, 0.0), "fail", "do not overlap"),
        ({"after": 0.0}, GOOD, "fail", "do not overlap"),
        ({"after": 0.01}, GOOD, "fail", "nothing in common"),
        ({}, Overlap(1.0, 0.49), "fail", "51%"),
        ({}, Overlap(1.0, 0.74), "review", "26%"),
        (
            {"runner_up": 0.7, "standard_error_mm": 1.5, "off_optimum_mm": 2.0},
            GOOD,
            "pass",
            "expected",
        ),
        ({"runner_up": 0.85}, GOOD, "review", "85%"),
        ({"runner_up": 0.97}, GOOD, "fail", "97%"),
        ({"standard_error_mm": 4.5}, GOOD, "review", "4.5 mm"),
        ({"standard_error_mm": 14.0}, GOOD, "fail", "14.0 mm"),
        ({"standard_error_mm": 2.0}, Overlap(0.4, 0.9), "review", "5.0 mm"),
        ({"off_optimum_mm": 4.0}, GOOD, "review", "4.0 mm off"),
        ({"off_optimum_mm": 30.0}, GOOD, "fail", "30.0 mm off"),
        ({"off_optimum_mm": 4.0, "standard_error_mm": 14.0}, GOOD, "fail", "14.0 mm"),
    ],
)
def test_verdicts(scores, overlap, verdict, reason):
    found = judge_rigid(result(**scores), overlap)
    assert found.verdict == verdict
    assert reason in found.reason
    assert found.as_fields() == {"Verdict": verdict, "VerdictReason": found.reason}


def test_description_gives_the_shift_at_the_brain():
    """A rotation about the brain's centre moves it nowhere, wherever the origin is."""
    centre = np.array([30.0, -200.0, 900.0])
    rotation = nib.eulerangles.euler2mat(0.2, 0.1, -0.3)
    matrix = nib.affines.from_matvec(rotation, centre - rotation @ centre)
    about_centre = RigidResult(matrix, "rigid", 0.12345, 0.98765, 0.51234, 0.0, 0.777)
    seen = Overlap(0.98765, 0.81234)
    fields = describe_rigid(about_centre, judge_rigid(about_centre, seen), seen, centre)
    assert fields["TranslationMillimetres"] == pytest.approx(0, abs=1e-3)
    assert fields["RotationDegrees"] == pytest.approx(about_centre.rotation_degrees, abs=1e-3)
    assert fields["MattesMIBefore"] == 0.1235
    assert fields["MattesMIAfter"] == 0.9877
    assert fields["RunnerUp"] == 0.512
    assert fields["UncertaintyMillimetres"] == 0.79
    assert fields["OffOptimumMillimetres"] == 0
    assert fields["BrainCoverage"] == 0.9877
    assert fields["BrainOverlap"] == 0.8123
    assert fields["Verdict"] == "pass"
    assert fields["Software"].startswith("SciPy ")
    shift = RigidResult(nib.affines.from_matvec(np.eye(3), (3, 4, 12)), "rigid", 0.1, 0.2)
    fields = describe_rigid(shift, judge_rigid(shift, seen), Overlap(1.0, None), centre)
    assert fields["TranslationMillimetres"] == pytest.approx(13)
    assert fields["BrainOverlap"] is None
    assert fields["RunnerUp"] is None


@pytest.mark.parametrize(
    ("shift", "verdicts"),
    [(0.0, {"pass"}), (1.0, {"pass"}), (5.0, {"review", "fail"}), (30.0, {"fail"})],
)
def test_a_header_that_is_kept_is_judged(person, shift, verdicts):
    """The true alignment in the header, and one that is off."""
    move = nib.affines.from_matvec(np.eye(3), (0, shift, 0)) @ person.t1w_from("pet")
    pet = person.moving("pet")
    pet = new_image(np.asarray(pet.dataobj), move @ pet.affine)
    found = register_rigid(person.t1w(), pet, person.mask(), method="identity", sloppy=True)
    assert assess_rigid(found, pet, person.mask(), PET)["Verdict"] in verdicts


@pytest.mark.parametrize("content", ["noise", "ramp"])
def test_an_image_that_shows_no_head_does_not_pass(person, content):
    pet = person.moving("pet")
    data = np.random.default_rng(0).random(pet.shape)
    if content == "ramp":
        data = np.broadcast_to(np.arange(pet.shape[2], dtype=float), pet.shape)
    other = new_image(np.asarray(data, np.float32), pet.affine)
    found = register_rigid(person.t1w(), other, person.mask(), sloppy=True)
    assert assess_rigid(found, other, person.mask(), PET)["Verdict"] != "pass"
