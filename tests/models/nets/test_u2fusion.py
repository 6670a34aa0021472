import itertools

import pytest
import torch
from torch import nn

from fusionprep.models.nets.u2fusion import U2Fusion

torch.set_num_threads(1)


def test_layers_are_those_of_figure_4():
    convolutions = [module for module in U2Fusion().modules() if isinstance(module, nn.Conv2d)]
    channels = [(layer.in_channels, layer.out_channels) for layer in convolutions]
    dense = [(44 * count, 44) for count in range(1, 6)]
    assert channels == [(2, 44), *dense, (264, 128), (128, 64), (64, 32), (32, 1)]
    assert all(layer.kernel_size == (3, 3) for layer in convolutions)
    assert all(layer.padding_mode == "reflect" for layer in convolutions)


def test_the_paper_counts_0_659_million_parameters():
    assert sum(parameter.numel() for parameter in U2Fusion().parameters()) == 659_217


def test_every_dense_layer_sees_all_before_it():
    torch.manual_seed(0)
    model = U2Fusion(growth=4, decoder=(8, 4, 2)).eval()
    inputs = []
    for layer in model.dense:
        layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    model(*torch.rand(2, 1, 1, 16, 16))
    assert [features.shape[1] for features in inputs] == [4, 8, 12, 16, 20]
    for before, after in itertools.pairwise(inputs):
        torch.testing.assert_close(after[:, 4:], before)


@pytest.mark.parametrize("level", [-50.0, 50.0])
def test_the_output_stays_in_range(level):
    model = U2Fusion(growth=4, decoder=(8, 4, 2)).eval()
    nn.init.constant_(model.decoder[-1].bias, level)
    fused = model(*torch.rand(2, 1, 1, 16, 16).add(0.1))
    torch.testing.assert_close(fused, torch.full_like(fused, float(level > 0)))


def test_where_both_images_are_black_so_is_the_result():
    torch.manual_seed(0)
    model = U2Fusion(growth=4, decoder=(8, 4, 2)).eval()
    first, second = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    first[..., :4], second[..., 12:] = 1, 1
    fused = model(first, second)
    assert fused[..., 4:12].abs().max() == 0
    assert fused[..., :4].min() > 0
    assert fused[..., 12:].min() > 0
