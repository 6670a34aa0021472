import numpy as np
import pytest
import torch

from fusionprep.models.pca import PrincipalComponent, principal_weight
from fusionprep.models.wavelet import fuse_wavelet


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
