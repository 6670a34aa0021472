import pytest
import torch
from torch import nn

from fusionprep.models.nets.ifcnn import ifcnn_max, ifcnn_mean, ifcnn_sum

torch.set_num_threads(1)


def seeded(factory):
    torch.manual_seed(0)
    return factory().eval()


def test_layers_are_those_of_figure_2():
    model = seeded(ifcnn_max)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    shapes = [tuple(layer.weight.shape) for layer in convolutions]
    assert shapes == [(64, 3, 7, 7), (64, 64, 3, 3), (64, 64, 3, 3), (3, 64, 1, 1)]
    assert [layer.bias is None for layer in convolutions] == [True, True, True, False]
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 2
    assert sum(parameter.numel() for parameter in model.parameters()) == 83_587


@pytest.mark.parametrize(
    ("factory", "expected"), [(ifcnn_max, 3.0), (ifcnn_mean, 2.0), (ifcnn_sum, 4.0)]
)
def test_the_rule_joins_features_element_by_element(factory, expected):
    rule = factory().rule
    first, second = torch.full((1, 2, 3, 3), 1.0), torch.full((1, 2, 3, 3), 3.0)
    assert torch.equal(rule(first, second), torch.full((1, 2, 3, 3), expected))


def test_equal_images_give_the_same_with_maximum_and_mean():
    image = torch.rand(1, 1, 20, 24)
    outputs = [seeded(factory)(image, image) for factory in (ifcnn_max, ifcnn_mean)]
    torch.testing.assert_close(*outputs)


def test_the_order_of_the_images_does_not_matter():
    model = seeded(ifcnn_max)
    first, second = torch.rand(2, 1, 1, 20, 24)
    torch.testing.assert_close(model(first, second), model(second, first))


def test_borders_are_replicated():
    model = seeded(ifcnn_max)
    image = torch.full((1, 1, 20, 24), 0.5)
    output = model.merge(image, image)
    torch.testing.assert_close(output, output[..., :1, :1].expand_as(output))
