"""The key of a two-dimensional colour table, drawn."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image, ImageFont

INK, GROUND = (220, 220, 220), (16, 16, 16)


def draw_key(
    table: np.ndarray, anatomical: str, functional: str, *, side: int = 256, font_size: int = 16
) -> np.ndarray:
    """Draw a table with its axes: the functional level to the right, the anatomical one upwards.

    Parameters
    ----------
    table
        uint8 (levels, levels, 3), first axis the anatomical level.
    anatomical, functional
        What the axes are called.
    side
        Of the square of colours, in pixels.
    font_size
        In pixels; text needs about twice as much on the left, on top and below.

    Returns
    -------
    numpy.ndarray
        uint8 (rows, columns, 3), sRGB.
    """
    from PIL import Image, ImageDraw, ImageFont

    font, edge = ImageFont.load_default(font_size), round(1.7 * font_size)
    canvas = Image.new("RGB", (side + 2 * edge, side + 2 * edge), GROUND)
    square = Image.fromarray(np.ascontiguousarray(table[::-1]))
    canvas.paste(square.resize((side, side), Image.Resampling.BILINEAR), (edge, edge))
    below = Image.new("RGB", (side, edge), GROUND)
    _write(below, functional, font)
    canvas.paste(below, (edge, side + edge))
    beside = Image.new("RGB", (side, edge), GROUND)
    _write(beside, anatomical, font)
    canvas.paste(beside.rotate(90, expand=True), (0, edge))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((edge - 1, edge - 1, edge + side, edge + side), outline=INK)
    return np.asarray(canvas)


def _write(
    strip: "Image.Image", name: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont"
) -> None:
    """An axis: 0, its name, 1."""
    from PIL import ImageDraw

    draw, middle = ImageDraw.Draw(strip), strip.height // 2
    draw.text((2, middle), "0", fill=INK, font=font, anchor="lm")
    draw.text((strip.width // 2, middle), name, fill=INK, font=font, anchor="mm")
    draw.text((strip.width - 3, middle), "1", fill=INK, font=font, anchor="rm")
