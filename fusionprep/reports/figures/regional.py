"""Figures of regions: an atlas on the T1w, and the uptake of its regions."""

import colorsys
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from fusionprep.reading import cell_number
from fusionprep.reports.figures import svg
from fusionprep.reports.figures.axes import Axis, grid, line, path, pauses, stroke
from fusionprep.reports.figures.slices import Plane, Volume, brain_planes, to_gray, window

Image = nib.spatialimages.SpatialImage

MOST_ROWS = 120
"""Regions, left and right in one row, that are drawn: those of the largest volume."""

CURVES = 8
"""Time-activity curves with a name, evenly spaced in the order of their mean; the others are
faint."""

_SLICES = {2: 7, 1: 7, 0: 6}
_OPACITY = 0.55
_SIDES = {"left": "#56B4E9", "right": "#F0B323", "neither": "#e8eaed"}
_CURVE_COLOURS = (
    *("#56B4E9", "#F0B323", "#22C990", "#E78AC3", "#e8eaed", "#D55E00", "#9aa0ff", "#c6e05a"),
)
_ROW, _NAME, _CURVES_HEIGHT, _LEFT = 19, 250, 340, 90
_LEFT_WORD, _RIGHT_WORD = r"left|lh|l", r"right|rh|r"
_SIDE = re.compile(rf"(^|[-_ .])({_LEFT_WORD}|{_RIGHT_WORD})(?=[-_ .]|$)", re.IGNORECASE)


def plot_atlas(
    t1w: Image, labels: Image, mask: Image, out_svg: Path, *, atlas_name: str = "the atlas"
) -> Path:
    """Draw the regions of an atlas in colour on the T1w.

    Parameters
    ----------
    t1w, labels, mask
        T1w, labels (0 outside) and brain mask, which chooses the slices.
    out_svg
        File to write.
    atlas_name
        What the atlas is called.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    anatomy, regions = Volume.from_image(t1w), Volume.from_image(labels)
    brain = Volume.of_mask(mask)
    planes = {axis: brain_planes(mask, axis, count) for axis, count in _SLICES.items()}
    flat = [plane for items in planes.values() for plane in items]
    sampled = {id(plane): anatomy.sample(plane) for plane in flat}
    low, high = window([*sampled.values()], [brain.sample(plane) for plane in flat])
    low = min(low, 0.0)
    body = [svg.text(f"Regions of {atlas_name}", svg.MARGIN, 29, "title")]
    y = float(svg.HEADER)
    for items in planes.values():
        tiles = [
            _coloured(to_gray(sampled[id(plane)], low, high), regions.sample(plane, order=0))
            for plane in items
        ]
        rows, columns = items[0].shape
        scale = (svg.WIDTH - 2 * svg.MARGIN) / (columns * len(items))
        body += [svg.raster_row(tiles, y, scale), _positions(items, y, scale)]
        y += rows * scale + svg.GAP
    document = svg.document(body, y + svg.MARGIN, f"Regions of {atlas_name} on the T1w")
    Path(out_svg).write_text(document, encoding="utf-8")
    return Path(out_svg)


def _coloured(gray: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Gray levels under the colours of labels, uint8 (rows, columns, 3)."""
    found, place = np.unique(labels, return_inverse=True)
    palette = np.array([_colour(int(label)) for label in found])
    under = np.repeat(gray[..., None].astype(float), 3, axis=-1)
    mixed = (1 - _OPACITY) * under + _OPACITY * palette[place.reshape(labels.shape)]
    return np.where((labels > 0)[..., None], mixed, under).round().astype(np.uint8)


def _colour(label: int) -> np.ndarray:
    """A colour of a label; that of FreeSurfer's left and right are the same."""
    # steps of the golden ratio keep the hues of successive labels apart
    hue = (label % 1000) * 0.61803398875 % 1.0
    return 255 * np.array(colorsys.hsv_to_rgb(hue, 0.75 if label % 2 else 0.95, 1.0))


def _positions(planes: Sequence[Plane], y: float, scale: float) -> str:
    rows, columns = planes[0].shape
    parts = [
        svg.text(
            plane.label, svg.MARGIN + number * columns * scale + 5, y + rows * scale - 6, "side"
        )
        for number, plane in enumerate(planes)
    ]
    first, last = ("P", "A") if planes[0].axis == 0 else ("L", "R")
    middle = y + rows * scale / 2
    right = svg.MARGIN + columns * scale - 3
    return "".join(
        [*parts, svg.text(first, svg.MARGIN + 3, middle, "side"),
         svg.text(last, right, middle, "side", "end")]
    )  # fmt: skip


def side_of(name: str) -> tuple[str, str]:
    """A region's name without its side, and ``left``, ``right`` or ``neither``.

    Examples
    --------
    >>> side_of("ctx-lh-precuneus"), side_of("Right-Putamen"), side_of("Brain-Stem")
    (('ctx-precuneus', 'left'), ('Putamen', 'right'), ('Brain-Stem', 'neither'))
    """
    match = _SIDE.search(name)
    if match is None:
        return name, "neither"
    rest = (name[: match.start()] + match[1] + name[match.end() :].lstrip("-_ .")).strip("-_ .")
    left = re.fullmatch(_LEFT_WORD, match[2], re.IGNORECASE) is not None
    return (rest, "left" if left else "right") if rest else (name, "neither")


def plot_regions(
    values: Sequence[Mapping[str, str]],
    out_svg: Path,
    *,
    curves: Sequence[Mapping[str, str]] = (),
    atlas_name: str = "the atlas",
    units: str = "arbitrary",
) -> Path:
    """Draw the uptake of each region as a bar, and below it the curves of a dynamic PET.

    Parameters
    ----------
    values
        Rows of the table of regions: ``name``, ``volume-mm3``, ``mean``, ``sd``, ``suv``, ``suvr``;
        other than numbers where there is no value. Of the three quantities the last that there is
        is drawn, with the standard deviation over voxels as a line.
    out_svg
        File to write.
    curves
        Rows of the table of curves: ``frame_start`` and ``frame_end`` in seconds, then the
        activity of each region.
    atlas_name
        What the atlas is called.
    units
        Of ``mean`` and the curves; ``Bq/mL`` is drawn in kBq/mL.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    bars, y = _bars(values, atlas_name, units)
    body = [*bars]
    if curves:
        body += _curves(curves, units, y)
        y += _CURVES_HEIGHT + 60
    document = svg.document(body, y + svg.MARGIN, f"Uptake in the regions of {atlas_name}")
    Path(out_svg).write_text(document, encoding="utf-8")
    return Path(out_svg)


def _scaled(units: str) -> tuple[float, str]:
    if units == "Bq/mL":
        return 1e-3, "kBq/mL"
    return 1.0, "arbitrary units" if units == "arbitrary" else units


def _quantity(values: Sequence[Mapping[str, str]], units: str) -> tuple[str, str, float]:
    """Column that is drawn, its title, and what its numbers are multiplied by."""
    for column, title in (("suvr", "SUVR"), ("suv", "SUV (g/mL)")):
        if any(np.isfinite(cell_number(row.get(column))) for row in values):
            return column, title, 1.0
    scale, named = _scaled(units)
    return "mean", f"Mean activity ({named})", scale


def _bars(
    values: Sequence[Mapping[str, str]], atlas_name: str, units: str
) -> tuple[list[str], float]:
    column, title, scale = _quantity(values, units)
    rows: dict[str, dict[str, tuple[float, float]]] = {}
    volumes: dict[str, float] = {}
    for row in values:
        value, mean, sd = (cell_number(row.get(name)) for name in (column, "mean", "sd"))
        if np.isfinite(value):
            name, side = side_of(row["name"])
            spread = sd * value / mean if mean else 0.0
            rows.setdefault(name, {})[side] = scale * value, scale * spread
            volumes[name] = volumes.get(name, 0.0) + cell_number(row.get("volume-mm3"))
    largest = set(sorted(rows, key=lambda name: -volumes[name])[:MOST_ROWS])
    shown = [name for name in rows if name in largest]
    missing = sum(not np.isfinite(cell_number(row.get(column))) for row in values)
    head = [
        svg.text(f"{title} in the regions of {atlas_name}", svg.MARGIN, 29, "title"),
        svg.legend(_SIDES, svg.WIDTH - svg.MARGIN, 29),
    ]
    told = [f"{len(shown)} of {len(rows)} regions, those of the largest volume"] * (
        len(rows) > len(shown)
    )
    told += [f"without value: {missing}, see the table"] * bool(missing)
    if told:
        head.append(svg.text("; ".join(told), svg.MARGIN, 50))
    top = svg.HEADER + 22.0
    if not shown:
        return head, top
    ends = [abs(v) + s for name in shown for v, s in rows[name].values() if np.isfinite(s)]
    per_column = -(-len(shown) // 2)
    half = (svg.WIDTH - 2 * svg.MARGIN) / 2
    body = head
    for number in range(2):
        part = shown[number * per_column : (number + 1) * per_column]
        left = svg.MARGIN + number * half
        axis = Axis(0.0, max(ends) or 1.0, left + _NAME, left + half - 24)
        body += _column({name: rows[name] for name in part}, axis, left, top)
    return body, top + per_column * _ROW + 34


def _column(
    rows: Mapping[str, Mapping[str, tuple[float, float]]], axis: Axis, left: float, top: float
) -> list[str]:
    """Bars with their names, one row for each region."""
    bottom = top + len(rows) * _ROW
    parts = []
    for tick in axis.ticks() if rows else []:
        x = float(axis(tick))
        parts.append(stroke(f"M{x:.1f},{top:.1f}V{bottom:.1f}", "#3c4043"))
        parts.append(svg.text(f"{tick:g}", x, bottom + 18, anchor="middle"))
    for number, (name, sides) in enumerate(rows.items()):
        y = top + number * _ROW
        parts.append(svg.text(_shortened(name), left + _NAME - 8, y + 14, anchor="end"))
        height = (_ROW - 5) / len(sides)
        for place, side in enumerate(sorted(sides)):
            value, spread = sides[side]
            parts.append(_bar(axis, y + 2 + place * height, height - 1, value, _SIDES[side]))
            if np.isfinite(spread):
                ends = (float(axis(max(value - spread, 0.0))), float(axis(value + spread)))
                middle = y + 2 + (place + 0.5) * height - 0.5
                parts.append(stroke(f"M{ends[0]:.1f},{middle:.1f}H{ends[1]:.1f}", "#8a8f94"))
    return parts


def _bar(axis: Axis, y: float, height: float, value: float, colour: str) -> str:
    width = max(float(axis(max(value, 0.0))) - axis.begin, 0.0)
    return (
        f'<rect x="{axis.begin:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        f' fill="{colour}"/>\n'
    )


def _shortened(name: str, longest: int = 30) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _curves(curves: Sequence[Mapping[str, str]], units: str, top: float) -> list[str]:
    """Time-activity curves of all regions, some of them named."""
    scale, named_units = _scaled(units)
    starts, ends = (
        [cell_number(row.get(key)) for row in curves] for key in ("frame_start", "frame_end")
    )
    middle = (np.array(starts) + np.array(ends)) / 120
    known = bool(np.isfinite(middle).all())
    x = middle if known else np.arange(1.0, len(curves) + 1)
    span = (min(starts) / 60, max(ends) / 60) if known else (0.5, len(curves) + 0.5)
    after_pause = pauses(starts, ends) if known else []
    regions = [name for name in curves[0] if name not in ("frame_start", "frame_end")]
    lines = {
        name: scale * np.array([cell_number(row.get(name)) for row in curves]) for name in regions
    }
    lines = {name: values for name, values in lines.items() if np.isfinite(values).any()}
    if not lines:
        return []
    values = np.concatenate([*lines.values(), [0.0]])
    values = values[np.isfinite(values)]
    low, high = min(0.0, float(values.min())), float(values.max())
    left, right = _LEFT, svg.WIDTH - svg.MARGIN - 300
    across = Axis(*span, left, right)
    up = Axis(low, 1.05 * high if high > low else low + 1, top + _CURVES_HEIGHT, top + 40)
    chosen = _spaced(lines)
    body = [
        svg.text(f"Mean activity of the regions ({named_units})", svg.MARGIN, top + 22, "title"),
        *grid(across, up, whole=not known),
        svg.text(
            "Time from the start given in the sidecar (min)" if known else "Frame number",
            (left + right) / 2,
            top + _CURVES_HEIGHT + 42,
            anchor="middle",
        ),
    ]
    for name, values in lines.items():
        if name not in chosen:
            body.append(stroke(path(across(x), up(values), after_pause), "#5f6368"))
    for number, name in enumerate(chosen):
        colour = _CURVE_COLOURS[number]
        body.append(line(across(x), up(lines[name]), colour, after_pause))
        y = top + 60 + 24 * number
        body.append(stroke(f"M{right + 24:.1f},{y - 5:.1f}h22", colour, 3))
        body.append(svg.text(_shortened(name), right + 54, y))
    return body


def _spaced(lines: Mapping[str, np.ndarray]) -> list[str]:
    """Names of some curves, from the one with the highest mean to that with the lowest."""
    ranked = sorted(lines, key=lambda name: -float(np.nanmean(lines[name])))
    places = np.unique(np.linspace(0, len(ranked) - 1, min(CURVES, len(ranked))).round())
    return [ranked[int(place)] for place in places]
