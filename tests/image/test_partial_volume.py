"""Partial-volume correction against closed forms, Monte Carlo and the phantom."""

import nibabel as nib
import numpy as np
import pytest
from scipy import special

from fusionprep.errors import DataError
from fusionprep.image import partial_volume as pvc
from fusionprep.image.partial_volume.partition import FWHM_PER_SIGMA

SIZES = (2.0, 1.5, 3.0)
PSF = (6.0, 5.0, 7.0)
TRUTH = {"GM": 4.0, "WM": 1.0, "CSF": 0.2, "outside": 0.0}


def ellipsoid(shape, radius_mm, sizes=SIZES):
    """Fractions of an ellipsoid in the middle of the grid, by distance to its surface."""
    grid = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, sizes, strict=True)),
        indexing="ij",
    )
    distance = np.sqrt(sum(axis**2 for axis in grid)) - radius_mm
    return np.clip(0.5 - distance / np.mean(sizes), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def shells():
    """CSF around a cortex of 4 mm around white matter."""
    shape = (44, 56, 30)
    white, brain, head = (ellipsoid(shape, radius) for radius in (22.0, 26.0, 30.0))
    return {"GM": brain - white, "WM": white, "CSF": head - brain}


@pytest.fixture(scope="module")
def brain(shells):
    return pvc.Partition.from_fractions(shells, SIZES).blurred(PSF)


@pytest.fixture(scope="module")
def pet(brain):
    return pvc.blur(brain.own.image([TRUTH[name] for name in brain.own.names]), PSF, SIZES)


def test_a_step_is_blurred_to_an_error_function_of_the_fwhm_along_its_axis():
    step = np.zeros((40, 3, 3))
    step[20:] = 1
    seen = pvc.blur(step, (7.0, 5.0, 5.0), (1.5, 1.0, 1.0))[:, 1, 1]
    x = (np.arange(40) - 19.5) * 1.5
    expected = (1 + special.erf(x / (7.0 / FWHM_PER_SIGMA) / np.sqrt(2))) / 2
    np.testing.assert_allclose(seen, expected, atol=3e-3)


def test_a_point_is_seen_with_half_its_peak_at_half_the_width():
    point = np.zeros((31, 31, 31))
    point[15, 15, 15] = 1
    seen = pvc.blur(point, (8.0, 12.0, 4.0), (1.0, 2.0, 1.0))
    for place in ((19, 15, 15), (15, 18, 15), (15, 15, 17)):
        assert seen[place] / seen.max() == pytest.approx(0.5, rel=0.01)


def test_shares_sum_to_one_everywhere_sharp_and_blurred(brain):
    for partition in (brain.own, brain.seen):
        np.testing.assert_allclose(partition.image([1.0] * 4), 1, atol=2e-4)


def test_every_method_finds_the_truth_of_what_fits_its_model(brain, pet, shells):
    found = pvc.transfer_matrix_means(pet, brain)
    assert found.by_name() == pytest.approx(TRUTH, abs=2e-3)
    assert found.observed[0] < 0.7 * TRUTH["GM"]
    gray = pvc.muller_gartner(pet, brain, found.by_name())
    np.testing.assert_allclose(gray[gray != 0], TRUTH["GM"], rtol=2e-3)
    assert (gray != 0).sum() > 0.8 * shells["GM"].sum()
    sharp = brain.own.image([TRUTH[name] for name in brain.own.names])
    inside = shells["GM"] + shells["WM"] > 0.9
    rbv = pvc.region_based_voxelwise(pet, brain, found.by_name())
    np.testing.assert_allclose(rbv[inside], sharp[inside], rtol=5e-3)
    iy, activities = pvc.iterative_yang(pet, brain)
    np.testing.assert_allclose(iy[inside], sharp[inside], rtol=0.05)
    assert activities["GM"] == pytest.approx(TRUTH["GM"], rel=0.05)


def test_regions_of_a_cut_field_of_view_are_those_of_the_whole(brain, pet):
    """Half of the head is missing from the PET; what spills out of it still counts."""
    field = np.zeros(pet.shape, bool)
    field[:, 20:] = True
    cut = np.where(field, pet, 0)
    found = pvc.transfer_matrix_means(cut, brain, field=field)
    assert found.by_name() == pytest.approx(TRUTH, abs=2e-3)
    assert pvc.transfer_matrix_means(cut, brain).by_name()["GM"] < 3
    _, activities = pvc.iterative_yang(cut, brain, field=field)
    assert activities["GM"] == pytest.approx(TRUTH["GM"], rel=0.05)
    with pytest.raises(DataError, match="no voxel of the field of view is in GM, WM"):
        pvc.transfer_matrix_means(cut, brain, field=np.zeros(pet.shape, bool))


def test_what_goes_on_beyond_the_grid_does_not_fade_at_its_edge():
    """A grid that ends in the brain: the edge is not dark, as it would be with zeros beyond."""
    white = np.ones((20, 20, 20), np.float32)
    gray = np.zeros_like(white)
    gray[:, :, :6] = 1
    part = pvc.Partition.from_fractions({"GM": gray, "WM": white - gray}, (2,) * 3)
    seen = part.blurred((6,) * 3)
    assert seen.own.names == ("GM", "WM")
    np.testing.assert_allclose(seen.seen.image([4.0, 4.0]), 4, rtol=1e-4)


def test_negative_values_are_kept_in_means_and_harmless_in_ratios(brain, pet):
    rng = np.random.default_rng(0)
    noisy = pet + rng.normal(0, 1.5, pet.shape)
    noisy -= 0.3 * (brain.seen.regions[-1].share_on_grid(pet.shape))
    found = pvc.transfer_matrix_means(noisy, brain)
    assert (noisy < 0).any()
    assert found.by_name()["outside"] == pytest.approx(-0.3, abs=0.05)
    assert found.by_name()["GM"] == pytest.approx(4, abs=0.15)
    rbv = pvc.region_based_voxelwise(noisy, brain, found.by_name())
    iy, _ = pvc.iterative_yang(noisy, brain)
    for image in (rbv, iy):
        assert np.isfinite(image).all()
        assert np.abs(image).max() < 10 * np.abs(noisy).max()


@pytest.mark.parametrize("noise_fwhm", [None, (4.0, 4.0, 5.0)])
def test_noise_of_the_means_is_what_many_draws_have(brain, pet, noise_fwhm):
    rng = np.random.default_rng(3)
    draws = []
    for _ in range(120):
        noise = rng.normal(0, 1, pet.shape)
        if noise_fwhm is not None:
            noise = pvc.blur(noise, noise_fwhm, SIZES)
            noise /= noise[5:-5, 5:-5, 5:-5].std()
        draws.append(pvc.transfer_matrix_means(pet + 0.5 * noise, brain))
    known = pvc.transfer_matrix_means(pet, brain, noise_sd=0.5, noise_fwhm=noise_fwhm)
    spread = np.var([draw.values for draw in draws], axis=0)
    np.testing.assert_allclose(known.variance[:3], spread[:3], rtol=0.5)
    seen = np.var([draw.observed for draw in draws], axis=0)
    np.testing.assert_allclose(known.observed_variance[:3], seen[:3], rtol=0.5)
    assert (known.variance[:3] > known.observed_variance[:3]).all()
    assert np.isnan(pvc.transfer_matrix_means(pet, brain).variance).all()


def test_white_matter_eroded_until_nothing_blurs_into_it(brain, pet):
    assert pvc.eroded_mean(pet, brain, "WM", share=0.98) == pytest.approx(1, abs=0.06)
    with pytest.raises(DataError, match="take it from the GTM"):
        pvc.eroded_mean(pet, brain, "GM")
    with pytest.raises(ValueError, match="no region is called 'gray'"):
        pvc.eroded_mean(pet, brain, "gray")


def test_regions_of_an_atlas_in_gray_matter_each_have_their_activity(shells):
    labels = np.ones(shells["GM"].shape, int)
    labels[22:, :28], labels[:22, 28:], labels[22:, 28:] = 2, 3, 4
    part = pvc.Partition.from_fractions(shells, SIZES)
    names = {1: "A", 2: "B", 3: "C"}
    split = part.split({"GM"}, labels, names).blurred(PSF)
    assert split.own.names == ("A", "B", "C", "GM", "WM", "CSF", "outside")
    truth = [5.0, 4.0, 3.0, 2.0, 1.0, 0.2, 0.0]
    np.testing.assert_allclose(split.own.image([1.0] * 7), 1, atol=1e-5)
    seen = pvc.blur(split.own.image(truth), PSF, SIZES)
    found = pvc.transfer_matrix_means(seen, split)
    np.testing.assert_allclose(found.values, truth, atol=5e-3)
    np.testing.assert_allclose(
        split.own.volumes_ml[:4].sum(), shells["GM"].sum() * np.prod(SIZES) / 1000, rtol=1e-4
    )
    both = part.split({"GM", "WM"}, labels, {4: "ref"}, smallest_ml=1.0)
    assert both.names == ("GM in ref", "GM", "WM in ref", "WM", "CSF", "outside")
    assert part.split({"GM"}, labels, {4: "ref"}, smallest_ml=1e3).names == part.names


def test_labels_alone_make_regions():
    labels = np.zeros((20, 20, 20), np.int16)
    labels[5:15, 5:10, 5:15], labels[5:15, 10:15, 5:15] = 7, 9
    part = pvc.Partition.from_labels(labels, {7: "left", 9: "right"}, (2.0,) * 3)
    seen = part.blurred((6.0,) * 3)
    assert part.names == ("left", "right", "outside")
    pet = pvc.blur(np.select([labels == 7, labels == 9], [3.0, 5.0]), (6.0,) * 3, (2.0,) * 3)
    found = pvc.transfer_matrix_means(pet, seen)
    np.testing.assert_allclose(found.values, [3, 5, 0], atol=1e-3)


def test_regions_too_alike_once_blurred_are_refused():
    labels = np.indices((16, 16, 16)).sum(axis=0) % 2
    part = pvc.Partition.from_labels(labels, {0: "even", 1: "odd"}, (1.0,) * 3)
    with pytest.raises(DataError, match="even, odd cannot be told apart"):
        pvc.transfer_matrix_means(np.ones((16, 16, 16)), part.blurred((8.0,) * 3))


def test_near_outside_parts_scalp_from_air(shells):
    part = pvc.Partition.from_fractions(shells, SIZES, near_mm=9.0)
    assert part.names == ("GM", "WM", "CSF", "near outside", "outside")
    np.testing.assert_allclose(part.image([1.0] * 5), 1, atol=1e-5)
    head = part.regions[3].share_on_grid(part.shape)
    seen = pvc.blur(4 * shells["GM"] + shells["WM"] + 0.2 * shells["CSF"] + head, PSF, SIZES)
    found = pvc.transfer_matrix_means(seen, part.blurred(PSF)).by_name()
    assert found["near outside"] == pytest.approx(1, abs=0.01)
    assert found["GM"] == pytest.approx(4, abs=0.01)


def test_fractions_above_one_together_are_shared_out():
    half = np.full((4, 4, 4), 0.8, np.float32)
    part = pvc.Partition.from_fractions({"a": half, "b": half}, (1.0,) * 3)
    assert part.names == ("a", "b")
    np.testing.assert_allclose(part.image([1.0, 0.0]), 0.5)


@pytest.mark.parametrize(
    ("fractions", "said"),
    [
        ({}, "none"),
        ({"a": np.zeros((2, 2, 2)), "b": np.zeros((2, 2, 3))}, "different shapes"),
        ({"a": np.full((2, 2, 2), np.nan)}, "a holds nan"),
        ({"a": np.full((2, 2, 2), 40.0)}, "a holds 40 to 40"),
    ],
)
def test_what_is_not_fractions_is_refused(fractions, said):
    with pytest.raises(ValueError, match=said):
        pvc.Partition.from_fractions(fractions, (1.0,) * 3)


def test_fwhm_follows_the_axes_of_the_grid():
    """The PET is stored with other axes and turned; on average interpolation blurs, too."""
    own = np.array([[0, 0, 2.0, 0], [0, -2.0, 0, 0], [3.0, 0, 0, 0], [0, 0, 0, 1]])
    grid = np.diag([-1.0, 1.0, 1.0, 1.0])
    more = FWHM_PER_SIGMA**2 / 6 * np.array([4, 4, 9])
    expected = np.sqrt(np.array([7.0, 5.0, 4.0]) ** 2 + more)
    still = pvc.moved_fwhm((4.0, 5.0, 7.0), own, grid, np.eye(4))
    np.testing.assert_allclose(still, expected)
    quarter = nib.affines.from_matvec(np.array([[0, -1.0, 0], [1, 0, 0], [0, 0, 1]]))
    turned = pvc.moved_fwhm((4.0, 5.0, 7.0), own, grid, quarter)
    np.testing.assert_allclose(turned, expected[[1, 0, 2]])


def test_linear_interpolation_blurs_by_as_much_as_is_said():
    """A sharp edge on a 3 mm grid, seen on a finer one."""
    from scipy import ndimage

    fine, voxel = 0.25, 3.0
    edge = np.zeros(480)
    edge[240:] = 1
    widths = []
    for shift in np.arange(0, voxel, 0.5):
        centres = (np.arange(40) * voxel + shift) / fine
        acquired = ndimage.map_coordinates(
            ndimage.gaussian_filter1d(edge, 6.0 / FWHM_PER_SIGMA / fine), centres[None], order=1
        )
        seen = np.interp(np.arange(480), centres, acquired)
        slope = np.diff(seen[60:420])
        place = np.arange(slope.size) * fine
        mean = (slope * place).sum() / slope.sum()
        widths.append((slope * (place - mean) ** 2).sum() / slope.sum())
    expected = pvc.moved_fwhm((6.0,) * 3, np.diag([3.0, 3, 3, 1]), np.eye(4), np.eye(4))[0]
    assert np.sqrt(np.mean(widths)) * FWHM_PER_SIGMA == pytest.approx(expected, rel=0.02)
