import pytest
import torch
from torch import nn

from fusionprep.models.nets.coconet import (
    ChannelAttention,
    CoCoNet,
    FeatureEnsemble,
    SourceFeatures,
)

torch.set_num_threads(1)

FULL = (32, 64, 128, 256)
SMALL = (4, 6, 8, 10)


def convolutions(module):
    return [
        (layer.in_channels, layer.out_channels)
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d)
    ]


def test_the_u_net_has_the_layers_of_the_published_network():
    model = CoCoNet(FULL)
    assert [convolutions(layers) for layers in model.down] == [
        *([(2, 32), (32, 32)], [(32, 64), (64, 64)], [(64, 128), (128, 128)], [(128, 256)]),
    ]
    assert convolutions(model.deepest) == [(256, 256)]
    assert convolutions(model.narrow) == [(256, 128), (128, 64), (64, 32)]
    assert [convolutions(layers) for layers in model.up] == [
        *([(256, 128), (128, 128)], [(128, 64), (64, 64)], [(64, 32), (32, 32)]),
    ]
    for width, ensemble in zip((64, 128, 256), model.ensembles, strict=True):
        assert convolutions(ensemble.attention) == [(width, width)] * 3
        assert convolutions(ensemble.join) == [(3 * width, width)]
    assert model.last.kernel_size == (1, 1)


def test_the_features_of_a_source_are_three_stages_of_a_vgg19():
    features = SourceFeatures((64, 128, 256))
    # The first three stages of a VGG-19 have 2,325,568; a gray image saves 2 * 9 * 64.
    assert sum(parameter.numel() for parameter in features.parameters()) == 2_325_568 - 1_152
    shapes = [tuple(level.shape[1:]) for level in features(torch.rand(1, 1, 32, 48))]
    assert shapes == [(64, 16, 24), (128, 8, 12), (256, 4, 6)]


def test_the_number_of_parameters_at_full_and_shipped_width():
    assert sum(parameter.numel() for parameter in CoCoNet(FULL).parameters()) == 9_114_180
    shipped = sum(parameter.numel() for parameter in CoCoNet().parameters())
    assert 4 * shipped < 2.0e6


def test_attention_starts_as_its_values():
    attention = ChannelAttention(3)
    features = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(attention(features), attention.value(features))


def test_attention_mixes_in_the_channels_with_least_in_common():
    attention = ChannelAttention(2)
    for layer in (attention.query, attention.key, attention.value):
        nn.init.dirac_(layer.weight)
        nn.init.zeros_(layer.bias)
    nn.init.ones_(attention.scale)
    features = torch.zeros(1, 2, 8, 8)
    # Mean products: 50 of the first channel with itself, 50 of the second, 0 of the two.
    features[:, 0, :4], features[:, 1, 4:] = 10, 10
    expected = features + features.flip(1)
    torch.testing.assert_close(attention(features), expected)


def test_attention_does_not_depend_on_the_size_of_the_image():
    torch.manual_seed(0)
    attention = ChannelAttention(4)
    nn.init.ones_(attention.scale)
    for layer in (attention.query, attention.key, attention.value):
        # A kernel of its centre alone sees no border.
        layer.weight.data *= torch.eye(3)[1].outer(torch.eye(3)[1])
    features = torch.rand(1, 4, 8, 8)
    tiled = attention(features.repeat(1, 1, 2, 2))
    torch.testing.assert_close(tiled, attention(features).repeat(1, 1, 2, 2))


def test_an_ensemble_attends_its_three_streams_alike():
    torch.manual_seed(0)
    ensemble = FeatureEnsemble(2)
    nn.init.ones_(ensemble.attention.scale)
    streams = torch.rand(3, 1, 2, 8, 8)
    expected = ensemble.join(torch.cat([ensemble.attention(maps) for maps in streams], dim=1))
    torch.testing.assert_close(ensemble(*streams), expected)


def test_the_network_sees_the_sources_in_their_own_stream():
    torch.manual_seed(0)
    model = CoCoNet(SMALL).eval()
    first, second = torch.rand(2, 1, 1, 16, 16)
    assert not torch.allclose(model(first, second), model(second, first))


@pytest.mark.parametrize("size", [(16, 16), (33, 17), (31, 50)])
def test_any_size_is_kept(size):
    fused = CoCoNet(SMALL).eval()(*torch.rand(2, 2, 1, *size))
    assert fused.shape == (2, 1, *size)


def test_a_network_that_adds_nothing_returns_the_mean():
    model = CoCoNet(SMALL).eval()
    nn.init.zeros_(model.last.weight)
    nn.init.zeros_(model.last.bias)
    first, second = torch.rand(2, 1, 1, 16, 16)
    torch.testing.assert_close(model(first, second), (first + second) / 2)


def test_slices_do_not_influence_one_another():
    torch.manual_seed(0)
    model = CoCoNet(SMALL).eval()
    for ensemble in model.ensembles:
        nn.init.ones_(ensemble.attention.scale)
    images = torch.rand(2, 3, 1, 19, 24)
    torch.testing.assert_close(model(*images)[1:2], model(*images[:, 1:2]))


def test_where_both_images_are_black_so_is_the_result():
    model = CoCoNet(SMALL).eval()
    nn.init.constant_(model.last.bias, 2.0)
    nn.init.zeros_(model.last.weight)
    first, second = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    first[..., :4] = 0.5
    fused = model(first, second)
    assert fused[..., 4:].abs().max() == 0
    assert fused[..., :4].min() > 0
