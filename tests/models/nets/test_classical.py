import csv

import numpy as np
import pytest
import torch
from scipy import ndimage

from fusionprep.evaluation.metrics import fusion_metrics
from fusionprep.image.pictures import read_luminance
from fusionprep.models.nets.guided import GuidedFilter, box_mean, guided_filter, saliency
from fusionprep.models.nets.laplacian import (
    LaplacianPyramid,
    activity,
    expand_image,
    laplacian_pyramid,
    reduce_image,
)
from fusionprep.models.nets.pca import PrincipalComponent, principal_weight
from fusionprep.models.nets.wavelet import fuse_wavelet

torch.set_num_threads(1)


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def checkerboard(side, amplitude):
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (amplitude * (1.0 - 2 * ((rows + columns) % 2)))[None, None]


def test_pca_weights_are_those_of_numpy():
    rng = np.random.default_rng(0)
    first = rng.random((4, 1, 12, 10))
    second = 0.5 * first + 0.2 * rng.random((4, 1, 12, 10))
    weights = principal_weight(torch.from_numpy(first), torch.from_numpy(second))
    for index, weight in enumerate(weights.tolist()):
        covariance = np.cov(first[index].ravel(), second[index].ravel())
        vector = np.abs(np.linalg.eigh(covariance)[1][:, -1])
        assert weight == pytest.approx(vector[0] / vector.sum())


def test_pca_of_a_scaled_copy():
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    # The first eigenvector points along (2, 1).
    torch.testing.assert_close(PrincipalComponent()(image, image / 2), (2 * image + image / 2) / 3)


def test_pca_of_constant_images_is_their_mean():
    first, second = torch.full((1, 1, 8, 8), 0.2), torch.full((1, 1, 8, 8), 0.6)
    torch.testing.assert_close(PrincipalComponent()(first, second), torch.full_like(first, 0.4))


def test_pca_ignores_a_constant_image():
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(PrincipalComponent()(image, torch.zeros_like(image)), image)


def test_wavelet_keeps_the_detail_of_one_image_over_the_mean_of_both():
    rng = np.random.default_rng(0)
    detail = np.kron(rng.uniform(-0.2, 0.2, (8, 8)), [[1, -1], [-1, 1]]).astype(np.float32)
    flat = np.full((16, 16), 0.5, np.float32)
    fused = fuse_wavelet(flat + detail, np.full_like(flat, 0.3), "haar", 1)
    np.testing.assert_allclose(fused, 0.4 + detail, atol=1e-6)


@pytest.mark.parametrize("shape", [(17, 31), (64, 48), (16, 16)])
def test_wavelet_of_an_image_with_itself(shape):
    image = np.random.default_rng(0).random((2, 1, *shape), dtype=np.float32)
    fused = fuse_wavelet(image, image, "db2", 3)
    assert fused.dtype == np.float32
    np.testing.assert_allclose(fused, image, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(64, 48), (37, 61), (16, 17)])
def test_a_laplacian_pyramid_halves_its_levels_and_adds_up_to_the_image(height, width):
    image = noise(2, 1, height, width)
    *details, top = laplacian_pyramid(image, 3)
    for level, detail in enumerate(details):
        assert detail.shape[-2:] == (-(-height // 2**level), -(-width // 2**level))
    for detail in reversed(details):
        top = expand_image(top, detail) + detail
    torch.testing.assert_close(top, image)


def test_reduce_and_expand_keep_straight_lines():
    ramp = torch.linspace(0, 1, 33).expand(1, 1, 21, 33)
    reduced = reduce_image(ramp)
    torch.testing.assert_close(reduced[..., 1:-1], ramp[..., :11, 2:-2:2])
    torch.testing.assert_close(expand_image(reduced, ramp)[..., 4:-4], ramp[..., 4:-4])


def test_the_activity_of_a_coefficient_is_shared_with_its_neighbours():
    details = torch.zeros(1, 1, 7, 7)
    details[..., 3, 3], details[..., 0, 0] = -9, 4
    expected = torch.zeros(1, 1, 7, 7)
    expected[..., 2:5, 2:5] = 1
    expected[..., :2, :2] = torch.tensor([[1, 2 / 3], [2 / 3, 4 / 9]])
    torch.testing.assert_close(activity(details), expected)


def test_the_pyramid_keeps_the_detail_of_one_image_over_the_mean_of_both():
    # The kernel takes a checkerboard away wholly, so that all of it is in the finest level.
    board = checkerboard(64, 0.2)
    fused = LaplacianPyramid()(0.5 + board, torch.full_like(board, 0.3))
    torch.testing.assert_close(fused, 0.4 + board)


def test_the_pyramid_takes_the_detail_from_where_it_is():
    texture = 0.3 * noise(1, 1, 96, 96) + 0.2
    left = torch.arange(96) < 48
    first, second = torch.where(left, texture, 0.35), torch.where(left, 0.35, texture)
    fused = LaplacianPyramid()(first, second)
    away = (torch.arange(96) - 47.5).abs() > 20
    finest = laplacian_pyramid(texture, 1)[0] - laplacian_pyramid(fused, 1)[0]
    assert finest[..., away].abs().max() < 1e-3


def test_the_pyramid_can_be_learnt_through():
    images = noise(2, 1, 1, 40, 33).requires_grad_()
    LaplacianPyramid()(images[0], images[1]).square().mean().backward()
    assert images.grad.isfinite().all()
    assert all(gradient.abs().max() > 0 for gradient in images.grad)


@pytest.mark.parametrize("radius", [1, 4, 30])
def test_the_box_mean_counts_only_pixels_of_the_image(radius):
    image = noise(1, 1, 20, 27).double()
    ones = np.ones(image.shape[-2:])
    window = {"size": 2 * radius + 1, "mode": "constant"}
    sums = ndimage.uniform_filter(image[0, 0].numpy(), **window)
    np.testing.assert_allclose(
        box_mean(image, radius)[0, 0], sums / ndimage.uniform_filter(ones, **window)
    )


def test_the_guided_filter_returns_what_is_linear_in_its_guide():
    guide = noise(1, 1, 32, 30).double()
    torch.testing.assert_close(guided_filter(guide, 2 * guide - 0.3, 3, 1e-12), 2 * guide - 0.3)


def test_the_guided_filter_is_a_twofold_mean_where_its_guide_is_flat():
    image = noise(1, 1, 32, 30)
    flat = torch.full_like(image, 0.5)
    torch.testing.assert_close(
        guided_filter(flat, image, 3, 1e-3), box_mean(box_mean(image, 3), 3), atol=1e-5, rtol=0
    )


def test_the_guided_filter_does_not_smooth_across_edges_of_its_guide():
    step = (torch.arange(40) >= 20).float().expand(1, 1, 30, 40)
    noisy = step + 0.2 * (noise(1, 1, 30, 40) - 0.5)
    filtered = guided_filter(step, noisy, 4, 1e-4)
    assert (filtered - step).abs().max() < 0.05


def test_straight_lines_are_not_salient_and_a_point_is():
    ramp = torch.linspace(0, 1, 40).expand(1, 1, 40, 40)
    assert saliency(ramp)[..., 8:-8, 8:-8].abs().max() < 1e-6
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    found = saliency(point)
    assert found.sum() == pytest.approx(8, rel=1e-5)  # the Laplacian is -4 there, 1 at four sides
    assert found.argmax() == 20 * 41 + 20
    assert not found[..., :14, :].any()


def test_gff_takes_the_detail_from_where_it_is():
    texture = noise(1, 1, 128, 128)
    left = torch.arange(128) < 64
    first, second = torch.where(left, texture, 0.5), torch.where(left, 0.5, texture)
    fused = GuidedFilter()(first, second)
    away = (torch.arange(128) - 63.5).abs() > 30
    assert (fused - texture)[..., away].abs().mean() < 0.03
    assert (0.5 - texture)[..., away].abs().mean() > 0.2


def test_gff_of_two_flat_images_is_the_anatomical_one():
    flat = torch.full((1, 1, 24, 24), 0.2)
    torch.testing.assert_close(GuidedFilter()(flat, 3 * flat), flat)


@pytest.mark.parametrize(
    ("model", "dataset", "published"),
    [
        (LaplacianPyramid, "ct-mri", (0.578, 0.529, 0.734)),
        (GuidedFilter, "ct-mri", (0.574, 0.566, 0.728)),
        (LaplacianPyramid, "spect-mri", (0.735, 0.764, 0.711)),
        (GuidedFilter, "spect-mri", (0.800, 1.018, 0.714)),
    ],
)
def test_metrics_on_the_validation_pairs_are_those_of_other_implementations(
    model, dataset, published, shared_data
):
    names = ("Qabf", "VIF", "SSIM255")
    with (shared_data / "slices" / "slices.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    files = [row["file"] for row in rows if (row["dataset"], row["split"]) == (dataset, "val")]
    folder, other = shared_data / "slices" / dataset / "val", dataset.removesuffix("-mri")
    values = []
    for name in files:
        pair = [read_luminance(folder / kind / name) for kind in ("mri", other)]
        tensors = [torch.from_numpy(image / np.float32(255))[None, None] for image in pair]
        fused = np.rint(255 * model()(*tensors)[0, 0].numpy().astype(float))
        found = fusion_metrics(*(image.astype(float) for image in pair), fused, names)
        values.append([found[metric] for metric in names])
    found = np.mean(values, axis=0)
    assert (found > 0.95 * np.array(published)).all(), found
