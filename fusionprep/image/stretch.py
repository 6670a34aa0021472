"""Whether a registered PET is of the head in the MRI: heads of two people differ in size.

A rigid registration of two people looks much like one of two images of one person: the brains
overlap, and one explains the other. But the brain of another person would also have to be
stretched, by some per cent along some direction. How much is found by least squares, as the
alignment is (:mod:`fusionprep.image.prediction`), with six numbers more.
"""

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from fusionprep.image.prediction import (
    OUTLIER,
    SHORTEST_STEP_MM,
    BestFit,
    Blurred,
    best_fit,
    normal,
    solve,
)
from fusionprep.image.rigid import RADIUS_MM, Brain, moved

LARGEST_PERCENT = 3.0
"""What scanners' scales, the blur and noise make of one head; above, the heads differ. Set on wrong
pairs (``benchmarks/wrong_pairs.py``)."""

CERTAIN = 2.0
"""Standard errors by which the stretch must exceed it."""

STEPS = 8

_BASIS = np.array(
    [
        *(np.diag(axis) for axis in np.eye(3)),
        [[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]],
        [[0, 0, 0.5], [0, 0, 0], [0.5, 0, 0]],
        [[0, 0, 0], [0, 0, 0.5], [0, 0.5, 0]],
    ]
)
"""Symmetric matrices (6, 3, 3): three stretches along the axes, three across."""


@dataclass(frozen=True)
class Stretch:
    """How the PET would have to be stretched to match the MRI where it would most.

    Attributes
    ----------
    percent
        Of the length along that direction; below 0 it would have to be compressed.
    standard_error
        From leaving out one octant of the brain after the other, per cent.
    """

    percent: float
    standard_error: float

    @property
    def doubt(self) -> str:
        """A phrase for people when the images seem to be of two heads; empty otherwise."""
        if abs(self.percent) - CERTAIN * self.standard_error <= LARGEST_PERCENT:
            return ""
        return f"the brains differ by {abs(self.percent):.0f}% in size: are both of one person?"


def measure_stretch(
    t1w: nib.Nifti1Image, mask: nib.Nifti1Image, pet: nib.Nifti1Image, t1w_from_pet: np.ndarray
) -> Stretch | None:
    """Find the stretch beside the rigid alignment by which the MRI predicts the PET best.

    Parameters
    ----------
    t1w, mask
        MRI and its brain mask.
    t1w_from_pet
        (4, 4) RAS mm, the rigid registration.

    Returns
    -------
    Stretch or None
        None where hardly any of the PET is near the brain.
    """
    brain = Brain.from_mask(mask)
    found = best_fit(t1w, mask, pet, t1w_from_pet, brain)
    if found is None:
        return None
    blurred = Blurred(found.classes.blurred(found.sigma), found.classes.affine, brain.centre)
    total, parts = _stretched(found, blurred)
    largest = int(np.argmax(np.abs(np.linalg.eigvalsh(total))))
    direction = np.linalg.eigh(total)[1][:, largest]
    lengths = np.array([direction @ part @ direction for part in parts])
    count = len(lengths)
    error = np.sqrt((count - 1) / count * ((lengths - lengths.mean()) ** 2).sum())
    return Stretch(100 * float(direction @ total @ direction), 100 * float(error))


def _stretched(found: BestFit, blurred: Blurred) -> tuple[np.ndarray, list[np.ndarray]]:
    """The strain (3, 3) where all samples fit best, and with each octant left out."""
    values, start, centre = found.values, found.fit.t1w_from_pet, blurred.centre
    alignment, weights = start, None
    for _ in range(STEPS):
        world = nib.affines.apply_affine(alignment, found.points)
        seen = blurred.seen(world)
        if weights is None:
            weights = solve(*normal(seen, values, np.ones(len(values))))
        residuals = values - seen @ weights
        spread = 1.4826 * np.median(np.abs(residuals)) + 1e-9
        trust = np.minimum(1, OUTLIER * spread / np.maximum(np.abs(residuals), 1e-12))
        slopes = blurred.slopes(world, weights)
        position = (world - centre) / RADIUS_MM
        strains = np.einsum("ni,kij,nj->nk", slopes[:, 3:], _BASIS, position)
        design = np.concatenate([seen, slopes, strains], axis=1)
        solution = solve(*normal(design, values, trust))
        weights, numbers = solution[:-12], solution[-12:]
        bent = np.eye(3) + _strain(numbers)
        stretch = nib.affines.from_matvec(bent, centre - bent @ centre)
        alignment = stretch @ moved(alignment, numbers[:6], centre)
        if np.abs(numbers).max() < SHORTEST_STEP_MM:
            break
    matrix = (alignment @ np.linalg.inv(start))[:3, :3]
    # without the turn that is left beside the stretch
    _, sizes, axes = np.linalg.svd(matrix)
    total = axes.T @ np.diag(sizes - 1) @ axes
    octant = (world > np.median(world, axis=0)) @ [4, 2, 1]
    parts = [
        _strain(solve(*normal(design[kept], values[kept], trust[kept])))
        for kept in (octant != index for index in range(8))
    ]
    return total, parts


def _strain(numbers: np.ndarray) -> np.ndarray:
    """The matrix (3, 3) of the last six numbers, which are mm at the radius of a brain."""
    return np.asarray(np.tensordot(numbers[-6:] / RADIUS_MM, _BASIS, axes=1))
