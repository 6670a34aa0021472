"""The page of a benchmark in a browser."""

import numpy as np
import pytest
from PIL import Image

from fusionprep.evaluation.benchmark import BenchmarkRequest, run_benchmark
from fusionprep.evaluation.benchmark_report import html_page
from fusionprep.evaluation.summary import summarise


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A benchmark of one pair, whose folder has a name of 200 characters."""
    root = tmp_path_factory.mktemp("benchmark")
    pairs = root / ("M" * 200) / "val"
    random = np.random.default_rng(0)
    for side in ("mri", "pet"):
        (pairs / side).mkdir(parents=True)
        noise = random.integers(0, 255, (64, 64)).astype(np.uint8)
        Image.fromarray(noise).save(pairs / side / "first.png")
    request = BenchmarkRequest((pairs,), ("average", "max"), metrics=("MI", "EN"))
    path = root / "summary.html"
    path.write_text(html_page([summarise(scores) for scores in run_benchmark(request)]), "utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_widens_the_page_or_bars_the_way(page, visit, width):
    visited = visit(page, width=width)
    assert "M" * 200 in visited.page.inner_text("main")
    assert visited.too_wide() == []
    assert visited.violations() == []
