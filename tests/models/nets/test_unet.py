import pytest
import torch
from torch import nn

from fusionprep.models.nets.unet import UNet

torch.set_num_threads(1)


def test_each_level_has_two_convolutions_and_twice_the_channels():
    model = UNet((4, 8, 16))
    channels = [
        [(layer.in_channels, layer.out_channels) for layer in block if isinstance(layer, nn.Conv2d)]
        for block in [*model.down, *model.up]
    ]
    down = [[(2, 4), (4, 4)], [(4, 8), (8, 8)], [(8, 16), (16, 16)]]
    assert channels == [*down, [(16, 8), (8, 8)], [(8, 4), (4, 4)]]


def test_pooling_halves_the_image_at_each_level():
    model = UNet((4, 8, 16)).eval()
    sizes = []
    for block in model.down:
        block.register_forward_hook(lambda _, __, output: sizes.append(tuple(output.shape[-2:])))
    model(*torch.rand(2, 1, 1, 32, 24))
    assert sizes == [(32, 24), (16, 12), (8, 6)]


@pytest.mark.parametrize("size", [(16, 16), (33, 17), (31, 50)])
def test_any_size_is_kept(size):
    fused = UNet((4, 8, 16)).eval()(*torch.rand(2, 2, 1, *size))
    assert fused.shape == (2, 1, *size)


def test_a_network_that_adds_nothing_returns_the_mean():
    model = UNet((4, 8)).eval()
    nn.init.zeros_(model.last.weight)
    nn.init.zeros_(model.last.bias)
    first, second = torch.rand(2, 1, 1, 16, 16)
    torch.testing.assert_close(model(first, second), (first + second) / 2)


def test_where_both_images_are_black_so_is_the_result():
    model = UNet((4, 8)).eval()
    nn.init.constant_(model.last.bias, 1.0)
    first, second = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    first[..., :4] = 0.5
    fused = model(first, second)
    assert fused[..., 4:].abs().max() == 0
    assert fused[..., :4].min() > 0
