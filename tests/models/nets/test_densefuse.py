import pytest
import torch

from fusionprep.models.nets.densefuse import (
    DenseEncoder,
    addition_rule,
    densefuse_addition,
    densefuse_l1,
    l1_norm_rule,
)

torch.set_num_threads(1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return densefuse_l1().eval()


def test_layers_are_those_of_table_1(model):
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    channels = [(layer.in_channels, layer.out_channels) for layer in convolutions]
    encoder = [(1, 16), (16, 16), (32, 16), (48, 16)]
    assert channels == [*encoder, (64, 64), (64, 32), (32, 16), (16, 1)]
    assert all(layer.kernel_size == (3, 3) for layer in convolutions)
    assert all(layer.padding_mode == "reflect" for layer in convolutions)
    assert sum(parameter.numel() for parameter in model.parameters()) == 74_193


def test_the_dense_block_hands_on_every_layer():
    torch.manual_seed(0)
    encoder = DenseEncoder()
    image = torch.rand(2, 1, 20, 24)
    features = encoder(image)
    assert features.shape == (2, 64, 20, 24)
    first = torch.relu(encoder.first(image))
    torch.testing.assert_close(features[:, :16], first)
    torch.testing.assert_close(features[:, 16:32], torch.relu(encoder.dense[0](first)))


def test_the_addition_rule_is_the_mean():
    assert torch.equal(
        addition_rule(torch.full((1, 2, 4, 4), 1.0), torch.full((1, 2, 4, 4), 3.0)),
        torch.full((1, 2, 4, 4), 2.0),
    )


def test_the_l1_rule_weights_by_activity():
    first, second = torch.zeros(1, 4, 6, 6), torch.zeros(1, 4, 6, 6)
    first[:, 0], first[:, 1], second[:, 2] = 2.0, -1.0, 1.0
    fused = l1_norm_rule(first, second)
    expected = torch.tensor([0.75 * 2, -0.75, 0.25, 0.0]).reshape(1, 4, 1, 1)
    torch.testing.assert_close(fused, expected.expand(1, 4, 6, 6))


def test_the_activity_is_a_mean_of_3x3_pixels():
    first, second = torch.zeros(1, 1, 7, 7), torch.ones(1, 1, 7, 7)
    first[..., 3, 3] = 9.0
    weight = 1 - l1_norm_rule(torch.zeros_like(first), second)
    assert weight.abs().max() == 0
    fused = l1_norm_rule(first, second)
    # Mean activity of the spike is 1 on its 3x3 neighbours, as is that of the constant image.
    expected = torch.ones(1, 1, 7, 7)
    expected[..., 2:5, 2:5] = 0.5
    expected[..., 3, 3] = 5.0
    torch.testing.assert_close(fused, expected)


def test_two_empty_feature_maps_fuse_to_zero():
    empty = torch.zeros(1, 64, 5, 5)
    assert torch.equal(l1_norm_rule(empty, empty.clone()), empty)


@pytest.mark.parametrize("build", [densefuse_l1, densefuse_addition])
def test_the_reach_is_the_farthest_influence(build):
    torch.manual_seed(0)
    model = build().double().eval()
    images = torch.rand(2, 1, 1, 41, 41, dtype=torch.float64)
    changed = images.clone()
    changed[0, ..., 20, 20] += 10
    # Without clipping, which would hide influence.
    model.forward = lambda a, b: model.decoder(model.rule(model.encoder(a), model.encoder(b)))
    with torch.no_grad():
        difference = (model(*images) - model(*changed))[0, 0].abs()
    rows, columns = torch.nonzero(difference, as_tuple=True)
    distance = torch.maximum((rows - 20).abs(), (columns - 20).abs()).max()
    assert distance <= model.reach
    assert build is densefuse_addition or distance == model.reach
