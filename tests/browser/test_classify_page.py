"""The page of a classification in a browser."""

import pytest

from fusionprep.cli import main
from tests.classification.derivatives import write_derivatives


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Two classes, one with a long name, of three inputs with curves and maps."""
    folder = tmp_path_factory.mktemp("classify")
    root = write_derivatives(folder / "data", [0, 1] * 20, classes=("CN", "A" * 120))
    command = ["classify", "evaluate", str(root), "--out", str(folder), "--voxel", "2"]
    inputs = ("suvr", "suvr+gm", "age-sex")
    assert main([*command, "--inputs", *inputs, "--permutations", "20"]) == 0
    return folder / "report.html"


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_widens_the_page_or_bars_the_way(page, visit, width):
    visited = visit(page, width=width)
    assert "suvr+gm" in visited.page.inner_text("main")
    assert visited.too_wide() == []
    assert visited.violations() == []
