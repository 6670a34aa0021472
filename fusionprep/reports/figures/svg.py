"""Small SVG figures with raster rows, contours and a flickering layer."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

WIDTH = 1400
GAP = 6
MARGIN = 14
HEADER = 46

_STYLE = """
text{font-family:"DejaVu Sans",Verdana,Helvetica,Arial,sans-serif;fill:#e8eaed}
.title{font-size:17px;font-weight:600}.small{font-size:14px;fill:#bdc1c6}
.side{font-size:14px;font-weight:700;paint-order:stroke;stroke:#000;stroke-width:3px}
.line{fill:none;vector-effect:non-scaling-stroke;stroke-width:1.1px;stroke-linejoin:round}
.flick{opacity:0}
svg:hover .flick,svg:focus .flick{animation:flick 1.6s step-end infinite}
@keyframes flick{0%{opacity:1}50%{opacity:0}}
@media (prefers-reduced-motion:reduce){svg:hover .flick,svg:focus .flick{animation:none;opacity:1}}
"""


def document(body: Iterable[str], height: float, description: str) -> str:
    """A complete SVG document on a dark ground, ``WIDTH`` units wide and scaled to its frame."""
    # nireports rewrites a figure in place where its <svg> tag starts a line; here it never does.
    return "".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?><svg xmlns="http://www.w3.org/2000/svg" ',
            'xmlns:xlink="http://www.w3.org/1999/xlink" role="img" tabindex="0" ',
            f'viewBox="0 0 {WIDTH} {height:.0f}" preserveAspectRatio="xMidYMid meet">\n',
            f"<title>{escape(description)}</title>\n<style>{_STYLE}</style>\n",
            f'<rect width="{WIDTH}" height="{height:.0f}" fill="#101214"/>\n',
            *body,
            "</svg>\n",
        ]
    )


def text(content: str, x: float, y: float, kind: str = "small", anchor: str = "start") -> str:
    """A line of text; ``kind`` is one of the classes ``title``, ``small``, ``side``."""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(content)}</text>\n"
    )


def legend(entries: Mapping[str, str], x: float, y: float) -> str:
    """Names and colours of contours in a row that ends at ``x``."""
    parts = []
    for name, colour in reversed(list(entries.items())):
        x -= 8.4 * len(name)
        parts.append(text(name, x, y))
        parts.append(
            f'<line x1="{x - 30:.1f}" y1="{y - 5:.1f}" x2="{x - 8:.1f}" y2="{y - 5:.1f}" '
            f'stroke="{colour}" stroke-width="3"/>\n'
        )
        x -= 56
    return "".join(parts)


def raster_row(tiles: Sequence[np.ndarray], y: float, scale: float) -> str:
    """Slices side by side as one embedded JPEG, at ``y`` and with ``scale`` units per pixel.

    Parameters
    ----------
    tiles
        uint8 arrays of one shape, (rows, columns) or (rows, columns, 3).
    """
    from PIL import Image

    strip = np.concatenate(tiles, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, format="JPEG", quality=84, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    height, width = strip.shape[:2]
    return (
        f'<image x="{MARGIN}" y="{y:.1f}" width="{width * scale:.2f}" '
        f'height="{height * scale:.2f}" xlink:href="data:image/jpeg;base64,{data}"/>\n'
    )


def contour_row(
    lines: Sequence[Sequence[np.ndarray]], columns: int, y: float, scale: float, colour: str
) -> str:
    """Contours of the slices of a row as one path.

    Parameters
    ----------
    lines
        For each slice its contours, (N, 2) arrays of (row, column) in pixels.
    columns
        Width of a slice in pixels.
    """
    commands = []
    for number, contours in enumerate(lines):
        for contour in contours:
            # Pixel centres lie half a pixel inside the raster's edge.
            points = np.round(10 * (contour[:, ::-1] + (number * columns + 0.5, 0.5))).astype(int)
            steps = np.diff(points, axis=0)
            relative = " ".join(f"{dx},{dy}" for dx, dy in steps)
            commands.append(f"M{points[0, 0]},{points[0, 1]}l{relative}")
    return (
        f'<path class="line" stroke="{colour}" transform="translate({MARGIN},{y:.1f}) '
        f'scale({scale / 10:.5f})" d="{"".join(commands)}"/>\n'
    )
