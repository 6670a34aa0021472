"""Plots of the page as SVG: areas with intervals, ROC curves, reliability."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from fusionprep.evaluation.roc import Interval, roc_curve
from fusionprep.reports.group.plots import ticks

WIDTH = 860
SIDE = 250
_NAME, _TEXT, _TALL = 250, 170, 30
_LEFT, _TOP, _SPAN = 44, 12, 190
COLOURS = ("#0072b2", "#d55e00", "#009e73")
"""After Okabe and Ito, one for each class."""


def plot_intervals(title: str, rows: Sequence[tuple[str, Interval]], reference: float) -> Markup:
    """Figures with their intervals one below the other, and a line at a reference value.

    Parameters
    ----------
    title
        For screen readers.
    rows
        Names and figures.
    reference
        Such as chance.
    """
    low = min([reference, *(found.low for _, found in rows)])
    high = max([reference, *(found.high for _, found in rows)])
    margin = 0.04 * (high - low) or 0.05
    low, high = low - margin, high + margin
    height = _TALL * len(rows) + 26

    def across(value: float) -> float:
        return _NAME + (value - low) / (high - low) * (WIDTH - _NAME - _TEXT)

    parts = [_start(WIDTH, height, title)]
    for tick in ticks(low, high):
        parts.append(_vertical(across(tick), 0, height - 22, "grid-line"))
        parts.append(_text(across(tick), height - 6, "middle", f"{tick:g}", "tick"))
    parts.append(_vertical(across(reference), 0, height - 22, "reference"))
    for number, (name, found) in enumerate(rows):
        middle = _TALL * (number + 0.5)
        parts += [
            _text(0, middle + 5, "start", name, "name"),
            Markup('<path class="whisker" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
                across(found.low), middle, across(found.high)
            ),
            Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="5"/>').format(
                across(found.value), middle
            ),
            _text(WIDTH - 2, middle + 5, "end", interval_text(found), "value"),
        ]
    return Markup("").join([*parts, Markup("</svg>")])


def interval_text(found: Interval) -> str:
    """A figure and its interval.

    Examples
    --------
    >>> interval_text(Interval(0.8, 0.7, 0.9))
    '0.80 [0.70, 0.90]'
    """
    return f"{found.value:z.2f} [{found.low:z.2f}, {found.high:z.2f}]"


def mean_roc(
    scores: np.ndarray, positive: np.ndarray, folds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ROC curve averaged over folds at the same false positive rate, as the area is.

    Fawcett T. An introduction to ROC analysis. Pattern Recognition Letters 27:861-874, 2006.

    Returns
    -------
    false, true
        Rates (101,).
    """
    at = np.linspace(0, 1, 101)
    curves, weights = [], []
    for fold in np.unique(folds):
        inside = folds == fold
        false, true = roc_curve(scores[inside], positive[inside])
        curves.append(np.interp(at, false, true))
        weights.append(positive[inside].sum() * (~positive[inside]).sum())
    return np.append(0, at), np.append(0, np.average(curves, axis=0, weights=weights))


def plot_roc(title: str, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Markup:
    """ROC curves of classes; of two classes just one."""
    parts = [_start(SIDE, SIDE, title), _square("false positive rate", "true positive rate")]
    for colour, (false, true) in zip(COLOURS, curves.values(), strict=False):
        steps = " ".join(f"{_x(a):.1f},{_y(b):.1f}" for a, b in zip(false, true, strict=True))
        parts.append(
            Markup('<polyline class="curve" stroke="{}" points="{}"/>').format(colour, steps)
        )
    return Markup("").join([*parts, _legend(curves), Markup("</svg>")])


def plot_reliability(title: str, bins: Mapping[str, Sequence[tuple[float, Interval]]]) -> Markup:
    """Observed share against mean probability, with intervals, for each class."""
    parts = [_start(SIDE, SIDE, title), _square("probability told", "share observed")]
    for colour, points in zip(COLOURS, bins.values(), strict=False):
        for told, seen in points:
            parts.append(
                Markup(
                    '<path stroke="{}" d="M{:.1f} {:.1f}V{:.1f}"/>'
                    '<circle fill="{}" cx="{:.1f}" cy="{:.1f}" r="4"/>'
                ).format(
                    *(colour, _x(told), _y(seen.low), _y(seen.high)),
                    *(colour, _x(told), _y(seen.value)),
                )
            )
    return Markup("").join([*parts, _legend(bins), Markup("</svg>")])


def _start(width: float, height: float, title: str) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        width, height, title
    )


def _x(share: float) -> float:
    return _LEFT + _SPAN * share


def _y(share: float) -> float:
    return _TOP + _SPAN * (1 - share)


def _square(across: str, up: str) -> Markup:
    """Axes from 0 to 1 and the diagonal."""
    parts = [
        Markup('<rect class="frame" x="{}" y="{}" width="{}" height="{}"/>').format(
            _LEFT, _TOP, _SPAN, _SPAN
        ),
        Markup('<path class="reference" d="M{} {}L{} {}"/>').format(_x(0), _y(0), _x(1), _y(1)),
        _text(_x(0.5), SIDE - 8, "middle", across, "tick"),
        Markup(
            '<text class="tick" text-anchor="middle" transform="translate(12 {}) rotate(-90)">'
            "{}</text>"
        ).format(_y(0.5), up),
    ]
    for tick in (0.0, 0.5, 1.0):
        parts.append(_text(_x(tick), _y(0) + 16, "middle", f"{tick:g}", "tick"))
        parts.append(_text(_x(0) - 6, _y(tick) + 4, "end", f"{tick:g}", "tick"))
    return Markup("").join(parts)


def _legend(names: Mapping[str, object]) -> Markup:
    """Names of several curves in the lower right corner, where ROC curves are not."""
    if len(names) < 2:
        return Markup("")
    return Markup("").join(
        Markup(
            '<text class="tick" fill="{}" style="fill:{}" text-anchor="end" x="{:.1f}" '
            'y="{:.1f}">{}</text>'
        ).format(colour, colour, _x(1) - 6, _y(0.24) + 14 * n, name)
        for n, (colour, name) in enumerate(zip(COLOURS, names, strict=False))
    )


def _vertical(x: float, top: float, bottom: float, kind: str) -> Markup:
    return Markup('<path class="{}" d="M{:.1f} {:.1f}V{:.1f}"/>').format(kind, x, top, bottom)


def _text(x: float, y: float, anchor: str, content: str, kind: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, content
    )
