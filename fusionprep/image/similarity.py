"""Mutual information of a T1w and another image, as a function of the transform between them."""

from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np

from fusionprep.image.io import new_image
from fusionprep.image.resample import downsample, from_sitk, to_sitk

BRAIN_FROM = 0.4
"""Brain tissue is shown to the registration between this level and 1, ..."""

HEAD_TO = 0.25
"""... everything else between 0 and this one."""

OBJECT_SHARE = 0.15
"""Of the range of the moving image; brighter voxels count as the object scanned, not as air."""

OBJECT_MARGIN_MM = 10.0
"""Air around the object that is compared too."""

CT_LIMITS = (-200.0, 1000.0)
"""Hounsfield units between which a CT is compared: fat is not air, dense bone is bone."""


@dataclass(frozen=True)
class Level:
    """How finely images are compared.

    Attributes
    ----------
    spacing
        Millimetres between samples of the moving image.
    t1w_sigma, moving_sigma
        Standard deviations of the Gaussians that smooth the images, mm.
    bins
        Of the joint histogram, along each axis.
    samples
        Upper limit on their number; they are drawn with a fixed seed.
    """

    spacing: float
    t1w_sigma: float
    moving_sigma: float
    bins: int
    samples: int


@dataclass(frozen=True)
class Similarity:
    """Mutual information over samples that stay the same for every transform.

    The samples are the object in the moving image and some air around it. Samples outside the T1w's
    field of view are compared with air, so that neither a cropped image nor a transform that slides
    the images apart gains by comparing less. The brain of the T1w is made brighter than the rest of
    the head, so that the edge of the brain is not mistaken for that of the head.

    Mutual information as in Mattes et al. (IEEE Trans Med Imaging 2003;22(1):120-128), but with
    linear Parzen windows along both axes.

    Attributes
    ----------
    points
        (N, 3) world coordinates of the samples in the moving image, mm.
    weights
        (N,) brightness of the samples above the darkest.
    lower_bins, lower_shares
        (N,) histogram bin of each sample and its share there; the rest is in the next bin.
    t1w
        (X, Y, Z) float32 in bins, half as much for the cache to hold.
    voxel_from_t1w
        (4, 4), world coordinates to voxels of `t1w`.
    bins
        Of the joint histogram.
    """

    points: np.ndarray
    weights: np.ndarray
    lower_bins: np.ndarray
    lower_shares: np.ndarray
    t1w: np.ndarray
    voxel_from_t1w: np.ndarray
    bins: int

    @classmethod
    def from_images(
        cls,
        t1w: nib.Nifti1Image,
        moving: nib.Nifti1Image,
        level: Level,
        limits: tuple[float, float] | None = None,
    ) -> "Similarity":
        """Prepare the comparison.

        Parameters
        ----------
        t1w
            As :func:`emphasised` gives it.
        moving
            3-D image, finite.
        limits
            Values between which `moving` is compared; None takes percentiles 1 and 99.5.

        Raises
        ------
        ValueError
            When `moving` shows nothing.
        """
        from scipy import ndimage

        small = smoothed(downsample(moving, level.spacing), level.moving_sigma)
        values = small.get_fdata()
        low, high = np.percentile(values, (1, 99.5)) if limits is None else limits
        margin = max(1, round(OBJECT_MARGIN_MM / level.spacing))
        bright = values > low + OBJECT_SHARE * (high - low)
        voxels = np.argwhere(ndimage.binary_dilation(bright, iterations=margin))
        if len(voxels) > level.samples:
            drawn = np.random.default_rng(0).choice(len(voxels), level.samples, replace=False)
            voxels = voxels[np.sort(drawn)]
        levels = np.clip((values[tuple(voxels.T)] - low) / max(high - low, 1e-12), 0, 1)
        if not levels.any():
            raise ValueError("the image has the same value everywhere")
        lower, share = _windows(levels * (level.bins - 1))
        head = smoothed(t1w, level.t1w_sigma)
        return cls(
            nib.affines.apply_affine(small.affine, voxels),
            levels,
            lower,
            share,
            np.clip(head.get_fdata(dtype=np.float32), 0, 1) * (level.bins - 1),
            np.linalg.inv(head.affine),
            level.bins,
        )

    def __call__(self, t1w_from_moving: np.ndarray) -> float:
        """Mutual information in nats for a transform (4, 4) of world coordinates."""
        from scipy import ndimage

        voxels = nib.affines.apply_affine(self.voxel_from_t1w @ t1w_from_moving, self.points)
        found = ndimage.map_coordinates(self.t1w, voxels.T, order=1, mode="constant", cval=0.0)
        lower, share = _windows(found)
        rows, columns = self.lower_bins * self.bins, lower
        pairs = [rows + columns, rows + columns + 1]
        pairs += [pair + self.bins for pair in pairs]
        other, rest = 1 - self.lower_shares, 1 - share
        shares = [self.lower_shares * share, self.lower_shares * rest, other * share, other * rest]
        # One row and column more than there are bins: each sample has a share in the next bin too.
        size = self.bins * (self.bins + 1) + 1
        joint = np.bincount(np.concatenate(pairs), np.concatenate(shares), size)
        joint = joint[: self.bins**2].reshape(self.bins, self.bins) / joint.sum()
        expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
        told = joint > 0
        return float((joint[told] * np.log(joint[told] / expected[told])).sum())

    def only(self, kept: np.ndarray) -> "Similarity":
        """The same over some of the samples, (N,) bool."""
        fields = ("points", "weights", "lower_bins", "lower_shares")
        return replace(self, **{name: getattr(self, name)[kept] for name in fields})

    def thinned(self, count: int) -> "Similarity":
        """The same over about `count` of the samples, evenly taken."""
        kept = np.zeros(len(self.points), bool)
        kept[:: max(1, len(kept) // count)] = True
        return self.only(kept)

    @property
    def centre(self) -> np.ndarray:
        """Centre of mass of the samples, (3,), mm."""
        return np.average(self.points, axis=0, weights=self.weights)


def emphasised(t1w: nib.Nifti1Image, mask: nib.Nifti1Image, spacing: float) -> nib.Nifti1Image:
    """The T1w in [0, 1] at about `spacing` mm, its brain brighter than the rest of the head."""
    data = np.asarray(t1w.dataobj, dtype=np.float32)
    brain = np.asarray(mask.dataobj) > 0
    levels = np.clip(data / np.percentile(data[brain], 99), 0, 1)
    shown = np.where(brain, BRAIN_FROM + (1 - BRAIN_FROM) * levels, HEAD_TO * levels)
    return downsample(new_image(shown.astype(np.float32), t1w.affine), spacing)


def smoothed(image: nib.Nifti1Image, sigma: float) -> nib.Nifti1Image:
    """An image under a Gaussian with a standard deviation of `sigma` mm."""
    import SimpleITK as sitk

    return from_sitk(sitk.SmoothingRecursiveGaussian(to_sitk(image), sigma))


def _windows(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower bin of each value and its share there (linear Parzen window)."""
    lower = np.floor(values).astype(np.intp)
    return lower, 1 - (values - lower)
