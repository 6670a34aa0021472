"""Figures of regions: what is drawn of the numbers, and the colours on the T1w."""

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from fusionprep.reports.figures.regional import MOST_ROWS, plot_atlas, plot_regions, side_of
from tests.reports.outputs import brain


def row(name: str, suvr: str = "1.5", **more: str) -> dict[str, str]:
    values = {"volume-mm3": "100", "mean": "30", "sd": "3", "suv": "n/a"}
    return {"name": name, "suvr": suvr, **values, **more}


def bars(path) -> list[float]:
    """Widths of the bars in the order of the figure."""
    root = ElementTree.parse(path).getroot()
    rects = [item for item in root.iter() if item.tag.endswith("rect")][1:]
    return [float(item.get("width")) for item in rects]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ctx-lh-precuneus", ("ctx-precuneus", "left")),
        ("ctx-rh-precuneus", ("ctx-precuneus", "right")),
        ("Right-Putamen", ("Putamen", "right")),
        ("7Networks_LH_Vis_1", ("7Networks_Vis_1", "left")),
        ("Frontal_Sup_R", ("Frontal_Sup", "right")),
        ("Brain-Stem", ("Brain-Stem", "neither")),
        ("Lingual", ("Lingual", "neither")),
        ("L", ("L", "neither")),
    ],
)
def test_sides_by_names(name, expected):
    assert side_of(name) == expected


def test_bars_are_as_long_as_their_values(tmp_path):
    values = [row("Left-A", "2.0"), row("Right-A", "1.0"), row("B", "0.5"), row("C", "n/a")]
    path = plot_regions(values, tmp_path / "a.svg", atlas_name="my <atlas>")
    left, right, single = bars(path)
    assert left / right == pytest.approx(2, rel=0.01)
    assert single / right == pytest.approx(0.5, rel=0.01)
    text = path.read_text()
    assert "SUVR in the regions of my &lt;atlas&gt;" in text
    assert "without value: 1" in text


def test_without_suvr_the_suv_and_without_it_the_activity_is_drawn(tmp_path):
    path = plot_regions([row("A", "n/a", suv="4")], tmp_path / "a.svg")
    assert "SUV (g/mL)" in path.read_text()
    path = plot_regions([row("A", "n/a")], tmp_path / "a.svg", units="Bq/mL")
    assert "Mean activity (kBq/mL)" in path.read_text()
    path = plot_regions([row("A", "n/a", mean="n/a")], tmp_path / "a.svg")
    assert not bars(path)


def test_of_very_many_regions_the_largest_are_drawn(tmp_path):
    values = [row(f"parcel {i}", **{"volume-mm3": str(i)}) for i in range(400)]
    path = plot_regions(values, tmp_path / "a.svg")
    assert len(bars(path)) == MOST_ROWS
    assert f"{MOST_ROWS} of 400 regions" in path.read_text()
    assert "parcel 399" in path.read_text()
    assert ">parcel 3<" not in path.read_text()


@pytest.mark.parametrize("known", [True, False])
def test_curves(tmp_path, known):
    times = {"frame_start": "60", "frame_end": "180"} if known else {}
    times = {"frame_start": "n/a", "frame_end": "n/a", **times}
    curves = [
        times | {"A": "1", "B": "n/a", "C": "4"},
        times | {"A": "3", "B": "n/a", "C": "n/a"},
    ]
    path = plot_regions([row("A")], tmp_path / "a.svg", curves=curves)
    text = path.read_text()
    assert text.count("<circle") == 3
    assert ("Time from the start" in text) == known
    assert ("Frame number" in text) != known
    assert not re.search(r"nan", text)


def test_labels_are_in_colour_on_the_t1w(tmp_path):
    images = brain()
    path = plot_atlas(
        images["t1w"], images["dseg"], images["mask"], tmp_path / "a.svg", atlas_name="tissues"
    )
    text = path.read_text()
    assert text.count("<image") == 3
    ElementTree.fromstring(text)
    picture = base64.b64decode(re.search(r"base64,([^\"]+)", text)[1])
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    coloured = np.ptp(pixels, axis=-1) > 60
    assert 0.1 < coloured.mean() < 0.9
