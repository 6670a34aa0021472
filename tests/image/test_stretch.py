"""The size of the brain in a PET against that in the MRI."""

import nibabel as nib
import numpy as np
import pytest

from fusionprep.image.io import new_image
from fusionprep.image.rigid import Brain
from fusionprep.image.stretch import Stretch, measure_stretch


@pytest.mark.parametrize("percent", [0.0, 6.0, -6.0])
def test_a_stretched_head_is_found_along_any_direction(person, percent):
    pet, mask = person.moving("pet"), person.mask()
    truth = person.t1w_from("pet")
    direction = np.array([2.0, 1.0, -2.0]) / 3
    bent = np.eye(3) + percent / 100 * np.outer(direction, direction)
    centre = Brain.from_mask(mask).centre
    stretch = truth @ pet.affine
    stretch = nib.affines.from_matvec(bent, centre - bent @ centre) @ stretch
    larger = new_image(pet.get_fdata(dtype=np.float32), np.linalg.inv(truth) @ stretch)
    found = measure_stretch(person.t1w(), mask, larger, truth)
    assert -found.percent == pytest.approx(percent, abs=1.2)
    assert bool(found.doubt) == (percent != 0)


def test_a_stretch_that_is_not_certain_is_no_doubt():
    assert Stretch(6.0, 1.0).doubt == "the brains differ by 6% in size: are both of one person?"
    assert not Stretch(6.0, 2.0).doubt
    assert not Stretch(-2.5, 0.1).doubt


def test_a_pet_that_is_elsewhere_has_none(person):
    pet = person.moving("pet")
    far = new_image(pet.get_fdata(), nib.affines.from_matvec(np.eye(3) * 2, [900, 0, 0]))
    assert measure_stretch(person.t1w(), person.mask(), far, np.eye(4)) is None
