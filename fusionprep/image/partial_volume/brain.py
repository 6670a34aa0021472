"""Partial-volume correction of a brain by its three tissues."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fusionprep.errors import DataError
from fusionprep.image.masks import tight_box
from fusionprep.image.partial_volume.methods import (
    GRAY,
    RegionMeans,
    TransferMatrix,
    iterative_yang,
    muller_gartner,
    region_based_voxelwise,
)
from fusionprep.image.partial_volume.partition import Blurred, Partition, Triple

BRAIN_TISSUES = ("GM", "WM", "CSF")
GRAY_METHOD = "mg"
"""The one that finds the activity of gray matter alone."""

PART, AND = " in ", " and "
"""Between a tissue and a region, in the name of what they share; between tissues that are one."""

NEAR_WIDTHS = 1.5
"""How far from the brain scalp and skull are a region of their own, in widths of the spread."""

MARGIN_WIDTHS = 4.0
"""How far from the brain the image is used."""

SMALLEST_PART_ML = 1.0
"""Parts of a reference region that are smaller take the mean of their tissue."""


@dataclass(frozen=True)
class Reference:
    """Where a corrected image has a mean of 1 in its ratio to a reference.

    Attributes
    ----------
    name
        Of the region.
    inside
        (X, Y, Z) bool.
    tissues
        Whose activity in it counts, of :data:`BRAIN_TISSUES`.
    parted
        Whether its activity may differ from that of the same tissue elsewhere; not so where the
        region is the tissue.
    """

    name: str
    inside: np.ndarray
    tissues: tuple[str, ...] = BRAIN_TISSUES
    parted: bool = True

    def part(self, partition: Partition) -> Partition:
        """Tissues with their parts in the region, where their activity may be another."""
        if not self.parted:
            return partition
        labels = self.inside.astype(np.uint8)
        for region in filter(self.counts, partition.names):
            names = {1: f"{region}{PART}{self.name}"}
            partition = partition.split({region}, labels, names, smallest_ml=SMALLEST_PART_ML)
        return partition

    def counts(self, region: str) -> bool:
        """Whether a region of a partition is of its tissues."""
        return not {*tissue_of(region).split(AND)}.isdisjoint(self.tissues)

    def mean_of_tissues(self, partition: Partition, activities: Mapping[str, float]) -> float:
        """Mean activity of its tissues; of parts too small to be told, that of the tissue."""
        volume, total = 0.0, 0.0
        for region in partition.regions:
            if self.counts(region.name):
                inside = self.inside[region.box]
                share = float(region.share[inside].sum(dtype=np.float64))
                volume, total = volume + share, total + share * activities[region.name]
        return total / volume if volume else 0.0

    def mean_of(self, image: np.ndarray, field: np.ndarray | None) -> float:
        """Mean of an image in the region and the field of view."""
        counted = self.inside if field is None else self.inside & field
        return float(image[counted].mean(dtype=np.float64)) if counted.any() else 0.0


@dataclass(frozen=True)
class CorrectedBrain:
    """What was found.

    Attributes
    ----------
    images
        By method (``mg``, ``rbv``, ``iy``): (X, Y, Z) float32 in the units of the PET, 0 outside
        the brain, and with ``mg`` where hardly any gray matter is seen.
    means
        By the geometric transfer matrix; the noise is what it leaves unexplained, with ``gtm``.
    volumes_ml
        Of its regions.
    references
        By method: mean of the corrected image in the reference region, and for ``mg`` that of its
        tissues by the transfer matrix.
    """

    images: Mapping[str, np.ndarray]
    means: RegionMeans
    volumes_ml: np.ndarray
    references: Mapping[str, float]


def correct_brain(
    pet: np.ndarray,
    tissues: Mapping[str, np.ndarray],
    voxel_sizes: Triple,
    fwhm: Triple,
    *,
    methods: Collection[str] = ("mg",),
    field: np.ndarray | None = None,
    reference: Reference | None = None,
) -> CorrectedBrain:
    """Correct the PET of a brain.

    Parameters
    ----------
    pet
        (X, Y, Z), any unit.
    tissues
        Fractions (X, Y, Z) by the names of :data:`BRAIN_TISSUES`.
    voxel_sizes, fwhm
        mm along the axes of the grid.
    methods
        Of ``mg``, ``rbv`` and ``iy``, which make images, and ``gtm``: the transfer matrix is always
        solved, but its noise is told then alone.
    field
        (X, Y, Z) bool, where the PET was acquired; None is everywhere.

    Raises
    ------
    DataError
        When there is no brain, or its tissues are not in the field of view or cannot be told apart.
    """
    box, brain = brain_box(tissues, voxel_sizes, fwhm)
    part = Partition.from_fractions(
        {name: tissues[name][box] for name in BRAIN_TISSUES},
        voxel_sizes,
        near_mm=NEAR_WIDTHS * max(fwhm),
    )
    if reference is not None:
        reference = replace(reference, inside=reference.inside[box])
        part = reference.part(part)
    regions, seen = part.blurred(fwhm), None if field is None else field[box]
    image = np.asarray(pet[box], np.float32)
    transfer = TransferMatrix.of_regions(regions, seen)
    with_its_noise = "gtm" in methods
    means = with_noise(image, transfer, brain, seen) if with_its_noise else transfer.means(image)
    images, references = {}, {}
    for method in filter(lambda method: method != "gtm", methods):
        made = np.where(brain, _image(method, image, regions, means.by_name(), seen), 0)
        images[method] = np.zeros(pet.shape, np.float32)
        images[method][box] = made
        if reference is not None and method == GRAY_METHOD:
            references[method] = reference.mean_of_tissues(part, means.by_name())
        elif reference is not None:
            references[method] = reference.mean_of(made, seen)
    return CorrectedBrain(images, means, part.volumes_ml, references)


def brain_box(
    tissues: Mapping[str, np.ndarray], voxel_sizes: Triple, fwhm: Triple
) -> tuple[tuple[slice, ...], np.ndarray]:
    """The part of the grid from which the point spread can reach the brain, and the brain in it.

    Parameters
    ----------
    tissues
        Fractions (X, Y, Z) by the names of :data:`BRAIN_TISSUES`.
    voxel_sizes, fwhm
        mm along the axes of the grid.

    Returns
    -------
    box : tuple of slice
    brain : numpy.ndarray
        bool, in the shape of the box: where the tissues fill more than half of a voxel.

    Raises
    ------
    DataError
        When there is no brain.
    """
    brain = np.sum([tissues[name] for name in BRAIN_TISSUES], axis=0) > 0.5
    if not brain.any():
        raise DataError("no voxel is in the brain")
    margin = np.ceil(MARGIN_WIDTHS * np.asarray(fwhm) / np.asarray(voxel_sizes)).astype(int)
    box = tight_box(brain, margin)
    return box, brain[box]


def with_noise(
    image: np.ndarray,
    transfer: TransferMatrix,
    brain: np.ndarray,
    field: np.ndarray | None,
    unit_noise: np.ndarray | None = None,
) -> RegionMeans:
    """Means with the noise that they leave unexplained in the brain, blurred as the image is.

    Parameters
    ----------
    image
        (X, Y, Z).
    brain, field
        (X, Y, Z) bool; without the latter all is in the field of view.
    unit_noise
        (N, N), of :meth:`TransferMatrix.noise`; None works it out.
    """
    if unit_noise is None:
        unit_noise = transfer.noise(transfer.regions.fwhm)
    inside = brain if field is None else brain & field
    noise = transfer.unexplained(image, transfer.means(image), inside) ** 2 * unit_noise
    return transfer.means(image, noise)


def _image(
    method: str,
    image: np.ndarray,
    regions: Blurred,
    activities: Mapping[str, float],
    field: np.ndarray | None,
) -> np.ndarray:
    if method == GRAY_METHOD:
        gray = [name for name in regions.own.names if tissue_of(name) == GRAY]
        return muller_gartner(image, regions, activities, gray=gray)
    if method == "rbv":
        return region_based_voxelwise(image, regions, activities)
    if method == "iy":
        return iterative_yang(image, regions, field=field)[0]
    raise ValueError(f"no method is called {method!r}")


def tissue_of(region: str) -> str:
    """The tissue of a region, or of a part of one.

    Examples
    --------
    >>> tissue_of("GM in pons"), tissue_of("near outside")
    ('GM', 'near outside')
    """
    return region.split(PART, 1)[0]
