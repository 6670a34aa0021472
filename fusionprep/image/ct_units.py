"""What a CT's numbers are: Hounsfield units, or what is often taken for them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fusionprep.errors import DataError
from fusionprep.image.intensity import Scaling, constant_background
from fusionprep.modalities import CT

PADDING = -1100.0
"""Below it there is no tissue: scanners fill what they did not see with -2000 or -3024."""

AIR = (PADDING, -850.0)
BETWEEN = (-700.0, -300.0)
"""Hounsfield units of hardly anything in a head."""
SOFT_TISSUE = (-20.0, 120.0)
"""Hounsfield units of water, brain, muscle and blood; of nothing else that fills many voxels."""
ABOVE_SOFT = (120.0, 300.0)
"""Hounsfield units of little: the edge of bone, calcification, contrast medium."""

LEAST_AIR = 0.005
"""Of all voxels."""
LEAST_SOFT = 0.2
"""Of what is denser than :data:`BETWEEN`; bone, fat and a table are the rest."""
SOFT_WITHOUT_AIR = 0.4
"""The same where there is no air to tell the units."""
MOST_BETWEEN = 0.3
"""Of as much soft tissue, in both ranges that are nearly empty: other images have no such peaks."""

OFFSETS = (1024.0, 1000.0)
"""What is added to Hounsfield units so that they can be stored as whole numbers without a sign."""

BRAIN = 35.0
"""Median of the soft tissue of a head."""
BRAIN_RANGE = (20.0, 50.0)
SURE = 4.0
"""By so much one offset must bring the brain nearer to its level than the other."""

EIGHT_BITS = 255.0
BLACK = 0.02
"""Share of a window's range that is taken for black."""
BRIGHTEST = 99.5
"""Percentile of a head in unknown units that is shown white."""
WHITE = 0.75
"""Share of a range of 8 bits that the brightest voxel of a window reaches."""
OVERSHOOT = 0.05
"""Share of a window's range by which interpolation may leave it."""
BRIGHT = 0.01
"""Of what is not black: share above the middle of the range, where a window shows bone."""

BLOOD, BONE = 80.0, 300.0
NO_SKULL, SKULL = 0.02, 0.03
"""Share denser than blood in a stripped brain, at most, and of bone in other heads, at least."""

SAMPLED = 2_000_000
"""Voxels that are looked at, about."""

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
    black, white
        Levels of both in a window; in unknown units, those between which the head lies.
    background
        What stands for air around the head in Hounsfield units that were cut off or stripped; None
        where air has its own level.
    """

    kind: Kind
    offset: float = 0.0
    black: float = 0.0
    white: float = 1.0
    background: float | None = None

    @property
    def hounsfield(self) -> bool:
        """Whether the numbers can be turned into Hounsfield units."""
        return self.kind in ("hounsfield", "offset")

    @property
    def note(self) -> str:
        """What was found, for the sidecar; empty for Hounsfield units."""
        if self.kind == "hounsfield" and self.background is not None:
            return f"Hounsfield units in which {self.background:g} stood for air"
        return {
            "hounsfield": "",
            "offset": f"stored values; {self.offset:g} was subtracted to get Hounsfield units",
            "window": f"gray levels of a window, {self._range}, not Hounsfield units",
            "unknown": "neither Hounsfield units (air near -1000, brain 20 to 45, bone above 300)"
            f" nor anything that could be turned into them; the head lies at {self._range}",
        }[self.kind]

    @property
    def _range(self) -> str:
        return f"{self.black:g} to {self.white:g}"

    @property
    def scaling(self) -> Scaling | None:
        """How it was scaled to be fused, for the sidecar; None for Hounsfield units."""
        return None if self.hounsfield else Scaling(self.note, self.black, self.white)


def ct_units(values: np.ndarray) -> CTUnits:
    """Tell from the peaks of air, soft tissue and bone what the numbers of a CT are.

    Air and soft tissue are 1000 apart in Hounsfield units, with next to nothing in between, and
    little lies between soft tissue and bone. No offset or window is told from one level alone.

    Parameters
    ----------
    values
        (X, Y, Z) or (H, W), as read from the file.
    """
    found = values[np.isfinite(values) & (values > PADDING)].astype(np.float32)
    if not found.size or found.min() == found.max():
        return CTUnits("unknown")
    lowest, highest = float(found.min()), float(found.max())
    found = found[:: max(1, found.size // SAMPLED)]
    if _has_peaks(found):
        return CTUnits("hounsfield")
    for white, least in ((1.0, 0.0), (EIGHT_BITS, WHITE * EIGHT_BITS)):
        room = OVERSHOOT * white
        if -room <= lowest and least < highest <= white + room and _is_window(found, white):
            return CTUnits("window", white=white)
    if any(_has_peaks(found - offset) for offset in OFFSETS):
        soft = [_soft_median(found - offset) for offset in OFFSETS]
        off = [abs(median - BRAIN) for median in soft]
        if abs(off[0] - off[1]) >= SURE:
            return CTUnits("offset", offset=OFFSETS[int(np.argmin(off))])
        return _unknown(found)
    background = constant_background(found)
    if background is None or not BETWEEN[0] < background <= 0:
        return _unknown(found)
    if not _is_head(found[found != background]):
        return _unknown(found)
    return CTUnits("hounsfield", background=background)


def _unknown(values: np.ndarray) -> CTUnits:
    """What is known at least: where air ends, and how bright the head is."""
    from skimage.filters import threshold_multiotsu

    try:
        low, high = threshold_multiotsu(values, classes=3)
    except ValueError:  # fewer than three levels
        return CTUnits("unknown", black=float(values.min()), white=float(values.max()))
    # Any threshold in the gap between air and soft tissue is as good to Otsu: take its middle.
    middles = np.median(values[values <= low]), np.median(values[(values > low) & (values <= high)])
    black = float(np.mean(middles))
    white = float(np.percentile(values[values > black], BRIGHTEST))
    return CTUnits("unknown", black=black, white=white)


def without_padding(values: np.ndarray) -> np.ndarray:
    """A CT in float32 whose padding, and what is not a number, became air (-1000)."""
    values = np.asarray(values, np.float32)
    return np.where(np.isfinite(values) & (values > PADDING), values, np.float32(CT.outside))


def in_hounsfield(values: np.ndarray, units: CTUnits) -> np.ndarray:
    """A CT in Hounsfield units, padding replaced by air.

    Parameters
    ----------
    values
        (X, Y, Z) or (H, W), as read from the file.
    units
        Of :func:`ct_units`. Levels of a window and those in unknown units come out as if they were
        the window in which CT are fused, so that black and white are fused as such.

    Returns
    -------
    numpy.ndarray
        float32, same shape.
    """
    if not units.hounsfield:
        levels = np.nan_to_num(np.asarray(values, np.float32), nan=units.black) - units.black
        levels /= np.float32(units.white - units.black)
        low, high = CT.window or (0.0, 1.0)
        spread = np.float32(low) + np.float32(high - low) * levels
        return np.where(levels <= BLACK, np.float32(CT.outside), spread)
    values = np.asarray(values, np.float32)
    padded = ~(np.isfinite(values) & (values > PADDING))
    moved = without_padding(np.where(padded, np.float32(CT.outside), values - units.offset))
    if units.background is None:
        return moved
    from scipy import ndimage

    shown = values != np.float32(units.background)
    return np.where(ndimage.binary_fill_holes(shown), moved, np.float32(CT.outside))


def to_hounsfield(values: np.ndarray, name: str) -> tuple[np.ndarray, CTUnits]:
    """A CT as :func:`in_hounsfield` gives it, and what its numbers were.

    Parameters
    ----------
    values
        (X, Y, Z) or (H, W), as read from the file.
    name
        What to call it in the message.

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
    return in_hounsfield(values, units), units


def _has_peaks(values: np.ndarray) -> bool:
    """Whether there are peaks of air and of soft tissue in Hounsfield units."""
    if _count(values, AIR) < LEAST_AIR * values.size or not _is_soft(values):
        return False
    return _count(values, BETWEEN) <= MOST_BETWEEN * _count(values, SOFT_TISSUE)


def _is_soft(values: np.ndarray, least: float = LEAST_SOFT) -> bool:
    """Whether there is a peak of soft tissue."""
    soft, dense = _count(values, SOFT_TISSUE), np.count_nonzero(values > BETWEEN[1])
    return bool(soft > least * dense) and _count(values, ABOVE_SOFT) <= MOST_BETWEEN * soft


def _is_head(values: np.ndarray) -> bool:
    """Whether there is a brain at its level, alone or in its skull, where no air tells the units.

    In a wide window of 8 bits the brain is at that level, too, but bone is not.
    """
    if not _is_soft(values, SOFT_WITHOUT_AIR):
        return False
    dense, bone = (np.mean(values > level) for level in (BLOOD, BONE))
    at_level = BRAIN_RANGE[0] <= _soft_median(values) <= BRAIN_RANGE[1]
    return bool(at_level and (dense < NO_SKULL or bone > SKULL))


def _is_window(values: np.ndarray, white: float) -> bool:
    """Whether values in a window's range are its levels, not those of a stripped brain."""
    shown = values[values > BLACK * white]
    in_units = white > 1 and BRAIN_RANGE[0] <= np.median(shown) <= BRAIN_RANGE[1]
    return not in_units or int(np.count_nonzero(shown > white / 2)) >= BRIGHT * shown.size


def _soft_median(values: np.ndarray) -> float:
    low, high = SOFT_TISSUE
    return float(np.median(values[(values > low) & (values < high)]))


def _count(values: np.ndarray, limits: tuple[float, float]) -> int:
    return int(np.count_nonzero((values > limits[0]) & (values < limits[1])))
