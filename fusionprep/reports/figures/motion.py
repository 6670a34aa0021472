"""The figure of motion of the head between the frames of a dynamic PET."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fusionprep.image.motion import PARAMETERS
from fusionprep.reading import cell_number
from fusionprep.reports.figures import svg
from fusionprep.reports.figures.axes import Axis, grid, line
from fusionprep.reports.figures.frames import Timing

_AXES = ("x (left to right)", "y (back to front)", "z (feet to head)")
_COLOURS = ("#56B4E9", "#F0B323", "#22C990")
_CARRIED, _CARRIED_COLOUR = "place of the nearest frame", "#8a8f94"
_HEIGHT, _LEFT = 210, 90


def plot_motion(
    rows: Sequence[Mapping[str, str]],
    timing: Timing,
    out_svg: Path,
    *,
    corrected: bool = True,
) -> Path:
    """Draw shifts, rotations and framewise displacement over time.

    Parameters
    ----------
    rows
        Of the table of motion, one for each frame: shifts in mm, rotations in radians,
        ``framewise_displacement`` and ``standard_error`` in mm. Frames without a standard error
        have the place of another and are shaded.
    timing
        Of the frames.
    out_svg
        File to write.
    corrected
        Whether frames are aligned by it.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    names = (*PARAMETERS, "framewise_displacement", "standard_error")
    columns = {name: np.array([cell_number(row.get(name)) for row in rows]) for name in names}
    for name in PARAMETERS[3:]:
        columns[name] = np.degrees(columns[name])
    panels = {
        "Shift of the brain (mm)": dict(zip(_AXES, PARAMETERS[:3], strict=True)),
        "Rotation about its middle (degrees)": dict(zip(_AXES, PARAMETERS[3:], strict=True)),
        "Framewise displacement (mm)": {"": "framewise_displacement"},
    }
    carried = np.flatnonzero(np.isnan(columns["standard_error"]))
    told = "corrected" if corrected else "not corrected"
    body = [svg.text(f"Motion between frames, {told}", svg.MARGIN, 29, "title")]
    if len(carried):
        body.append(svg.legend({_CARRIED: _CARRIED_COLOUR}, svg.WIDTH - svg.MARGIN, 29))
    y = float(svg.HEADER)
    for title, lines in panels.items():
        body += _panel(
            title, {name: columns[key] for name, key in lines.items()}, timing, carried, y
        )
        y += _HEIGHT + 52
    body.append(svg.text(_time_title(timing), (_LEFT + svg.WIDTH) / 2, y, anchor="middle"))
    document = svg.document(body, y + svg.MARGIN, "Motion of the head between frames")
    Path(out_svg).write_text(document, encoding="utf-8")
    return Path(out_svg)


def _time_title(timing: Timing) -> str:
    if timing.starts is None:
        return "Frame number: the dataset gives no times"
    return "Time from the start given in the sidecar (min)"


def _panel(
    title: str,
    lines: Mapping[str, np.ndarray],
    timing: Timing,
    carried: np.ndarray,
    top: float,
) -> list[str]:
    count = len(next(iter(lines.values())))
    if known := timing.starts is not None and timing.ends is not None:
        begins, ends = np.array(timing.starts), np.array(timing.ends)
    else:
        begins, ends = np.arange(count) + 0.5, np.arange(count) + 1.5
    values = np.concatenate(list(lines.values()))
    values = values[np.isfinite(values)]
    # motion of less than half a millimetre or degree is not drawn large
    low, high = min(values.min(initial=0), -0.5 * (len(lines) > 1)), max(values.max(initial=0), 0.5)
    margin = 0.05 * (high - low)
    across = Axis(float(begins.min()), float(ends.max()), _LEFT, svg.WIDTH - svg.MARGIN - 10)
    up = Axis(low - margin * (low < 0), high + margin, top + _HEIGHT, top + 34)
    body = [svg.text(title, svg.MARGIN, top + 18, "title")]
    for index in carried:
        left, right = (float(across(edge[index])) for edge in (begins, ends))
        body.append(
            f'<rect x="{left:.1f}" y="{up.end:.1f}" width="{right - left:.1f}"'
            f' height="{up.begin - up.end:.1f}" fill="{_CARRIED_COLOUR}" fill-opacity="0.3"/>\n'
        )
    body += grid(across, up, whole=not known)
    for colour, series in zip(_COLOURS, lines.values(), strict=False):
        body.append(line(across((begins + ends) / 2), up(series), colour))
    if len(lines) > 1:
        legend = dict(zip(lines, _COLOURS, strict=True))
        body.append(svg.legend(legend, svg.WIDTH - svg.MARGIN, top + 18))
    return body
