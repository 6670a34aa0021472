"""Tissue classes of a T1w, and how much of each is in a voxel."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.image.masks import tight_box
from fusionprep.image.tissue_mixture import CLASSES, GROUPS, TissueMixture, fit_tissue_mixture

TISSUES = ("GM", "WM", "CSF")
GRAY, WHITE = 1, 2
"""Labels of the first two."""

LESION = 7
"""Label of what belongs to no tissue, as BIDS numbers it in its table of common classes."""

NEIGHBOUR_SIGMAS = 2.5
"""How far the neighbourhood of a voxel reaches, in its standard deviations."""


@dataclass(frozen=True)
class Tissues:
    """Tissue classes on one grid.

    Attributes
    ----------
    fraction
        Class name to (X, Y, Z) float32 in [0, 1], the expected share of the voxel; they sum to 1
        inside the mask, to 0 outside and in a lesion.
    labels
        (X, Y, Z) uint8, the class with the largest share: 0 outside, then 1, 2, 3 in the order of
        :data:`TISSUES`, and :data:`LESION`.
    """

    fraction: dict[str, np.ndarray]
    labels: np.ndarray

    def without(self, lesion: np.ndarray) -> "Tissues":
        """The same but for a lesion (X, Y, Z), which has a label of its own and no tissue."""
        fraction = {tissue: np.where(lesion, 0, share) for tissue, share in self.fraction.items()}
        return Tissues(fraction, np.where(lesion, np.uint8(LESION), self.labels))


def segment_tissues(
    data: np.ndarray,
    mask: np.ndarray,
    voxel_sizes: tuple[float, float, float],
    *,
    seed: int = 0,
    smoothness: float = 0.6,
    lesion: np.ndarray | None = None,
) -> Tissues:
    """Fractions of three tissues from intensities, with a Markov-field-like neighbour prior.

    A voxel holds one tissue, or two whose intensities are next to each other in any ratio
    (:func:`~fusionprep.image.tissue_mixture.fit_tissue_mixture`). One mean-field update weighs the
    likelihood of each of these five kinds with the neighbours' memberships, which removes the
    speckle of a purely voxel-wise mixture. Fractions are then what is expected of the intensity.

    Parameters
    ----------
    data
        (X, Y, Z) bias-corrected T1w.
    mask
        (X, Y, Z) brain mask.
    voxel_sizes
        Millimetres.
    smoothness
        Standard deviation of the neighbourhood, in millimetres.
    lesion
        (X, Y, Z) bool, or None. It has a label of its own and no share of a tissue: its intensities
        belong to none, and neither the mixture nor the neighbours take part of it.

    References
    ----------
    Shattuck et al. (2001), NeuroImage 13(5):856-876: partial-volume classes.
    Zhang, Brady & Smith (2001), IEEE TMI 20(1): hidden Markov random field segmentation.
    """
    brain = mask > 0
    if lesion is not None:
        mask = brain & ~lesion
    sigma = [smoothness / size for size in voxel_sizes]
    # around it no voxel has neighbours in the mask
    box = tight_box(mask > 0, math.ceil(NEIGHBOUR_SIGMAS * max(sigma)) + 1)
    inside = np.ascontiguousarray(mask[box] > 0)
    values = np.ascontiguousarray(data[box])[inside].astype(np.float64)
    low, high = np.percentile(values, [0.5, 99.5])
    scaled = (np.clip(values, low, high) - low) / (high - low)
    shares = _shares(fit_tissue_mixture(scaled, seed), scaled, inside, sigma)
    fraction = {}
    for tissue in TISSUES:
        fraction[tissue] = np.zeros_like(data, dtype=np.float32)
        fraction[tissue][box] = _volume(shares[tissue], inside)
    labels = np.zeros_like(data, dtype=np.uint8)
    largest = np.stack([shares[tissue] for tissue in TISSUES]).argmax(axis=0)
    labels[box] = _volume((largest + 1).astype(np.uint8), inside)
    tissues = Tissues(fraction, labels)
    return tissues if lesion is None else tissues.without(brain & lesion)


def _shares(
    mixture: TissueMixture, scaled: np.ndarray, inside: np.ndarray, sigma: Sequence[float]
) -> dict[str, np.ndarray]:
    """Share (N,) of each tissue in the voxels inside."""
    membership, share = mixture.tables()
    level = np.minimum((scaled * len(membership)).astype(np.intp), len(membership) - 1)
    sums = {tissue: np.zeros(level.shape, np.float32) for tissue in CLASSES}
    total = np.full(level.shape, 1e-12, np.float32)
    for group in range(GROUPS):
        member = membership[:, group][level]
        weight = member * _neighbour_prior(member, inside, sigma)
        total += weight
        for number, tissue in enumerate(CLASSES):
            if share[:, group, number].any():
                sums[tissue] += weight * share[:, group, number][level]
    return {tissue: values / total for tissue, values in sums.items()}


def _neighbour_prior(
    membership: np.ndarray, inside: np.ndarray, sigma: Sequence[float]
) -> np.ndarray:
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(_volume(membership, inside), sigma, truncate=NEIGHBOUR_SIGMAS)
    return smooth[inside] + 1e-3


def _volume(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Values of the voxels inside a mask, 0 outside."""
    volume = np.zeros(inside.shape, values.dtype)
    volume[inside] = values
    return volume
