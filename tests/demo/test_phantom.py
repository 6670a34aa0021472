import numpy as np
import pytest

from fusionprep.demo import phantom, scanner


@pytest.fixture
def points():
    axis = np.arange(-30.0, 31.0, 3.0)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))


def test_sphere_distance_is_exact(points):
    distance = phantom.ellipsoid_distance(points, (3, -3, 6), (12, 12, 12))
    radius = np.linalg.norm(points - np.reshape([3, -3, 6], (3, 1, 1, 1)), axis=0)
    np.testing.assert_allclose(distance, radius - 12, atol=1e-9)


def test_ellipsoid_distance_vanishes_on_the_surface():
    angles = np.linspace(0, 2 * np.pi, 50)
    surface = np.stack([10 * np.cos(angles), 20 * np.sin(angles), np.zeros(50)])
    np.testing.assert_allclose(
        phantom.ellipsoid_distance(surface, (0, 0, 0), (10, 20, 30)), 0, atol=1e-9
    )


def test_capsule_distance_at_its_side_and_its_ends():
    points = np.array([[5.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 14.0, -8.0]])
    distance = phantom.capsule_distance(points, (0, 0, 0), (0, 0, 10), 2.0)
    np.testing.assert_allclose(distance, [3.0, 2.0, 6.0])


def test_smooth_union_bridges_shapes_that_nearly_touch(points):
    left = phantom.ellipsoid_distance(points, (-10, 0, 0), (9, 9, 9))
    right = phantom.ellipsoid_distance(points, (10, 0, 0), (9, 9, 9))
    union = phantom.smooth_union(left, right, width=4.0)
    assert np.all(union <= np.minimum(left, right) + 1e-9)
    middle = tuple(size // 2 for size in union.shape)
    assert left[middle] == pytest.approx(1.0)
    assert union[middle] < 0


def test_upsample_is_exact_for_a_linear_function():
    x, y, z = np.meshgrid(np.arange(6), np.arange(5), np.arange(4), indexing="ij")
    fine = phantom.upsample(2.0 * x - y + 0.5 * z, 4.0, (21, 17, 13))
    x, y, z = np.meshgrid(np.arange(21), np.arange(17), np.arange(13), indexing="ij")
    np.testing.assert_allclose(fine, (2.0 * x - y + 0.5 * z) / 4, atol=1e-5)


def test_rigid_transforms_stay_within_their_limits():
    rng = np.random.default_rng(3)
    for _ in range(50):
        matrix = phantom.random_rigid(rng, max_degrees=12.0, max_mm=15.0)
        rotation = matrix[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        degrees = np.rad2deg(np.arccos((np.trace(rotation) - 1) / 2))
        assert 4.0 <= degrees <= 12.0 + 1e-6
        assert 5.0 <= np.linalg.norm(matrix[:3, 3]) <= 15.0 + 1e-9


def test_envelope_closes_a_fissure_but_keeps_the_outline():
    mask = np.zeros((60, 60, 60), bool)
    mask[20:29, 20:40, 20:40] = True
    mask[31:40, 20:40, 20:40] = True
    distance = phantom.envelope_distance(mask, 2.0, closing_mm=10.0)
    assert distance[29, 30, 30] < 0
    assert distance[30, 30, 30] < 0
    assert distance[30, 30, 45] == pytest.approx(2.0 * (45 - 39), abs=1.5)


def test_tissue_fractions_sum_to_the_mask_and_sharpen_the_template():
    gm, wm = np.array([0.7, 0.2, 0.0, 0.6]), np.array([0.2, 0.7, 0.0, 0.1])
    mask = np.array([1.0, 1.0, 0.5, 0.0])
    fractions = phantom.tissue_fractions(gm, wm, mask)
    np.testing.assert_allclose(sum(fractions), mask, atol=1e-6)
    assert fractions[0][0] > 0.7
    assert fractions[1][1] > 0.7
    older = phantom.tissue_fractions(gm, wm, mask, csf_weight=3.0)
    assert older[2][0] > fractions[2][0]


def test_uptake_has_a_weighted_mean_of_one_and_rises():
    frames = scanner.Frames((0.0, 60.0, 300.0), (60.0, 240.0, 900.0))
    curve = scanner.uptake(frames)
    assert np.average(curve, weights=frames.durations) == pytest.approx(1.0)
    assert np.all(np.diff(curve) > 0)


def test_pet_keeps_the_activity_and_long_frames_are_less_noisy():
    frames = scanner.Frames((1200.0, 1320.0), (120.0, 1920.0))
    activity = np.full((24, 24, 24), 4.0, np.float32)
    image = scanner.acquire_pet(activity, np.full(3, 2.0), frames, np.random.default_rng(0))
    assert image.shape == (24, 24, 24, 2)
    means = image.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(means, 4.0 * scanner.uptake(frames), rtol=0.02)
    noise = image.std(axis=(0, 1, 2)) / means
    assert noise[1] < noise[0] / 3


def test_mr_noise_is_rician_in_air_and_bias_is_bounded():
    rng = np.random.default_rng(0)
    air = scanner.acquire_mr(np.zeros((40, 40, 40), np.float32), rng, noise=0.02, scale=1000.0)
    assert air.mean() == pytest.approx(20 * np.sqrt(np.pi / 2), rel=0.02)
    tissue = np.ones((40, 40, 40), np.float32)
    image = scanner.acquire_mr(tissue, rng, noise=0.0, bias=0.1, scale=1000.0)
    assert image.min() >= np.floor(1000 * np.exp(-0.1))
    assert image.max() <= np.ceil(1000 * np.exp(0.1))
    assert image.std() > 10
