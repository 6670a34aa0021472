"""Tables of two dimensions, anatomical and functional level to colour, that can be read back.

Lightness rises with both levels, mostly with the anatomical one; hue and chroma tell the functional
level. The numbers of both maps were found by ``benchmarks/colour_map.py``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from fusionprep.choices import ColourMapName
from fusionprep.image.colour_space import lab_to_linear, linear_to_srgb, srgb_to_lab

LEVELS = 256

FORMULAS: Mapping[str, str] = MappingProxyType(
    {
        "Lightness": "L* = lightest * ((1 - share) * m + share * f)",
        "Hue": "h0 + (h1 - h0) * f^hue_bend + hue_tilt * f * (L* - 50) / 50, in degrees,"
        " of hues h0, h1",
        "Chroma": "(c0 + (c1 - c0) * f^chroma_bend) * smooth(f / neutral_below)"
        " * min(1, L* / full_chroma_from) * (1 - paler * 4 * f * (1 - f) * m^4), of chromas c0, c1,"
        " smooth(x) = 3 x^2 - 2 x^3 up to x = 1 and 1 beyond; lowered to what sRGB can show",
    }
)
"""How levels become a colour, in the words of a sidecar."""


@dataclass(frozen=True)
class ColourMap:
    """How two levels become a colour, in CIELAB (D65).

    :data:`FORMULAS` says how; black comes of two levels of 0, and gray where there is no uptake.

    Attributes
    ----------
    name
        What ``--colour-map`` calls it.
    share
        Share of the lightness that tells the functional level.
    lightest
        L* where both levels are 1.
    hues
        h0 and h1, in degrees.
    hue_bend, hue_tilt
        How the hue goes from one to the other, and how much it turns with lightness, in degrees.
    chromas
        c0 and c1.
    chroma_bend
        How the chroma goes from one to the other.
    neutral_below
        Functional level below which the colour fades to gray, so that tissue without tracer looks
        like MRI.
    full_chroma_from
        L* below which the chroma fades, since dark colours have little.
    paler
        Part of the chroma that goes where bright anatomy has a medium functional level, since
        bright reds are pale.
    """

    name: ColourMapName
    share: float
    lightest: float
    hues: tuple[float, float]
    hue_bend: float
    hue_tilt: float
    chromas: tuple[float, float]
    chroma_bend: float
    neutral_below: float
    full_chroma_from: float
    paler: float

    def lab(self, anatomical: np.ndarray, functional: np.ndarray) -> np.ndarray:
        """CIELAB (..., 3) of levels in [0, 1] that broadcast, before sRGB limits the chroma."""
        lightness = self.lightest * ((1 - self.share) * anatomical + self.share * functional)
        start, end = self.hues
        hue = start + (end - start) * functional**self.hue_bend
        hue = np.deg2rad(hue + self.hue_tilt * functional * (lightness - 50) / 50)
        low, high = self.chromas
        chroma = low + (high - low) * functional**self.chroma_bend
        fade = np.clip(functional / self.neutral_below, 0, 1)
        chroma = chroma * fade**2 * (3 - 2 * fade)
        chroma = chroma * np.clip(lightness / self.full_chroma_from, 0, 1)
        chroma = chroma * (1 - self.paler * 4 * functional * (1 - functional) * anatomical**4)
        return np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)

    def describe(self) -> dict[str, Any]:
        """Formulas and numbers, as JSON values, by which the colours can be computed again."""
        numbers = {key: value for key, value in asdict(self).items() if key != "name"}
        return {
            "Name": self.name,
            "ColourSpace": "CIELAB (D65), shown in sRGB",
            "Levels": "m: anatomical, f: functional image, scaled to 0...1 as in Inputs",
            **FORMULAS,
            "Parameters": numbers,
            "DecodedBy": "fusionprep.image.colour.decode_colour",
        }


def displayable_share(lab: np.ndarray) -> np.ndarray:
    """The largest part of each colour's chroma that sRGB can show, by bisection.

    Parameters
    ----------
    lab
        CIELAB (..., 3).

    Returns
    -------
    numpy.ndarray
        (...), from 0 to 1.
    """
    shown, not_shown = np.zeros(lab.shape[:-1]), np.ones(lab.shape[:-1])
    tried = not_shown
    for _ in range(12):
        rgb = lab_to_linear(lab * np.stack([np.ones_like(tried), tried, tried], axis=-1))
        fits = ((rgb > -1e-3) & (rgb < 1 + 1e-3)).all(axis=-1)
        shown = np.where(fits, tried, shown)
        not_shown = np.where(fits, not_shown, tried)
        tried = (shown + not_shown) / 2
    return shown


def make_table(colour_map: ColourMap, levels: int = LEVELS) -> tuple[np.ndarray, np.ndarray]:
    """Colours of every pair of levels.

    Returns
    -------
    table : numpy.ndarray
        uint8 (levels, levels, 3), sRGB; first axis the anatomical level, second the functional.
    shown : numpy.ndarray
        (levels, levels): the part of the map's chroma that sRGB can show.
    """
    level = np.linspace(0, 1, levels)
    lab = colour_map.lab(level[:, None], level[None])
    shown = displayable_share(lab)
    lab[..., 1:] *= shown[..., None]
    return linear_to_srgb(lab_to_linear(lab)), shown


def look_up(table: np.ndarray, anatomical: np.ndarray, functional: np.ndarray) -> np.ndarray:
    """Entries of a table (256, 256, ...) at two levels in [0, 1], (..., ...)."""
    first, second = (
        np.rint(np.clip(values, 0, 1) * (LEVELS - 1)).astype(np.uint8)
        for values in (anatomical, functional)
    )
    return table[first, second]


class Decoder:
    """Reads two levels off colours, by the nearest colour of a table in CIELAB.

    Parameters
    ----------
    table
        uint8 (levels, levels, 3). Where entries have one colour, their mean level is read.
    """

    def __init__(self, table: np.ndarray) -> None:
        from scipy.spatial import KDTree

        codes, entries = np.unique(_codes(table), return_inverse=True)
        entries, level = entries.ravel(), np.linspace(0, 1, len(table))
        pairs = (np.repeat(level, len(level)), np.tile(level, len(level)))
        count = np.bincount(entries)
        self._levels = np.stack([np.bincount(entries, each) / count for each in pairs], axis=-1)
        self._tree = KDTree(srgb_to_lab(_colours(codes)))

    def decode(self, rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both levels of colours (..., 3) uint8: two float32 (...) in [0, 1]."""
        # A volume has fewer colours than voxels.
        codes, voxels = np.unique(_codes(rgb), return_inverse=True)
        levels = self.nearest(srgb_to_lab(_colours(codes))).astype(np.float32)
        levels = levels[voxels.reshape(rgb.shape[:-1])]
        return levels[..., 0], levels[..., 1]

    def nearest(self, lab: np.ndarray) -> np.ndarray:
        """Both levels (n, 2) of the colours in the table nearest to CIELAB (n, 3)."""
        _, nearest = self._tree.query(lab)
        return self._levels[nearest]


def _codes(rgb: np.ndarray) -> np.ndarray:
    """Each colour (..., 3) as one number."""
    red, green, blue = np.moveaxis(rgb.astype(np.uint32), -1, 0)
    return (red << 16) | (green << 8) | blue


def _colours(codes: np.ndarray) -> np.ndarray:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)
