"""Fixtures every test may use."""

import hashlib
import json
import os
from pathlib import Path

import pytest

# once for all folders: a process can start one browser
from tests.browser.visits import chromium, visit  # noqa: F401


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images that are not part of the repository; tests that need them skip without."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FUSIONPREP_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real images are not at {folder}; set FUSIONPREP_SHARED_DATA")
    return folder


@pytest.fixture
def write_weights(tmp_path):
    """Writes random weights of a model, as a training run would; returns their file and the model.

    The card beside them names the version; without a version there is no card.
    """
    import safetensors.torch
    import torch

    from fusionprep.models.registry import get_model

    def write(name, *, seed=0, version=None):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = get_model(name).build().eval()
        content = safetensors.torch.save(model.state_dict())
        path = tmp_path / "own" / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        card = path.with_suffix(".json")
        card.unlink(missing_ok=True)
        if version is not None:
            digest = hashlib.sha256(content).hexdigest()
            card.write_text(json.dumps({"version": version, "sha256": digest}))
        return path, model

    return write
