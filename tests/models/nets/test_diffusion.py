import math

import pytest
import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.models.nets.diffusion import (
    STEPS,
    DiffusionUNet,
    SelfAttention,
    add_noise,
    sample,
    signal_levels,
    step_encoding,
)

torch.set_num_threads(1)


def small_network(widths=(4, 8, 8)):
    torch.manual_seed(0)
    return DiffusionUNet(widths, groups=4, dropout=0.0).eval()


class KnowsTheImage(nn.Module):
    """Predicts the noise exactly, for data that are one image only."""

    def __init__(self, image):
        super().__init__()
        self.image = image

    def forward(self, noisy, step):
        level = signal_levels()[step].float()[:, None, None, None]
        return (noisy - level.sqrt() * self.image) / (1 - level).sqrt()


def test_the_schedule_is_a_cosine():
    levels = signal_levels()
    assert len(levels) == STEPS + 1
    assert levels[0] == 1
    assert (levels.diff() < 0).all()
    assert levels[-1] < 1e-6
    for step in (5, 20, STEPS // 2):
        angles = [(share + 0.008) / 1.008 * math.pi / 2 for share in (step / STEPS, 0)]
        expected = math.cos(angles[0]) ** 2 / math.cos(angles[1]) ** 2
        assert levels[step].item() == pytest.approx(expected, rel=1e-12)


def test_no_step_leaves_less_than_a_thousandth():
    levels = signal_levels(10)
    assert levels[10] / levels[9] == pytest.approx(0.001)
    assert levels[9] / levels[8] > 0.001


def test_noise_keeps_the_variance_of_an_image_that_varies_as_much():
    generator = torch.Generator().manual_seed(0)
    image, noise = torch.randn(2, 100_000, generator=generator)
    for level in signal_levels()[[0, 20, 700, STEPS]].float():
        assert add_noise(image, noise, level).var() == pytest.approx(1, abs=0.02)
    assert torch.equal(add_noise(image, noise, torch.tensor(1.0)), image)


def test_steps_are_told_apart_slowly_and_fast():
    encoding = step_encoding(torch.tensor([0, 1, STEPS]), 8)
    torch.testing.assert_close(encoding[0], torch.tensor([0.0] * 4 + [1.0] * 4))
    torch.testing.assert_close(encoding[1, :4], torch.tensor([1, 0.1, 0.01, 0.001]).sin())
    assert encoding[2, 3] == pytest.approx(math.sin(STEPS * 1e-3), abs=1e-5)


@pytest.mark.parametrize("evaluations", [7, 100])
def test_sampling_finds_the_only_image_there_is(evaluations):
    image = torch.linspace(-1, 1, 64).view(1, 1, 8, 8)
    made = sample(KnowsTheImage(image), 3, 8, evaluations=evaluations)
    torch.testing.assert_close(made, ((image + 1) / 2).expand(3, -1, -1, -1), atol=1e-5, rtol=0)


def test_samples_follow_the_seed_and_leave_the_random_state_alone():
    network = small_network()
    before = torch.get_rng_state()
    first, again, other = (sample(network, 2, 12, evaluations=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.1
    assert first.shape == (2, 1, 12, 12)
    assert first.min() >= 0
    assert first.max() <= 1


def test_the_layers_at_full_width_are_those_of_the_authors_program():
    with torch.device("meta"):
        network = DiffusionUNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == 20_670_081
    down = [block.second[-1].out_channels for level in network.down for block in level]
    assert down == [128] * 8 + [256] * 2
    up = [(block.first[-1].in_channels, block.first[-1].out_channels) for level in network.up
          for block in level]  # fmt: skip
    assert up[:3] == [(512, 256), (512, 256), (384, 256)]
    assert up[3:] == [(384, 128), (256, 128), (256, 128)] + [(256, 128)] * 9
    assert all(m.num_groups == 32 for m in network.modules() if isinstance(m, nn.GroupNorm))


@pytest.mark.parametrize("shape", [(32, 32), (17, 30), (3, 5)])
def test_features_are_the_first_of_each_level_from_coarse_to_fine(shape):
    network = small_network()
    outputs = {}
    for level, blocks in enumerate(network.up):
        blocks[0].register_forward_hook(
            lambda _, __, out, level=level: outputs.update({level: out})
        )
    noisy, steps = torch.rand(2, 1, *shape), torch.tensor([5, 5])
    with torch.inference_mode():
        features = network.features(noisy, steps)
        assert network(noisy, steps).shape == noisy.shape
    assert [maps.shape[1] for maps in features] == [8, 8, 4]
    for level, maps in enumerate(features):
        scale = 2 ** (len(features) - 1 - level)
        assert maps.shape[2:] == tuple(-(-side // scale) for side in shape)
        torch.testing.assert_close(maps, outputs[level])


def test_what_no_feature_needs_is_not_computed():
    network = small_network()
    asked = []
    for index, block in enumerate(network.up[-1]):
        block.register_forward_pre_hook(lambda *_, index=index: asked.append(index))
    network.last.register_forward_pre_hook(lambda *_: asked.append("last"))
    network.features(torch.rand(1, 1, 8, 8), torch.tensor([5]))
    assert asked == [0]


def test_the_step_matters():
    network = small_network()
    noisy = torch.rand(1, 1, 16, 16)
    early, late = (network(noisy, torch.tensor([step])) for step in (5, 1500))
    assert (early - late).abs().max() > 1e-3


def test_attention_is_that_of_the_library():
    torch.manual_seed(0)
    attention = SelfAttention(8, 4)
    features = torch.randn(2, 8, 3, 5)
    tokens = attention.query_key_value(attention.norm(features)).flatten(2).transpose(1, 2)
    expected = nnf.scaled_dot_product_attention(*tokens.chunk(3, dim=2))
    expected = features + attention.out(expected.transpose(1, 2).reshape(features.shape))
    torch.testing.assert_close(attention(features), expected, atol=1e-5, rtol=1e-5)


def test_it_learns_to_tell_noise():
    network = small_network().train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(25):
        noise = torch.randn(4, 1, 16, 16, generator=generator)
        steps = torch.randint(200, STEPS, (4,), generator=generator)
        levels = signal_levels()[steps].float().view(-1, 1, 1, 1)
        image = torch.full_like(noise, -1)
        loss = nnf.mse_loss(network(add_noise(image, noise, levels), steps), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < 0.3 * losses[0]
