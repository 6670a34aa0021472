"""The official BIDS validator, as a judge of datasets that tests wrote."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest


def issues(dataset: Path, severities: Sequence[str] = ("error", "warning")) -> list[dict]:
    """What it has to say of these severities; skips the test where it is not installed."""
    validator = shutil.which("bids-validator-deno", path=str(Path(sys.executable).parent))
    if validator is None:
        pytest.skip("bids-validator-deno is not installed")
    done = subprocess.run(
        [validator, "--format", "json", dataset], capture_output=True, check=False
    )
    found = json.loads(done.stdout)["issues"]["issues"]
    return [issue for issue in found if issue["severity"] in severities]
