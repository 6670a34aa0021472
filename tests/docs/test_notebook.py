"""The tutorial runs, and is stored as it ran."""

import json
import os
import subprocess
import sys

import pytest

from tests.docs.blocks import ROOT

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
LARGEST = 500_000


@pytest.fixture(scope="module")
def cells():
    return json.loads(NOTEBOOK.read_text("utf-8"))["cells"]


def test_it_is_stored_with_its_figures(cells):
    assert NOTEBOOK.stat().st_size < LARGEST
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    kinds = [kind for cell in code for out in cell["outputs"] for kind in out.get("data", ())]
    assert kinds.count("image/jpeg") >= 4
    assert not [out for cell in code for out in cell["outputs"] if out["output_type"] == "error"]


@pytest.mark.slow
def test_it_runs():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbmake", str(NOTEBOOK)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
