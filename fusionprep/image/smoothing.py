"""Smoothing of PET: to a resolution, or inside the brain without loss at its edge.

Scanners blur by Gaussians, near enough, and Gaussians add up: an image with a point spread of 4 mm
and one with 6 mm are the same once both are brought to 8 mm. That holds at every edge as well, so
long as the whole image is smoothed. Smoothing that leaves out what is beyond the edge of the brain
keeps the cortex as bright as it was seen, which depends on the scanner: it is for less noise, not
for scanners to agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError
from fusionprep.image.partial_volume.partition import FWHM_PER_SIGMA, interpolation_variance

REACH_SIGMAS = 5.0
"""How far kernels reach, in their standard deviations."""

NARROWEST = 0.05
"""Standard deviation, in voxels, of a sampled Gaussian that leaves an image as it is."""

LEAST_SHARE = 1e-5
"""Share of the brain under the kernel below which there is no mean inside it."""

Triple = Sequence[float]


def kernel_to(target: float, spread: Triple, voxel_sizes: Triple) -> tuple[float, float, float]:
    """The kernel that brings an image to a resolution, once it is interpolated linearly.

    Parameters
    ----------
    target
        FWHM wanted on the output grid, mm.
    spread, voxel_sizes
        FWHM of the image and size of its voxels along each axis, mm.

    Returns
    -------
    tuple of float
        FWHM along each axis, mm; 0 where interpolation alone goes as far or farther.

    Raises
    ------
    DataError
        When the image is less sharp than that along an axis.

    Examples
    --------
    >>> [round(width, 2) for width in kernel_to(8, (6, 6, 5), (2, 2, 2))]
    [4.93, 4.93, 5.94]
    """
    if target < max(spread):
        raise DataError(
            f"a resolution of {target:g} mm is sharper than the image, whose point spread is"
            f" {told_mm(spread)}: blur is added, never taken away; give one of"
            f" {max(spread):.3g} mm or more"
        )
    missing = target**2 - np.square(spread) - interpolation_variance(voxel_sizes)
    x, y, z = np.sqrt(np.maximum(missing, 0)).tolist()
    return x, y, z


def resolution(spread: Triple, kernel: Triple, voxel_sizes: Triple) -> tuple[float, float, float]:
    """FWHM along each axis, mm, of an image that is smoothed, then interpolated linearly.

    Parameters
    ----------
    spread, kernel, voxel_sizes
        Of the image and of what it is smoothed by, mm along each axis.
    """
    variances = np.square(spread) + np.square(kernel) + interpolation_variance(voxel_sizes)
    x, y, z = np.sqrt(variances).tolist()
    return x, y, z


def told_mm(widths: Triple) -> str:
    """Widths in words.

    Examples
    --------
    >>> told_mm((8, 8, 8)), told_mm((5, 5, 6.25))
    ('8 mm', '5 x 5 x 6.25 mm')
    """
    told = [f"{width:.3g}" for width in widths]
    return f"{told[0] if len(set(told)) == 1 else ' x '.join(told)} mm"


def smoothed(data: np.ndarray, fwhm: Triple, voxel_sizes: Triple) -> np.ndarray:
    """An image under a Gaussian.

    Parameters
    ----------
    data
        (X, Y, Z), finite.
    fwhm, voxel_sizes
        Along each axis, mm; a width of 0 leaves an axis as it is.

    Returns
    -------
    numpy.ndarray
        (X, Y, Z) float32; beyond the edges the image goes on as it is there.

    Notes
    -----
    The variance of the kernel is that of the Gaussian at any width. A Gaussian narrower than
    a voxel and merely sampled has less.
    """
    from scipy import ndimage

    image = np.asarray(data, np.float32)
    for axis, (width, size) in enumerate(zip(fwhm, voxel_sizes, strict=True)):
        if width > 0:
            weights = _weights((width / FWHM_PER_SIGMA / size) ** 2)
            image = ndimage.correlate1d(image, weights, axis, mode="nearest")
    return image


def _weights(variance: float) -> np.ndarray:
    """A sampled Gaussian with a variance, in voxels squared."""
    from scipy.optimize import brentq

    reach = int(np.ceil(REACH_SIGMAS * np.sqrt(variance))) + 1
    at = np.arange(-reach, reach + 1)

    def sampled(sigma: float) -> np.ndarray:
        weights = np.exp(-((at / sigma) ** 2) / 2)
        return weights / weights.sum()

    def missed(sigma: float) -> float:
        return float(sampled(sigma) @ at**2) - variance

    return sampled(brentq(missed, NARROWEST, np.sqrt(variance) + 1))


@dataclass(frozen=True)
class BrainOnGrid:
    """Where the brain is on the grid of another image.

    Attributes
    ----------
    share
        (X, Y, Z) float32, 1 where the middle of a voxel is in the brain, else 0.
    near
        (X, Y, Z) bool: every voxel that has a part in linear interpolation at a voxel of the mask.
    """

    share: np.ndarray
    near: np.ndarray

    @classmethod
    def from_mask(
        cls,
        mask: nib.Nifti1Image,
        affine: np.ndarray,
        shape: Sequence[int],
        mask_from_grid: np.ndarray,
    ) -> "BrainOnGrid":
        """Bring a mask to a grid.

        Parameters
        ----------
        mask
            Above 0 in the brain.
        affine, shape
            Of the grid.
        mask_from_grid
            (4, 4), from the world of the grid to that of the mask.
        """
        from scipy import ndimage

        inside = np.asarray(mask.dataobj) > 0
        grid_from_mask = np.linalg.inv(mask_from_grid @ affine) @ mask.affine
        lower = np.floor(nib.affines.apply_affine(grid_from_mask, np.argwhere(inside))).astype(int)
        near = np.zeros(shape, bool)
        for corner in np.ndindex(2, 2, 2):
            at = lower + corner
            at = at[((at >= 0) & (at < shape)).all(axis=1)]
            near[tuple(at.T)] = True
        matrix = np.linalg.inv(grid_from_mask)
        own = ndimage.affine_transform(
            inside.astype(np.uint8), matrix[:3, :3], matrix[:3, 3], tuple(shape), order=0
        )
        return cls(own.astype(np.float32), near)


@dataclass(frozen=True)
class Smoother:
    """What one image or each frame of one is smoothed by.

    Attributes
    ----------
    fwhm, voxel_sizes
        Along each axis of the grid, mm.
    brain
        Where there is one, what is outside has no part in the values inside, nor in those of the
        voxels around it that are interpolated with them: a normalised convolution (Knutsson &
        Westin 1993, CVPR). From there it goes over to the plain one within a kernel's width.
    """

    fwhm: Triple
    voxel_sizes: Triple
    brain: BrainOnGrid | None = None

    def __call__(self, data: np.ndarray) -> np.ndarray:
        """Smooth (X, Y, Z), float32; values that are not finite count as 0."""
        image = np.nan_to_num(np.asarray(data, np.float32), posinf=0, neginf=0)
        plain = smoothed(image, self.fwhm, self.voxel_sizes)
        if self.brain is None:
            return plain
        share, part = self._within
        seen = smoothed(image * self.brain.share, self.fwhm, self.voxel_sizes)
        inside = np.divide(seen, share, out=plain.copy(), where=part > 0)
        return part * inside + (1 - part) * plain

    @cached_property
    def _within(self) -> tuple[np.ndarray, np.ndarray]:
        """Share of the brain under the kernel, and the part of a value that is its mean there."""
        from scipy import ndimage

        if self.brain is None:
            raise ValueError("there is no brain to stay within")
        share = smoothed(self.brain.share, self.fwhm, self.voxel_sizes)
        if not self.brain.near.any():
            return share, np.zeros_like(share)
        away = ndimage.distance_transform_edt(~self.brain.near, self.voxel_sizes)
        part = np.clip(1 - away / max(self.fwhm), 0, 1).astype(np.float32)
        return share, part * (share > LEAST_SHARE)


def along_axes(widths: Triple, affine: np.ndarray) -> list[float]:
    """Widths from left to right, back to front, feet to head, in the order of a grid's axes.

    Examples
    --------
    >>> sagittal = np.array([[0, 0, 2, 0], [2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1]], float)
    >>> along_axes((4, 5, 6), sagittal)
    [5, 6, 4]
    """
    return [widths[int(axis)] for axis in nib.io_orientation(affine)[:, 0]]
