"""What a reader can see in a fused colour image, and what can be read back from it.

Colours are judged in CIELAB, as parts of 100, so that L* of a gray image is its level. Schemes are
tables (256, 256, 3) of uint8 sRGB: the first axis the anatomical level, the second the functional.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.errors import DataError
from fusionprep.evaluation.lesions import (
    READER_NOISE,
    Condition,
    Planted,
    Reader,
    conditions,
    plant,
)
from fusionprep.image.colour_space import deuteranopic, srgb_to_lab
from fusionprep.image.colour_table import Decoder, look_up
from fusionprep.modalities import Modality

SHOWN = 0.99
"""A colour of which sRGB shows less chroma than this share counts as cut."""

Pair = tuple[np.ndarray, np.ndarray]
"""Anatomical and functional."""


@dataclass(frozen=True)
class LesionColour:
    """Lesions of one kind in one image.

    Attributes
    ----------
    difference
        Colour difference to their surroundings against the clutter of all three coordinates, as a
        share of the lesions' visibility in the source.
    printed
        Retention in the image printed in gray: in its L* alone.
    """

    condition: Condition
    difference: float
    printed: float


@dataclass(frozen=True)
class ColourReading:
    """What can be seen in one coloured slice or volume, and read back from it.

    Attributes
    ----------
    lesions
        One score for each source and size.
    decoded
        R² of the anatomical and the functional level that are read off the colours in the brain.
    deuteranopic
        The same for a deuteranope, who compares with the table as a deuteranope sees it.
    """

    lesions: tuple[LesionColour, ...]
    decoded: tuple[float, float]
    deuteranopic: tuple[float, float]


@dataclass(frozen=True)
class ColourSummary:
    """Readings of several images.

    Attributes
    ----------
    difference
        Mean over the images, of the source and size that come off worst.
    printed
        The same of the retention in gray print, for each source.
    decoded, deuteranopic
        R² of each source in the image where it is least.
    images
        How many.
    """

    difference: float
    printed: tuple[float, float]
    decoded: tuple[float, float]
    deuteranopic: tuple[float, float]
    images: int


def read_colours(
    table: np.ndarray,
    anatomical: np.ndarray,
    functional: np.ndarray,
    brain: np.ndarray,
    modality: Modality,
    *,
    rng: np.random.Generator,
    voxel_sizes: Sequence[float] | None = None,
) -> ColourReading:
    """Plant lesions in both sources of a pair, colour it, and decode its colours.

    Parameters
    ----------
    table
        uint8 (256, 256, 3).
    anatomical, functional, brain, modality, rng, voxel_sizes
        As in :func:`fusionprep.evaluation.visibility.visibility`.

    Raises
    ------
    DataError
        When the brain leaves no room for a lesion.
    """
    reader = Reader(brain, voxel_sizes)
    pair = np.asarray(anatomical), np.asarray(functional)
    lab = srgb_to_lab(table) / 100
    colours = look_up(lab, *pair)
    lesions = []
    for condition in conditions(modality):
        planted = plant(pair[condition.index], reader, condition, rng)
        changed = (planted.image, pair[1]) if condition.index == 0 else (pair[0], planted.image)
        change = look_up(lab, *changed) - colours
        lesions.append(_score(reader, condition, planted, pair, colours, change))
    inside = pair[0][reader.brain], pair[1][reader.brain]
    return ColourReading(
        tuple(lesions),
        decoded_share(table, *inside),
        decoded_share(deuteranopic(table), *inside),
    )


def _score(
    reader: Reader,
    condition: Condition,
    planted: Planted,
    pair: Pair,
    colours: np.ndarray,
    change: np.ndarray,
) -> LesionColour:
    size, own = condition.size, pair[condition.index]
    in_source = reader.response(planted.image - own, size)[planted.at]
    shown = np.abs(in_source).sum() / reader.clutter(own, size)
    seen = np.stack([reader.response(change[..., k], size)[planted.at] for k in range(3)], axis=-1)
    # Each coordinate's clutter has the reader's noise in it, which counts once.
    clutter = [reader.clutter(colours[..., k], size) for k in range(3)]
    of_all = math.sqrt(sum(part**2 for part in clutter) - 2 * READER_NOISE**2)
    lightness = np.maximum(planted.signs * seen[:, 0], 0).sum() / clutter[0]
    difference = np.linalg.norm(seen, axis=-1).sum() / of_all
    if not shown > 0:
        return LesionColour(condition, math.nan, math.nan)
    return LesionColour(condition, float(difference / shown), float(lightness / shown))


def decoded_share(
    table: np.ndarray, anatomical: np.ndarray, functional: np.ndarray
) -> tuple[float, float]:
    """R² of both levels that are read off their colours, NaN where a source is constant.

    Parameters
    ----------
    table
        uint8 (256, 256, 3).
    anatomical, functional
        Same shape, in [0, 1].
    """
    found = Decoder(table).decode(look_up(table, anatomical, functional))
    first, second = (
        float(1 - np.mean((true - read) ** 2) / np.var(true)) if np.ptp(true) > 0 else math.nan
        for true, read in zip((anatomical, functional), found, strict=True)
    )
    return first, second


def combine_colours(readings: Iterable[ColourReading]) -> ColourSummary:
    """The mean over images of each source and size, and of these the worst.

    Raises
    ------
    DataError
        When there is no reading.
    """
    readings = tuple(readings)
    if not readings:
        raise DataError("there is no image whose colours could be read")
    columns = list(zip(*(reading.lesions for reading in readings), strict=True))
    printed = [
        (column[0].condition.index, np.nanmean([score.printed for score in column]))
        for column in columns
    ]
    first, second = (min(mean for index, mean in printed if index == wanted) for wanted in (0, 1))
    decoded, deuteranope = (
        np.nanmin([getattr(reading, name) for reading in readings], axis=0).tolist()
        for name in ("decoded", "deuteranopic")
    )
    return ColourSummary(
        difference=min(
            float(np.nanmean([score.difference for score in column])) for column in columns
        ),
        printed=(float(first), float(second)),
        decoded=(decoded[0], decoded[1]),
        deuteranopic=(deuteranope[0], deuteranope[1]),
        images=len(readings),
    )
