"""A picture of sources and fused images side by side."""

import io
from collections.abc import Sequence

import numpy as np

_TILE = 256
_GAP = 4
_HEADER = 34
_GROUND = 18
_INK = 232


def montage(
    columns: Sequence[str], rows: Sequence[tuple[str, Sequence[np.ndarray | None]]]
) -> bytes:
    """Draw images as a table with a labelled column for each method.

    Parameters
    ----------
    columns
        A label for each image of a row.
    rows
        Name of the pair and its images, (H, W) uint8; shown at most 256 pixels wide and high.
        Nothing is drawn for None.

    Returns
    -------
    bytes
        A gray PNG.
    """
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    font = ImageFont.load_default(19)
    side = int(max(font.getlength(name) for name, _ in rows)) + 20
    step = _TILE + _GAP
    canvas = Image.new("L", (side + len(columns) * step, _HEADER + len(rows) * step), _GROUND)
    draw = ImageDraw.Draw(canvas)
    for column, label in enumerate(columns):
        middle = side + column * step + _TILE // 2
        size = min(19, 19 * _TILE / font.getlength(label))
        fitting = ImageFont.load_default(size)
        draw.text((middle, _HEADER // 2), label, fill=_INK, font=fitting, anchor="mm")
    for row, (name, images) in enumerate(rows):
        top = _HEADER + row * step
        draw.text((10, top + _TILE // 2), name, fill=_INK, font=font, anchor="lm")
        for column, image in enumerate(images):
            if image is None:
                continue
            tile = ImageOps.contain(Image.fromarray(np.ascontiguousarray(image)), (_TILE, _TILE))
            left = side + column * step
            canvas.paste(tile, (left + (_TILE - tile.width) // 2, top + (_TILE - tile.height) // 2))
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
