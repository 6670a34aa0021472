"""What platforms read is well formed and of this version."""

import re
from pathlib import Path

import pytest
import yaml

from fusionprep import __version__
from tests.platforms.conftest import PLATFORMS

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github").rglob("*.yml"))
# Where an image is named, so that a release cannot forget one.
IMAGES = [
    PLATFORMS / "apptainer" / "fusionapp.def",
    PLATFORMS / "boutiques.json",
    PLATFORMS / "brainlife" / "main",
    ROOT / "docs" / "tasks" / "container.md",
]


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_image_is_of_this_version(path):
    named = re.findall(r"ghcr\.io/fusionprep/fusionapp:([\w.-]+)", path.read_text("utf-8"))
    assert named
    assert set(named) == {__version__}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_yaml_of_github(path):
    assert isinstance(yaml.safe_load(path.read_text("utf-8")), dict)


def test_actions_are_pinned_and_rights_are_least():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = path.read_text("utf-8")
        workflow = yaml.safe_load(text)
        assert workflow["permissions"] == {"contents": "read"}, path
        for action in re.findall(r"uses: (\S+)", text):
            assert action.startswith("./") or re.search(
                r"@(v\d+|release/v\d+|[0-9a-f]{40})$", action
            )
        for name, job in workflow["jobs"].items():
            assert "uses" in job or "timeout-minutes" in job, name


def test_entry_of_the_listing():
    text = (PLATFORMS / "bids-apps-listing.md").read_text("utf-8")
    (entry,) = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    assert entry["ci"] == "gh"
    # the badge shows the workflow of this name on this branch
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    assert entry["workflow"] == workflow["name"]
    assert entry["branch"] in workflow[True]["push"]["branches"]  # YAML 1.1 reads `on` as true
