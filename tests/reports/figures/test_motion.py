"""The figure of motion between frames."""

import xml.etree.ElementTree as ElementTree

import pytest

from fusionprep.image.motion import PARAMETERS
from fusionprep.reports.figures.frames import Timing
from fusionprep.reports.figures.motion import plot_motion

NAMES = (*PARAMETERS, "framewise_displacement", "standard_error")
ROWS = [
    dict(zip(NAMES, ("0", "0", "0", "0", "0", "0", "n/a", "n/a"), strict=True)),
    dict(zip(NAMES, ("1", "-2", "0.5", "0.1", "0", "0", "8.5", "0.2"), strict=True)),
    dict(zip(NAMES, ("1", "-2", "0.5", "0.1", "0", "0", "0", "0.1"), strict=True)),
]
TIMED = Timing.from_seconds([0, 60, 180], [60, 120, 300])


def words(path) -> str:
    return " ".join(ElementTree.parse(path).getroot().itertext())


def test_motion_is_drawn_over_time_and_carried_frames_are_told(tmp_path):
    drawn = words(plot_motion(ROWS, TIMED, tmp_path / "motion.svg"))
    assert "Motion between frames, corrected" in drawn
    assert "Rotation about its middle (degrees)" in drawn
    assert "place of the nearest frame" in drawn
    assert "(min)" in drawn


@pytest.mark.parametrize("count", [1, 2])
def test_a_head_at_rest_without_times(tmp_path, count):
    path = plot_motion(
        ROWS[1 : 1 + count], Timing(None, None), tmp_path / "motion.svg", corrected=False
    )
    drawn = words(path)
    assert "not corrected" in drawn
    assert "place of the nearest frame" not in drawn
    assert "Frame number" in drawn


def test_a_table_of_nothing_is_drawn(tmp_path):
    rows = [dict.fromkeys(NAMES, "n/a")] * 3
    assert plot_motion(rows, TIMED, tmp_path / "motion.svg").exists()
