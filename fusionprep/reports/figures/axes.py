"""Linear axes of the figures and lines between them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.reports.figures import svg


@dataclass(frozen=True)
class Axis:
    """A linear axis: values from `low` to `high` at the positions `begin` to `end`."""

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, values: np.ndarray | float) -> np.ndarray:
        share = (np.asarray(values, float) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self, *, whole: bool = False) -> list[float]:
        """Round values along the axis."""
        from matplotlib.ticker import MaxNLocator

        places = MaxNLocator(6, integer=whole).tick_values(self.low, self.high)
        return [float(place) for place in places if self.low <= place <= self.high]


def grid(across: Axis, up: Axis, *, whole: bool) -> list[str]:
    """Lines and numbers of two axes, whole numbers across where that is asked for."""
    parts = []
    for value in up.ticks():
        y = float(up(value))
        parts.append(stroke(f"M{across.begin:.1f},{y:.1f}H{across.end:.1f}", "#3c4043"))
        parts.append(svg.text(f"{value:g}", across.begin - 10, y + 5, anchor="end"))
    for value in across.ticks(whole=whole):
        x = float(across(value))
        parts.append(stroke(f"M{x:.1f},{up.begin:.1f}v6", "#bdc1c6"))
        parts.append(svg.text(f"{value:g}", x, up.begin + 22, anchor="middle"))
    parts.append(stroke(f"M{across.begin:.1f},{up.begin:.1f}H{across.end:.1f}", "#bdc1c6"))
    return parts


def pauses(starts: Sequence[float], ends: Sequence[float]) -> list[int]:
    """Frames that come after a pause, which is longer than the frame before or after it.

    Examples
    --------
    >>> pauses([0, 10, 50, 60], [10, 20, 60, 70])
    [2]
    """
    lengths = np.subtract(ends, starts)
    paused = np.subtract(starts[1:], ends[:-1])
    return (np.flatnonzero(paused > np.minimum(lengths[1:], lengths[:-1])) + 1).tolist()


def line(x: np.ndarray, y: np.ndarray, colour: str, after_pause: Collection[int] = ()) -> str:
    """A line with a dot at each point; what is not finite is left out."""
    points = [(a, b) for a, b in zip(x, y, strict=True) if np.isfinite(b)]
    dots = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>\n' for a, b in points
    )
    return stroke(path(x, y, after_pause), colour, 2) + dots if points else ""


def path(x: np.ndarray, y: np.ndarray, after_pause: Collection[int] = ()) -> str:
    """Between points, without those that are not finite; a new line begins after each pause."""
    parts, mark = [], "M"
    for number, (a, b) in enumerate(zip(x, y, strict=True)):
        mark = "M" if number in after_pause else mark
        if np.isfinite(b):
            parts.append(f"{mark}{a:.1f},{b:.1f}")
            mark = "L"
    return "".join(parts)


def stroke(path: str, colour: str, width: float = 1) -> str:
    """A path in one colour."""
    return f'<path fill="none" stroke="{colour}" stroke-width="{width}" d="{path}"/>\n'
