import pytest
import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.models.nets.matr import (
    MATR,
    AdaptiveConvolution,
    WindowAttention,
    WindowTransformer,
    matr_small,
    part_means,
)

torch.set_num_threads(1)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MATR(channels=8, heads=2, depth=2, window=4, hidden_ratio=1).eval()


def test_full_width_is_that_of_the_authors_program():
    model = MATR(window=1)
    # Theirs has 13,230 in use: batch normalisation has two parameters a channel, a bias has one.
    assert parameters(model) == 13_230 - 2 * 16
    assert parameters(model.first) == 495 + 16
    assert parameters(model.shared) == 2791 + 16
    assert [parameters(block) for block in model.transformer.blocks] == [3288] * 3
    assert parameters(model.last) == 16


def test_full_width_has_three_blocks_of_eight_heads_that_shift_alternately():
    attentions = [block.attention for block in MATR().transformer.blocks]
    assert [attention.heads for attention in attentions] == [8, 8, 8]
    assert [attention.shift for attention in attentions] == [0, 4, 0]
    assert all(attention.position_bias.shape == (15 * 15, 8) for attention in attentions)
    assert [block.perceptron[0].out_features for block in MATR().transformer.blocks] == [64, 64, 64]


def test_the_shipped_configuration_is_smaller():
    assert parameters(matr_small()) < parameters(MATR()) / 1.8


def test_branches_share_their_convolution_and_their_transformer(model):
    calls = {"shared": [], "transformer": []}
    for name, seen in calls.items():
        getattr(model, name).register_forward_hook(
            lambda _, inputs, output, seen=seen: seen.append((inputs[0], output))
        )
    model(*torch.rand(2, 1, 1, 16, 20))
    into = [inputs for inputs, _ in calls["shared"]]
    out = [output for _, output in calls["shared"]]
    assert len(into) == 6
    assert [inputs.shape for inputs, _ in calls["transformer"]] == [(1, 8, 16, 20)] * 3
    # Each branch goes one adaptive convolution deeper than the one before.
    for branch in (1, 2):
        torch.testing.assert_close(into[2 * branch], out[2 * (branch - 1)])
    for branch, (inputs, output) in enumerate(calls["transformer"]):
        torch.testing.assert_close(inputs, out[2 * branch])
        torch.testing.assert_close(into[2 * branch + 1], output)


@pytest.mark.parametrize("size", [(9, 12), (16, 17), (5, 31)])
def test_part_means_are_adaptive_average_pooling(size):
    features = torch.rand(2, 4, *size)
    torch.testing.assert_close(part_means(features), nnf.adaptive_avg_pool2d(features, 3))


def test_a_convolution_with_open_gates_is_a_plain_one():
    torch.manual_seed(0)
    layer = AdaptiveConvolution(3, 5)
    nn.init.uniform_(layer.bias)
    layer.gate = lambda features: features.new_ones(len(features), 5, 3, 9)
    features = torch.rand(2, 3, 11, 14)
    plain = torch.relu(nnf.conv2d(features, layer.weight, layer.bias, padding=1))
    torch.testing.assert_close(layer(features), plain)


def test_the_kernel_adapts_to_what_lies_elsewhere():
    torch.manual_seed(0)
    layer = AdaptiveConvolution(2, 4)
    features = torch.rand(1, 2, 24, 24)
    changed = features.clone()
    changed[..., 16:] *= 0.2
    assert layer.gate(features).shape == (1, 4, 2, 9)
    assert (layer.gate(features) - layer.gate(changed)).abs().max() > 1e-3
    # Far from the change, only the kernels can differ.
    assert (layer(features) - layer(changed))[..., :15].abs().max() > 1e-4


def test_the_gates_of_a_slice_are_its_own():
    torch.manual_seed(0)
    layer = AdaptiveConvolution(2, 4)
    features = torch.rand(3, 2, 24, 20)
    torch.testing.assert_close(layer(features)[1:2], layer(features[1:2]))


def attention_of_one_pixel(attention, tokens, row, column):
    """What a pixel (C,) becomes by definition: its window, as far as it is in the image."""
    side, shift = attention.window, attention.shift
    # The first shifted window begins above and left of the image.
    top, left = ((place - shift) // side * side + shift for place in (row, column))
    rows = range(max(top, 0), min(top + side, tokens.shape[0]))
    columns = range(max(left, 0), min(left + side, tokens.shape[1]))
    keys = torch.stack([tokens[r, c] for r in rows for c in columns])
    query, _, _ = attention.query_key_value(tokens[row, column]).chunk(3)
    _, key, value = attention.query_key_value(keys).chunk(3, dim=1)
    span = 2 * side - 1
    index = [(row - r + side - 1) * span + column - c + side - 1 for r in rows for c in columns]
    parts = []
    for head, channels in enumerate(torch.arange(len(query)).chunk(attention.heads)):
        logits = key[:, channels] @ query[channels] / len(channels) ** 0.5
        weights = (logits + attention.position_bias[index, head]).softmax(dim=0)
        parts.append(weights @ value[:, channels])
    return attention.project(torch.cat(parts))


def attention_alone(shift):
    """A Transformer of one block that hands on what its attention returns."""
    transformer = WindowTransformer(6, heads=2, depth=1, window=4, hidden_ratio=1)
    attention = WindowAttention(6, heads=2, window=4, shift=shift)
    nn.init.normal_(attention.position_bias)
    transformer.blocks[0] = attention
    return transformer, attention


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("size", [(8, 12), (9, 10), (5, 7)])
def test_attention_is_that_of_the_definition_at_any_size(size, shift):
    torch.manual_seed(0)
    transformer, attention = attention_alone(shift)
    features = torch.randn(2, 6, *size)
    output = transformer(features)
    assert output.shape == features.shape
    tokens = features[1].permute(1, 2, 0)
    for row, column in ((0, 0), (3, 4), (size[0] - 1, size[1] - 1), (size[0] - 1, 0)):
        expected = attention_of_one_pixel(attention, tokens, row, column)
        torch.testing.assert_close(output[1, :, row, column], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("shift", "first"), [(0, 4), (2, 2)])
def test_a_window_sees_only_itself(shift, first):
    torch.manual_seed(0)
    transformer, _ = attention_alone(shift)
    features = torch.randn(1, 6, 10, 10)
    changed = features.clone()
    changed[..., :first, :first] += 1
    differs = (transformer(features) != transformer(changed)).any(dim=1)[0]
    assert differs[:first, :first].all()
    assert differs.sum() == first**2


def test_a_shift_lets_neighbouring_windows_mix():
    torch.manual_seed(0)
    features = torch.randn(1, 4, 8, 8)
    changed = features.clone()
    changed[..., 0, 0] = torch.randn(4)
    reached = []
    for depth in (1, 2):
        transformer = WindowTransformer(4, heads=2, depth=depth, window=4, hidden_ratio=1)
        differs = (transformer(features) != transformer(changed)).any(dim=1)[0]
        reached.append(differs)
    assert not reached[0][4:].any()
    assert reached[1][5, 5]
    assert not reached[1][6:].any()


@pytest.mark.parametrize("size", [(16, 16), (33, 17), (31, 50)])
def test_any_size_is_kept(model, size):
    fused = model(*torch.rand(2, 2, 1, *size))
    assert fused.shape == (2, 1, *size)
    assert fused.isfinite().all()


def test_a_network_that_adds_nothing_returns_the_mean(model):
    nn.init.zeros_(model.last.weight)
    first, second = torch.rand(2, 1, 1, 16, 18)
    torch.testing.assert_close(model(first, second), (first + second) / 2)


@pytest.mark.parametrize("weight", [-1.0, 1.0])
def test_the_result_lies_between_the_two_images(model, weight):
    nn.init.constant_(model.last.weight, weight)
    nn.init.ones_(model.shared.bias)
    first, second = torch.rand(2, 1, 1, 16, 18)
    # The bias and so strong a weight drive all pixels to one end.
    end = torch.maximum(first, second) if weight > 0 else torch.minimum(first, second)
    torch.testing.assert_close(model(first, second), end)
    torch.testing.assert_close(model(first, first), first)


def test_where_both_images_are_black_so_is_the_result(model):
    nn.init.ones_(model.last.weight)
    nn.init.ones_(model.shared.bias)
    first, second = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    first[..., :4] = 0.5
    fused = model(first, second)
    assert fused[..., 4:].abs().max() == 0
    assert fused[..., :4].min() > 0
