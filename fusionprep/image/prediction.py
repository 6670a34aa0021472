"""PET predicted from the T1w: where the prediction is best, the two are aligned.

A PET is two to four times as blurred as a T1w, and the mutual information of images that are not
alike sharp is largest a little off the right place. Here the intensities of the T1w are sorted into
classes, which are then blurred like the PET: each voxel of the PET is a mean of the activities of
what it covers, and where the T1w predicts it best follows by least squares.
"""

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from fusionprep.image.masks import tight_box
from fusionprep.image.rigid import RADIUS_MM, Brain, moved, near_brain, standard_error

CELL_MM = 2.0
"""Voxels on which classes are blurred are about as large as this, or as the T1w's."""

BRAIN_CLASSES = 8
"""Classes of intensity in the brain, from its 2nd to its 98th percentile."""

HEAD_CLASSES = 2
"""Classes outside of the brain, up to its 98th percentile; air belongs to no class."""

FLAT_MM, FLAT_CELL_MM = 25.0, 6.0
"""Gaussian neighbourhood over which the brain of the T1w is made even, and its sampling."""

REACH_MM, MARGIN_MM = 8.0, 20.0
"""Samples are the brain and this much around it; classes reach further, for them to move."""

SAMPLES, FEWEST_SAMPLES = 30_000, 500

BLURS_MM = (1.2, 2.0, 2.75, 3.5, 4.5, 6.0)
"""Standard deviations of the point spreads tried, for resolutions from 3 to 14 mm."""

USUAL_BLUR = 2

TREND_RIDGE = 1.0
"""How strongly linear trends of the activity across the brain are held near zero, as a share of
their own weight. Free trends pull the alignment in a real pair, none in a real head with a
simulated PET; this lies between."""

OUTLIER = 2.0
"""Residuals count less from this many standard deviations (Huber)."""

STEPS, LONGEST_STEP_MM, SHORTEST_STEP_MM = 12, 6.0, 0.02


@dataclass(frozen=True)
class Classes:
    """How much of each class of T1w intensity is in each voxel.

    Attributes
    ----------
    shares
        (K, X, Y, Z) float32, the last :data:`BRAIN_CLASSES` of the brain; what lacks to 1 is air.
    affine
        (4, 4) RAS mm.
    variance
        (3,) mm², of the blur that averaging over voxels of the T1w has brought already.
    """

    shares: np.ndarray
    affine: np.ndarray
    variance: np.ndarray

    @classmethod
    def from_images(cls, t1w: nib.Nifti1Image, mask: nib.Nifti1Image) -> "Classes":
        """Sort the intensities in and around the brain."""
        sizes = nib.affines.voxel_sizes(t1w.affine)
        part = tight_box(np.asarray(mask.dataobj) > 0, np.ceil(MARGIN_MM / sizes).astype(int))
        brain = np.asarray(mask.dataobj)[part] > 0
        levels = np.asarray(t1w.dataobj)[part].astype(np.float32)
        levels /= _local_mean(levels, brain, sizes)
        knots = np.percentile(levels[brain], np.linspace(2, 98, BRAIN_CLASSES))
        ranks = _ranks(levels, np.linspace(0, knots[-1], HEAD_CLASSES + 1))
        ranks[brain] = HEAD_CLASSES + 1 + _ranks(levels[brain], knots)
        block = np.maximum(1, np.rint(CELL_MM / sizes)).astype(int)
        shares = _shares(ranks, block)
        first = np.array([axis.start for axis in part]) + (block - 1) / 2
        affine = nib.affines.from_matvec(
            t1w.affine[:3, :3] * block, nib.affines.apply_affine(t1w.affine, first)
        )
        return cls(shares[1:], affine, sizes**2 * (block**2 - 1) / 12)

    def blurred(self, sigma: float) -> np.ndarray:
        """The shares (K, X, Y, Z) under a Gaussian with a standard deviation of `sigma` mm."""
        from scipy import ndimage

        rest = np.sqrt(np.maximum(sigma**2 - self.variance, 0))
        sigmas = (0, *rest / nib.affines.voxel_sizes(self.affine))
        return ndimage.gaussian_filter(self.shares, sigmas, truncate=3.0)


def _cells(shape: tuple[int, ...], block: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Number (X, Y, Z) of the block that each voxel is in, and how many blocks there are."""
    count = tuple(-(-size // int(width)) for size, width in zip(shape, block, strict=True))
    rows = [np.arange(size) // width for size, width in zip(shape, block, strict=True)]
    return np.asarray(np.ravel_multi_index(np.ix_(*rows), count)), count


def _local_mean(levels: np.ndarray, brain: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Mean (X, Y, Z) of the brain's intensities under a broad Gaussian."""
    from scipy import ndimage

    block = np.maximum(1, np.rint(FLAT_CELL_MM / sizes)).astype(int)
    cells, count = _cells(levels.shape, block)
    inside = cells[brain]
    sums, weights = (
        ndimage.gaussian_filter(
            np.bincount(inside, values, np.prod(count)).reshape(count), FLAT_MM / (block * sizes)
        )
        for values in (levels[brain], np.ones(len(inside)))
    )
    mean = np.where(weights > 1e-6 * weights.max(), sums / np.maximum(weights, 1e-12), 0)
    mean = np.maximum(mean, 1e-6 * mean.max()).astype(np.float32)
    for axis, (size, width) in enumerate(zip(levels.shape, block, strict=True)):
        mean = _between_cells(mean, axis, size, int(width))
    return mean


def _between_cells(means: np.ndarray, axis: int, size: int, width: int) -> np.ndarray:
    """Means of cells, `width` voxels wide along an axis, interpolated linearly at its voxels."""
    places = np.clip((np.arange(size) + 0.5) / width - 0.5, 0, means.shape[axis] - 1)
    lower = np.minimum(places.astype(np.intp), max(means.shape[axis] - 2, 0))
    upper = np.minimum(lower + 1, means.shape[axis] - 1)
    along = [1, 1, 1]
    along[axis] = size
    share = (places - lower).astype(np.float32).reshape(along)
    low, high = np.take(means, lower, axis), np.take(means, upper, axis)
    return low + share * (high - low)


def _ranks(levels: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Where levels lie among knots, from 0 to one less than there are; float32, same shape."""
    return np.interp(levels, knots, range(len(knots))).astype(np.float32)


def _shares(ranks: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Share (K, X, Y, Z) of each class in blocks of voxels; a rank of 1.3 is 0.7 of class 1."""
    cells, count = _cells(ranks.shape, block)
    total, classes = int(np.prod(count)), HEAD_CLASSES + 1 + BRAIN_CLASSES
    lower = np.minimum(ranks.astype(np.intp), classes - 2)
    upper_share = (ranks - lower).ravel()
    index = (lower * total + cells).ravel()
    shares = np.bincount(index, 1 - upper_share, classes * total)
    shares += np.bincount(index + total, upper_share, classes * total)
    shares = shares.reshape(classes, *count)
    return (shares / np.maximum(shares.sum(axis=0), 1e-12)).astype(np.float32)


@dataclass(frozen=True)
class Fit:
    """An alignment at which classes predict a PET best.

    Attributes
    ----------
    unexplained
        Share of the PET's variance that the prediction leaves.
    halves
        Moves (4, 4) to where halves of the samples are aligned best, by pairs.
    """

    t1w_from_pet: np.ndarray
    unexplained: float
    halves: list[tuple[np.ndarray, np.ndarray]]


def align(
    t1w: nib.Nifti1Image,
    mask: nib.Nifti1Image,
    pet: nib.Nifti1Image,
    start: np.ndarray,
    brain: Brain,
) -> tuple[np.ndarray, float | None]:
    """Find the exact alignment of a PET from one that is right to some millimetres.

    Parameters
    ----------
    pet
        3-D image, finite.
    start
        (4, 4) RAS, ``t1w_from_pet``.

    Returns
    -------
    t1w_from_pet
        (4, 4) RAS mm.
    standard_error_mm
        Where it is largest in the brain, from halves of the image; None, and `start` as the
        alignment, where hardly any of the PET is near the brain, or it is the same everywhere.

    Notes
    -----
    Gauss-Newton on the sum of squares over activities, their trends and the six numbers of the
    alignment together. The blur is the one that leaves the least unexplained.
    """
    found = best_fit(t1w, mask, pet, start, brain)
    if found is None:
        return start, None
    return found.fit.t1w_from_pet, standard_error(found.fit.halves, brain)


@dataclass(frozen=True)
class BestFit:
    """The fit at the blur that explains a PET best, and what it is a fit of.

    Attributes
    ----------
    sigma
        Standard deviation of the point spread, mm.
    points, values
        (N, 3) in the PET, mm, and their activities (N,), around 1.
    """

    fit: Fit
    classes: Classes
    sigma: float
    points: np.ndarray
    values: np.ndarray


def best_fit(
    t1w: nib.Nifti1Image,
    mask: nib.Nifti1Image,
    pet: nib.Nifti1Image,
    start: np.ndarray,
    brain: Brain,
) -> BestFit | None:
    """As :func:`align`; None where hardly any of the PET is near the brain, or it is constant."""
    classes = Classes.from_images(t1w, mask)
    points, values = _samples(pet, mask, start)
    if len(values) < FEWEST_SAMPLES or np.ptp(values) == 0:
        return None

    def blurred(blur: int) -> Blurred:
        return Blurred(classes.blurred(BLURS_MM[blur]), classes.affine, brain.centre)

    best, chosen = _fit(blurred(USUAL_BLUR), points, values, start), USUAL_BLUR
    for step in (1, -1):
        blur = USUAL_BLUR + step
        improved = False
        while 0 <= blur < len(BLURS_MM):
            other = _fit(blurred(blur), points, values, best.t1w_from_pet)
            if other.unexplained >= best.unexplained:
                break
            best, chosen, blur, improved = other, blur, blur + step, True
        if improved:
            break
    return BestFit(best, classes, BLURS_MM[chosen], points, values)


def _samples(
    pet: nib.Nifti1Image, mask: nib.Nifti1Image, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) in and around the brain, mm, and their activities (N,), around 1.

    Beyond the T1w's field of view nothing predicts a PET: there are no samples.
    """
    voxels = np.argwhere(np.ones(pet.shape, bool))
    points = nib.affines.apply_affine(pet.affine, voxels)
    near = near_brain(points, start, mask, REACH_MM)
    near[near] = _inside(nib.affines.apply_affine(start, points[near]), mask)
    near = np.flatnonzero(near)
    if len(near) > SAMPLES:
        near = np.sort(np.random.default_rng(0).choice(near, SAMPLES, replace=False))
    values = pet.get_fdata().reshape(-1)[near]
    return points[near], values / max(np.abs(values).sum() / max(len(near), 1), 1e-300)


def _inside(world: np.ndarray, image: nib.Nifti1Image) -> np.ndarray:
    """Which points (N, 3) lie in an image's field of view, (N,) bool."""
    voxels = nib.affines.apply_affine(np.linalg.inv(image.affine), world)
    return np.asarray(((voxels >= -0.5) & (voxels <= np.array(image.shape) - 0.5)).all(axis=1))


@dataclass(frozen=True)
class Blurred:
    """Blurred classes as they are seen at points in the T1w, and a centre for turns and trends."""

    shares: np.ndarray
    affine: np.ndarray
    centre: np.ndarray

    def seen(self, world: np.ndarray) -> np.ndarray:
        """Shares at points (N, 3), and those of the brain times the position: (N, columns)."""
        voxels = self._voxels(world)
        shares = np.stack([_interpolated(share, voxels) for share in self.shares], axis=1)
        brain = shares[:, -BRAIN_CLASSES:]
        position = (world - self.centre) / RADIUS_MM
        return np.concatenate([shares, *(brain * axis[:, None] for axis in position.T)], axis=1)

    def slopes(self, world: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """By how much the prediction changes with each number of a move, (N, 6)."""
        predicted = self._predicted(weights)
        voxels = self._voxels(world)
        steps = np.eye(3)[..., None] / 2
        by_voxel = np.stack(
            [
                _interpolated(predicted, voxels + step) - _interpolated(predicted, voxels - step)
                for step in steps
            ],
            axis=1,
        )
        by_mm = by_voxel @ np.linalg.inv(self.affine)[:3, :3]
        return np.concatenate([np.cross(world - self.centre, by_mm) / RADIUS_MM, by_mm], axis=1)

    def _predicted(self, weights: np.ndarray) -> np.ndarray:
        """The prediction (X, Y, Z) on the grid of the classes."""
        shares = self.shares.reshape(len(self.shares), -1)
        # in the shares' own precision: NumPy would copy all of them to another
        weights = weights.astype(shares.dtype)
        trends = weights[len(shares) :].reshape(3, -1)
        predicted = weights[: len(shares)] @ shares
        changes = trends @ shares[-BRAIN_CLASSES:]
        shape = self.shares.shape[1:]
        predicted, changes = predicted.reshape(shape), changes.reshape(3, *shape)
        grid = np.ogrid[tuple(slice(size) for size in shape)]
        for row, offset, change in zip(
            self.affine[:3, :3], self.affine[:3, 3] - self.centre, changes, strict=True
        ):
            position = sum(along * axis for along, axis in zip(row, grid, strict=True)) + offset
            predicted += (position / RADIUS_MM).astype(shares.dtype) * change
        return predicted

    def _voxels(self, world: np.ndarray) -> np.ndarray:
        return nib.affines.apply_affine(np.linalg.inv(self.affine), world).T


def _interpolated(volume: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.map_coordinates(volume, voxels, order=1, mode="nearest")


def _fit(blurred: Blurred, points: np.ndarray, values: np.ndarray, start: np.ndarray) -> Fit:
    """Least squares over weights and moves, a step at a time."""
    alignment = start
    weights = None
    for _ in range(STEPS):
        world = nib.affines.apply_affine(alignment, points)
        seen = blurred.seen(world)
        if weights is None:
            weights = solve(*normal(seen, values, np.ones(len(values))))
        residuals = values - seen @ weights
        spread = 1.4826 * np.median(np.abs(residuals)) + 1e-9
        trust = np.minimum(1, OUTLIER * spread / np.maximum(np.abs(residuals), 1e-12))
        design = np.concatenate([seen, blurred.slopes(world, weights)], axis=1)
        solution = solve(*normal(design, values, trust))
        weights, move = solution[:-6], solution[-6:]
        longest = np.abs(move).max()
        alignment = moved(alignment, move * min(1, LONGEST_STEP_MM / longest), blurred.centre)
        if longest < SHORTEST_STEP_MM:
            break
    unexplained = np.average(residuals**2, weights=trust) / values.var()
    return Fit(alignment, float(unexplained), _halves(design, values, trust, world, blurred.centre))


def normal(
    design: np.ndarray, values: np.ndarray, trust: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both sides of the normal equations, (P, P) and (P,)."""
    trusted = design.T * trust
    return trusted @ design, trusted @ values


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve normal equations, trends held near zero; classes that are not seen weigh nothing."""
    diagonal = np.diag(matrix)
    trends = slice(HEAD_CLASSES + BRAIN_CLASSES, HEAD_CLASSES + 4 * BRAIN_CLASSES)
    held = np.full(len(right), 1e-9 * diagonal.max())
    held[trends] += TREND_RIDGE * diagonal[trends]
    return np.linalg.solve(matrix + np.diag(held), right)


def _halves(
    design: np.ndarray, values: np.ndarray, trust: np.ndarray, world: np.ndarray, centre: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Where halves of the samples would be moved to, by one step from where all are.

    They are halved three times, across each axis of the T1w.
    """
    octant = (world > np.median(world, axis=0)) @ [4, 2, 1]
    parts = [
        normal(design[octant == index], values[octant == index], trust[octant == index])
        for index in range(8)
    ]

    def move(half: np.ndarray) -> np.ndarray:
        matrix, right = (sum(side) for side in zip(*(parts[index] for index in half), strict=True))
        return moved(np.eye(4), solve(matrix, right)[-6:], centre)

    indices = np.arange(8)
    sides = [indices & bit > 0 for bit in (4, 2, 1)]
    return [(move(indices[side]), move(indices[~side])) for side in sides]
