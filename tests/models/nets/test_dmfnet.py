import pytest
import torch
from torch import nn

from fusionprep.models.nets.dmfnet import (
    NOISE_SIDE,
    DMFNet,
    ModalityFusion,
    ScaleFusion,
    StepFusion,
    dmfnet_full,
)

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return DMFNet((8, 8, 16), groups=4).eval()


@pytest.fixture(scope="module")
def pair():
    return torch.rand(2, 3, 1, 22, 19, generator=torch.Generator().manual_seed(0))


def constant_share(fusion, logit):
    """Let the share be the same everywhere."""
    nn.init.zeros_(fusion.pixels.weight)
    nn.init.constant_(fusion.pixels.bias, logit)
    return fusion


def test_the_head_at_full_width_is_that_of_the_authors_program():
    with torch.device("meta"):
        head = dmfnet_full().head
    steps = [module.convolutions[0] for module in head.steps]
    assert [(layer.in_channels, layer.out_channels) for layer in steps] == [
        *[(768, 256)],
        *[(384, 128)] * 4,
    ]
    scales = [module.convolutions[0] for module in head.scales]
    assert [(layer.in_channels, layer.out_channels) for layer in scales] == [
        *[(256, 128)],
        *[(128, 128)] * 4,
    ]
    assert [module.before_last is None for module in head.scales] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert [layer.out_channels for layer in head.last if isinstance(layer, nn.Conv2d)] == [64, 1]
    assert [module.channels[0].out_channels for module in head.modalities] == [32, 16, 16, 16, 16]


def test_parameters_of_both_configurations():
    with torch.device("meta"):
        full, shipped = dmfnet_full(), DMFNet()
    counts = [
        [sum(parameter.numel() for parameter in part.parameters()) for part in (m.prior, m.head)]
        for m in (full, shipped)
    ]
    assert counts == [[20_670_081, 3_026_640], [733_177, 109_882]]


def test_the_features_are_taken_at_steps_5_10_and_20_of_2000():
    model = DMFNet()
    assert model.steps == (5, 10, 20)
    deviations = [(1 - level) ** 0.5 for level in model.levels.tolist()]
    assert deviations == pytest.approx([0.0106, 0.0159, 0.0252], abs=1e-3)


@pytest.mark.parametrize(("logit", "first_share"), [(50.0, 1), (-50.0, 0), (0.0, 0.5)])
def test_modalities_are_mixed_by_share_and_added(logit, first_share):
    fusion = constant_share(ModalityFusion(8), logit)
    first, second = torch.randn(2, 2, 8, 5, 6)
    expected = first_share * first + (1 - first_share) * second + first + second
    torch.testing.assert_close(fusion(first, second), expected)


def test_the_share_differs_between_places_and_channels():
    torch.manual_seed(0)
    share = ModalityFusion(8).share(torch.randn(1, 8, 9, 9))
    assert share.shape == (1, 8, 9, 9)
    assert 0 < share.min() < share.max() < 1
    assert share.std(dim=(2, 3)).min() > 0.001
    assert share.std(dim=1).min() > 0.001


def test_pixel_attention_sees_each_channel_beside_its_own_coarse_attention():
    fusion = constant_share(ModalityFusion(8), 0.0)
    nn.init.zeros_(fusion.places.weight)
    nn.init.zeros_(fusion.places.bias)
    nn.init.zeros_(fusion.channels[2].weight)
    with torch.no_grad():
        fusion.channels[2].bias.copy_(torch.arange(8.0))
        fusion.pixels.weight[:, 1, 1, 1] = 1
    expected = torch.arange(8.0).sigmoid().view(1, 8, 1, 1).expand(1, 8, 4, 4)
    torch.testing.assert_close(fusion.share(torch.randn(1, 8, 4, 4)), expected)


def test_a_level_hears_of_the_two_coarser_ones():
    torch.manual_seed(0)
    fusion = ScaleFusion(8, 4, width_before_last=6)
    features = torch.rand(1, 8, 12, 12, requires_grad=True)
    coarser = [torch.rand(1, channels, 3, 3, requires_grad=True) for channels in (5, 6, 8)]
    fusion(features, coarser).sum().backward()
    assert coarser[0].grad is None
    assert all(item.grad.abs().sum() > 0 for item in (*coarser[1:], features))


def test_the_coarsest_level_stands_alone():
    torch.manual_seed(0)
    fusion, features = ScaleFusion(8, 4, None), torch.rand(1, 8, 6, 6)
    torch.testing.assert_close(fusion(features, []), fusion.convolutions(features))


def test_every_step_reaches_the_features_of_a_slice():
    torch.manual_seed(0)
    steps = [torch.rand(1, 8, 6, 6, requires_grad=True) for _ in range(3)]
    StepFusion(8, 3)(steps).sum().backward()
    assert all(item.grad.abs().sum() > 0 for item in steps)


def test_a_result_repeats_and_leaves_the_random_state_alone(model, pair):
    before = torch.get_rng_state()
    with torch.inference_mode():
        first, again = model(*pair), model(*pair)
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_instance_sees_the_same_noise(model, pair):
    other = DMFNet((8, 8, 16), groups=4).eval()
    assert "noise" not in model.state_dict()
    other.load_state_dict(model.state_dict())
    with torch.inference_mode():
        assert torch.equal(model(*pair), other(*pair))


def test_the_place_in_a_batch_does_not_matter(model, pair):
    with torch.inference_mode():
        together, turned = model(*pair), model(*(image.flip(0) for image in pair))
        alone = model(*(image[2:] for image in pair))
    torch.testing.assert_close(turned.flip(0), together, atol=1e-5, rtol=0)
    torch.testing.assert_close(alone, together[2:], atol=1e-5, rtol=0)


def test_slices_are_shown_with_the_noise_of_their_step(monkeypatch, model):
    seen = []
    features = model.prior.features
    monkeypatch.setattr(model.prior, "features", lambda *args: seen.append(args) or features(*args))
    black = torch.zeros(1, 1, 20, NOISE_SIDE + 9)
    model(black, black + 0.5)
    for (noisy, steps), image in zip(seen, (-1.0, 0.0), strict=True):
        assert steps.tolist() == [5, 10, 20]
        for shown, level in zip(noisy, model.levels.tolist(), strict=True):
            noise = (shown - level**0.5 * image) / (1 - level) ** 0.5
            assert noise.mean().item() == pytest.approx(0, abs=0.05)
            assert noise.std().item() == pytest.approx(1, abs=0.05)
            torch.testing.assert_close(noise[..., :9], noise[..., NOISE_SIDE:], atol=1e-3, rtol=0)


@pytest.mark.parametrize("bias", [-50.0, 50.0])
def test_the_output_stays_in_range(bias, pair):
    model = DMFNet((8, 8, 16), groups=4).eval()
    nn.init.constant_(model.head.last[2].bias, bias)
    fused = model.unbounded(*pair.add(0.1).clamp(max=1))
    torch.testing.assert_close(fused, torch.full_like(fused, float(bias > 0)))


def test_where_both_images_are_black_so_is_the_result(model):
    first, second = torch.zeros(2, 1, 1, 16, 16)
    first[..., :4], second[..., 12:] = 1, 1
    with torch.inference_mode():
        fused = model(first, second)
    assert fused[..., 4:12].abs().max() == 0
    assert fused[..., :4].min() > 0
    assert fused[..., 12:].min() > 0
