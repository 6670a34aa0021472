import hashlib
import re
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest
import torch

from fusionprep.errors import DataError, UsageError
from fusionprep.modalities import CT, PET
from fusionprep.models import weights
from fusionprep.models.registry import check_labels, get_model, model_names

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def images():
    """Smooth random pairs with sides that are odd, even and not equal."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 1, 9, 8, generator=generator)
    return [
        torch.nn.functional.interpolate(image, size=(43, 38), mode="bilinear") for image in coarse
    ]


def test_the_registry_and_the_command_line_do_not_import_torch():
    code = "import sys, fusionprep.cli; print({'torch', 'matplotlib', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_labels_are_distinct_and_fit_into_desc():
    labels = [get_model(name).label for name in model_names()]
    assert len(set(labels)) == len(labels)
    assert all(re.fullmatch("[A-Z][A-Za-z0-9]+", label) for label in labels)


def test_an_unknown_model_is_refused_with_the_names_there_are():
    with pytest.raises(UsageError, match=", ".join(model_names())):
        get_model("densfuse")


@pytest.mark.parametrize("name", model_names())
def test_every_model_keeps_shape_and_range_and_treats_slices_alone(name, images):
    model = get_model(name).load()
    with torch.inference_mode():
        fused = model(*images)
        alone = model(*(image[1:2] for image in images))
    assert fused.shape == images[0].shape
    assert fused.dtype == torch.float32
    assert fused.min() >= 0
    assert fused.max() <= 1
    torch.testing.assert_close(fused[1:2], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "name", [name for name in model_names() if get_model(name).anatomical_input == "image"]
)
def test_an_image_fused_with_itself_comes_back(name, images):
    model = get_model(name).load()
    with torch.inference_mode():
        fused = model(images[0], images[0])
    # An auto-encoder is nearly the identity; networks that were trained on pairs never saw equal
    # images, and raise their contrast; a power mean brightens what both images have.
    tolerances = {
        None: (1e-5, 1e-5),
        "densefuse": (0.05, 0.01),
        "dsagan": (0.25, 0.09),
        "selfuse": (0.22, 0.09),
        "readfuse": (1e-6, 1e-6),
        "coconet": (0.22, 0.07),
    }
    largest, mean = tolerances.get(get_model(name).weights, (0.2, 0.06))
    assert (fused - images[0]).abs().max() < largest
    assert (fused - images[0]).abs().mean() < mean


@pytest.mark.parametrize("name", [name for name in model_names() if get_model(name).weights])
def test_a_card_describes_the_weights_that_are_loaded(name):
    entry = get_model(name)
    card = weights.read_card(entry.weights)
    model = entry.load()
    path = resources.files("fusionprep") / "data" / "weights" / f"{entry.weights}.safetensors"
    assert entry.weights_sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert entry.parameters() == sum(parameter.numel() for parameter in model.parameters())
    assert card["version"] == entry.version
    assert not model.training
    patients = {"train": set(), "val": set()}
    for part in card["training_data"]["sets"]:
        patients[part["split"]] |= set(part["patients"])
    assert patients["train"]
    assert patients["val"]
    assert not patients["train"] & patients["val"]


def test_a_ct_is_fused_with_weights_of_its_own():
    entry = get_model("readfuse")
    assert entry.of(PET) is entry
    of_ct = entry.of(CT)
    assert of_ct.label == entry.label
    assert of_ct.weights_sha256() != entry.weights_sha256()
    assert type(of_ct.load()).__name__ == "ReadFuseCT"
    assert get_model("unet").of(CT) is get_model("unet")


def test_weights_that_are_not_those_of_the_card_are_refused(tmp_path, monkeypatch):
    source = resources.files("fusionprep") / "data" / "weights"
    content = bytearray((source / "densefuse.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "densefuse.safetensors").write_bytes(content)
    (tmp_path / "densefuse.json").write_bytes((source / "densefuse.json").read_bytes())
    monkeypatch.setattr(weights, "_weights_file", lambda name: tmp_path / name)
    with pytest.raises(DataError, match="SHA-256 differs"):
        get_model("densefuse").load()


def test_missing_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "_weights_file", lambda name: tmp_path / name)
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "densefuse.safetensors"))):
        get_model("densefuse").load()


def test_average_and_maximum_are_what_they_say():
    first, second = torch.full((1, 1, 4, 4), 0.2), torch.full((1, 1, 4, 4), 0.8)
    assert np.allclose(get_model("average").load()(first, second), 0.5)
    assert np.allclose(get_model("max").load()(first, second), 0.8)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["FLAIRAverage"], "begins with a modality"),
        (["CTMax"], "begins with a modality"),
        (["MaxColor"], "ends with Color"),
        (["Dense-Fuse"], "letters and digits only"),
        (["Max", "Average", "Max"], "two models have the label 'Max'"),
    ],
)
def test_labels_that_would_make_a_name_ambiguous_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        check_labels(labels)
