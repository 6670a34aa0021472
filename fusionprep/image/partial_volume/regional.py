"""Regions of an atlas corrected for partial volume by the geometric transfer matrix."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from fusionprep.image.partial_volume.brain import (
    AND,
    BRAIN_TISSUES,
    NEAR_WIDTHS,
    PART,
    Reference,
    brain_box,
    tissue_of,
    with_noise,
)
from fusionprep.image.partial_volume.methods import RegionMeans, TransferMatrix
from fusionprep.image.partial_volume.partition import Partition, Region, Triple

GM, WM, CSF = BRAIN_TISSUES
PARENCHYMA = AND.join((GM, WM))
"""Tissue of nuclei and of the brain stem, whose gray and white matter a T1w hardly tells apart."""

LEAST_GRAY = 1 / 3
"""Share of gray matter from which a label is taken for one of gray matter: it covers sulci and some
white matter too."""

REACH_MM = 3.0
"""How far from a label tissue without one counts as its own: labels end where half a voxel is of
their tissue, and what is left would be a shell that cannot be told from them."""

SMALLEST_ML = 0.1
"""Regions of less tissue are left in the rest of it."""


def tissues_of_labels(labels: np.ndarray, tissues: Mapping[str, np.ndarray]) -> dict[int, str]:
    """The tissue that each label is of: the one that it holds most of, or GM from a third on.

    Parameters
    ----------
    labels
        (X, Y, Z) whole numbers, 0 outside.
    tissues
        Fractions (X, Y, Z) of :data:`~fusionprep.image.partial_volume.brain.BRAIN_TISSUES`.
    """
    where = np.flatnonzero(labels)
    found = labels.ravel()[where]
    sums = {
        name: np.bincount(found, tissues[name].ravel()[where].astype(np.float64))
        for name in BRAIN_TISSUES
    }
    total = np.sum(list(sums.values()), axis=0)
    kinds = {}
    for label in np.flatnonzero(total > 0).tolist():
        gray = sums[GM][label] >= LEAST_GRAY * total[label]
        kinds[label] = GM if gray else max(BRAIN_TISSUES, key=lambda name: sums[name][label])
    return kinds


def label_partition(
    tissues: Mapping[str, np.ndarray],
    labels: np.ndarray,
    kinds: Mapping[int, str],
    voxel_sizes: Triple,
    *,
    near_mm: float = 0.0,
) -> Partition:
    """Share a brain out among the labels of an atlas, each of its tissue.

    A label has its tissue where it is, and to 3 mm around where no other label is nearer; the rest
    of each tissue is one region. Gray and white matter that are one (:data:`PARENCHYMA`) are those
    in the label, with gray matter around.

    Parameters
    ----------
    tissues
        Fractions (X, Y, Z) of :data:`~fusionprep.image.partial_volume.brain.BRAIN_TISSUES`.
    labels
        (X, Y, Z) whole numbers, 0 outside.
    kinds
        Label to its tissue, :data:`PARENCHYMA` among them; others are left in the rest.
    voxel_sizes
        mm along the axes.
    near_mm
        As in :meth:`Partition.from_fractions`.

    Returns
    -------
    Partition
        Of regions called ``"GM in 1025"``, then what is left of tissues, and what is outside.
    """
    whole = Partition.from_fractions(tissues, voxel_sizes, near_mm=near_mm)
    shares = {name: whole.share_of(name) for name in BRAIN_TISSUES}
    merged = [label for label, kind in kinds.items() if kind == PARENCHYMA]
    in_merged = np.isin(labels, merged)
    owners = {}
    for name, share in shares.items():
        own = [label for label, kind in kinds.items() if kind == name]
        near = [*own, *merged] if name == GM else own
        taken = np.where(in_merged, labels, 0) if name == WM else np.zeros_like(labels)
        grown = _grown(np.where(np.isin(labels, near), labels, 0), share > 0, voxel_sizes)
        owners[name] = np.where(taken > 0, taken, grown)
    parts = list(_parts(shares, owners, kinds, voxel_sizes))
    kept = [int(part.name.split(PART)[1]) for part in parts]
    rest = [
        Region.from_map(name, np.where(np.isin(owners[name], kept), 0, shares[name]))
        for name in BRAIN_TISSUES
    ]
    outside = [region for region in whole.regions if region.name not in BRAIN_TISSUES]
    regions = (*parts, *(region for region in rest if region.share.any()), *outside)
    return replace(whole, regions=regions)


def _grown(labels: np.ndarray, where: np.ndarray, voxel_sizes: Triple) -> np.ndarray:
    """Labels taken on to what is near them, of a mask."""
    from scipy import ndimage

    if not labels.any():
        return labels
    distance, nearest = ndimage.distance_transform_edt(
        labels == 0, sampling=voxel_sizes, return_indices=True
    )
    return np.where(where & (distance <= REACH_MM), labels[tuple(nearest)], labels)


def _parts(
    shares: Mapping[str, np.ndarray],
    owners: Mapping[str, np.ndarray],
    kinds: Mapping[int, str],
    voxel_sizes: Triple,
) -> Iterator[Region]:
    """The region of each label that has enough of its tissue."""
    from scipy import ndimage

    smallest = SMALLEST_ML * 1000 / np.prod(voxel_sizes)
    boxes = {name: ndimage.find_objects(owners[name]) for name in owners}
    for label, kind in kinds.items():
        share = np.zeros(shares[GM].shape, np.float32)
        for name in kind.split(AND):
            box = boxes[name][label - 1] if label <= len(boxes[name]) else None
            if box is not None:
                share[box] += np.where(owners[name][box] == label, shares[name][box], 0)
        if share.sum(dtype=np.float64) >= smallest:
            yield Region.from_map(f"{kind}{PART}{label}", share)


@dataclass(frozen=True)
class CorrectedRegions:
    """Means of labels in one image.

    Attributes
    ----------
    values, variances
        By label, in the units of the PET and their square.
    reference
        Mean of the reference region; None without one, NaN where nothing of it is seen.
    """

    values: Mapping[int, float]
    variances: Mapping[int, float]
    reference: float | None

    def without_values(self) -> Self:
        """The same, NaN everywhere."""
        none = dict.fromkeys(self.values, float("nan"))
        return replace(
            self,
            values=none,
            variances=none,
            reference=None if self.reference is None else float("nan"),
        )


@dataclass(frozen=True)
class RegionCorrection:
    """The correction of a PET's regions, worked out once for all of its frames.

    Attributes
    ----------
    box
        The part of the grid that is used.
    brain
        In it, bool.
    field
        In it, where the PET was acquired; None is everywhere.
    """

    box: tuple[slice, ...]
    brain: np.ndarray
    field: np.ndarray | None
    transfer: TransferMatrix
    reference: Reference | None

    @classmethod
    def of_brain(
        cls,
        tissues: Mapping[str, np.ndarray],
        labels: np.ndarray,
        voxel_sizes: Triple,
        fwhm: Triple,
        *,
        kinds: Mapping[int, str] | None = None,
        field: np.ndarray | None = None,
        reference: Reference | None = None,
    ) -> Self:
        """Work it out.

        Parameters
        ----------
        tissues
            Fractions (X, Y, Z) of :data:`~fusionprep.image.partial_volume.brain.BRAIN_TISSUES`.
        labels
            (X, Y, Z) whole numbers, 0 outside.
        voxel_sizes, fwhm
            mm along the axes of the grid; the latter of the point spread.
        kinds
            Label to its tissue, as in :func:`label_partition`; None takes
            :func:`tissues_of_labels`.
        field
            (X, Y, Z) bool, where the PET was acquired; None is everywhere. Labels with too little
            in it are left out.
        reference
            What ratios refer to.

        Raises
        ------
        DataError
            When there is no brain, or regions cannot be told apart.
        """
        box, brain = brain_box(tissues, voxel_sizes, fwhm)
        inside = {name: tissues[name][box] for name in BRAIN_TISSUES}
        seen = None if field is None else field[box]
        own = labels[box] if seen is None else np.where(seen, labels[box], 0)
        kinds = tissues_of_labels(own, inside) if kinds is None else kinds
        present = {*np.flatnonzero(np.bincount(own.ravel())).tolist()}
        kinds = {label: kind for label, kind in kinds.items() if label in present}
        near = NEAR_WIDTHS * max(fwhm)
        part = label_partition(inside, own, kinds, voxel_sizes, near_mm=near)
        if reference is not None:
            reference = replace(reference, inside=reference.inside[box])
            part = reference.part(part)
        transfer = TransferMatrix.of_regions(part.blurred(fwhm), seen)
        return cls(box, brain, seen, transfer, reference)

    @cached_property
    def labels(self) -> dict[int, np.ndarray]:
        """Labels, and how much each region of the matrix counts in them: (N,), sum 1."""
        owners = [_label_of(name) for name in self.transfer.regions.own.names]
        found = {}
        for label in dict.fromkeys(owners):
            if label is not None:
                weights = np.where([owner == label for owner in owners], self._volumes, 0)
                found[label] = weights / weights.sum()
        return found

    @cached_property
    def tissues(self) -> dict[int, str]:
        """The tissue that each label was taken to be of."""
        names = self.transfer.regions.own.names
        owners = {_label_of(name): tissue_of(name) for name in names}
        return {label: tissue for label, tissue in owners.items() if label is not None}

    @cached_property
    def _volumes(self) -> np.ndarray:
        return self.transfer.regions.own.volumes_ml

    @cached_property
    def _unit_noise(self) -> np.ndarray:
        return self.transfer.noise(self.transfer.regions.fwhm)

    def means(self, image: np.ndarray) -> CorrectedRegions:
        """Means in an image in the shape of the box."""
        means = with_noise(image, self.transfer, self.brain, self.field, self._unit_noise)
        values = {label: float(w @ means.values) for label, w in self.labels.items()}
        variances = {label: float(w @ means.covariance @ w) for label, w in self.labels.items()}
        return CorrectedRegions(values, variances, self._reference_mean(means))

    def _reference_mean(self, means: RegionMeans) -> float | None:
        if self.reference is None:
            return None
        own = self.transfer.regions.own
        return self.reference.mean_of_tissues(own, means.by_name()) or float("nan")


def _label_of(region: str) -> int | None:
    """The label that a region of a partition, or a part of it, is of."""
    words = region.split(PART)
    return int(words[1]) if len(words) > 1 and words[1].isdecimal() else None


def curves(
    correction: RegionCorrection,
    frames: Sequence[np.ndarray] | Iterator[np.ndarray],
    frame_from_grid: np.ndarray | Sequence[np.ndarray],
    *,
    factors: Collection[float] | None = None,
) -> list[CorrectedRegions]:
    """Corrected means in each frame of a dynamic PET.

    Parameters
    ----------
    frames
        T times (X, Y, Z) on their own grid, of which one is in memory at a time; each is brought to
        the grid of the correction by linear interpolation. One without any signal has no values.
    frame_from_grid
        (4, 4), voxels of the grid of the T1w to those of the frames; or one for each frame.
    factors
        What each frame is multiplied by.
    """
    matrices = np.asarray(frame_from_grid, float)
    scales = None if factors is None else list(factors)
    found = []
    for number, frame in enumerate(frames):
        matrix = matrices if matrices.ndim == 2 else matrices[number]
        scale = np.float32(1 if scales is None else scales[number])
        found.append(correction.means(scale * _in_box(frame, matrix, correction.box)))
        if not np.any(frame):
            found[-1] = found[-1].without_values()
    return found


def _in_box(frame: np.ndarray, matrix: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """A frame on a part of another grid; what it holds of no number counts as 0."""
    from scipy import ndimage

    start = np.array([side.start for side in box])
    return ndimage.affine_transform(
        np.nan_to_num(np.asarray(frame, np.float32), posinf=0, neginf=0),
        matrix[:3, :3],
        offset=matrix[:3, :3] @ start + matrix[:3, 3],
        output_shape=tuple(side.stop - side.start for side in box),
        order=1,
        mode="nearest",
    )
