"""What the site is built with: links between the repository and the site, tables from the code."""

import importlib.util
import logging

import pytest

from bids_app.parser import build_parser
from fusionprep import cli
from fusionprep.commands import COMMANDS
from fusionprep.models.registry import model_names
from fusionprep.tracers import TRACERS
from tests.docs.blocks import ROOT


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("[a](docs/input.md#x)", "README.md", "[a](input.md#x)"),
        ("![a](docs/images/report.webp)", "README.md", "![a](images/report.webp)"),
        ("[a](../README.md)", "docs/input.md", "[a](index.md)"),
        ("[a](../../README.md#b)", "docs/pet/suvr.md", "[a](../index.md#b)"),
        ("[a](#b)", "docs/input.md", "[a](#b)"),
        ("[a](https://niivue.com)", "docs/input.md", "[a](https://niivue.com)"),
    ],
)
def test_links_are_those_of_the_site(hooks, text, source, expected):
    assert hooks.with_links(text, source) == expected


def test_a_file_that_is_no_page_is_linked_in_the_repository(hooks, caplog):
    text = hooks.with_links("[a](../fusionprep/tracers.py)", "docs/input.md")
    assert text == f"[a]({hooks.REPOSITORY}fusionprep/tracers.py)"
    assert not caplog.records


def test_a_file_that_does_not_exist_is_a_warning(hooks, caplog):
    with caplog.at_level(logging.WARNING):
        hooks.with_links("[a](../nowhere.py)", "docs/input.md")
    assert "docs/input.md has a link to nowhere.py" in caplog.text


def test_every_option_is_in_the_table(hooks):
    table = "\n".join(hooks.options("fusionapp", ""))
    for action in build_parser()._actions:
        for name in action.option_strings:
            if name.startswith("--") and "_" not in name and name not in ("--help", "--version"):
                assert f"`{name}`" in table
    assert "`--device` | auto takes a GPU" in table
    assert "`auto`, `cpu`, `cuda`" in table


def test_every_option_with_a_page_of_its_own_is_one(hooks):
    known = {name for action in build_parser()._actions for name in action.option_strings}
    assert set(hooks.SECTIONS) <= known


def test_every_command_is_on_the_page_of_commands():
    text = (ROOT / "docs" / "commands.md").read_text("utf-8")
    (commands,) = (a for a in cli.build_parser()._actions if a.dest == "==SUPPRESS==" or a.choices)
    assert len(commands.choices) == len(COMMANDS)
    for name in commands.choices:
        assert f"\n## {name}\n" in text


def test_tracers_and_models_are_those_of_the_code(hooks):
    table = "\n".join(hooks.tracers())
    assert "| [18F]FDG | 30 to 60 | `whole-brain`, `pons`," in table
    assert sum(bool(t.window or t.regions) for t in TRACERS) == table.count("\n") - 1
    assert "\n".join(hooks.models()).count("\n") == len(model_names()) + 1
