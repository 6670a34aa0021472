import numpy as np
import pytest

from fusionprep.evaluation.regions import brain_mask, depth
from fusionprep.image.intensity import ct_scaling
from fusionprep.image.masks import dice
from fusionprep.modalities import CT, PET


def distance(shape, sizes=1.0):
    grid = np.indices(shape).reshape(len(shape), -1).T - (np.array(shape) - 1) / 2
    return np.linalg.norm(grid * sizes, axis=1).reshape(shape)


def test_the_brain_of_a_ct_is_neither_skull_nor_scalp_though_a_foramen_joins_them():
    sizes = (2.0, 2.0, 3.0)
    radius = distance((72, 72, 48), sizes)
    brain = radius < 50
    hounsfield = np.select([brain, radius < 57, radius < 64], [35.0, 800.0, 45.0], -1000.0)
    hounsfield[34:37, 34:37, :] = np.where(radius[34:37, 34:37] < 64, 35.0, -1000.0)
    hounsfield += np.random.default_rng(0).normal(0, 15, radius.shape)
    found = brain_mask(ct_scaling("wide").apply(hounsfield), CT, voxel_sizes=sizes)
    assert dice(found, brain) > 0.92
    assert not found[(radius > 60) & (depth(radius < 64, sizes) > 0)].any()


def test_the_brain_of_a_windowed_ct_slice_is_what_is_inside_the_bone():
    radius = distance((160, 160))
    slice_ = np.select([radius < 50, radius < 57, radius < 64], [0.5, 1.0, 0.4], 0.0)
    # Brain less its rim; the scalp has fewer pixels.
    assert dice(brain_mask(slice_, CT), radius < 45) > 0.97


def test_the_brain_of_a_pet_has_uptake_and_ends_a_rim_inside_its_point_spread():
    radius = distance((160, 160))
    uptake = np.where((radius < 60) & (radius > 10), 0.7, 0.05)
    assert dice(brain_mask(uptake, PET), radius < 55) > 0.97
    assert not brain_mask(np.zeros((40, 40)), PET).any()


@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 9)])
def test_depth_counts_from_the_edge_of_the_picture(shape):
    everywhere = np.ones(shape, bool)
    assert depth(everywhere).max() == 5
    assert depth(everywhere, (2.0,) * len(shape)).max() == 10
