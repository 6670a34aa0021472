import pytest
import torch
from torch import nn

from fusionprep.models.nets.dsagan import DSAGAN, Discriminator, Stream

torch.set_num_threads(1)


def convolutions(network):
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    return [(layer.in_channels, layer.out_channels, layer.kernel_size[0]) for layer in layers]


def test_layers_are_those_the_authors_published():
    model = DSAGAN(width=64)
    scales = [(1, 64, 1), (1, 64, 3), (1, 64, 5)]
    stream = [*scales, (64, 64, 5), (64, 64, 7)]
    merged = [(128, 128, 1), (128, 64, 1), (64, 64, 1), (64, 1, 1)]
    assert convolutions(model) == [*stream, *stream, *merged]
    normalised = [m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert normalised == [128, 128, 64, 64]


def test_full_width_has_the_parameters_of_the_published_network():
    # The authors use each of their two batch normalisations at two depths; here they are four.
    separate = 2 * 128 + 2 * 64
    assert sum(p.numel() for p in DSAGAN(width=64).parameters()) == 640_705 + separate


def test_the_full_discriminator_has_the_published_layers():
    convolved = [(1, 64, 1), (64, 128, 3), (128, 256, 3), (256, 512, 3), (512, 512, 3)]
    assert convolutions(Discriminator()) == convolved
    assert sum(p.numel() for p in Discriminator().parameters()) == 3_910_657


def passing_stream(**gains):
    """A stream of one channel whose depths multiply by a number: 0 unless given."""
    stream = Stream(1)
    for parameter in stream.parameters():
        nn.init.zeros_(parameter)
    layers = dict(zip(("scale1", "scale3", "scale5"), stream.scales, strict=True))
    layers |= {"middle": stream.middle, "last": stream.last}
    for name, gain in gains.items():
        side = layers[name].kernel_size[0]
        layers[name].weight.data[..., side // 2, side // 2] = gain
    return stream


def test_scales_add_up_and_earlier_depths_gate_later_ones():
    image = torch.full((1, 1, 16, 16), 0.5)
    stream = passing_stream(scale1=1.0, scale3=2.0, scale5=-1.0, middle=3.0, last=0.5)
    first = 0.5 * (1 + 2 - 1)
    second = 3 * first * (1 + first)
    third = 0.5 * second * (1 + first + second)
    torch.testing.assert_close(stream(image), torch.full_like(image, third))


def test_silent_earlier_depths_let_features_pass():
    stream = passing_stream(last=1.0)
    stream.middle.bias.data.fill_(0.7)
    # The first depth is 0: the second is its bias, gated by 1 + 0, the third by 1 + 0 + 0.7.
    features = stream(torch.rand(1, 1, 16, 16))
    torch.testing.assert_close(features, torch.full_like(features, 0.7 * 1.7))


def test_the_two_streams_share_nothing():
    torch.manual_seed(0)
    model = DSAGAN(width=4).eval()
    model.anatomical.requires_grad_(False)
    first, second = torch.rand(2, 1, 1, 16, 16)
    model.merge(first, second).sum().backward()
    assert all(parameter.grad is not None for parameter in model.functional.parameters())
    assert not torch.equal(model.merge(first, second), model.merge(second, first))


def test_a_pixel_counts_as_far_as_the_reach():
    torch.manual_seed(0)
    model = DSAGAN(width=4).eval()
    first, second = torch.rand(2, 1, 1, 33, 33)
    moved = first.clone()
    moved[..., 16, 16] += 0.5
    changed = (model.merge(moved, second) - model.merge(first, second)).abs()[0, 0] > 0
    rows = torch.nonzero(changed.any(dim=1))
    assert (rows.min(), rows.max()) == (16 - model.reach, 16 + model.reach)


@pytest.mark.parametrize("level", [-50.0, 50.0])
def test_the_output_stays_in_range(level):
    model = DSAGAN(width=4).eval()
    nn.init.constant_(model.render[-1].bias, level)
    fused = model(*torch.rand(2, 1, 1, 16, 16).add(0.1))
    torch.testing.assert_close(fused, torch.full_like(fused, float(level > 0)))


def test_where_both_images_are_black_so_is_the_result():
    model = DSAGAN(width=4).eval()
    nn.init.constant_(model.render[-1].bias, 5.0)
    first, second = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    first[..., :4], second[..., 12:] = 1, 1
    fused = model(first, second)
    assert fused[..., 4:12].abs().max() == 0
    assert fused[..., :4].min() > 0
    assert fused[..., 12:].min() > 0


def test_a_verdict_does_not_ask_where_the_content_lies():
    torch.manual_seed(0)
    discriminator = Discriminator((4, 8, 8, 8, 8)).eval()
    image = torch.zeros(2, 1, 32, 32)
    content = torch.rand(8, 8)
    image[0, 0, 6:14, 6:14], image[1, 0, 15:23, 17:25] = content, content
    verdicts = discriminator(image)
    assert verdicts.shape == (2,)
    torch.testing.assert_close(verdicts[0], verdicts[1])
    assert discriminator(torch.rand(3, 1, 17, 40)).shape == (3,)
