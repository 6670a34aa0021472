"""Linear axes of the figures and lines between them."""

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


def line(x: np.ndarray, y: np.ndarray, colour: str) -> str:
    """A line with a dot at each point; what is not finite is left out."""
    points = [(a, b) for a, b in zip(x, y, strict=True) if np.isfinite(b)]
    if not points:
        return ""
    path = "L".join(f"{a:.1f},{b:.1f}" for a, b in points)
    dots = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>\n' for a, b in points
    )
    return stroke(f"M{path}", colour, 2) + dots


def stroke(path: str, colour: str, width: float = 1) -> str:
    """A path in one colour."""
    return f'<path fill="none" stroke="{colour}" stroke-width="{width}" d="{path}"/>\n'
