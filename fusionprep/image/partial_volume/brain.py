"""Partial-volume correction of a brain by its three tissues."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fusionprep.errors import DataError
from fusionprep.image.masks import tight_box
from fusionprep.image.partial_volume.methods import (
    GRAY,
    RegionMeans,
    iterative_yang,
    muller_gartner,
    region_based_voxelwise,
    transfer_matrix_means,
)
from fusionprep.image.partial_volume.partition import Blurred, Partition, Triple

BRAIN_TISSUES = ("GM", "WM", "CSF")
GRAY_METHOD = "mg"
"""The one that finds the activity of gray matter alone."""

PART = " in "
"""Between a tissue and a region, in the name of what they share."""

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
        for tissue in self.tissues:
            names = {1: f"{tissue}{PART}{self.name}"}
            labels = self.inside.astype(np.uint8)
            partition = partition.split({tissue}, labels, names, smallest_ml=SMALLEST_PART_ML)
        return partition

    def mean_of_tissues(self, partition: Partition, activities: Mapping[str, float]) -> float:
        """Mean activity of its tissues; of parts too small to be told, that of the tissue."""
        volume, total = 0.0, 0.0
        for region in partition.regions:
            if tissue_of(region.name) in self.tissues:
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
    brain = np.sum([tissues[name] for name in BRAIN_TISSUES], axis=0) > 0.5
    if not brain.any():
        raise DataError("no voxel is in the brain")
    margin = np.ceil(MARGIN_WIDTHS * np.asarray(fwhm) / np.asarray(voxel_sizes)).astype(int)
    box = tight_box(brain, margin)
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
    means = transfer_matrix_means(image, regions, field=seen)
    if "gtm" in methods:
        means = _with_noise(means, image, regions, brain[box], seen)
    images, references = {}, {}
    for method in filter(lambda method: method != "gtm", methods):
        made = np.where(brain[box], _image(method, image, regions, means.by_name(), seen), 0)
        images[method] = np.zeros(pet.shape, np.float32)
        images[method][box] = made
        if reference is not None and method == GRAY_METHOD:
            references[method] = reference.mean_of_tissues(part, means.by_name())
        elif reference is not None:
            references[method] = reference.mean_of(made, seen)
    return CorrectedBrain(images, means, part.volumes_ml, references)


def _with_noise(
    means: RegionMeans,
    image: np.ndarray,
    regions: Blurred,
    brain: np.ndarray,
    field: np.ndarray | None,
) -> RegionMeans:
    """The same with the noise that they leave unexplained in the brain, blurred as the image is."""
    inside = brain if field is None else brain & field
    rest = image[inside] - regions.seen.image(means.values.tolist())[inside]
    noise = float(rest.std(dtype=np.float64))
    return transfer_matrix_means(
        image, regions, field=field, noise_sd=noise, noise_fwhm=regions.fwhm
    )


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
