"""Grids shared out among regions, and how a scanner sees the regions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from fusionprep.image.masks import tight_box

FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))

REACH_SIGMAS = 4.0
"""How far the point spread reaches, in its standard deviations."""

OUTSIDE = "outside"
"""The region of what belongs to no other."""

NEAR_OUTSIDE = "near outside"
"""The part of it near the others: scalp, skull and meninges rather than air."""

TOLERANCE = 1e-3
"""By which shares may miss the range from 0 to 1."""

Triple = Sequence[float]


def blur(data: np.ndarray, fwhm: Triple, voxel_sizes: Triple) -> np.ndarray:
    """An image as the scanner sees it.

    Parameters
    ----------
    data
        (X, Y, Z).
    fwhm
        Of the Gaussian point spread along each axis of the grid, mm; 0 does not blur.
    voxel_sizes
        Along the same axes, mm.

    Returns
    -------
    numpy.ndarray
        (X, Y, Z) float32.
    """
    from scipy import ndimage

    sigma = np.asarray(fwhm, float) / FWHM_PER_SIGMA / np.asarray(voxel_sizes, float)
    image = np.asarray(data, np.float32)
    return ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=REACH_SIGMAS)


def moved_fwhm(
    fwhm: Triple, own_affine: np.ndarray, grid_affine: np.ndarray, world: np.ndarray
) -> tuple[float, float, float]:
    """The point spread of an image that was brought to another grid by linear interpolation.

    Parameters
    ----------
    fwhm
        Along the axes of the image's own grid, mm.
    own_affine, grid_affine
        (4, 4) of its own and of the other grid.
    world
        (4, 4) rigid, from the world of the image to that of the other grid.

    Returns
    -------
    tuple of float
        FWHM along the axes of the other grid, mm.

    Notes
    -----
    Of a spread that is turned the widths along the new axes are kept and the obliqueness is not:
    with 5 x 5 x 6 mm and a turn of 20 degrees that is below 0.1 mm.
    """
    own_sizes = np.linalg.norm(own_affine[:3, :3], axis=0)
    own_axes = world[:3, :3] @ (own_affine[:3, :3] / own_sizes)
    axes = grid_affine[:3, :3] / np.linalg.norm(grid_affine[:3, :3], axis=0)
    variances = np.asarray(fwhm, float) ** 2 + interpolation_variance(own_sizes)
    x, y, z = np.sqrt((axes.T @ own_axes) ** 2 @ variances).tolist()
    return x, y, z


def interpolation_variance(voxel_sizes: Triple) -> np.ndarray:
    """What linear interpolation adds to the squared FWHM along each axis, mm².

    It blurs by a triangle as wide as two voxels, whose variance is a sixth of the squared voxel
    size.
    """
    return FWHM_PER_SIGMA**2 * np.square(np.asarray(voxel_sizes, float)) / 6


@dataclass(frozen=True)
class Region:
    """A region's share of each voxel.

    Attributes
    ----------
    name
        Unique in its partition.
    box
        The part of the grid beyond which it has no share.
    share
        float32 in [0, 1], in the shape of the box.
    """

    name: str
    box: tuple[slice, ...]
    share: np.ndarray

    @classmethod
    def from_map(cls, name: str, share: np.ndarray) -> Self:
        """The region of a share (X, Y, Z) on the whole grid."""
        box = tight_box(share > 0)
        return cls(name, box, np.ascontiguousarray(share[box], np.float32))

    def seen(self, fwhm: Triple, voxel_sizes: Triple, shape: tuple[int, ...]) -> Self:
        """The region as the scanner sees it, on the grid of a shape."""
        reach = REACH_SIGMAS * np.asarray(fwhm) / FWHM_PER_SIGMA / np.asarray(voxel_sizes)
        margin = np.ceil(reach).astype(int) + 1
        box = tuple(
            slice(max(0, side.start - more), min(size, side.stop + more))
            for side, more, size in zip(self.box, margin.tolist(), shape, strict=True)
        )
        wide = np.zeros([side.stop - side.start for side in box], np.float32)
        wide[_within(self.box, box)] = self.share
        return replace(self, box=box, share=blur(wide, fwhm, voxel_sizes))

    def times(self, other: "Region") -> float:
        """Sum over the grid of the product of two regions' shares."""
        pairs = list(zip(self.box, other.box, strict=True))
        common = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in pairs)
        if any(side.start >= side.stop for side in common):
            return 0.0
        own, its = self.share[_within(common, self.box)], other.share[_within(common, other.box)]
        return float(np.einsum("xyz,xyz->", own, its, dtype=np.float64))

    def share_on_grid(self, shape: tuple[int, ...]) -> np.ndarray:
        """The share (X, Y, Z) on the whole grid."""
        whole = np.zeros(shape, np.float32)
        whole[self.box] = self.share
        return whole

    def add_to(self, image: np.ndarray, activity: float) -> None:
        """Add the region with an activity to an image (X, Y, Z)."""
        image[self.box] += np.float32(activity) * self.share


def _within(box: tuple[slice, ...], outer: tuple[slice, ...]) -> tuple[slice, ...]:
    """A box of the grid as a part of a box around it."""
    return tuple(
        slice(side.start - around.start, side.stop - around.start)
        for side, around in zip(box, outer, strict=True)
    )


@dataclass(frozen=True)
class Partition:
    """Regions that share every voxel of a grid among them.

    Attributes
    ----------
    regions
        Their shares sum to 1 in every voxel.
    shape
        Of the grid.
    voxel_sizes
        mm along its axes.
    """

    regions: tuple[Region, ...]
    shape: tuple[int, ...]
    voxel_sizes: tuple[float, ...]

    @classmethod
    def from_fractions(
        cls,
        fractions: Mapping[str, np.ndarray],
        voxel_sizes: Triple,
        *,
        near_mm: float = 0.0,
    ) -> Self:
        """Regions from maps of fractions, and what is outside of them.

        Parameters
        ----------
        fractions
            Name to (X, Y, Z) in [0, 1], e.g. GM, WM and CSF. What lacks to 1 is :data:`OUTSIDE`;
            where they sum to more, they are divided by the sum.
        near_mm
            Above 0 parts :data:`NEAR_OUTSIDE`, up to this distance, from air that does not blur
            into the other regions.

        Raises
        ------
        ValueError
            When there are no maps, they differ in shape, or values are not finite or not fractions.
        """
        from scipy import ndimage

        shape = _common_shape(fractions)
        sizes = tuple(float(size) for size in voxel_sizes)
        total = np.sum([np.clip(share, 0, 1) for share in fractions.values()], 0, np.float32)
        scale = 1 / np.maximum(total, np.float32(1))
        maps = {name: np.clip(share, 0, 1) * scale for name, share in fractions.items()}
        lacking = 1 - np.minimum(total, np.float32(1))
        if near_mm > 0 and total.max() > 0.5:
            distance = ndimage.distance_transform_edt(total <= 0.5, sampling=sizes)
            maps[NEAR_OUTSIDE] = np.where(distance <= near_mm, lacking, 0)
            lacking = np.where(distance <= near_mm, 0, lacking)
        maps[OUTSIDE] = lacking
        regions = [Region.from_map(name, share) for name, share in maps.items()]
        return cls(tuple(region for region in regions if region.share.size), shape, sizes)

    @classmethod
    def from_labels(cls, labels: np.ndarray, names: Mapping[int, str], voxel_sizes: Triple) -> Self:
        """Regions from a label image (X, Y, Z); labels without a name are :data:`OUTSIDE`."""
        whole = Region.from_map(OUTSIDE, np.ones(labels.shape, np.float32))
        sizes = tuple(float(size) for size in voxel_sizes)
        return cls((whole,), labels.shape, sizes).split({OUTSIDE}, labels, names)

    def split(
        self,
        regions: set[str],
        labels: np.ndarray,
        names: Mapping[int, str],
        *,
        smallest_ml: float = 0.0,
    ) -> Self:
        """Part regions by labels, e.g. gray matter by an atlas.

        Parameters
        ----------
        regions
            Names of those that are parted.
        labels
            (X, Y, Z) integers on the same grid.
        names
            Label to name of the part. Where several regions are parted, the parts are called
            ``"GM in NAME"``. The rest keeps the name of the region.
        smallest_ml
            Parts with less are left in the rest, since what blurs into them cannot be told.

        Raises
        ------
        ValueError
            When the labels are on another grid.
        """
        if labels.shape != self.shape:
            raise ValueError(f"labels of shape {labels.shape} on a grid of {self.shape}")
        smallest = smallest_ml * 1000 / np.prod(self.voxel_sizes)
        found: list[Region] = []
        for region in self.regions:
            rest, inside = region.share, labels[region.box]
            parts = []
            for label, name in names.items() if region.name in regions else ():
                share = np.where(inside == label, region.share, 0)
                if share.any() and share.sum(dtype=np.float64) >= smallest:
                    title = name if len(regions) == 1 else f"{region.name} in {name}"
                    box = tight_box(share > 0)
                    there = tuple(
                        slice(side.start + around.start, side.stop + around.start)
                        for side, around in zip(box, region.box, strict=True)
                    )
                    parts.append(Region(title, there, np.ascontiguousarray(share[box])))
                    rest = rest - share
            kept = [replace(region, share=rest)] if rest.any() else []
            found += [*parts, *kept]
        return replace(self, regions=tuple(found))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the regions, in order."""
        return tuple(region.name for region in self.regions)

    def share_of(self, name: str) -> np.ndarray:
        """The share (X, Y, Z) of the region of a name; 0 everywhere where there is none."""
        found = (r.share_on_grid(self.shape) for r in self.regions if r.name == name)
        return next(found, np.zeros(self.shape, np.float32))

    @property
    def volumes_ml(self) -> np.ndarray:
        """Volume of each region."""
        voxels = [region.share.sum(dtype=np.float64) for region in self.regions]
        return np.array(voxels) * np.prod(self.voxel_sizes) / 1000

    def blurred(self, fwhm: Triple) -> "Blurred":
        """The regions beside what a scanner of that point spread (mm, along the axes) sees."""
        seen = (region.seen(fwhm, self.voxel_sizes, self.shape) for region in self.regions)
        x, y, z = (float(width) for width in fwhm)
        return Blurred(self, replace(self, regions=tuple(seen)), (x, y, z))

    def image(self, activities: Sequence[float]) -> np.ndarray:
        """An image (X, Y, Z), float32, of regions with given activities."""
        made = np.zeros(self.shape, np.float32)
        for region, activity in zip(self.regions, activities, strict=True):
            region.add_to(made, activity)
        return made


@dataclass(frozen=True)
class Blurred:
    """Regions as they are, and as a scanner sees them, whose shares sum to 1 as well.

    Attributes
    ----------
    fwhm
        Of the point spread along the axes, mm.
    """

    own: Partition
    seen: Partition
    fwhm: tuple[float, float, float]


def _common_shape(fractions: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    shapes = {share.shape for share in fractions.values()}
    if len(shapes) != 1:
        raise ValueError(f"fractions of different shapes, or none: {sorted(shapes)}")
    for name, share in fractions.items():
        low, high = float(share.min()), float(share.max())
        if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
            raise ValueError(f"{name} holds {low:g} to {high:g}, which are not fractions")
    return shapes.pop()
