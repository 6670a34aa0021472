"""Motion of the head between the frames of a dynamic PET."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import nibabel as nib
import numpy as np

from fusionprep.image.frame_alignment import (
    TIME_COURSES,
    Region,
    Smooth,
    align_to_reference,
    align_together,
)
from fusionprep.image.io import new_image
from fusionprep.image.masks import largest_component
from fusionprep.image.resample import downsample
from fusionprep.image.rigid import Brain, standard_error

SPACING_MM = 4.0
"""Voxels on which frames are compared."""

SIGMA_MM, COARSE_SIGMA_MM = 3.0, 6.0
"""Standard deviations of the Gaussians that smooth frames: in the end, and for large moves."""

OBJECT_SHARE = 0.15
"""Of the reference's 99th percentile; voxels above it are the head."""

HEAD_MM = 170.0
"""The brain is in this much below the top of the head; what is lower moves on its own."""

AROUND_MM, SCALP_MM = 8.0, 12.0
"""Air around the head that is compared too, and what lies outside of the brain."""

FEW_COUNTS = 0.005
"""Share of the counts of the frame that has most, below which a frame is not aligned itself."""

TRIED_MM, UNSURE_MM = 1.5, 1.0
"""Standard errors above which a frame is not aligned with all others, and does not keep its own
place in the end."""

SHARED_COUNTS = 0.2
"""Share of the largest counts from which a frame takes part in the reference."""

STILL_MM = 1.0
"""A scan in which no brain voxel moves by more is left alone by ``--hmc auto``."""

COUNTED = 0.05
"""Share of the largest counts from which a frame's place tells whether the head moves."""

SURE = 3.0
"""Standard errors by which a distance must be above :data:`STILL_MM`."""

FD_RADIUS_MM = 50.0
"""Of the sphere on which framewise displacement counts rotations."""

FEWEST_SAMPLES = 1000
"""Voxels of 4 mm that a head has at least."""

PARAMETERS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


class NoHeadError(ValueError):
    """Frames show nothing that could be aligned."""


@dataclass(frozen=True)
class Motion:
    """Where the head is in each of T frames.

    Attributes
    ----------
    reference_from_frame
        (T, 4, 4) RAS mm. The reference is the mean place of the head, weighted by counts.
    standard_errors_mm
        (T,) of each frame's alignment where it is largest in the brain; NaN of frames that are not
        aligned themselves.
    counts
        (T,) as shares of the largest.
    carried
        Frames, counted from 0, with too few counts: they have the place of the nearest in time that
        has enough.
    points
        (N, 3) all over the brain, in the reference, mm.
    alone
        The same before frames were aligned with each other; None where they were not.
    """

    reference_from_frame: np.ndarray
    standard_errors_mm: np.ndarray
    counts: np.ndarray
    carried: tuple[int, ...]
    points: np.ndarray = field(repr=False)
    alone: "Motion | None" = field(default=None, repr=False)

    def largest_movement_mm(self) -> tuple[float, float]:
        """Largest distance between places of a voxel in frames with counts; its standard error."""
        distances, errors = self._distances()
        largest = np.unravel_index(distances.argmax(), distances.shape)
        return float(distances[largest]), float(errors[largest])

    def moves(self) -> bool:
        """Whether a voxel of the brain moves by more than 1 mm, as far as that is sure.

        Both ways to align frames must find it: each takes some of what tracer or noise do for
        motion, but not the same.
        """
        distances, errors = self._distances()
        found = bool((distances - SURE * errors > STILL_MM).any())
        return found and (self.alone is None or self.alone.moves())

    def _distances(self) -> tuple[np.ndarray, np.ndarray]:
        """Between frames with counts, (N, N) mm: where largest in the brain, standard errors."""
        counted = [
            index for index in np.flatnonzero(self.counts >= COUNTED) if index not in self.carried
        ]
        placed = [
            nib.affines.apply_affine(np.linalg.inv(self.reference_from_frame[index]), self.points)
            for index in counted
        ]
        distances = np.array([
            [np.linalg.norm(one - other, axis=1).max() for other in placed] for one in placed
        ])  # fmt: skip
        if not counted:
            return np.zeros((1, 1)), np.full((1, 1), np.nan)
        errors = self.standard_errors_mm[counted]
        return distances, np.hypot(errors[:, None], errors)

    def parameters(self) -> dict[str, np.ndarray]:
        """How the head lies in each frame, from its place in the reference.

        Returns
        -------
        dict
            :data:`PARAMETERS`, (T,) each: shifts of the middle of the brain along the axes of the
            world in mm, then rotations about it (extrinsic, about x, y and z in turn) in radians.
        """
        from scipy.spatial.transform import Rotation

        centre = self.points.mean(axis=0)
        frames = np.linalg.inv(self.reference_from_frame)
        shifts = frames[:, :3, :3] @ centre + frames[:, :3, 3] - centre
        turns = Rotation.from_matrix(frames[:, :3, :3]).as_euler("xyz")
        return dict(zip(PARAMETERS, [*shifts.T, *turns.T], strict=True))

    def framewise_displacement(self) -> np.ndarray:
        """How far the head moved since the frame before, (T,) mm; NaN for the first.

        Sum of the absolute changes of the six parameters, rotations as arcs of 50 mm radius (Power
        et al., NeuroImage 2012;59:2142-2154).
        """
        values = np.stack(list(self.parameters().values()), axis=1)
        values[:, 3:] *= FD_RADIUS_MM
        return np.concatenate([[np.nan], np.abs(np.diff(values, axis=0)).sum(axis=1)])


def find_motion(
    frames: Iterable[np.ndarray],
    affine: np.ndarray,
    durations: Sequence[float] | None = None,
    remaining: Sequence[float] | None = None,
    *,
    together: bool = True,
) -> Motion:
    """Find how the head moves between frames.

    Frames are compared at 4 mm, smoothed to about 8 mm. The one with most counts is the first
    reference, from which the others are aligned in the order of time, each from the place of its
    neighbour (:func:`~fusionprep.image.frame_alignment.align_to_reference`); then again with the
    mean of those that have a fifth of its counts. Where there are enough frames, all are then
    aligned with each other (:func:`~fusionprep.image.frame_alignment.align_together`). Motion
    within a frame is not seen: such a frame gets the mean place.

    Parameters
    ----------
    frames
        T times (X, Y, Z), activity concentration averaged over each frame. They are read once, one
        after the other.
    affine
        (4, 4), voxels to RAS mm.
    durations
        T durations in seconds; None where all are alike.
    remaining
        Share (T,) of the activity that has not decayed in each frame, where the frames are
        corrected for decay; None for 1. With the durations it tells how many counts frames have.
    together
        Align all with each other in the end, where there are enough frames.

    Raises
    ------
    ValueError
        When there are no frames, or durations or shares do not match them.
    NoHeadError
        When they show nothing as large as a head.
    """
    small, sums = _read(frames, affine)
    counts = sums
    for name, values in (("durations", durations), ("shares", remaining)):
        if values is not None and len(values) != len(small):
            raise ValueError(f"{len(values)} {name} for {len(small)} frames")
        counts = counts * (1.0 if values is None else np.asarray(values, float))
    if not counts.any():
        raise NoHeadError("no frame shows anything")
    counts = counts / counts.max()
    scan = _Scan.of(small, counts, durations)
    found, errors = scan.one_by_one()
    alone = scan.motion(found, errors)
    aligned = np.flatnonzero(errors <= TRIED_MM)
    if not together or len(aligned) <= TIME_COURSES + 1:
        return alone
    found[aligned], errors[aligned] = scan.together(found[aligned], aligned)
    return replace(scan.motion(found, errors), alone=alone)


def _read(
    frames: Iterable[np.ndarray], affine: np.ndarray
) -> tuple[list[nib.Nifti1Image], np.ndarray]:
    """Frames on a coarse grid, and the sum of each, 0 where it is negative."""
    small, sums = [], []
    for frame in frames:
        known = np.where(np.isfinite(frame), frame, np.float32(0))
        sums.append(max(0.0, float(known.sum(dtype=np.float64))))
        small.append(downsample(new_image(known, affine), SPACING_MM))
    if not small:
        raise ValueError("there are no frames")
    return small, np.array(sums)


@dataclass(frozen=True)
class _Scan:
    """All frames as they are compared, and where."""

    fine: list[Smooth]
    coarse: list[Smooth]
    counts: np.ndarray
    weights: np.ndarray
    region: Region
    brain: Brain

    @classmethod
    def of(
        cls,
        small: Sequence[nib.Nifti1Image],
        counts: np.ndarray,
        durations: Sequence[float] | None,
    ) -> "_Scan":
        affine = small[0].affine
        first = _smoothed(small[int(counts.argmax())], SIGMA_MM)
        near, brain = _head(first, affine)
        region = Region.of(near, affine, brain.centre)
        if region.inner.sum() < FEWEST_SAMPLES:
            raise NoHeadError("what the frames show is too small for a head")
        return cls(
            [Smooth.of(_smoothed(image, SIGMA_MM), affine) for image in small],
            [Smooth.of(_smoothed(image, COARSE_SIGMA_MM), affine) for image in small],
            counts,
            np.ones(len(small)) if durations is None else np.asarray(durations, float),
            region,
            brain,
        )

    def one_by_one(self) -> tuple[np.ndarray, np.ndarray]:
        """Alignments (T, 4, 4) with a common reference, and their standard errors (T,)."""
        still, points = np.eye(4), self.region.points
        first = int(self.counts.argmax())
        found = np.array([still] * len(self.fine))
        errors = np.full(len(self.fine), np.inf)
        coarse, fine = (images[first].seen(points, still) for images in (self.coarse, self.fine))
        for order in (range(first, len(self.fine)), range(first - 1, -1, -1)):
            near = still
            for index in order:
                if self.counts[index] < FEW_COUNTS:
                    continue
                near_by, _ = align_to_reference(coarse, self.coarse[index], self.region, near)
                found[index], errors[index] = self._aligned(fine, index, near_by)
                near = found[index] if errors[index] <= TRIED_MM else near
        shared = (self.counts >= SHARED_COUNTS) & (errors <= TRIED_MM)
        shared[first] = True
        mean = sum(
            self.weights[index] * self.fine[index].seen(points, found[index])
            for index in np.flatnonzero(shared)
        )
        for index in np.flatnonzero(np.isfinite(errors)):
            found[index], errors[index] = self._aligned(np.asarray(mean), index, found[index])
        return found, errors

    def together(self, found: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Some frames' alignments with each other, and their standard errors."""
        found, pairs = align_together(
            [self.fine[index] for index in which], self.counts[which], self.region, found
        )
        return found, np.array([standard_error(halves, self.brain) for halves in pairs])

    def motion(self, found: np.ndarray, errors: np.ndarray) -> Motion:
        """Alignments (T, 4, 4) with standard errors (T,); unsure frames carry their neighbour's."""
        carried = np.flatnonzero(~(errors <= UNSURE_MM))
        sure = np.setdiff1d(np.arange(len(found)), carried)
        places, known = found.copy(), errors.copy()
        for index in carried:
            nearest = sure[np.abs(sure - index).argmin()] if len(sure) else None
            places[index] = np.eye(4) if nearest is None else found[nearest]
        known[carried] = np.nan
        return Motion(places, known, self.counts, tuple(carried.tolist()), self.brain.points)

    def _aligned(
        self, reference: np.ndarray, index: int, start: np.ndarray
    ) -> tuple[np.ndarray, float]:
        found, halves = align_to_reference(reference, self.fine[index], self.region, start)
        return found, standard_error(halves, self.brain)


def _smoothed(image: nib.Nifti1Image, sigma: float) -> np.ndarray:
    from scipy import ndimage

    sigmas = sigma / nib.affines.voxel_sizes(image.affine)
    return ndimage.gaussian_filter(np.asarray(image.dataobj, np.float32), sigmas)


def _head(image: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, Brain]:
    """Where frames are compared, (X, Y, Z) bool, and about where the brain is."""
    from scipy import ndimage

    bright = image > OBJECT_SHARE * np.percentile(image, 99)
    head = largest_component(bright)
    if head.sum() < FEWEST_SAMPLES:
        raise NoHeadError("what the frames show is too small for a head")
    axes = np.meshgrid(*map(np.arange, image.shape), indexing="ij", sparse=True)
    height = sum((row * axis for row, axis in zip(affine[2, :3], axes, strict=True)), affine[2, 3])
    upper = height > height[head].max() - HEAD_MM
    sizes = nib.affines.voxel_sizes(affine)
    inside = ndimage.distance_transform_edt(head, sizes)
    outside = ndimage.distance_transform_edt(~head, sizes)
    # the border of the field of view has no neighbours there when the head moves
    border = np.ones_like(head)
    border[1:-1, 1:-1, 1:-1] = False
    near = (outside <= AROUND_MM) & upper & ~border
    brain = upper & (inside > min(SCALP_MM, 0.5 * float(inside[upper].max())))
    found = Brain.from_mask(nib.Nifti1Image(brain.astype(np.uint8), affine))
    return near, found
