import dataclasses

import nibabel as nib
import numpy as np
import pytest

from fusionprep.image.io import new_image
from fusionprep.image.registration import COARSE, FINE, MIDDLE, WORKING_MM
from fusionprep.image.similarity import BRAIN_FROM, HEAD_TO, Level, Similarity, emphasised

PLAIN = Level(spacing=2.0, t1w_sigma=0.01, moving_sigma=0.01, bins=4, samples=10**6)


def cubes(values: np.ndarray) -> nib.Nifti1Image:
    return new_image(values.astype(np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))


def test_information_of_equal_images_is_their_entropy():
    """Four equally frequent levels, each in a bin of its own."""
    levels = np.repeat(np.arange(4) / 3, 16**3 // 4).reshape(16, 16, 16)
    image = cubes(levels)
    found = Similarity.from_images(image, image, PLAIN, limits=(-10.0, 1.0))
    # ``limits`` brings the moving image's four levels close together, the lowest into bin 2.7
    assert found(np.eye(4)) > 0
    found = Similarity.from_images(image, image, PLAIN, limits=(0.0, 1.0))
    inside = found.only(np.ones(len(found.points), bool))
    frequency = np.unique(np.rint(inside.weights * 3), return_counts=True)[1] / len(inside.points)
    entropy = -(frequency * np.log(frequency)).sum()
    assert inside(np.eye(4)) == pytest.approx(entropy, rel=0.02)


def test_information_of_unrelated_images_is_nearly_nothing():
    rng = np.random.default_rng(0)
    first, second = (cubes(rng.random((40, 40, 40))) for _ in range(2))
    assert Similarity.from_images(first, second, PLAIN)(np.eye(4)) < 0.01


def test_what_lies_outside_the_t1w_is_compared_with_air(person):
    """So that an alignment far away is bad, and not without a value."""
    head = emphasised(person.t1w(), person.mask(), WORKING_MM)
    found = Similarity.from_images(head, person.moving("pet"), MIDDLE)
    apart = nib.affines.from_matvec(np.eye(3), (2000, 0, 0))
    assert found(apart) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("level", [COARSE, MIDDLE, FINE])
def test_information_falls_with_the_distance_from_the_truth(person, level):
    head = emphasised(person.t1w(), person.mask(), WORKING_MM)
    found = Similarity.from_images(head, person.moving("pet"), level)
    truth = person.t1w_from("pet")
    scores = [found(nib.affines.from_matvec(np.eye(3), (x, 0, 0)) @ truth) for x in (0, 4, 12, 40)]
    assert scores == sorted(scores, reverse=True)


def test_samples_are_drawn_the_same_every_time(person):
    head = emphasised(person.t1w(), person.mask(), WORKING_MM)
    few = dataclasses.replace(MIDDLE, samples=500)
    first, second = (Similarity.from_images(head, person.moving("pet"), few) for _ in range(2))
    assert len(first.points) == 500
    np.testing.assert_array_equal(first.points, second.points)


def test_the_brain_is_brighter_than_the_rest_of_the_head():
    data = np.full((12, 12, 12), 100.0, np.float32)
    data[:2] = 900  # fat
    mask = np.zeros(data.shape, np.uint8)
    mask[5:9, 5:9, 5:9] = 1
    shown = emphasised(cubes(data), cubes(mask), WORKING_MM).get_fdata()
    assert shown[mask > 0].min() == pytest.approx(1.0)
    assert shown[mask == 0].max() == pytest.approx(HEAD_TO)
    assert HEAD_TO < BRAIN_FROM
