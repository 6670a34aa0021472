import pytest
import torch
from safetensors.torch import save_file

from fusionprep.errors import DataError, NoInputError
from fusionprep.training.features import VGG16Features, feature_network


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory):
    """A VGG-16 of random weights under torchvision's names, with a classifier to be ignored."""
    path = tmp_path_factory.mktemp("vgg") / "vgg16.safetensors"
    generator = torch.Generator().manual_seed(0)
    channels, place, tensors = 3, 0, {"classifier.0.weight": torch.zeros(2, 2)}
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            scale = (2 / (9 * channels)) ** 0.5
            weight = scale * torch.randn(width, channels, 3, 3, generator=generator)
            tensors[f"features.{place}.weight"] = weight
            tensors[f"features.{place}.bias"] = torch.zeros(width)
            channels, place = width, place + 2
        place += 1
    save_file(tensors, path)
    return path


def test_vgg_features_are_those_before_each_pooling(vgg16):
    network = feature_network(str(vgg16))
    assert sum(parameter.numel() for parameter in network.parameters()) == 14_714_688
    assert not any(parameter.requires_grad for parameter in network.parameters())
    image = torch.rand(1, 1, 32, 48, generator=torch.Generator().manual_seed(1))
    stages = network(image)
    assert [tuple(stage.shape[1:]) for stage in stages] == [
        *((64, 32, 48), (128, 16, 24), (256, 8, 12), (512, 4, 6), (512, 2, 3)),
    ]
    # The first layer by hand, on the gray level in ImageNet's colours.
    mean, deviation = (
        torch.tensor(values)[:, None, None]
        for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    first, second = network.features[0], network.features[2]
    maps = first((image.expand(-1, 3, -1, -1) - mean) / deviation).relu()
    torch.testing.assert_close(stages[0], second(maps).relu())


def test_the_default_is_the_encoder_of_densefuse_at_three_scales():
    network = feature_network(None)
    image = torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(1))
    stages = network(image)
    assert [tuple(stage.shape) for stage in stages] == [
        *((2, 64, 32, 48), (2, 64, 16, 24), (2, 64, 8, 12)),
    ]
    half = torch.nn.functional.avg_pool2d(image, 2)
    torch.testing.assert_close(stages[1], network.model.encode(half) / 255)


def test_gradients_pass_through_the_features():
    image = torch.full((1, 1, 16, 16), 0.5, requires_grad=True)
    sum(stage.mean() for stage in feature_network(None)(image)).backward()
    assert image.grad.abs().sum() > 0


def test_files_that_hold_no_vgg_are_named(tmp_path, vgg16):
    with pytest.raises(NoInputError, match=r"none\.safetensors: No such file"):
        feature_network(str(tmp_path / "none.safetensors"))
    other, broken = tmp_path / "other.safetensors", tmp_path / "broken.safetensors"
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, other)
    broken.write_bytes(b"not safetensors")
    shapes = {key: torch.zeros(1) for key in VGG16Features().state_dict()}
    wrong = tmp_path / "wrong.safetensors"
    save_file(shapes, wrong)
    for path in (other, broken, wrong):
        with pytest.raises(DataError, match=f"{path.name} does not hold a VGG-16") as error:
            feature_network(str(path))
        assert "\n" not in str(error.value)
