"""BrainWeb's tissue classes, and what scanners see of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from fusionprep.demo import phantom
from fusionprep.demo.phantom import Tissue
from fusionprep.demo.subject import Grid
from fusionprep.errors import DataError
from fusionprep.files import table_text

Classes: TypeAlias = tuple[tuple[str, Tissue], ...]
"""Names and tissues by label."""

CSF, GREY, WHITE = 1, 2, 3
"""Labels that both models share."""

_GLIA = replace(phantom.GREY_MATTER, pet=phantom.WHITE_MATTER.pet)
_LESION = replace(phantom.WHITE_MATTER, t1w=phantom.GREY_MATTER.t1w, flair=1.0, pet=0.8)
_COMMON = (
    ("background", phantom.AIR),
    ("CSF", phantom.CEREBROSPINAL_FLUID),
    ("gray matter", phantom.GREY_MATTER),
    ("white matter", phantom.WHITE_MATTER),
    ("fat", phantom.FAT),
    ("muscle and skin", phantom.MUSCLE),
    ("skin", phantom.SKIN),
    ("skull", phantom.CORTICAL_BONE),
)
ONE_BRAIN = (
    *_COMMON,
    ("glial matter", _GLIA),
    ("connective tissue", phantom.MUSCLE),
    ("MS lesion", _LESION),
)
"""Classes of the normal brain and the brains with multiple sclerosis by their labels (Collins et
al., IEEE Trans Med Imaging 1998;17:463-468)."""

TWENTY_BRAINS = (
    *_COMMON,
    ("vessels", phantom.MUSCLE),
    ("tissue around fat", phantom.MUSCLE),
    ("dura mater", phantom.MUSCLE),
    ("bone marrow", phantom.MARROW),
)
"""Classes of the twenty normal brains (Aubert-Broche et al., IEEE Trans Med Imaging
2006;25:1410-1416)."""

_SHORT_STEP = 16
_WHOLE = 0.01


def labels_of(values: np.ndarray, n_classes: int, name: str) -> np.ndarray:
    """Labels (uint8) of a class map as it is stored.

    Parameters
    ----------
    values
        Labels, or labels times 16, as shorts have them; the lower four bits are not looked at.
    n_classes
        Of the model.
    name
        Of the file, for the error.

    Raises
    ------
    DataError
        When they are neither.
    """
    whole = np.rint(values)
    if np.abs(values - whole).max() > _WHOLE or whole.min() < 0:
        raise DataError(f"{name} holds no labels: its values are not whole numbers")
    if whole.max() >= n_classes:
        whole = whole // _SHORT_STEP
    if whole.max() >= n_classes:
        raise DataError(
            f"{name} holds labels above {n_classes - 1}: it is not a map of the classes"
        )
    labels = whole.astype(np.uint8)
    if not all((labels == label).any() for label in (CSF, GREY, WHITE)):
        raise DataError(f"{name} has no gray matter, white matter or CSF: is it a discrete model?")
    return labels


def signal_of(labels: np.ndarray, classes: Classes, modality: str) -> np.ndarray:
    """Noise-free signal of each voxel (float32), of :data:`fusionprep.demo.phantom.MODALITIES`."""
    return np.array([tissue.signal(modality) for _, tissue in classes], np.float32)[labels]


def uptake_levels(classes: Classes, ratio: float) -> np.ndarray:
    """Activity of each class relative to white matter, where gray matter takes up ``ratio``."""
    levels = np.array([tissue.pet for _, tissue in classes], np.float32)
    levels /= levels[WHITE]
    levels[GREY] = ratio
    return levels


def halved(values: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    """Means of blocks of 2 x 2 x 2 voxels, and their grid."""
    shape = tuple(size // 2 for size in values.shape)
    cropped = values[tuple(slice(2 * size) for size in shape)]
    blocks = cropped.reshape(shape[0], 2, shape[1], 2, shape[2], 2)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ (0.5, 0.5, 0.5)
    affine[:3, :3] *= 2
    return blocks.mean(axis=(1, 3, 5), dtype=np.float32), Grid(shape, affine)


def class_table(classes: Classes) -> str:
    """Labels and names as a TSV table."""
    rows: list[Mapping[str, str]] = [
        {"index": str(index), "name": name} for index, (name, _) in enumerate(classes)
    ]
    return table_text(("index", "name"), rows)
