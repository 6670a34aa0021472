import pytest
import torch
from torch.nn import functional as nnf

from fusionprep.models.nets.base import box_mean


@pytest.mark.parametrize("side", [1, 3, 5, 9, 13])
def test_the_mean_over_a_square_is_that_of_pooling(side):
    images = torch.rand(2, 3, 31, 20, generator=torch.Generator().manual_seed(side))
    pooled = nnf.avg_pool2d(images, side, stride=1, padding=side // 2)
    torch.testing.assert_close(box_mean(images, side), pooled)


def test_the_mean_of_black_is_black_exactly():
    images = torch.rand(1, 1, 20, 20)
    images[..., 10:] = 0
    assert not box_mean(images, 5)[..., 12:].any()
