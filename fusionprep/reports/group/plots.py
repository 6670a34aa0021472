"""Box plots with all values as SVG, for the group report."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from fusionprep.reports.group.outliers import Distribution

WIDTH = 440
_LEFT, _RIGHT = 16, 16
_LINKED = 12
_ROOM = 90
_MOST_POINTS = 1000
_GOLDEN = 0.6180339887


@dataclass(frozen=True)
class Owner:
    """Whose a value is: a name to show, and the file name of its report or None."""

    name: str
    report: str | None


def plot_distributions(
    title: str, rows: Sequence[Distribution], owner: Callable[[int], Owner]
) -> Markup:
    """Draw the distributions of one measure one below the other on a common axis.

    Each row has a box from the first to the third quartile with the median, whiskers to the last
    values within 1.5 interquartile ranges, and every value as a point; of more than 1000 values
    those beyond the whiskers only. Outliers are larger, the farthest of them named and linked to
    the report of their participant.

    Parameters
    ----------
    title
        For screen readers.
    rows
        Of one measure, one for each group.
    owner
        Gives the owner of a scan by its index.

    Returns
    -------
    markupsafe.Markup
        An ``svg`` element, ``WIDTH`` units wide.
    """
    tall = 58 if len(rows) <= 8 else 40
    height = tall * len(rows) + 26
    low, high = _limits([row.values for row in rows])

    def across(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    parts = [
        Markup('<svg viewBox="0 0 {} {}" role="group" aria-label="{}">').format(
            WIDTH, height, title
        ),
        _axis(low, high, across, height - 20),
    ]
    parts += [_row(row, across, tall * i, tall, owner) for i, row in enumerate(rows)]
    return Markup("").join([*parts, Markup("</svg>")])


def _limits(values: Sequence[np.ndarray]) -> tuple[float, float]:
    together = np.concatenate(values)
    low, high = float(together.min()), float(together.max())
    margin = 0.04 * (high - low) or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, at most `most` of them."""
    exact = (high - low) / most
    power = 10.0 ** math.floor(math.log10(exact))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= exact)
    first = math.ceil(low / step)
    return [float(f"{i * step:.12g}") for i in range(first, math.floor(high / step) + 1)]


def _axis(low: float, high: float, across: Callable[[float], float], bottom: float) -> Markup:
    parts = []
    for tick in ticks(low, high):
        x = across(tick)
        parts.append(
            Markup(
                '<line class="grid-line" x1="{0}" x2="{0}" y1="0" y2="{1}"/>'
                '<text class="tick" x="{0}" y="{2}">{3}</text>'
            ).format(f"{x:.1f}", f"{bottom:.0f}", f"{bottom + 15:.0f}", f"{tick:g}")
        )
    return Markup("").join(parts)


def _row(
    row: Distribution,
    across: Callable[[float], float],
    top: float,
    tall: float,
    owner: Callable[[int], Owner],
) -> Markup:
    middle = top + tall / 2 + 7
    spread = (tall - 24) / 2
    quartiles = np.percentile(row.values, (25, 50, 75))
    reach = 1.5 * (quartiles[2] - quartiles[0])
    beyond = (row.values < quartiles[0] - reach) | (row.values > quartiles[2] + reach)
    whiskers = row.values[~beyond]
    shown = np.flatnonzero(beyond if row.values.size > _MOST_POINTS else np.ones_like(beyond))
    points = "".join(
        f"M{across(row.values[i]):.1f} {middle + _height(i, spread):.1f}h0" for i in shown
    )
    label = f"{row.group}: {row.values.size}, median {row.median:.4g}"
    parts = [
        Markup('<text class="name" x="{}" y="{:.1f}">{}</text>').format(_LEFT, top + 13, label),
        _box(quartiles, (whiskers.min(), whiskers.max()), across, middle, spread),
        Markup(f'<path class="points" d="{points}"/>'),
    ]
    outliers = row.outliers()
    # one name on each side, so that they do not cover each other
    sides = {row.z_of(index) > 0: index for index in reversed(outliers)}
    for index in outliers[:_LINKED]:
        x, y = across(row.values[index]), middle + _height(index, spread)
        named = index in sides.values()
        parts.append(_outlier(row, index, x, y, owner(row.scans[index][0]), named=named))
    return Markup("").join(parts)


def _outlier(
    row: Distribution, index: int, x: float, y: float, owner: Owner, *, named: bool
) -> Markup:
    told = f"{owner.name}: {row.values[index]:.4g}, z {row.z_of(index):.1f}"
    drawn = Markup('<circle class="outlier" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(x, y)
    if named:
        # away from the other values where there is room
        leftwards = row.z_of(index) < 0 if _ROOM < x < WIDTH - _ROOM else x > WIDTH / 2
        anchor, beside = ("end", -8) if leftwards else ("start", 8)
        drawn += Markup(
            '<text class="who" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>'
        ).format(x + beside, y + 4, anchor, owner.name)
    drawn += Markup("<title>{}</title>").format(told)
    if owner.report is None:
        return Markup("<g>{}</g>").format(drawn)
    return Markup('<a href="{}" aria-label="{}">{}</a>').format(quote(owner.report), told, drawn)


def _box(
    quartiles: np.ndarray,
    whiskers: tuple[float, float],
    across: Callable[[float], float],
    middle: float,
    spread: float,
) -> Markup:
    first, median, third = (across(value) for value in quartiles)
    start, end = (across(value) for value in whiskers)
    return Markup(
        f'<path class="box" d="M{start:.1f} {middle:.1f}H{end:.1f}"/>'
        f'<rect class="box" x="{first:.1f}" y="{middle - spread:.1f}" '
        f'width="{max(third - first, 1):.1f}" height="{2 * spread:.1f}"/>'
        f'<path class="median" d="M{median:.1f} {middle - spread:.1f}v{2 * spread:.1f}"/>'
    )


def _height(index: int, spread: float) -> float:
    """Where a point stands above or below the middle, so that points do not hide each other."""
    return ((index * _GOLDEN) % 1.0 - 0.5) * 1.6 * spread
