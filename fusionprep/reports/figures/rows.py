"""Rows of slices with contours, as one picture; a second layer shows under the pointer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from fusionprep.reports.figures import svg
from fusionprep.reports.figures.slices import (
    Plane,
    Volume,
    brain_planes,
    outlines,
    to_gray,
    window,
)

_SLICES = {2: 7, 1: 7, 0: 6}


def draw_rows(
    layers: Mapping[str, Volume],
    contours: Mapping[str, tuple[str, Volume]],
    mask: nib.spatialimages.SpatialImage,
    out_svg: Path,
    *,
    title: str,
    description: str,
    still: tuple[str, Volume] | None = None,
    margin_mm: float = 6.0,
    spans: Mapping[int, tuple[float, float]] | None = None,
    windowed_as: str | None = None,
) -> Path:
    """Write rows of slices; the second layer flickers over the first, ``still`` is shown above.

    All layers have the window of gray of that which is named, or each its own.
    """
    chosen: dict[int, dict[str, Any]] = {a: {"span": span} for a, span in (spans or {}).items()}
    frames = {
        axis: brain_planes(mask, axis, count, margin_mm=margin_mm, **chosen.get(axis, {}))
        for axis, count in _SLICES.items()
    }
    inside = _sample(Volume.of_mask(mask), frames)
    names = list(layers)
    like = None if windowed_as is None else layers[windowed_as]
    rows = {name: _gray_rows(volume, frames, inside, like) for name, volume in layers.items()}
    still_rows = None if still is None else _gray_rows(still[1], frames, inside)
    lines = {
        colour: {
            axis: [outlines(item) for item in items]
            for axis, items in _sample(volume, frames).items()
        }
        for colour, volume in contours.values()
    }
    body = [svg.text(title, svg.MARGIN, 29, "title")]
    body.append(svg.legend({name: pair[0] for name, pair in contours.items()}, svg.WIDTH - 14, 29))
    fixed, flicker = [], []
    y = float(svg.HEADER)
    for axis, planes in frames.items():
        columns = planes[0].shape[1]
        scale = (svg.WIDTH - 2 * svg.MARGIN) / (columns * len(planes))
        height = planes[0].shape[0] * scale
        overlay = "".join(
            svg.contour_row(by_axis[axis], columns, 0, scale, colour)
            for colour, by_axis in lines.items()
        )
        body.append(f'<defs><g id="c{axis}">{overlay}</g></defs>\n')
        if still_rows is not None:
            fixed += [svg.raster_row(still_rows[axis], y, scale), _use(axis, y)]
            y += height
        fixed.append(svg.raster_row(rows[names[0]][axis], y, scale))
        if len(names) > 1:
            flicker.append(svg.raster_row(rows[names[1]][axis], y, scale))
            flicker.append(_use(axis, y))
        fixed += [_use(axis, y), _annotations(planes, y, scale)]
        y += height + svg.GAP
    if len(names) > 1:
        body.append(_state(title, names[0], hint=f"(point here to compare with: {names[1]})"))
        flicker.insert(0, _state(title, names[1], hint=""))
        fixed.append(f'<g class="flick">{"".join(flicker)}</g>\n')
    document = svg.document([*body, *fixed], y + svg.MARGIN - svg.GAP, description)
    Path(out_svg).write_text(document, encoding="utf-8")
    return Path(out_svg)


def _use(axis: int, y: float) -> str:
    return f'<use xlink:href="#c{axis}" y="{y:.1f}"/>\n'


def _state(title: str, name: str, *, hint: str) -> str:
    """Which layer is shown, on a ground that hides the other layer's name."""
    x = svg.MARGIN + 11 * len(title) + 24
    ground = f'<rect x="{x - 4:.1f}" y="8" width="600" height="30" fill="#101214"/>\n'
    return ground + svg.text(f"{name} {hint}", x, 29)


def _sample(volume: Volume, frames: Mapping[int, Sequence[Plane]]) -> dict[int, list[np.ndarray]]:
    return {axis: [volume.sample(plane) for plane in planes] for axis, planes in frames.items()}


def _gray_rows(
    volume: Volume,
    frames: Mapping[int, Sequence[Plane]],
    inside: Mapping[int, Sequence[np.ndarray]],
    like: Volume | None = None,
) -> dict[int, list[np.ndarray]]:
    """Sampled slices as 8-bit gray, windowed to the brain, of another volume where it is given."""
    sampled = _sample(volume, frames)
    windowed = sampled if like is None else _sample(like, frames)
    flat = [item for items in windowed.values() for item in items]
    masks = [item for items in inside.values() for item in items]
    low, high = window(flat, masks)
    low = min(low, 0.0) if low > 0 else low
    return {axis: [to_gray(item, low, high) for item in items] for axis, items in sampled.items()}


def _annotations(planes: Sequence[Plane], y: float, scale: float) -> str:
    """Positions of the slices, and the sides of the subject where a plane shows them."""
    rows, columns = planes[0].shape
    parts = []
    for number, plane in enumerate(planes):
        left = svg.MARGIN + number * columns * scale
        parts.append(svg.text(plane.label, left + 5, y + rows * scale - 6, "side"))
    if planes[0].axis != 0:
        middle = y + rows * scale / 2
        parts.append(svg.text("L", svg.MARGIN + 3, middle, "side"))
        parts.append(svg.text("R", svg.MARGIN + columns * scale - 3, middle, "side", "end"))
    else:
        parts.append(svg.text("P", svg.MARGIN + 3, y + rows * scale / 2, "side"))
        right = svg.MARGIN + columns * scale - 3
        parts.append(svg.text("A", right, y + rows * scale / 2, "side", "end"))
    return "".join(parts)
