"""Metrics and guards of one fused file and its two sources."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionprep.errors import DataError, NoInputError
from fusionprep.evaluation.metrics import METRICS, metric_names
from fusionprep.evaluation.pairs import (
    GrayPair,
    Pair,
    read_fused,
    read_pair,
    read_scored_mask,
    to_gray_levels,
)
from fusionprep.evaluation.scoring import FLICKER, mean_scores
from fusionprep.evaluation.volumes import through_plane_inconsistency
from fusionprep.modalities import PET


@dataclass(frozen=True)
class FileScores:
    """What was found of a fused file.

    Attributes
    ----------
    values
        Metric, guard or ``through_plane`` (volumes alone) to its value; NaN where it has none.
    slices
        Of how many slices they are means.
    """

    values: dict[str, float]
    slices: int


def score_files(
    anatomical: Path,
    functional: Path,
    fused: Path,
    mask: Path | None = None,
    *,
    modality: str = PET.name,
    names: Sequence[str] | None = None,
) -> FileScores:
    """Judge a fused file as the benchmark does.

    Parameters
    ----------
    anatomical, functional, fused
        Pictures of one size, or NIfTI volumes on one grid, which are scaled to gray levels as for
        fusion (:func:`~fusionprep.evaluation.pairs.read_pair`). Colours become luma.
    mask
        Like them: where the images were fused; all of them are black outside. None takes a picture
        as a whole, and of a volume the head that either source shows.
    modality
        Of the functional image.
    names
        Of the metrics; None takes all.

    Raises
    ------
    NoInputError, DataError
        When a file is missing or cannot be read, or the files do not go together.
    UsageError
        When there is no metric of a name.
    """
    for path in (anatomical, functional, fused, mask):
        if path is not None and not path.is_file():
            raise NoInputError(f"there is no file {path}")
    gray = read_pair(Pair(anatomical, functional), modality, mask)
    levels = to_gray_levels(read_fused(fused, gray.anatomical.shape))
    if mask is not None:
        inside = read_scored_mask(mask, gray.anatomical.shape)
        gray, levels = _black_outside(gray, inside), np.where(inside, levels, 0).astype(np.uint8)
    try:
        values, slices = mean_scores(gray, levels, metric_names() if names is None else names)
    except DataError as error:
        raise DataError(f"{fused}: {error}") from error
    if levels.ndim == 3:
        sources = gray.anatomical.astype(np.float64), gray.functional.astype(np.float64)
        flicker = through_plane_inconsistency(levels.astype(np.float64), *sources, gray.mask)
        values |= {FLICKER: flicker}
    return FileScores(values, slices)


def meanings() -> dict[str, tuple[str, str]]:
    """Each figure's better direction (``higher``, ``lower``, ``neither``), and what it is."""
    from fusionprep.evaluation.benchmark_report import GUARD_TEXTS

    known = [(metric.name, str(metric.better), metric.title) for metric in METRICS]
    known += [(name, "neither", text) for name, text in GUARD_TEXTS.items()]
    return {name: (better, text) for name, better, text in known}


def _black_outside(gray: GrayPair, inside: np.ndarray) -> GrayPair:
    sources = (np.where(inside, image, 0) for image in (gray.anatomical, gray.functional))
    first, second = (image.astype(np.uint8) for image in sources)
    return dataclasses.replace(gray, anatomical=first, functional=second)
