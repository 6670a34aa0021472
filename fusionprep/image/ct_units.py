"""What a CT's numbers are: Hounsfield units, or what is often taken for them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fusionprep.errors import DataError
from fusionprep.modalities import CT

PADDING = -1100.0
"""Below it there is no tissue: scanners fill what they did not see with -2000 or -3024."""

AIR = (-1100.0, -850.0)
SOFT_TISSUE = (-20.0, 120.0)
"""Hounsfield units of water, brain, muscle and blood; of nothing else that fills many voxels."""

SMALLEST_SHARE = 0.04
"""Of the voxels, so that a peak counts; a head fills a tenth of its field of view or more."""

BONE = 300.0

OFFSETS = (1024.0, 1000.0)
"""What is added to Hounsfield units so that they can be stored as whole numbers without a sign."""

BRAIN = 35.0

EIGHT_BITS = 255.0
BLACK = 0.02
"""Share of a window's range that is taken for black."""

Kind = Literal["hounsfield", "offset", "window", "unknown"]


@dataclass(frozen=True)
class CTUnits:
    """What the numbers of a CT are.

    Attributes
    ----------
    kind
        ``hounsfield``; ``offset``: Hounsfield units and a constant; ``window``: gray levels of a
        picture, 0 to 255 or 0 to 1; ``unknown``.
    offset
        The constant.
    white
        Level of white in a window.
    """

    kind: Kind
    offset: float = 0.0
    white: float = 1.0

    @property
    def note(self) -> str:
        """What was found, for the sidecar; empty for Hounsfield units."""
        return {
            "hounsfield": "",
            "offset": f"stored values; {self.offset:g} was subtracted to get Hounsfield units",
            "window": f"gray levels of a window, 0 to {self.white:g}, not Hounsfield units",
            "unknown": "neither Hounsfield units nor anything that could be turned into them",
        }[self.kind]


def ct_units(values: np.ndarray) -> CTUnits:
    """Tell from the peaks of air, soft tissue and bone what the numbers of a CT are.

    Parameters
    ----------
    values
        (X, Y, Z) or (H, W), as read from the file.
    """
    found = values[np.isfinite(values)]
    found = found[found > PADDING]
    if not found.size or found.min() == found.max():
        return CTUnits("unknown")
    lowest, highest = float(found.min()), float(found.max())
    if lowest >= 0 and highest <= 1:
        return CTUnits("window", white=1.0)
    if lowest >= 0 and 0.75 * EIGHT_BITS < highest <= EIGHT_BITS:
        return CTUnits("window", white=EIGHT_BITS)
    tissue = _share(found, *SOFT_TISSUE)
    if _share(found, *AIR) > SMALLEST_SHARE or (lowest < -BONE and tissue > SMALLEST_SHARE):
        return CTUnits("hounsfield")
    for offset in OFFSETS:
        moved = found - offset
        if _share(moved, *SOFT_TISSUE) > SMALLEST_SHARE and lowest > -BONE and highest > offset:
            brain = np.median(moved[(moved > SOFT_TISSUE[0]) & (moved < SOFT_TISSUE[1])])
            other = OFFSETS[1 - OFFSETS.index(offset)]
            nearer = min((offset, other), key=lambda each: abs(brain + offset - each - BRAIN))
            return CTUnits("offset", offset=nearer)
    # Outside a stripped brain there is no air.
    within = found[found != 0]
    if within.size and _share(within, *SOFT_TISSUE) > 0.5:
        return CTUnits("hounsfield")
    return CTUnits("unknown")


def to_hounsfield(values: np.ndarray, name: str) -> tuple[np.ndarray, CTUnits]:
    """A CT in Hounsfield units, padding replaced by air, and what its numbers were.

    Parameters
    ----------
    values
        (X, Y, Z) or (H, W), as read from the file.
    name
        What to call it in the message.

    Returns
    -------
    tuple
        float32 array of the same shape, and its units. The levels of a window come out as if they
        were the window in which CT are fused, so that they are fused as they are.

    Raises
    ------
    DataError
        When it cannot be told what the numbers are.
    """
    units = ct_units(values)
    if units.kind == "unknown":
        raise DataError(
            f"{name} is not in Hounsfield units (air near -1000, brain 20 to 45, bone above 300):"
            " give the CT as the scanner reconstructed it, or rescale it"
        )
    values = np.asarray(values, np.float32)
    if units.kind == "window":
        levels = np.nan_to_num(values) / np.float32(units.white)
        low, high = CT.window or (0.0, 1.0)
        return np.where(levels <= BLACK, CT.outside, low + (high - low) * levels), units
    moved = np.where(values > PADDING, values - np.float32(units.offset), CT.outside)
    return np.nan_to_num(moved, nan=CT.outside).astype(np.float32), units


def _share(values: np.ndarray, low: float, high: float) -> float:
    return float(np.mean((values > low) & (values < high)))
