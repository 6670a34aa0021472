"""Functional images simulated from an MRI."""

import numpy as np
import pytest
from scipy import ndimage

from fusionprep.training import simulated
from fusionprep.training.simulated import simulate_uptake


@pytest.fixture
def head():
    """A T1w-like slice with a dark ventricle, gray matter and a core of white matter."""
    rows, columns = np.ogrid[-64:64, -64:64]
    radius = np.hypot(rows, columns)
    brain = radius < 50
    levels = np.select([radius < 10, radius < 35, brain], [0.2, 0.9, 0.55], default=0.0)
    noise = np.random.default_rng(0).normal(0, 0.02, levels.shape)
    return np.clip(levels + noise * brain, 0, 1).astype(np.float32), brain, radius


def test_the_ratio_of_the_tissues_is_the_one_drawn(head, monkeypatch):
    anatomical, brain, radius = head
    monkeypatch.setattr(simulated, "CSF_SHARE", (0.1, 0.1))
    monkeypatch.setattr(simulated, "RESOLUTION_MM", (3.0, 3.0))
    for name, value in (("REGIONS", 0), ("LESIONS", 0), ("DRIFT", 0.0), ("NOISE", (0.0, 0.0))):
        monkeypatch.setattr(simulated, name, value)
    rng = np.random.default_rng(0)
    uptake = simulate_uptake(anatomical, brain, rng, gray_to_white=(4.0, 4.0))
    gray, white, fluid = (
        uptake[(radius > low) & (radius < high)].mean()
        for low, high in ((40, 45), (20, 28), (0, 5))
    )
    assert gray / white == pytest.approx(4, rel=0.03)
    assert gray / fluid == pytest.approx(10, rel=0.1)


def test_a_volume_is_blurred_in_millimetres(head, monkeypatch):
    anatomical, brain, _ = head
    volume = np.repeat(anatomical[::2, ::2, None], 12, axis=2)
    inside = np.repeat(brain[::2, ::2, None], 12, axis=2)
    for name, value in (("REGIONS", 0), ("LESIONS", 0), ("NOISE", (0.0, 0.0))):
        monkeypatch.setattr(simulated, name, value)
    sharp, coarse = (
        simulate_uptake(volume, inside, np.random.default_rng(2), voxel_sizes=(size,) * 3)
        for size in (4.0, 1.0)
    )
    assert sharp.shape == volume.shape
    edges = [np.abs(np.diff(image, axis=0)).max() for image in (sharp, coarse)]
    assert edges[0] > 1.3 * edges[1]


def test_draws_differ_and_stay_in_range(head):
    anatomical, brain, _ = head
    draws = [
        simulate_uptake(anatomical, brain, np.random.default_rng(seed), bright_csf=seed % 2 == 1)
        for seed in range(4)
    ]
    for image in draws:
        assert image.dtype == np.float32
        assert image.min() >= 0
        assert image.max() <= 1
        assert image[ndimage.binary_erosion(brain, iterations=8)].mean() > 0.05
    assert np.abs(draws[0] - draws[2]).max() > 0.1
