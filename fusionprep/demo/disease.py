"""What an Alzheimer-like disease does to a simulated brain: atrophy and hypometabolism.

Severity is in standard deviations of healthy people, who differ in it, too. Both effects are linear
in it, so that how well it can be told from images is known beforehand.

The regions follow the cortical signature of the disease [1]_ with the hippocampus first [2]_, and
the regions of FDG that tell it best [3]_ with the posterior cingulate first [4]_. By how much is
ours: the hippocampus differs by about an eighth among people of one age, and FDG, as a scanner sees
it, by about a tenth.

References
----------
.. [1] Dickerson BC et al. The cortical signature of Alzheimer's disease. Cerebral Cortex
   2009;19:497-510.
.. [2] Jack CR et al. Medial temporal atrophy on MRI in normal aging and very mild Alzheimer's
   disease. Neurology 1997;49:786-794.
.. [3] Landau SM et al. Associations between cognitive, functional, and FDG-PET measures of decline
   in AD and MCI. Neurobiology of Aging 2011;32:1207-1218.
.. [4] Minoshima S et al. Metabolic reduction in the posterior cingulate cortex in very early
   Alzheimer's disease. Annals of Neurology 1997;42:85-94.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from fusionprep.image.atlases import (
    FIRST_CORTICAL,
    freesurfer_names,
    freesurfer_tissues,
    packaged_labels,
)
from fusionprep.image.partial_volume.regional import GM, PARENCHYMA

ATROPHY: Mapping[str, float] = {
    "Hippocampus": 1.0, "Amygdala": 1.0, "entorhinal": 0.4, "parahippocampal": 0.32,
    "temporalpole": 0.16, "inferiortemporal": 0.16, "fusiform": 0.16, "middletemporal": 0.12,
    "superiortemporal": 0.08,
}  # fmt: skip
"""Relative loss of gray matter, by region of the Desikan-Killiany atlas."""

ATROPHY_PER_SD = 0.14
"""Share of its gray matter that the hippocampus loses with one unit of severity."""

HYPOMETABOLISM: Mapping[str, float] = {
    "posteriorcingulate": 1.0, "isthmuscingulate": 1.0, "precuneus": 1.0, "inferiorparietal": 1.0,
    "supramarginal": 0.8, "bankssts": 0.8, "superiorparietal": 0.6, "middletemporal": 0.3,
}  # fmt: skip
"""Relative loss of uptake per gray matter."""

HYPOMETABOLISM_PER_SD = 0.16
"""Share of its uptake that the gray matter of the posterior cingulate loses; blurred by a scanner,
and divided by the mean of the brain, three quarters of that remain."""

LOW_UPTAKE: Mapping[str, float] = {
    "Hippocampus": 0.4, "Amygdala": 0.4, "entorhinal": 0.4, "parahippocampal": 0.2,
}  # fmt: skip
"""Share by which gray matter takes up less FDG than that of the neocortex does, in health."""

OLD_AGE = 2.0, 1.0
"""Severities of atrophy and hypometabolism that add to everybody's, as the template is of young
adults: nobody then has more gray matter than there is room for."""

BLUR_MM = 2.0
"""Standard deviation by which the borders of regions are blurred."""

_GRAY_AT_LEAST = 0.02


@dataclass(frozen=True)
class Severities:
    """How ill somebody is, in standard deviations of healthy people, 0 on average in these."""

    atrophy: float
    hypometabolism: float


@dataclass(frozen=True)
class Patterns:
    """Where the disease acts, in the template.

    Attributes
    ----------
    atrophy, hypometabolism
        float32 (X, Y, Z), share of gray matter or of its uptake that a unit of severity takes.
    low_uptake
        Share by which uptake is lower in health.
    """

    atrophy: np.ndarray
    hypometabolism: np.ndarray
    low_uptake: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All of them, in their order."""
        return self.atrophy, self.hypometabolism, self.low_uptake


def load_patterns(affine: np.ndarray, shape: tuple[int, ...]) -> Patterns:
    """The patterns on a grid of the template.

    Parameters
    ----------
    affine, shape
        Of the grid, in the space of MNI152NLin2009aSym; of 1 mm, or borders are coarse.
    """
    labels = labels_on(affine, shape)
    size = float(np.sqrt(np.sum(affine[:3, 0] ** 2)))
    gray = np.isin(labels, _gray_labels()).astype(np.float32)
    near = np.maximum(ndimage.gaussian_filter(gray, BLUR_MM / size), _GRAY_AT_LEAST)

    def pattern(weights: Mapping[str, float], unit: float) -> np.ndarray:
        found = np.zeros(shape, np.float32)
        for label, weight in _by_label(weights).items():
            found[labels == label] = weight * unit
        # the mean over the gray matter around, which is what lies beyond the labels
        return ndimage.gaussian_filter(found, BLUR_MM / size) / near

    return Patterns(
        pattern(ATROPHY, ATROPHY_PER_SD),
        pattern(HYPOMETABOLISM, HYPOMETABOLISM_PER_SD),
        pattern(LOW_UPTAKE, 1.0),
    )


def labels_on(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The Desikan-Killiany atlas on a grid of the template, nearest neighbour; int32."""
    atlas = packaged_labels()
    matrix = np.linalg.inv(atlas.affine) @ affine
    return ndimage.affine_transform(np.asarray(atlas.dataobj), matrix, output_shape=shape, order=0)


def _gray_labels() -> list[int]:
    tissues = freesurfer_tissues()
    return [label for label, tissue in tissues.items() if tissue in (GM, PARENCHYMA)]


def _by_label(weights: Mapping[str, float]) -> dict[int, float]:
    """Weights by label, of both hemispheres."""
    plain = {
        label: name.removeprefix("Left-").removeprefix("Right-").split("-")[-1]
        for label, name in freesurfer_names().items()
        if name.startswith(("Left-", "Right-")) or label >= FIRST_CORTICAL
    }
    return {label: weights[name] for label, name in plain.items() if name in weights}


def atrophied(gm: np.ndarray, atrophy: np.ndarray, severity: float) -> np.ndarray:
    """Gray matter that is left; CSF takes the place of the rest.

    Parameters
    ----------
    gm, atrophy
        Fractions, and the pattern, on one grid.
    severity
        In standard deviations, 0 on average in health.
    """
    left = 1.0 - atrophy * np.float32(severity + OLD_AGE[0])
    return gm * np.maximum(left, 0.0)


def metabolism(patterns: Patterns, severity: float) -> np.ndarray:
    """Uptake of gray matter relative to that of the neocortex of young adults.

    Parameters
    ----------
    severity
        Of hypometabolism, in standard deviations, 0 on average in health.
    """
    left = 1.0 - patterns.hypometabolism * np.float32(severity + OLD_AGE[1])
    return (1.0 - patterns.low_uptake) * np.maximum(left, 0.0)
