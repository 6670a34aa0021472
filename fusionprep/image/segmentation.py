"""Tissue classes of a T1w."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionprep.image.masks import tight_box

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

TISSUES = ("GM", "WM", "CSF")
GRAY, WHITE = 1, 2
"""Labels of the first two."""

NEIGHBOUR_SIGMAS = 2.5
"""How far the neighbourhood of a voxel reaches, in its standard deviations."""


@dataclass(frozen=True)
class Tissues:
    """Tissue classes on one grid.

    Attributes
    ----------
    probability
        Class name to (X, Y, Z) float32 in [0, 1]; they sum to 1 inside the mask, 0 outside.
    labels
        (X, Y, Z) uint8: 0 outside, then 1, 2, 3 in the order of :data:`TISSUES`.
    """

    probability: dict[str, np.ndarray]
    labels: np.ndarray


def segment_tissues(
    data: np.ndarray,
    mask: np.ndarray,
    voxel_sizes: tuple[float, float, float],
    *,
    seed: int = 0,
    smoothness: float = 0.6,
) -> Tissues:
    """Three-class Gaussian mixture inside the mask, with a Markov-field-like neighbour prior.

    The mixture is fitted on a sample of voxels away from extreme intensities. One mean-field
    update then weighs each voxel's likelihood with its neighbours' memberships, which removes
    the speckle of a purely voxel-wise mixture.

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

    References
    ----------
    Zhang, Brady & Smith (2001), IEEE TMI 20(1): hidden Markov random field segmentation.
    """
    sigma = [smoothness / size for size in voxel_sizes]
    # around it no voxel has neighbours in the mask
    box = tight_box(mask > 0, math.ceil(NEIGHBOUR_SIGMAS * max(sigma)) + 1)
    inside = np.ascontiguousarray(mask[box] > 0)
    values = np.ascontiguousarray(data[box])[inside].astype(np.float64)
    low, high = np.percentile(values, [0.5, 99.5])
    scaled = (np.clip(values, low, high) - low) / (high - low)
    model = _fit_mixture(scaled, seed)
    order = np.argsort(model.means_.ravel())
    # T1w intensity orders the classes: CSF darkest, WM brightest.
    class_of = dict(zip(("CSF", "GM", "WM"), order, strict=True))
    posterior = model.predict_proba(scaled.reshape(-1, 1)).astype(np.float32)
    _keep_order_in_tails(posterior, scaled, model.means_.ravel(), order)
    maps = [_neighbour_prior(posterior[:, class_of[t]], inside, sigma) for t in TISSUES]
    weighted = np.stack(
        [posterior[:, class_of[t]] * prior for t, prior in zip(TISSUES, maps, strict=True)]
    )
    weighted /= np.maximum(weighted.sum(axis=0), 1e-12)
    probability = {}
    for tissue, inside_values in zip(TISSUES, weighted, strict=True):
        probability[tissue] = np.zeros_like(data, dtype=np.float32)
        probability[tissue][box] = _volume(inside_values, inside)
    labels = np.zeros_like(data, dtype=np.uint8)
    labels[box] = _volume((weighted.argmax(axis=0) + 1).astype(np.uint8), inside)
    return Tissues(probability, labels)


def _fit_mixture(scaled: np.ndarray, seed: int) -> "GaussianMixture":
    from sklearn.mixture import GaussianMixture

    rng = np.random.default_rng(seed)
    sample = rng.choice(scaled, size=min(60_000, scaled.size), replace=False)
    start = np.percentile(sample, [8, 40, 80]).reshape(-1, 1)
    model = GaussianMixture(3, means_init=start, random_state=seed, max_iter=300, tol=1e-4)
    return model.fit(sample.reshape(-1, 1))


def _keep_order_in_tails(
    posterior: np.ndarray, scaled: np.ndarray, means: np.ndarray, order: np.ndarray
) -> None:
    """Give voxels beyond the outer means to the outer classes.

    A wide Gaussian overtakes a narrow one far out on the other's side, which would call the
    brightest voxels CSF.
    """
    darkest, _, brightest = order
    for outer, beyond in (
        (darkest, scaled < means[darkest]),
        (brightest, scaled > means[brightest]),
    ):
        posterior[beyond] = 0
        posterior[beyond, outer] = 1


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
