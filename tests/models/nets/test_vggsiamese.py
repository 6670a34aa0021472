import pytest
import torch
from torch import nn

from fusionprep.models.nets.laplacian import laplacian_pyramid
from fusionprep.models.nets.vggsiamese import (
    SiameseBranch,
    VGGBranch,
    VGGSiamese,
    merge_by_similarity,
    patches,
    vggsiamese,
    vggsiamese_imagenet,
)

torch.set_num_threads(1)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture
def model():
    torch.manual_seed(0)
    return VGGSiamese((2, 2, 4, 4, 4), (4, 4, 4), 4).eval()


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 1, 1, 40, 48, generator=generator)


def test_the_full_networks_have_the_sizes_of_their_papers():
    with torch.device("meta"):
        full = VGGSiamese()
    assert parameters(full.vgg) == 20_024_384
    # Liu et al. 2017 give 1.66 MB in single precision.
    assert parameters(full.siamese) == 435_202
    assert 4 * parameters(full.siamese) / 2**20 == pytest.approx(1.66, abs=0.005)
    convolutions = [layer for layer in full.siamese.modules() if isinstance(layer, nn.Conv2d)]
    assert [tuple(layer.weight.shape) for layer in convolutions] == [
        *((64, 1, 3, 3), (128, 64, 3, 3), (256, 128, 3, 3), (2, 512, 8, 8)),
    ]


def test_the_shipped_configuration_has_the_same_layers_with_fewer_channels():
    with torch.device("meta"):
        full, shipped, imagenet = VGGSiamese(), vggsiamese(), vggsiamese_imagenet()
    assert list(full.state_dict()) == list(shipped.state_dict())
    for name, tensor in shipped.vgg.state_dict().items():
        assert 8 * tensor.shape[0] == full.vgg.state_dict()[name].shape[0]
    for part, other in ((imagenet.vgg, full.vgg), (imagenet.siamese, shipped.siamese)):
        shapes, expected = (
            [tensor.shape for tensor in m.state_dict().values()] for m in (part, other)
        )
        assert shapes == expected


def test_vgg_stages_have_the_sides_of_the_levels_they_weight():
    branch = VGGBranch((2, 2, 2, 2, 2))
    image = torch.rand(1, 1, 45, 58)
    levels = laplacian_pyramid(image, 4)
    assert [maps.shape[-2:] for maps in branch.maps(image)] == [
        level.shape[-2:] for level in levels
    ]


def test_vgg_weights_are_the_shares_of_the_activity(images):
    torch.manual_seed(0)
    branch = VGGBranch((16, 16, 16, 16, 16))
    first, second = images
    ones, zeros = ([torch.full_like(x, v) for x in laplacian_pyramid(first, 4)] for v in (1.0, 0.0))
    weights = branch((first, second), (ones, zeros))
    opposite = branch((second, first), (ones, zeros))
    for stage, (weight, other) in enumerate(zip(weights, opposite, strict=True)):
        torch.testing.assert_close(weight + other, torch.ones_like(weight))
        norm1, norm2 = (branch.maps(image)[stage].abs().sum(1) for image in images)
        around = [norm[0, :3, :3].mean().item() for norm in (norm1, norm2)]
        assert weight[0, 0, 1, 1].item() == pytest.approx(around[0] / sum(around), abs=1e-3)


def test_black_has_no_activity_without_biases(images):
    torch.manual_seed(0)
    branch = VGGBranch((16, 16, 16, 16, 16))
    for layer in branch.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.bias)
    black = torch.zeros_like(images[0])
    pyramids = tuple(laplacian_pyramid(image, 4) for image in (images[0], black))
    fused = branch((images[0], black), pyramids)
    for level, expected in zip(fused[:2], pyramids[0][:2], strict=True):
        torch.testing.assert_close(level, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("sides", [(16, 16), (17, 24), (40, 33)])
def test_scores_stand_for_16x16_patches_in_steps_of_two(sides):
    torch.manual_seed(0)
    branch = SiameseBranch((2, 2, 2))
    first, second = torch.rand(2, 1, 1, *sides)
    scores = branch.scores(first, second)
    means = patches(first)
    assert scores.shape[-2:] == means.shape[-2:]
    assert branch.weight_map(first, second).shape == first.shape
    # The fourth patch begins where the image does, after eight mirrored pixels.
    assert means[0, 0, 4, 4].item() == pytest.approx(first[0, 0, :16, :16].mean().item())


def test_the_weight_map_is_the_mean_over_the_patches_of_a_pixel(monkeypatch, images):
    branch = SiameseBranch((2, 2, 2))
    logits = torch.zeros(1, 2, 21, 25)
    logits[:, 0, 8, 8] = 50.0  # the patch of rows and columns 8 to 23 shows more of the first
    monkeypatch.setattr(branch, "scores", lambda *_: logits)
    weight = branch.weight_map(*images)
    # Of the 8x8 patches over an inner pixel all but this one are undecided.
    raised = torch.full((16, 16), 0.5 + 0.5 / 64)
    torch.testing.assert_close(weight[0, 0, 8:24, 8:24], raised)
    weight[..., 8:24, 8:24] = 0.5
    torch.testing.assert_close(weight, torch.full_like(weight, 0.5))


def test_alike_coefficients_are_averaged_and_unlike_ones_chosen_by_energy():
    weight = torch.full((1, 1, 8, 8), 0.25)
    first, second = torch.full((1, 1, 8, 8), 2.0), torch.full((1, 1, 8, 8), 1.0)
    # Similarity 2*2*1/(4+1) = 0.8.
    merged = merge_by_similarity(first, second, weight)
    torch.testing.assert_close(merged, torch.full_like(merged, 0.25 * 2 + 0.75))
    # 2*5*1/(25+1) = 0.38, and opposite signs are never alike.
    for strong in (torch.full_like(first, 5.0), torch.full_like(first, -1.1)):
        assert torch.equal(merge_by_similarity(strong, second, weight), strong)
        assert torch.equal(merge_by_similarity(second, strong, weight), strong)


@pytest.mark.parametrize(("level", "chosen"), [(-50.0, 0), (50.0, 1)])
def test_the_stack_weighs_the_branches(model, images, level, chosen):
    nn.init.zeros_(model.stack[-1].weight)
    nn.init.constant_(model.stack[-1].bias, level)
    branches = model.branches(*images)
    assert not torch.allclose(*branches, atol=0.01)
    torch.testing.assert_close(model(*images), branches[chosen])


def test_where_both_images_are_black_so_is_the_result(model):
    first, second = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    first[..., :8], second[..., 24:] = 1, 1
    fused = model(first, second)
    assert fused[..., 8:24].abs().max() == 0
    assert fused[..., :8].min() > 0


def test_equal_images_come_back_whatever_the_networks_say(model, images):
    torch.testing.assert_close(model(images[0], images[0]), images[0])
