"""A user's VGG-19 in the ensemble."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from fusionprep.cli import main
from fusionprep.errors import DataError, NoInputError
from fusionprep.models.nets.vgg import VGG19_COUNTS, VGG19_WIDTHS, VGGFeatures
from fusionprep.models.nets.vgg19 import join_vgg19
from fusionprep.models.nets.vggsiamese import VGGSiamese
from fusionprep.models.registry import get_model

torch.set_num_threads(1)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def tensors():
    """A VGG-19 of random weights, with a classifier to be ignored."""
    torch.manual_seed(0)
    return VGGFeatures(VGG19_WIDTHS, VGG19_COUNTS).state_dict() | {
        "classifier.0.weight": torch.zeros(2, 2)
    }


@pytest.fixture(scope="module")
def vgg19(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg19.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture
def own(write_weights):
    return write_weights("vggsiamese", version="2.0.0")


def test_the_joined_weights_are_the_vgg19_and_the_rest_of_the_ensemble(
    vgg19, tensors, own, tmp_path
):
    path, shipped = own
    out = tmp_path / "joined.safetensors"
    words = ["join-vgg19", vgg19, "--sha256", sha256(vgg19)[:12].upper(), "--weights", path]
    assert main([*map(str, words), "-o", str(out)]) == 0
    joined = load_file(out)
    for name, tensor in joined.items():
        source = name.removeprefix("vgg.vgg.")
        expected = shipped.state_dict()[name] if source == name else tensors[source]
        assert torch.equal(tensor, expected), name
    entry = get_model("vggsiamese", out)
    assert entry.parameters() == 20_024_384 + 125_442 + 2_769
    identity = entry.identity()
    assert identity["WeightsSHA256"] == sha256(out)
    assert identity["Version"] == f"2.0.0+vgg19.{sha256(vgg19)[:8]}"
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["joined"] == {"vgg19": sha256(vgg19), "vggsiamese": sha256(path)}
    images = torch.rand(2, 1, 1, 32, 40, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        fused, before = entry.load()(*images), shipped(*images)
    assert fused.shape == images[0].shape
    assert (fused - before).abs().max() > 1e-3


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_as_torchvision_has_it_is_read(tensors, own, tmp_path, zipped):
    path, _ = own
    file, out = tmp_path / "vgg19.pth", tmp_path / "joined.safetensors"
    torch.save(tensors, file, _use_new_zipfile_serialization=zipped)
    join_vgg19(file, out, sha256=sha256(file)[:8], own_weights=path)
    assert torch.equal(load_file(out)["vgg.vgg.features.34.weight"], tensors["features.34.weight"])


def test_another_file_than_torchvisions_needs_its_digits(vgg19, own, tmp_path, capsys):
    out = tmp_path / "joined.safetensors"
    assert main(["join-vgg19", str(vgg19), "-o", str(out)]) == 1
    error = capsys.readouterr().err
    assert f"begins with {sha256(vgg19)[:8]}, not with dcbb9e9d" in error
    assert error.count("\n") == 1
    assert not out.exists()


class Danger:
    def __reduce__(self):
        return print, ("unpickled",)


def test_nothing_but_tensors_is_read(own, tmp_path, capsys):
    file, out = tmp_path / "vgg19.pth", tmp_path / "joined.safetensors"
    torch.save({"features.0.weight": Danger()}, file)
    with pytest.raises(DataError, match=r"vgg19\.pth does not hold a VGG-19"):
        join_vgg19(file, out, sha256=sha256(file), own_weights=own[0])
    assert "unpickled" not in capsys.readouterr().out


def test_what_is_no_vgg19_is_said_in_one_line(tensors, own, tmp_path):
    lacking = {name: tensor for name, tensor in tensors.items() if name != "features.34.bias"}
    shape = tensors | {"features.2.bias": torch.zeros(3)}
    cases = {
        "lacking.safetensors": (lacking, "no tensor features.34.bias"),
        "shape.safetensors": (shape, "features.2.bias"),
        "text.safetensors": (b"weights", "does not hold a VGG-19"),
        "text.pth": (b"weights", "does not hold a VGG-19"),
        "list.pth": ([torch.zeros(1)], "not a table of tensors"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, list):
            torch.save(content, path)
        else:
            save_file(content, path)
        with pytest.raises(DataError, match=message) as caught:
            join_vgg19(path, tmp_path / "out.safetensors", sha256=sha256(path), own_weights=own[0])
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(NoInputError, match=r"cannot read the VGG-19 .*none\.pth"):
        join_vgg19(tmp_path / "none.pth", tmp_path / "out.safetensors", own_weights=own[0])


def test_own_weights_may_have_the_papers_width(tmp_path):
    path = tmp_path / "full.safetensors"
    torch.manual_seed(0)
    model = VGGSiamese()
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    entry = get_model("vggsiamese", path)
    assert entry.parameters() == sum(parameter.numel() for parameter in model.parameters())
    assert isinstance(entry.load(), VGGSiamese)
