"""Figures of the reports: nibabel images in, one file out.

Figures carry no date, so the same images give the same bytes. Left of the subject is on the left.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from fusionprep.image.segmentation import GRAY, WHITE
from fusionprep.modalities import PET
from fusionprep.reports.figures import svg
from fusionprep.reports.figures.mosaic import plot_fused_mosaic
from fusionprep.reports.figures.slices import (
    Plane,
    Volume,
    brain_planes,
    outlines,
    spans_of,
    to_gray,
    window,
)

__all__ = [
    "plot_coregistration",
    "plot_denoised",
    "plot_fused_mosaic",
    "plot_normalization",
    "plot_region",
    "plot_tissue",
]

Image = nib.spatialimages.SpatialImage

# After Okabe and Ito: distinct for every kind of colour vision, and on gray.
_BRAIN_COLOUR = "#22C990"
_GRAY_COLOUR = "#F0B323"
_WHITE_COLOUR = "#56B4E9"
_REGION_COLOUR = "#F0B323"

_SLICES = {2: 7, 1: 7, 0: 6}


def plot_tissue(t1w: Image, dseg: Image, mask: Image, out_svg: Path) -> Path:
    """Draw the brain mask and the tissues' borders on the T1w.

    Parameters
    ----------
    t1w, mask
        T1w and brain mask.
    dseg
        Tissues: 0 background, 1 GM, 2 WM, 3 CSF.
    out_svg
        File to write.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    contours = {
        "brain mask": (_BRAIN_COLOUR, Volume.of_mask(mask)),
        "gray matter, outer": (_GRAY_COLOUR, _labels(dseg, GRAY, WHITE)),
        "white matter": (_WHITE_COLOUR, _labels(dseg, WHITE)),
    }
    layers = {"T1w": Volume.from_image(t1w)}
    return _draw(layers, contours, mask, out_svg, title="T1w", description="Tissues on the T1w")


def plot_denoised(before: Image, after: Image, mask: Image, out_svg: Path) -> Path:
    """Draw a T1w before and after its noise was taken out, in one window of gray.

    Under the pointer, the picture shows the T1w before; otherwise it shows it after.

    Parameters
    ----------
    before, after, mask
        T1w and brain mask, on one grid.
    out_svg
        File to write.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    layers = {"denoised": Volume.from_image(after), "before": Volume.from_image(before)}
    return _draw(
        layers,
        {},
        mask,
        out_svg,
        title="Noise of the T1w",
        description="T1w with and without noise",
        windowed_as="denoised",
    )


def plot_coregistration(
    t1w: Image,
    moving_before: Image,
    moving_after: Image,
    mask: Image,
    out_svg: Path,
    *,
    dseg: Image | None = None,
    moving_name: str = "PET",
) -> Path:
    """Draw an image before and after its registration to the T1w, with the T1w's contours on both.

    The T1w is above each row. Under the pointer, the lower row alternates between before and after;
    otherwise it shows after.

    Parameters
    ----------
    t1w, mask
        T1w and brain mask.
    moving_before, moving_after
        The PET, CT or FLAIR placed by its header alone, and by the registration. Any grid: they are
        sampled in world coordinates, so the image need not be resampled to the T1w first.
    out_svg
        File to write.
    dseg
        Tissues (2 WM); adds the contour of the white matter.
    moving_name
        What the moving image is called in the figure.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    contours = {"brain mask": (_BRAIN_COLOUR, Volume.of_mask(mask))}
    if dseg is not None:
        contours["white matter"] = (_WHITE_COLOUR, _labels(dseg, WHITE))
    layers = {
        f"{moving_name} after registration": Volume.from_image(moving_after),
        f"{moving_name} before registration": Volume.from_image(moving_before),
    }
    title = f"{moving_name} to T1w"
    return _draw(
        layers,
        contours,
        mask,
        out_svg,
        title=title,
        description=f"{title}: before and after registration",
        still=("T1w", Volume.from_image(t1w)),
        margin_mm=16.0,
    )


def plot_normalization(
    template: Image,
    t1w_in_template: Image,
    contour: Image,
    out_svg: Path,
    *,
    mask: Image | None = None,
    template_name: str = "template",
    contour_name: str = "template contour",
) -> Path:
    """Draw the T1w in template space alternating with the template under the pointer.

    Parameters
    ----------
    template, t1w_in_template
        The template, and the T1w registered to it.
    contour
        Mask in template space (brain or grey matter, > 0.5) whose contour is drawn on both.
    out_svg
        File to write.
    mask
        Brain mask in template space for the choice of slices; ``contour`` where None.
    template_name, contour_name
        What they are called in the figure.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    layers = {
        "T1w in template space": Volume.from_image(t1w_in_template),
        template_name: Volume.from_image(template),
    }
    title = f"T1w to {template_name}"
    return _draw(
        layers,
        {contour_name: (_BRAIN_COLOUR, Volume.of_mask(contour))},
        contour if mask is None else mask,
        out_svg,
        title=title,
        description=f"{title}: T1w and template",
    )


def plot_region(
    t1w: Image,
    pet: Image,
    region: Image,
    mask: Image,
    out_svg: Path,
    *,
    region_name: str = "reference region",
) -> Path:
    """Draw the contour of a reference region on the T1w and, below it, on the PET.

    Parameters
    ----------
    t1w, pet
        T1w and PET in its space.
    region, mask
        Masks of the region, through which the slices are chosen, and of the brain; on one grid.
    out_svg
        File to write.
    region_name
        What the region is called in the figure.

    Returns
    -------
    pathlib.Path
        ``out_svg``.

    Raises
    ------
    DataError
        When the region or the brain mask is empty.
    """
    return _draw(
        {PET.label: Volume.from_image(pet)},
        {region_name: (_REGION_COLOUR, Volume.of_mask(region))},
        mask,
        out_svg,
        title="Reference region of SUVR",
        description=f"Reference region of SUVR, {region_name}, on the T1w and on the PET",
        still=("T1w", Volume.from_image(t1w)),
        spans=spans_of(region, mask),
    )


def plot_corrected(
    t1w: Image, pet: Image, corrected: Image, mask: Image, out_svg: Path, *, method: str
) -> Path:
    """Draw a PET before and after its correction for partial volume, in one window of gray.

    The T1w is above each row. Under the pointer, the lower row shows the PET before; otherwise it
    shows it after.

    Parameters
    ----------
    t1w, pet, corrected, mask
        On one grid.
    out_svg
        File to write.
    method
        What the correction is called in the figure.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    layers = {f"corrected ({method})": corrected, "not corrected": pet}
    return _draw(
        {name: Volume.from_image(image) for name, image in layers.items()},
        {},
        mask,
        out_svg,
        title=f"Partial volume of the {PET.label}",
        description=f"The {PET.label} corrected for partial volume, {method}, and before",
        still=("T1w", Volume.from_image(t1w)),
        windowed_as=f"corrected ({method})",
    )


def _labels(dseg: Image, *values: int) -> Volume:
    volume = Volume.from_image(dseg)
    inside = np.logical_or.reduce([volume.voxels == value for value in values])
    return Volume(inside.astype(np.uint8), volume.affine)


def _draw(
    layers: Mapping[str, Volume],
    contours: Mapping[str, tuple[str, Volume]],
    mask: Image,
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
