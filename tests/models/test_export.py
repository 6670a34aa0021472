import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import fusionprep
from fusionprep.cli import main
from fusionprep.errors import OutputError, UsageError
from fusionprep.models.export import SMALLEST_SIDE, write_onnx
from fusionprep.models.nets.arithmetic import Average
from fusionprep.models.registry import get_model, model_names

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SLOW = ("laplacian", "matr", "guided", "ifcnn_mean", "ifcnn_sum", "densefuse_add", "pca", "dmfnet")
SHAPES = ((1, SMALLEST_SIDE, SMALLEST_SIDE), (3, 47, 65), (2, 96, 48))


def build(name):
    """The model with random weights: what is exported is the network, whatever it has learnt."""
    torch.manual_seed(0)
    return get_model(name).build().eval()


def run_onnx(path, anatomical, functional):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = {"anatomical": anatomical.numpy(), "functional": functional.numpy()}
    return session.run(["fused"], inputs)[0]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
        for name in model_names()
        if name != "wavelet"
    ],
)
def test_the_exported_model_computes_the_same_at_any_size(tmp_path, name):
    model = build(name)
    write_onnx(model, tmp_path / "model.onnx", {})
    generator = torch.Generator().manual_seed(1)
    for count, *sides in SHAPES:
        images = torch.rand(2, count, 1, *sides, generator=generator)
        images[..., :7, :] = 0
        with torch.inference_mode():
            expected = model(*images).numpy()
        assert np.ptp(expected) > 0.001
        fused = run_onnx(tmp_path / "model.onnx", *images)
        np.testing.assert_allclose(fused, expected, atol=1e-5)


def test_the_file_says_what_it_is(tmp_path):
    out = tmp_path / "densefuse.onnx"
    assert main(["export-onnx", "densefuse", "-o", str(out)]) == 0
    entry = get_model("densefuse")
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert (metadata["name"], metadata["version"]) == ("densefuse", entry.version)
    assert metadata["weights_sha256"] == entry.weights_sha256()
    assert "in 0..1" in metadata["anatomical"]
    assert "not for diagnosis" in metadata["intended_use"]
    assert [node.name for node in session.get_inputs()] == ["anatomical", "functional"]
    images = torch.rand(2, 1, 1, 50, 60, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = entry.load()(*images).numpy()
    np.testing.assert_allclose(run_onnx(out, *images), expected, atol=1e-5)
    # Where the sources lie on this machine stays out of the file.
    assert str(Path(fusionprep.__file__).parents[1]).encode() not in out.read_bytes()


def test_own_weights_are_exported(tmp_path, write_weights):
    weights, model = write_weights("unet")
    out = tmp_path / "unet.onnx"
    assert main(["export-onnx", "unet", "--weights", str(weights), "-o", str(out)]) == 0
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert metadata["version"] == "unknown"
    images = torch.rand(2, 1, 1, 48, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = model(*images).numpy()
    np.testing.assert_allclose(run_onnx(out, *images), expected, atol=1e-5)


def test_a_model_outside_torch_is_refused(tmp_path, capsys):
    assert main(["export-onnx", "wavelet", "-o", str(tmp_path / "wavelet.onnx")]) == 64
    error = capsys.readouterr().err
    assert error == (
        "fusionprep: Wavelet cannot be exported to ONNX: it does not consist of tensor operations "
        "alone; choose another model\n"
    )
    assert not any(tmp_path.iterdir())


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"needs onnxscript; .*'fusionprep\[onnx\]'"):
        write_onnx(Average(), tmp_path / "average.onnx", {})


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"average\.onnx"):
        write_onnx(Average(), tmp_path / "file" / "average.onnx", {})
