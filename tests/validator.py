"""The official BIDS validator, as a judge of datasets that tests wrote."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest


def issues(dataset: Path, severities: Sequence[str] | None = ("error", "warning")) -> list[dict]:
    """What it has to say of these severities (None: of any), and its exit code agrees.

    Skips the test where it is not installed.
    """
    validator = shutil.which("bids-validator-deno", path=str(Path(sys.executable).parent))
    if validator is None:
        pytest.skip("bids-validator-deno is not installed")
    done = subprocess.run(
        [validator, "--format", "json", dataset], capture_output=True, check=False
    )
    found = json.loads(done.stdout)["issues"]["issues"]
    assert (done.returncode == 0) == all(issue["severity"] != "error" for issue in found)
    return [issue for issue in found if severities is None or issue["severity"] in severities]
