"""What is packed says the same wherever it says it."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONDA = {"matplotlib": "matplotlib-base", "torch": "pytorch"}


def test_the_conda_recipe_asks_for_what_the_package_does():
    recipe = (ROOT / "recipe" / "meta.yaml").read_text("utf-8")
    block = re.search(r"\n  run:\n((?:    - .*\n)+)", recipe)[1]
    asked = set(re.findall(r"    - (.*)", block))
    needs = map(Requirement, PROJECT["project"]["dependencies"])
    wanted = {f"{CONDA.get(need.name, need.name).lower()} {need.specifier}" for need in needs}
    assert asked == wanted | {f"python {PROJECT['project']['requires-python']}"}
    for name, target in PROJECT["project"]["scripts"].items():
        assert f"    - {name} = {target}\n" in recipe


def test_the_package_says_that_it_has_types():
    assert (ROOT / "fusionprep" / "py.typed").is_file()
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["fusionprep"]


@pytest.mark.parametrize("parser", ["bids_app.parser.build_parser", "fusionprep.cli.build_parser"])
def test_parsers_that_the_shell_completes_by_are_where_the_documentation_says(parser):
    module, name = parser.rsplit(".", 1)
    assert f" {parser} > " in (ROOT / "docs" / "getting-started.md").read_text("utf-8")
    source = (ROOT / (module.replace(".", "/") + ".py")).read_text("utf-8")
    assert f"\ndef {name}()" in source
