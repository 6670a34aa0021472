"""Weights of a user's own training in place of the packaged ones."""

import hashlib
import os

import pytest
import safetensors.torch
import torch

from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.models.registry import get_model


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["densefuse", "densefuse_add", "ifcnn", "u2fusion", "unet"])
def test_own_weights_are_the_ones_that_run(name, write_weights):
    path, expected = write_weights(name)
    entry = get_model(name, path)
    model = entry.load()
    images = torch.rand(2, 1, 1, 40, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(model(*images), expected(*images))
    assert not model.training
    assert entry.weights_sha256() == sha256(path)
    assert entry.parameters() == sum(parameter.numel() for parameter in model.parameters())
    assert (entry.name, entry.label) == (name, get_model(name).label)


def test_the_card_gives_the_version(write_weights):
    path, _ = write_weights("unet", version="7.1")
    identity = get_model("unet", path).identity()
    assert identity == {
        "Name": "unet", "Label": "UNet", "Version": "7.1", "WeightsSHA256": sha256(path),
        "WeightsFile": "unet.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize("text", [None, "[]", '{"Description": "of a fused image"}'])
def test_without_a_card_the_version_is_unknown(write_weights, text):
    path, _ = write_weights("unet")
    if text is not None:
        path.with_suffix(".json").write_text(text)
    identity = get_model("unet", path).identity()
    assert identity["Version"] is None
    assert identity["WeightsSHA256"] == sha256(path)


def test_packaged_weights_are_no_own_ones():
    assert "WeightsFile" not in get_model("densefuse").identity()
    assert get_model("average").identity()["WeightsSHA256"] is None


def test_a_card_of_other_weights_is_refused(write_weights):
    path, _ = write_weights("unet", version="1.0.0")
    card = path.with_suffix(".json").read_bytes()
    write_weights("unet", seed=1)
    path.with_suffix(".json").write_bytes(card)
    with pytest.raises(DataError, match=r"card unet\.json beside it describes \(SHA-256 differs"):
        get_model("unet", path)


def test_weights_that_change_after_they_were_checked_are_refused(write_weights):
    path, _ = write_weights("unet")
    entry = get_model("unet", path)
    before = path.stat()
    write_weights("unet", seed=1)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    with pytest.raises(DataError, match="SHA-256 differs"):
        entry.load()
    path.unlink()
    with pytest.raises(DataError, match="cannot read the weights"):
        entry.load()


@pytest.mark.parametrize("name", ["average", "wavelet"])
def test_a_model_without_weights_takes_none(name, write_weights):
    path, _ = write_weights("unet")
    with pytest.raises(UsageError, match=rf"{name} has no weights"):
        get_model(name, path)


def broken_files(folder, tensors):
    """Files that are not weights of a U-Net, each with its error."""
    first, *others = tensors
    renamed = {f"module.{key}": tensor for key, tensor in tensors.items()}
    wide = tensors | {first: tensors[first].repeat(2, *[1] * (tensors[first].ndim - 1))}
    cases = {
        "empty": (b"", DataError, "is an empty file"),
        "text": (b"weights", DataError, "is not a safetensors file"),
        "lacking": ({key: tensors[key] for key in others}, DataError, f"no tensor {first};"),
        "more": (tensors | {"ema": tensors[first] + 1}, DataError, "unknown tensor ema;"),
        "renamed": (renamed, DataError, f"no tensor {first}, and {2 * len(tensors) - 1} more"),
        "wide": (wide, DataError, f"{first} has shape"),
    }
    for name, (content, error, message) in cases.items():
        path = folder / f"{name}.safetensors"
        path.write_bytes(content if isinstance(content, bytes) else safetensors.torch.save(content))
        yield path, error, message
    # A pickle can run any code when it is read.
    pickled = folder / "checkpoint.safetensors"
    torch.save(tensors, pickled)
    yield pickled, DataError, "is not a safetensors file"
    yield folder / "missing.safetensors", NoInputError, "No such file"
    yield folder, DataError, "is a folder, not a file"


def test_what_is_no_file_of_weights_is_said_in_one_line(write_weights, tmp_path):
    _, model = write_weights("unet")
    tensors = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
    for path, error, message in broken_files(tmp_path, tensors):
        with pytest.raises(error) as caught:
            get_model("unet", path)
        assert message in str(caught.value)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_weights_of_another_model_are_refused(write_weights):
    path, _ = write_weights("densefuse")
    with pytest.raises(DataError, match=r"does not hold weights of unet: no tensor .* more"):
        get_model("unet", path)


@pytest.mark.parametrize("content", [b"{", b"\xff"])
def test_a_broken_card_is_named(write_weights, content):
    path, _ = write_weights("unet")
    path.with_suffix(".json").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read the model card .*unet\.json"):
        get_model("unet", path)
