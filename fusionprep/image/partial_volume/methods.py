"""The methods of partial-volume correction."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from fusionprep.errors import DataError
from fusionprep.image.partial_volume.partition import (
    FWHM_PER_SIGMA,
    Blurred,
    Partition,
    Region,
    Triple,
)

GRAY = "GM"

GRAY_THRESHOLD = 0.3
"""Least share of gray matter, blurred, that MG divides by: noise grows at most by its inverse."""

ERODED_SHARE = 0.95
YANG_ITERATIONS = 10

LOWEST_BASE = 1e-3
"""Of the largest activity: where the blurred regions are below it, no ratio is taken."""

WORST_CONDITION = 1e4
"""Condition number of the transfer matrix above which regions cannot be told apart."""


@dataclass(frozen=True)
class RegionMeans:
    """Activities of regions by the geometric transfer matrix.

    Attributes
    ----------
    names
        Of the regions, in the order of the partition.
    values, observed
        (N,) means in the units of the PET, corrected and as seen.
    matrix
        (N, N): row i holds how much of each region is seen in the mean of region i.
    covariance
        (N, N) of the corrected means, and ...
    observed_variance
        ... (N,) of the means as seen, that come of the noise; NaN where the noise is not known.
    """

    names: tuple[str, ...]
    values: np.ndarray
    observed: np.ndarray
    matrix: np.ndarray
    covariance: np.ndarray
    observed_variance: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        """(N,) of the corrected means, that comes of the noise."""
        return np.diag(self.covariance).copy()

    def by_name(self) -> dict[str, float]:
        """The corrected means."""
        return dict(zip(self.names, self.values.tolist(), strict=True))


def transfer_matrix_means(
    pet: np.ndarray,
    regions: Blurred,
    *,
    field: np.ndarray | None = None,
    noise_sd: float = np.nan,
    noise_fwhm: Triple | None = None,
) -> RegionMeans:
    """Mean activity of each region by the geometric transfer matrix.

    Parameters
    ----------
    pet
        (X, Y, Z), any unit.
    regions
        From :meth:`Partition.blurred`.
    field
        (X, Y, Z) bool, where the PET was acquired; None is everywhere.
    noise_sd
        Standard deviation of the noise of a voxel, in the units of the PET.
    noise_fwhm
        Of the filter that the noise went through, mm along the axes; None is white noise.

    Raises
    ------
    DataError
        When a region is not in the field of view, or blur leaves too little between regions for
        them to be told apart.

    Notes
    -----
    Means of fractions are weighted with them. The noise is taken to be the same everywhere, and
    goes through the inverse matrix with its correlation between regions.

    References
    ----------
    Rousset, Ma & Evans (1998), J Nucl Med 39(5):904-911.
    """
    transfer = TransferMatrix.of_regions(regions, field)
    noise = noise_sd**2 * transfer.noise(noise_fwhm)
    return transfer.means(pet, noise)


@dataclass(frozen=True)
class TransferMatrix:
    """How regions are seen in each other's means: found once for all frames of a PET.

    Attributes
    ----------
    regions
        From :meth:`Partition.blurred`.
    own
        Its N regions, where the PET was acquired.
    sizes
        (N,) sums of their shares, in voxels.
    matrix
        (N, N): row i holds how much of each region is seen in the mean of region i.
    """

    regions: Blurred
    own: tuple[Region, ...]
    sizes: np.ndarray
    matrix: np.ndarray

    @classmethod
    def of_regions(cls, regions: Blurred, field: np.ndarray | None = None) -> Self:
        """The matrix; arguments and errors are those of :func:`transfer_matrix_means`."""
        own = tuple(_in_field(regions.own.regions, field))
        sizes = np.array([region.share.sum(dtype=np.float64) for region in own])
        if empty := [region.name for region, size in zip(own, sizes, strict=True) if size <= 0]:
            raise DataError(f"no voxel of the field of view is in {', '.join(empty)}")
        sums = [[region.times(seen) for seen in regions.seen.regions] for region in own]
        matrix = np.array(sums) / sizes[:, None]
        condition = float(np.linalg.cond(matrix))
        if not condition < WORST_CONDITION:
            raise DataError(
                f"{shortened(regions.own.names)} cannot be told apart at a resolution of"
                f" {' x '.join(f'{width:g}' for width in regions.fwhm)} mm (condition number"
                f" {condition:.2g}); join regions, or give a smaller point spread"
            )
        return cls(regions, own, sizes, matrix)

    def means(self, pet: np.ndarray, noise: np.ndarray | None = None) -> RegionMeans:
        """Means in an image (X, Y, Z), whose noise has a covariance (N, N) in those as seen."""
        noise = np.full_like(self.matrix, np.nan) if noise is None else noise
        observed = np.array([_sum_over(region, pet) for region in self.own]) / self.sizes
        inverse = np.linalg.inv(self.matrix)
        return RegionMeans(
            names=self.regions.own.names,
            values=inverse @ observed,
            observed=observed,
            matrix=self.matrix,
            covariance=inverse @ noise @ inverse.T,
            observed_variance=np.diag(noise).copy(),
        )

    def noise(self, fwhm: Triple | None) -> np.ndarray:
        """Covariance (N, N) of means as seen, of noise with a variance of 1 in each voxel.

        Parameters
        ----------
        fwhm
            Of the filter that the noise went through, mm along the axes; None is white noise.
        """
        sums = _noise_sums(self.own, self.regions.own, fwhm)
        return sums / np.outer(self.sizes, self.sizes)

    def unexplained(self, pet: np.ndarray, means: RegionMeans, inside: np.ndarray) -> float:
        """Standard deviation in a mask of what is left of an image without the means, blurred."""
        rest = pet[inside] - self.regions.seen.image(means.values.tolist())[inside]
        return float(rest.std(dtype=np.float64))


def shortened(names: Sequence[str], most: int = 6) -> str:
    """A list of names, its middle left out where it is long."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"


def _in_field(regions: Sequence[Region], field: np.ndarray | None) -> list[Region]:
    if field is None:
        return list(regions)
    return [replace(region, share=region.share * field[region.box]) for region in regions]


def _sum_over(region: Region, image: np.ndarray) -> float:
    return float(np.einsum("xyz,xyz->", region.share, image[region.box], dtype=np.float64))


def _noise_sums(
    own: Sequence[Region], partition: Partition, noise_fwhm: Triple | None
) -> np.ndarray:
    """Covariance (N, N) of sums over regions, of noise with a variance of 1."""
    others, scale = list(own), 1.0
    if noise_fwhm is not None and np.prod(noise_fwhm) > 0:
        # Noise that went through a Gaussian correlates by one that is wider by the root of 2 and 1
        # at its peak.
        wider = np.sqrt(2) * np.asarray(noise_fwhm, float)
        others = [region.seen(wider, partition.voxel_sizes, partition.shape) for region in own]
        sigmas = wider / FWHM_PER_SIGMA / np.asarray(partition.voxel_sizes)
        scale = float(np.prod(np.sqrt(2 * np.pi) * sigmas))
    return scale * np.array([[region.times(other) for other in others] for region in own])


def eroded_mean(
    pet: np.ndarray,
    regions: Blurred,
    name: str = "WM",
    *,
    share: float = ERODED_SHARE,
    field: np.ndarray | None = None,
) -> float:
    """Mean activity of a region where hardly anything else blurs into it.

    Parameters
    ----------
    name
        Of the region.
    share
        Least share of it, blurred.
    field
        As in :func:`transfer_matrix_means`.

    Raises
    ------
    DataError
        When no voxel has that share.
    """
    region = _named(regions.seen, name)
    inside = region.share >= share
    if field is not None:
        inside &= field[region.box]
    if not inside.any():
        raise DataError(f"no voxel is {share:.0%} {name} once it is blurred; take it from the GTM")
    return float(pet[region.box][inside].mean(dtype=np.float64))


def _named(partition: Partition, name: str) -> Region:
    found = next((region for region in partition.regions if region.name == name), None)
    if found is None:
        raise ValueError(f"no region is called {name!r}: {', '.join(partition.names)}")
    return found


def muller_gartner(
    pet: np.ndarray,
    regions: Blurred,
    activities: Mapping[str, float],
    *,
    gray: Collection[str] = (GRAY,),
    threshold: float = GRAY_THRESHOLD,
    elsewhere: float = 0.0,
) -> np.ndarray:
    """Activity of gray matter in each voxel: less what blurs into it, over how much of it is seen.

    Parameters
    ----------
    pet
        (X, Y, Z), any unit.
    regions
        From :meth:`Partition.blurred`.
    activities
        Of every other region by name, in the units of the PET: by :func:`transfer_matrix_means`,
        or :func:`eroded_mean` for white matter.
    gray
        Names of the regions that gray matter is parted into.
    threshold
        Least share of it, blurred, at which there is a value.
    elsewhere
        The value of other voxels.

    Returns
    -------
    numpy.ndarray
        (X, Y, Z) float32 in the units of the PET.

    References
    ----------
    Müller-Gärtner et al. (1992), J Cereb Blood Flow Metab 12(4):571-583.
    """
    if missing := set(gray) - set(regions.own.names):
        raise ValueError(f"no region is called {', '.join(sorted(missing))}")
    share = regions.seen.image([float(name in gray) for name in regions.own.names])
    others = [0.0 if name in gray else activities[name] for name in regions.own.names]
    left = np.asarray(pet, np.float32) - regions.seen.image(others)
    nowhere = np.full_like(left, elsewhere)
    return np.divide(left, share, out=nowhere, where=share >= threshold)


def region_based_voxelwise(
    pet: np.ndarray, regions: Blurred, activities: Mapping[str, float]
) -> np.ndarray:
    """An image multiplied by how regions of even activity would look sharp over how blurred.

    Parameters
    ----------
    pet
        (X, Y, Z), any unit.
    regions
        From :meth:`Partition.blurred`.
    activities
        Of every region by name, from :func:`transfer_matrix_means`; negative ones count as 0.

    Returns
    -------
    numpy.ndarray
        (X, Y, Z) float32 in the units of the PET; as it was where the blurred regions have next to
        no activity.

    References
    ----------
    Thomas et al. (2011), Eur J Nucl Med Mol Imaging 38(6):1104-1119; Yang et al. (1996), IEEE Trans
    Nucl Sci 43(6):3320-3327.
    """
    levels = [max(activities[name], 0.0) for name in regions.own.names]
    sharp, blurred = regions.own.image(levels), regions.seen.image(levels)
    base = LOWEST_BASE * max(levels, default=0.0)
    ratio = np.divide(sharp, blurred, out=np.ones_like(sharp), where=blurred > base)
    return np.asarray(pet, np.float32) * ratio


def iterative_yang(
    pet: np.ndarray,
    regions: Blurred,
    *,
    iterations: int = YANG_ITERATIONS,
    field: np.ndarray | None = None,
) -> tuple[np.ndarray, dict[str, float]]:
    """As :func:`region_based_voxelwise`, with the activities found by iteration.

    Parameters
    ----------
    pet
        (X, Y, Z), any unit.
    regions
        From :meth:`Partition.blurred`.
    field
        As in :func:`transfer_matrix_means`.

    Returns
    -------
    image : numpy.ndarray
        (X, Y, Z) float32 in the units of the PET.
    activities : dict
        Means of the regions by name, that the image was made with.

    Notes
    -----
    The published method takes the mean of the image over each region. Where regions share voxels
    that mean holds some of the others too, so the activities are those which explain the image
    best, voxel by voxel without blur; for regions that share none they are the means.

    References
    ----------
    Erlandsson et al. (2012), Phys Med Biol 57(21):R119-R159.
    """
    own = _in_field(regions.own.regions, field)
    overlaps = np.array([[region.times(other) for other in regions.own.regions] for region in own])
    image = np.asarray(pet, np.float32)
    activities: dict[str, float] = {}
    for _ in range(iterations):
        sums = np.array([_sum_over(region, image) for region in own])
        means, *_ = np.linalg.lstsq(overlaps, sums)
        activities = dict(zip(regions.own.names, means.tolist(), strict=True))
        image = region_based_voxelwise(pet, regions, activities)
    return image, activities
