"""Plots of a scored study as SVG: figures with intervals, and localisation ROC curves."""

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from fusionprep.reader_study.scoring import Scored
from fusionprep.reports.group.plots import ticks

COLOURS = ("#0b5394", "#b45309", "#1b7f4b", "#8e2a8b", "#7a6a00", "#b3261e", "#4a5560", "#00708a")
"""Of conditions, in turn; each has at least 4.5 to 1 against white."""

DASHES = ("", "7 4", "2 3", "10 3 2 3")

WIDTH = 620
_LEFT, _RIGHT, _TALL = 16, 24, 46
_SIDE = 360
_ROOM = 44


def colour(number: int) -> str:
    """Of a condition."""
    return COLOURS[number % len(COLOURS)]


def plot_measure(scored: Scored, titles: Sequence[str], readers: Sequence[str]) -> Markup:
    """Each condition's mean with its interval, and every reader as a small circle."""
    low, high = _limits(scored)
    height = _TALL * len(titles) + 26

    def across(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    parts = [
        Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            WIDTH, height, f"{scored.measure.title} in each condition"
        ),
        _grid(low, high, across, height - 20),
    ]
    if scored.measure.chance is not None:
        parts.append(_chance(across(scored.measure.chance), height - 20))
    for number, title in enumerate(titles):
        parts.append(_row(scored, number, title, across, readers))
    return Markup("").join([*parts, Markup("</svg>")])


def _limits(scored: Scored) -> tuple[float, float]:
    if not scored.measure.logarithmic:
        return 0.0, 1.0
    ends = [end for each in scored.conditions for end in (each.value, each.high)]
    largest = max([end for end in ends if math.isfinite(end)] + [float(scored.readers.max())])
    return 0.0, 1.05 * largest


def _grid(low: float, high: float, across: Callable[[float], float], bottom: float) -> Markup:
    lines = [
        Markup(
            '<line class="grid-line" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1:.0f}"/>'
            '<text class="tick" x="{0:.1f}" y="{2:.0f}">{3:g}</text>'
        ).format(across(tick), bottom, bottom + 15, tick)
        for tick in ticks(low, high)
    ]
    return Markup("").join(lines)


def _chance(x: float, bottom: float) -> Markup:
    return Markup('<line class="chance" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1:.0f}"/>').format(
        x, bottom
    )


def _row(
    scored: Scored,
    number: int,
    title: str,
    across: Callable[[float], float],
    readers: Sequence[str],
) -> Markup:
    found, y = scored.conditions[number], _TALL * number + 32
    parts = [
        Markup('<text class="name" x="{}" y="{}">{}</text>').format(_LEFT, y - 15, title),
        *(
            Markup(
                '<circle class="reader" cx="{:.1f}" cy="{}" r="3.5" stroke="{}">'
                "<title>{}: {:.3g}</title></circle>"
            ).format(across(value), y + 7, colour(number), reader, value)
            for reader, value in zip(readers, scored.readers[number].tolist(), strict=True)
        ),
    ]
    if math.isfinite(found.low):
        parts.append(
            Markup(
                '<path d="M{0:.1f} {2}H{1:.1f}M{0:.1f} {3}v8M{1:.1f} {3}v8" stroke="{4}"/>'
            ).format(across(found.low), across(found.high), y - 5, y - 9, colour(number))
        )
    parts.append(
        Markup('<circle cx="{:.1f}" cy="{}" r="5" fill="{}"/>').format(
            across(found.value), y - 5, colour(number)
        )
    )
    return Markup("").join(parts)


def plot_curves(curves: Sequence[Sequence[tuple[float, float]]], titles: Sequence[str]) -> Markup:
    """Localisation ROC curves of all conditions; dashes and colours tell them apart."""
    whole = _SIDE + _ROOM + 12

    def at(point: tuple[float, float]) -> str:
        return f"{_ROOM + point[0] * _SIDE:.1f} {12 + (1 - point[1]) * _SIDE:.1f}"

    parts = [
        Markup('<svg viewBox="0 0 {0} {1}" role="img" aria-label="{2}">').format(
            whole, whole, "Localisation ROC curves"
        )
    ]
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        parts.append(
            Markup(
                '<path class="grid-line" d="M{}L{}M{}L{}"/>'
                '<text class="tick" x="{:.0f}" y="{}">{:g}</text>'
                '<text class="tick end" x="{}" y="{:.0f}">{:g}</text>'
            ).format(
                at((tick, 0)),
                at((tick, 1)),
                at((0, tick)),
                at((1, tick)),
                _ROOM + tick * _SIDE,
                _SIDE + 28,
                tick,
                _ROOM - 6,
                16 + (1 - tick) * _SIDE,
                tick,
            )
        )
    for number, points in enumerate(curves):
        # beyond the lowest rating with a mark no more lesions are found
        ends = [*points, (1.0, points[-1][1])]
        parts.append(
            Markup(
                '<path d="M{}" stroke="{}" stroke-dasharray="{}" stroke-width="2.5">'
                "<title>{}</title></path>"
            ).format("L".join(map(at, ends)), colour(number), DASHES[number % 4], titles[number])
        )
        parts += [
            Markup('<circle cx="{}" cy="{}" r="3.5" fill="{}"/>').format(
                *at(point).split(), colour(number)
            )
            for point in points[1:]
        ]
    return Markup("").join([*parts, Markup("</svg>")])


def swatch(number: int) -> Markup:
    """What a condition's curve looks like."""
    return Markup(
        '<svg class="swatch" viewBox="0 0 40 8" aria-hidden="true">'
        '<path d="M0 4H40" stroke="{}" stroke-dasharray="{}" stroke-width="2.5"/></svg>'
    ).format(colour(number), DASHES[number % 4])
