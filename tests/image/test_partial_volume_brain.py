"""Partial-volume correction of the simulated person's PET."""

import nibabel as nib
import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.image.field_of_view import field_of_view
from fusionprep.image.partial_volume import blur
from fusionprep.image.partial_volume.brain import Reference, correct_brain

SIZES, PSF = (2.0, 2.0, 2.0), (6.0, 6.0, 6.0)
TRUTH = {"GM": 4.0, "WM": 1.0, "CSF": 0.2}
CEREBELLUM = 3.0


@pytest.fixture(scope="module")
def tissues(person):
    truth = person.truth
    paths = {"GM": truth.gm, "WM": truth.wm, "CSF": truth.csf}
    return {name: nib.load(path).get_fdata(dtype=np.float32) for name, path in paths.items()}


@pytest.fixture(scope="module")
def low(tissues):
    """The lower part of the brain, where gray matter has another activity."""
    brain = sum(tissues.values()) > 0.5
    heights = np.flatnonzero(brain.any(axis=(0, 1)))
    inside = np.zeros(brain.shape, bool)
    inside[:, :, : heights[0] + len(heights) // 4] = True
    return inside & brain


@pytest.fixture(scope="module")
def activity(tissues, low):
    image = sum(TRUTH[name] * share for name, share in tissues.items())
    return image + (CEREBELLUM - TRUTH["GM"]) * tissues["GM"] * low


@pytest.fixture(scope="module")
def corrected(tissues, low, activity):
    pet = blur(activity, PSF, SIZES)
    region = Reference("low", low, tissues=("GM",))
    found = correct_brain(pet, tissues, SIZES, PSF, methods=("mg", "rbv", "iy"), reference=region)
    return pet, found


def test_gray_matter_has_its_activity_wherever_it_is(corrected, tissues, low):
    pet, found = corrected
    gray = found.images["mg"]
    inside = (tissues["GM"] > 0.5) & (gray != 0)
    assert pet[inside & ~low].mean() < 0.8 * TRUTH["GM"]
    assert gray[inside & ~low].mean() == pytest.approx(TRUTH["GM"], rel=0.03)
    assert gray[inside & low].mean() == pytest.approx(CEREBELLUM, rel=0.03)


def test_images_are_as_the_sharp_one(corrected, tissues, activity):
    pet, found = corrected
    gray = tissues["GM"] > 0.5
    for method in ("rbv", "iy"):
        image = found.images[method]
        assert image[gray].mean() == pytest.approx(activity[gray].mean(), rel=0.03)
        assert np.abs(image - activity)[gray].mean() < 0.3 * np.abs(pet - activity)[gray].mean()


def test_outside_of_the_brain_there_is_nothing(corrected, tissues):
    outside = sum(tissues.values()) <= 0.5
    assert not any(image[outside].any() for image in corrected[1].images.values())


def test_means_of_tissues_and_of_the_part_in_the_region(corrected):
    means = corrected[1].means.by_name()
    expected = {"GM in low": CEREBELLUM, **TRUTH}
    for name, mean in expected.items():
        assert means[name] == pytest.approx(mean, abs=0.04)
    assert corrected[1].volumes_ml[:3].sum() > 1000


def test_the_reference_is_corrected_too(corrected, low, activity):
    """With MG it is gray matter alone, in the images all that is in the region."""
    references = corrected[1].references
    assert references["mg"] == pytest.approx(CEREBELLUM, rel=0.03)
    assert references["rbv"] == pytest.approx(activity[low].mean(), rel=0.03)
    assert references["iy"] == pytest.approx(activity[low].mean(), rel=0.03)


def test_the_whole_brain_as_reference_has_the_activity_of_its_tissues(tissues, activity):
    brain = sum(tissues.values()) > 0.5
    reference = Reference("whole-brain", brain, parted=False)
    found = correct_brain(
        blur(activity, PSF, SIZES), tissues, SIZES, PSF, methods=("mg",), reference=reference
    )
    assert "GM in whole-brain" not in found.means.names
    assert found.references["mg"] == pytest.approx(activity[brain].mean(), rel=0.03)


def test_half_of_the_head_is_enough(tissues, activity):
    field = np.zeros(activity.shape, bool)
    field[:, :, 50:] = True
    pet = np.where(field, blur(activity, PSF, SIZES), 0)
    found = correct_brain(pet, tissues, SIZES, PSF, field=field)
    assert found.means.by_name()["GM"] == pytest.approx(TRUTH["GM"], rel=0.03)


def test_without_a_brain_there_is_an_error():
    nothing = dict.fromkeys(TRUTH, np.zeros((5, 5, 5), np.float32))
    with pytest.raises(DataError, match="no voxel is in the brain"):
        correct_brain(np.zeros((5, 5, 5)), nothing, SIZES, PSF)


def test_the_field_of_view_is_where_voxels_of_the_image_reach():
    data = np.ones((10, 10, 10), np.float32)
    data[:, :, 7:] = 0
    pet = nib.Nifti1Image(data, np.diag([2.0, 2.0, 2.0, 1.0]))
    grid = nib.Nifti1Image(np.zeros((30, 30, 30), np.float32), np.eye(4))
    shift = nib.affines.from_matvec(np.eye(3), [4.0, 0, 0])
    inside = field_of_view(pet, grid, shift)
    # from -1 to 19 mm; three empty slices end it at 13 mm, and the first axis is 4 mm further
    expected = np.zeros((30, 30, 30), bool)
    expected[4:23, :19, :13] = True
    np.testing.assert_array_equal(inside, expected)
