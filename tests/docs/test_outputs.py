"""The page of outputs names every file that a run writes."""

import re

from tests.docs.blocks import ROOT

# What differs from run to run, or is said once for several files.
SAME = (
    (r"DenseFuse|GMPET(Prob)?", "ReadFuse"),
    (r"label-(WM|CSF)", "label-GM"),
    (r"_mode-image_xfm$", ""),
    (r"(sub|trc|space|res)-[A-Za-z0-9]+_", ""),
)


def test_every_output_is_named():
    text = (ROOT / "docs" / "outputs.md").read_text("utf-8")
    files = (ROOT / "tests" / "data" / "demo_outputs.txt").read_text("utf-8").split()
    missing = set()
    for file in files:
        if "/figures/" in file or "group_figures" in file:
            continue
        name = file.rpartition("/")[2].partition(".")[0]
        for pattern, same in SAME:
            name = re.sub(pattern, same, name)
        if name and name not in text:
            missing.add(f"{file}: {name}")
    assert not missing
