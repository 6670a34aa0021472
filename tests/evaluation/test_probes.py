import numpy as np

from fusionprep.evaluation.probes import BACKGROUND, PROBES

ANATOMICAL = np.array([[0, 200, 100, 100], [0, 10, 20, 250]], np.uint8)
FUNCTIONAL = np.array([[0, 100, 255, 100], [7, 10, 255, 250]], np.uint8)


def fuse(name, anatomical=ANATOMICAL, functional=FUNCTIONAL):
    (probe,) = (probe for probe in PROBES if probe.name == f"probe-{name}")
    return probe.fuse(anatomical, functional)


def test_copies_and_max_are_exact():
    assert np.array_equal(fuse("copy-anatomical"), ANATOMICAL)
    assert np.array_equal(fuse("copy-functional"), FUNCTIONAL)
    assert fuse("max").tolist() == [[0, 200, 255, 100], [7, 10, 255, 250]]


def test_the_mean_is_kept_where_there_is_signal():
    expected = [[BACKGROUND, 150, 177.5, 100], [3.5, 10, 137.5, 250]]
    assert fuse("gray-background").tolist() == expected


def test_sharpening_widens_the_step_of_an_edge_and_keeps_flat_parts():
    step = np.full((20, 20), 80, np.uint8)
    step[:, 10:] = 160
    sharp = fuse("sharpened-max", step, np.zeros_like(step))
    assert np.allclose(sharp[:, [2, 17]], [80, 160], atol=0.1)
    assert sharp[5, 9] < 65
    assert sharp[5, 10] > 175
    volume = np.stack([step, step // 2], axis=-1)
    in_planes = fuse("sharpened-max", volume, np.zeros_like(volume))
    assert np.allclose(in_planes[..., 0], sharp)
