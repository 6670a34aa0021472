"""Frames of a dynamic PET aligned by least squares, whatever the tracer does meanwhile.

Blood flow shows first, binding later: two frames differ although nothing moved, and what compares
them directly takes some of that for motion. :func:`align_to_reference` lets tissues that are alike
bright in a reference have any activity in the frame. :func:`align_together` then uses that a few
tissues, each with its own time course, make up all frames: moves are right where as little as
possible is left beside that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from fusionprep.image.rigid import RADIUS_MM, moved

KNOTS = 8
"""Levels of the reference between which the predicted activity is linear."""

SAMPLES = 30_000

TIME_COURSES = 4
"""Of gray matter, white matter, the rest of the head and one more: blood, or gray matter where the
tracer does not bind."""

OUTLIER = 2.0
"""Residuals count less from this many standard deviations (Huber)."""

RIDGE = 1e-5
"""How strongly moves are held near zero when all frames are aligned together, as a share of what
the frame alone would say."""

STEPS, LONGEST_STEP_MM, SHORTEST_STEP_MM = 25, 6.0, 0.02
ROUNDS = 4
"""More of them follow the noise where there are few counts."""

Pairs = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Smooth:
    """A smooth image that can be seen anywhere: cubic spline coefficients (X, Y, Z)."""

    coefficients: np.ndarray
    voxel_from_world: np.ndarray

    @classmethod
    def of(cls, data: np.ndarray, affine: np.ndarray) -> "Smooth":
        """From voxels (X, Y, Z)."""
        from scipy import ndimage

        coefficients = ndimage.spline_filter(data, output=np.float32, mode="nearest")
        return cls(coefficients, np.linalg.inv(affine))

    def seen(self, points: np.ndarray, reference_from_frame: np.ndarray) -> np.ndarray:
        """Values at points (N, 3) of the reference."""
        from scipy import ndimage

        voxel_from_reference = self.voxel_from_world @ np.linalg.inv(reference_from_frame)
        voxels = nib.affines.apply_affine(voxel_from_reference, points).T
        return ndimage.map_coordinates(
            self.coefficients, voxels, order=3, mode="nearest", prefilter=False
        )


@dataclass(frozen=True)
class Region:
    """Where frames are compared.

    Attributes
    ----------
    affine
        (4, 4), of the grid.
    mask
        (X, Y, Z) bool.
    inner
        (N,) bool, voxels of the mask whose neighbours are all in it, at most :data:`SAMPLES`.
    centre
        (3,) of rotations, mm.
    """

    affine: np.ndarray
    mask: np.ndarray
    inner: np.ndarray
    centre: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray, affine: np.ndarray, centre: np.ndarray) -> "Region":
        """All of a mask (X, Y, Z)."""
        from scipy import ndimage

        inner = ndimage.binary_erosion(mask, np.ones((3, 3, 3)))[mask]
        places = np.flatnonzero(inner)
        kept = np.zeros_like(inner)
        kept[places[:: -(-len(places) // SAMPLES) or 1]] = True
        return cls(affine, mask, kept, centre)

    @property
    def points(self) -> np.ndarray:
        """World coordinates (N, 3) of the mask's voxels."""
        return nib.affines.apply_affine(self.affine, np.argwhere(self.mask))

    def slopes(self, values: np.ndarray) -> np.ndarray:
        """By how much an image changes with each number of a move.

        Parameters
        ----------
        values
            (N,) in the mask.

        Returns
        -------
        numpy.ndarray
            (M, 6) at the inner voxels.
        """
        volume = np.zeros(self.mask.shape, np.float32)
        volume[self.mask] = values
        by_voxel = np.stack([axis[self.mask][self.inner] for axis in np.gradient(volume)], axis=1)
        by_mm = by_voxel @ np.linalg.inv(self.affine)[:3, :3]
        arms = self.points[self.inner] - self.centre
        return np.concatenate([np.cross(arms, by_mm) / RADIUS_MM, by_mm], axis=1)

    def octants(self) -> np.ndarray:
        """Which eighth of the head each inner voxel is in, (M,)."""
        points = self.points[self.inner]
        return (points > np.median(points, axis=0)) @ [4, 2, 1]


def align_to_reference(
    reference: np.ndarray, frame: Smooth, region: Region, start: np.ndarray
) -> tuple[np.ndarray, Pairs]:
    """Align one frame with a reference in which it may be bright what is dark there.

    Parameters
    ----------
    reference
        (N,) in the region's mask.
    start
        (4, 4) ``reference_from_frame``.

    Returns
    -------
    reference_from_frame
        (4, 4) RAS mm.
    halves
        Moves (4, 4) to where halves of the samples are aligned best, by pairs.
    """
    places = _places(reference)
    shares = _hats(places[region.inner])
    points = region.points[region.inner]
    alignment, weights = start, None
    for _ in range(STEPS):
        values = frame.seen(points, alignment)
        if weights is None:
            weights = _solve(shares.T @ shares, shares.T @ values)
        residuals = values - shares @ weights
        spread = 1.4826 * np.median(np.abs(residuals)) + 1e-9
        trust = np.minimum(1, OUTLIER * spread / np.maximum(np.abs(residuals), 1e-12))
        predicted = np.interp(places, np.arange(KNOTS), weights)
        design = np.concatenate([shares, region.slopes(predicted)], axis=1)
        solution = _solve((design.T * trust) @ design, (design.T * trust) @ values)
        weights, move = solution[:-6], solution[-6:]
        longest = np.abs(move).max()
        alignment = moved(alignment, move * _short(longest), region.centre)
        if longest < SHORTEST_STEP_MM:
            break
    parts = [
        ((design[own].T * trust[own]) @ design[own], (design[own].T * trust[own]) @ values[own])
        for own in _eighths(region)
    ]
    pairs = [
        (
            moved(np.eye(4), _solve(*first)[-6:], region.centre),
            moved(np.eye(4), _solve(*second)[-6:], region.centre),
        )
        for first, second in _halves(parts)
    ]
    return alignment, pairs


def _places(reference: np.ndarray) -> np.ndarray:
    """Where each value lies between the knots, from 0 to ``KNOTS - 1``."""
    levels = np.percentile(reference, [0, *np.linspace(5, 99.5, KNOTS - 2), 100])
    # levels that are the same would have no order
    levels += np.arange(KNOTS) * 1e-6 * max(float(np.ptp(reference)), 1e-12)
    return np.interp(reference, levels, np.arange(KNOTS))


def _hats(places: np.ndarray) -> np.ndarray:
    """Share (N, KNOTS) of each value in the knots beside it."""
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(KNOTS)))


def align_together(
    frames: Sequence[Smooth],
    counts: np.ndarray,
    region: Region,
    alignments: np.ndarray,
) -> tuple[np.ndarray, list[Pairs]]:
    """Align frames with each other from alignments that are right to a millimetre or so.

    Parameters
    ----------
    frames
        T, more than :data:`TIME_COURSES`.
    counts
        (T,) relative to each other, above 0.
    alignments
        (T, 4, 4) ``reference_from_frame``.

    Returns
    -------
    reference_from_frame
        (T, 4, 4); moves from the start, weighted by counts, add up to 0.
    halves
        For each frame, as :func:`align_to_reference` gives them.

    Notes
    -----
    With F (samples, frames) in units of the noise, V (frames, K) its first right singular vectors
    and G the change of F with all 6 T numbers, Gauss-Newton on the sum of squares of
    (F - G moves) (I - V Vᵀ).
    """
    points = region.points
    found = np.array(alignments)
    for _ in range(ROUNDS):
        seen = np.stack(
            [frame.seen(points, one) for frame, one in zip(frames, found, strict=True)],
            axis=1,
            dtype=np.float64,
        )
        # counting noise; what a frame's level is does not matter then
        seen *= np.sqrt(counts) / np.maximum(seen.mean(axis=0), 1e-12)
        _, _, courses = np.linalg.svd(seen.T @ seen)
        kept = courses[:TIME_COURSES].T @ courses[:TIME_COURSES]
        parts = _joint_parts(region, seen, kept)
        moves = _joint_solve(*_sum(parts), counts)
        longest = float(np.abs(moves).max())
        found = np.array([
            moved(one, move * _short(longest), region.centre)
            for one, move in zip(found, moves, strict=True)
        ])  # fmt: skip
        if longest < SHORTEST_STEP_MM:
            break
    halves = [
        (_joint_solve(*first, counts), _joint_solve(*second, counts))
        for first, second in _halves(parts)
    ]
    return found, [
        [
            (
                moved(np.eye(4), first[index], region.centre),
                moved(np.eye(4), second[index], region.centre),
            )
            for first, second in halves
        ]
        for index in range(len(frames))
    ]


_Sides = tuple[np.ndarray, np.ndarray]


def _joint_parts(region: Region, seen: np.ndarray, kept: np.ndarray) -> list[_Sides]:
    """Both sides of the normal equations, (6 T, 6 T) and (6 T,), of eighths of the head."""
    count = seen.shape[1]
    explained = seen @ kept
    left = seen[region.inner] - explained[region.inner]
    slopes = np.stack([region.slopes(column) for column in explained.T], axis=1)
    slopes = slopes.astype(np.float32).reshape(len(left), 6 * count)
    apart = np.kron(np.eye(count) - kept, np.ones((6, 6)))
    parts = []
    for own in _eighths(region):
        product = (slopes[own].T @ slopes[own]).astype(np.float64)
        right = slopes[own].reshape(-1, count, 6) * left[own][:, :, None]
        matrix = product * apart + RIDGE * np.diag(np.diag(product))
        parts.append((matrix, right.sum(axis=0, dtype=np.float64).ravel()))
    return parts


def _joint_solve(matrix: np.ndarray, right: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Moves (T, 6); weighted by counts, they add up to 0."""
    moves = np.linalg.solve(matrix, right).reshape(-1, 6)
    return moves - np.average(moves, axis=0, weights=counts)


def _eighths(region: Region) -> list[np.ndarray]:
    octants = region.octants()
    return [octants == index for index in range(8)]


def _halves(parts: Sequence[_Sides]) -> list[tuple[_Sides, _Sides]]:
    """Three pairs of halves, across each axis, from eighths."""
    return [
        (
            _sum([part for index, part in enumerate(parts) if index & bit]),
            _sum([part for index, part in enumerate(parts) if not index & bit]),
        )
        for bit in (4, 2, 1)
    ]


def _sum(parts: Sequence[_Sides]) -> _Sides:
    return (
        np.sum([matrix for matrix, _ in parts], axis=0),
        np.sum([right for _, right in parts], axis=0),
    )


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve normal equations; levels that are not seen weigh nothing."""
    diagonal = np.diag(matrix)
    return np.linalg.solve(matrix + np.diag(1e-9 * diagonal.max() + 1e-6 * diagonal), right)


def _short(longest: float) -> float:
    """What a step is multiplied by, for it not to be too long."""
    return min(1.0, LONGEST_STEP_MM / max(longest, 1e-12))
