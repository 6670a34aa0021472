"""The mosaic of a fusion: sources and results in three planes."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from fusionprep.choices import ColourMapName
from fusionprep.image.colour import DEFAULT_COLOUR_MAP, colour_table
from fusionprep.image.colour_key import draw_key
from fusionprep.reports.figures.slices import Plane, Volume, brain_planes, to_gray, window

if TYPE_CHECKING:
    from PIL import Image as Picture
    from PIL import ImageDraw, ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

Image = nib.spatialimages.SpatialImage

_WIDTH = 1600
_SIDE = 150
_GAP = 10
_HEADER = 34
_GROUND = (16, 18, 20)
_INK = (232, 234, 237)
_FAINT = (170, 175, 181)
_SLICES = {2: 3, 1: 3, 0: 2}
_KEY_SIDE, _KEY_FONT = 104, 13
_SPANS = {2: (0.32, 0.76), 1: (0.28, 0.72), 0: (0.42, 0.72)}


def plot_fused_mosaic(
    anatomical: Image,
    functional: Image,
    fused: Image,
    fused_rgb: Image | None,
    mask: Image,
    out_file: Path,
    *,
    anatomical_name: str = "T1w",
    functional_name: str = "PET",
    fused_name: str = "Fused",
    units: str = "",
    colour_map: str | None = "inferno",
    key: ColourMapName = DEFAULT_COLOUR_MAP,
) -> Path:
    """Draw slices of a fused image under those of its two sources.

    Parameters
    ----------
    anatomical, functional, fused
        The sources and the scalar result; any grids, sampled in world coordinates.
    fused_rgb
        The result in colour (RGB24 voxels); None leaves its row out.
    mask
        Brain mask: crops the figure and sets the display ranges.
    out_file
        File to write, 1600 pixels wide: PNG, or JPEG at a fifth of the size where its name ends in
        ``.jpg``.
    anatomical_name, functional_name, fused_name
        Labels of the rows.
    units
        Unit of the functional image, written at its colour bar.
    colour_map
        A perceptually uniform matplotlib colour map for the functional image; None draws it in
        gray.
    key
        Colours of `fused_rgb`, whose key is drawn beside it.

    Returns
    -------
    pathlib.Path
        ``out_file``.

    Raises
    ------
    DataError
        When the mask is empty or an image has more than three dimensions.
    """
    frames = _frames(mask)
    brain = Volume.of_mask(mask)
    inside = [brain.sample(plane) for plane in frames]
    anatomy, _ = _gray_tiles(anatomical, frames, inside)
    activity, limits = _gray_tiles(functional, frames, inside, from_zero=True)
    result, _ = _gray_tiles(fused, frames, inside, from_zero=True)
    rows = [
        (anatomical_name, [_as_rgb(tile) for tile in anatomy]),
        (functional_name, [_coloured(tile, colour_map) for tile in activity]),
        (fused_name, [_as_rgb(tile) for tile in result]),
    ]
    if fused_rgb is not None:
        volume = Volume.from_image(fused_rgb)
        tiles = [np.clip(volume.sample(plane), 0, 255).astype(np.uint8) for plane in frames]
        rows.append(("", tiles))
    bar = (*limits, units, colour_map)
    picture, buffer = _compose(rows, frames, bar), io.BytesIO()
    if fused_rgb is not None:
        height = max(plane.shape[0] for plane in frames)
        side = min(_KEY_SIDE, height - 3 * _KEY_FONT - _HEADER)
        square = draw_key(
            colour_table(key), anatomical_name, functional_name, side=side, font_size=_KEY_FONT
        )
        _paste_key(picture, square, f"{fused_name}, colour")
    if Path(out_file).suffix == ".jpg":
        picture.save(buffer, format="JPEG", quality=85, optimize=True, progressive=True)
    else:
        picture.save(buffer, format="PNG", optimize=True)
    Path(out_file).write_bytes(buffer.getvalue())
    return Path(out_file)


def _frames(mask: Image) -> list[Plane]:
    """All planes of the figure, with the pixel size that fills its width."""
    coarse = [
        plane
        for axis, count in _SLICES.items()
        for plane in brain_planes(mask, axis, count, pixel_mm=1.0, margin_mm=4.0)
    ]
    available = _WIDTH - _SIDE - _GAP * len(_SLICES)
    pixel = sum(plane.shape[1] for plane in coarse) / available
    # Pixels never much smaller than voxels: finer sampling only makes the file bigger.
    return [
        plane
        for axis, count in _SLICES.items()
        for plane in brain_planes(
            mask, axis, count, pixel_mm=pixel * 1.002, margin_mm=4.0, span=_SPANS[axis]
        )
    ]


def _gray_tiles(
    image: Image, frames: Sequence[Plane], inside: Sequence[np.ndarray], *, from_zero: bool = False
) -> tuple[list[np.ndarray], tuple[float, float]]:
    volume = Volume.from_image(image)
    sampled = [volume.sample(plane) for plane in frames]
    low, high = window(sampled, inside)
    if from_zero and low > 0:
        low = 0.0
    return [to_gray(tile, low, high) for tile in sampled], (low, high)


def _as_rgb(tile: np.ndarray) -> np.ndarray:
    return np.repeat(tile[..., None], 3, axis=-1)


def _coloured(tile: np.ndarray, colour_map: str | None) -> np.ndarray:
    if colour_map is None:
        return _as_rgb(tile)
    import matplotlib

    table = matplotlib.colormaps[colour_map](np.arange(256), bytes=True)[:, :3]
    return table[tile]


def _compose(
    rows: Sequence[tuple[str, Sequence[np.ndarray]]],
    frames: Sequence[Plane],
    bar: tuple[float, float, str, str | None],
) -> "Picture.Image":
    """Lay out the rows with labels."""
    from PIL import Image as Picture
    from PIL import ImageDraw, ImageFont

    height = max(plane.shape[0] for plane in frames)
    canvas = Picture.new("RGB", (_WIDTH, _HEADER + len(rows) * (height + 2) + 6), _GROUND)
    draw = ImageDraw.Draw(canvas)
    font, small = ImageFont.load_default(20), ImageFont.load_default(17)
    for row, (name, tiles) in enumerate(rows):
        top = _HEADER + row * (height + 2)
        draw.rectangle((_SIDE, top, _WIDTH - 1, top + height - 1), fill=(0, 0, 0))
        _label(draw, name, top + height // 2, font)
        for number, (plane, tile, left) in enumerate(
            zip(frames, tiles, _lefts(frames), strict=True)
        ):
            canvas.paste(Picture.fromarray(tile), (left, top + (height - plane.shape[0]) // 2))
            if row == 0:
                position = (left + plane.shape[1] // 2, _HEADER // 2)
                draw.text(position, plane.label, fill=_FAINT, font=small, anchor="mm")
                if number == 0 or plane.axis != frames[number - 1].axis:
                    _sides(draw, plane, left, small)
        if row == 1:
            _bar(canvas, draw, bar, top + height // 2 + 34, small)
    return canvas


def _paste_key(picture: "Picture.Image", key: np.ndarray, name: str) -> None:
    """Put the name of the last row and the key of its colours into the margin."""
    from PIL import Image as Picture
    from PIL import ImageDraw, ImageFont

    top = picture.height - 6 - key.shape[0]
    picture.paste(Picture.fromarray(key), (2, top))
    font = ImageFont.load_default(17)
    ImageDraw.Draw(picture).text((10, top - 2), name, fill=_INK, font=font, anchor="lb")


def _lefts(frames: Sequence[Plane]) -> list[int]:
    """Left edge of each tile; a gap separates the three planes."""
    left, edges = _SIDE, []
    for number, plane in enumerate(frames):
        if number and plane.axis != frames[number - 1].axis:
            left += _GAP
        edges.append(left)
        left += plane.shape[1]
    return edges


def _label(draw: "ImageDraw.ImageDraw", name: str, middle: int, font: "Font") -> None:
    """Write a row's name, one word to a line when it is too long for the margin."""
    lines = [name] if font.getlength(name) <= _SIDE - 16 else name.split(" ")
    for number, line in enumerate(lines):
        y = middle + (number - (len(lines) - 1) / 2) * 26
        draw.text((10, y), line, fill=_INK, font=font, anchor="lm")


def _sides(draw: "ImageDraw.ImageDraw", plane: Plane, left: int, font: "Font") -> None:
    """Name the sides of the subject above the corners of a tile."""
    first, last = ("P", "A") if plane.axis == 0 else ("L", "R")
    right = left + plane.shape[1] - 4
    draw.text((left + 4, _HEADER // 2), first, fill=_INK, font=font, anchor="lm")
    draw.text((right, _HEADER // 2), last, fill=_INK, font=font, anchor="rm")


def _bar(
    canvas: "Picture.Image",
    draw: "ImageDraw.ImageDraw",
    bar: tuple[float, float, str, str | None],
    top: int,
    font: "Font",
) -> None:
    """Colour bar of the functional image in the left margin, with its range and unit."""
    from PIL import Image as Picture

    low, high, units, colour_map = bar
    width = _SIDE - 30
    ramp = np.repeat(np.linspace(0, 255, width).astype(np.uint8)[None], 12, axis=0)
    canvas.paste(Picture.fromarray(_coloured(ramp, colour_map)), (10, top))
    draw.text((10, top + 17), _number(low), fill=_FAINT, font=font)
    draw.text((10 + width, top + 17), _number(high), fill=_FAINT, font=font, anchor="ra")
    draw.text((10, top + 38), units, fill=_FAINT, font=font)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
