import pytest
import torch
from torch import nn

from fusionprep.models.nets.vgg import VGG19_COUNTS, VGG19_WIDTHS, VGGFeatures

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def vgg19():
    with torch.device("meta"):
        return VGGFeatures(VGG19_WIDTHS, VGG19_COUNTS)


def test_configuration_e_has_16_convolutions_of_20_million_parameters(vgg19):
    convolutions = [layer for layer in vgg19.features if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [
        *(64, 64, 128, 128),
        *(256, 256, 256, 256),
        *(512, 512, 512, 512),
        *(512, 512, 512, 512),
    ]
    assert all(layer.kernel_size == (3, 3) for layer in convolutions)
    assert sum(parameter.numel() for parameter in vgg19.parameters()) == 20_024_384


def test_names_are_those_of_torchvision(vgg19):
    places = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    assert list(vgg19.state_dict()) == [
        f"features.{place}.{kind}" for place in places for kind in ("weight", "bias")
    ]


def test_each_stage_has_half_the_sides_rounded_up(vgg19):
    maps = vgg19(torch.empty(2, 3, 47, 64, device="meta"))
    assert [tuple(stage.shape) for stage in maps] == [
        *((2, 64, 47, 64), (2, 128, 24, 32), (2, 256, 12, 16), (2, 512, 6, 8), (2, 512, 3, 4)),
    ]
