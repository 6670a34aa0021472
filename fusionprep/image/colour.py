"""Colour of fused PET and SPECT: a table of both sources' levels, which can be read back."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from nibabel import Nifti1Image

from fusionprep.choices import ColourMapName
from fusionprep.errors import DataError, UsageError
from fusionprep.image.colour_table import ColourMap, Decoder, look_up, make_table
from fusionprep.image.io import read_colour

COLOUR_MAPS: Mapping[ColourMapName, ColourMap] = MappingProxyType(
    {
        each.name: each
        for each in (
            ColourMap(
                name="clear",
                share=0.317,
                lightest=93.8,
                hues=(314.0, 443.0),
                hue_bend=0.607,
                hue_tilt=14.0,
                chromas=(39.0, 38.0),
                chroma_bend=0.6,
                neutral_below=0.18,
                full_chroma_from=16.0,
                paler=0.04,
            ),
            ColourMap(
                name="vivid",
                share=0.337,
                lightest=96.5,
                hues=(320.0, 436.0),
                hue_bend=0.584,
                hue_tilt=32.0,
                chromas=(37.0, 68.0),
                chroma_bend=0.9,
                neutral_below=0.18,
                full_chroma_from=36.0,
                paler=0.2,
            ),
        )
    }
)
"""``clear`` shows best what can be seen in each source; ``vivid`` has stronger colours, at the cost
of the MRI. Found by ``benchmarks/colour_map.py``."""

DEFAULT_COLOUR_MAP: ColourMapName = "clear"

RGB24 = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def fuse_colour(
    anatomical: np.ndarray,
    functional: np.ndarray,
    mask: np.ndarray | None = None,
    colour_map: ColourMapName = DEFAULT_COLOUR_MAP,
) -> np.ndarray:
    """Show two images in one: lightness tells mostly the anatomy, hue and chroma the uptake.

    No model has a part in it. :func:`decode_colour` reads both images back.

    Parameters
    ----------
    anatomical, functional
        Same shape, in [0, 1].
    mask
        Same shape; outside it the result is black. None colours everything.
    colour_map
        One of :data:`COLOUR_MAPS`.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (..., 3), sRGB.
    """
    table = colour_table(colour_map)
    if mask is None:
        return look_up(table, anatomical, functional)
    inside = mask > 0
    colours = np.zeros((*inside.shape, 3), np.uint8)
    colours[inside] = look_up(table, anatomical[inside], functional[inside])
    return colours


def gray_as_rgb(fused: np.ndarray) -> np.ndarray:
    """A gray image in [0, 1] as uint8 (..., 3), for what is not shown in colour."""
    levels = np.rint(255 * np.clip(fused, 0, 1)).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=-1)


def decode_colour(
    rgb: np.ndarray, colour_map: ColourMapName = DEFAULT_COLOUR_MAP
) -> tuple[np.ndarray, np.ndarray]:
    """Both sources of an image that :func:`fuse_colour` made.

    Of ``clear``, both levels are right within 3 of 255 from L* = 10 and an uptake of .1 on, and
    within 6 elsewhere; of ``vivid`` within 5 and 6.

    Parameters
    ----------
    rgb
        uint8 (..., 3). Colours that are not in the table are read as the nearest that is (CIELAB).
    colour_map
        That with which it was made.

    Returns
    -------
    anatomical, functional : numpy.ndarray
        float32 (...), in [0, 1].

    Raises
    ------
    DataError
        When it is not an array of 8-bit RGB.
    """
    rgb = np.asarray(rgb)
    if rgb.dtype != np.uint8 or rgb.ndim < 1 or rgb.shape[-1] != 3:
        raise DataError(
            f"8-bit RGB of shape (..., 3) can be decoded, not {rgb.dtype} of shape {rgb.shape}"
        )
    return _decoder(colour_map).decode(rgb)


@cache
def colour_table(colour_map: ColourMapName = DEFAULT_COLOUR_MAP) -> np.ndarray:
    """Colours (sRGB) for every pair of levels.

    Returns
    -------
    numpy.ndarray
        uint8 (256, 256, 3), read-only; first axis the anatomical level, second the functional.

    Raises
    ------
    UsageError
        When there is no map of that name.
    """
    table, _ = make_table(_map_of(colour_map))
    table.flags.writeable = False
    return table


@cache
def _decoder(colour_map: ColourMapName) -> Decoder:
    return Decoder(colour_table(colour_map))


def _map_of(name: ColourMapName) -> ColourMap:
    if name not in COLOUR_MAPS:
        raise UsageError(f"unknown colour map {name!r}; there are: {', '.join(COLOUR_MAPS)}")
    return COLOUR_MAPS[name]


def describe_colours(colour_map: ColourMapName = DEFAULT_COLOUR_MAP) -> dict[str, Any]:
    """The ``ColourMap`` field of a colour image's sidecar: how both levels became a colour."""
    return _map_of(colour_map).describe()


def rgb24_image(rgb: np.ndarray, affine: np.ndarray) -> Nifti1Image:
    """A NIfTI image of datatype RGB24 from uint8 (X, Y, Z, 3), in millimetres."""
    voxels = np.ascontiguousarray(rgb, np.uint8).view(RGB24)[..., 0]
    image = Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    return image


def load_colour(path: str | Path) -> np.ndarray:
    """The colours of a fused image in a NIfTI file, as arrays have them.

    Nilearn, for one, cannot open such a file, whose voxels are triples (RGB24).

    Parameters
    ----------
    path
        A ``desc-fused<Model>Color`` image, or what ``fusionprep fuse --colour`` has written.

    Returns
    -------
    numpy.ndarray
        uint8 (X, Y, Z, 3): red, green, blue, 0..255.

    Raises
    ------
    DataError
        When the file cannot be read or is not in colour.
    """
    voxels = np.asarray(read_colour(path).dataobj)
    return np.stack([voxels[channel] for channel in RGB24.names or ()], axis=-1)
