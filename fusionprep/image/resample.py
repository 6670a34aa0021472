"""Transforms and resampling, with SimpleITK as the engine.

ITK's world is LPS and its transforms map points of the output grid to points of the input; here
matrices are RAS and named by direction. The two meet only in this module.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from fusionprep.image.io import new_image

if TYPE_CHECKING:
    import SimpleITK as sitk

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

ALIAS_SIGMA = 0.35
"""Standard deviation of the Gaussian before sampling: this times the square root of the difference
between the squares of both voxel sizes."""


def to_sitk(image: nib.Nifti1Image) -> "sitk.Image":
    """A float32 SimpleITK image with the same voxels at the same positions.

    Raises
    ------
    ValueError
        When the affine shears, which ITK images cannot express (see :func:`remove_shear`).
    """
    import SimpleITK as sitk

    if has_shear(image.affine):
        raise ValueError("the affine shears")
    lps = LPS_FROM_RAS @ image.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    out = sitk.GetImageFromArray(np.asarray(image.dataobj, dtype=np.float32).T)
    out.SetSpacing(spacing.tolist())
    out.SetOrigin(lps[:3, 3].tolist())
    out.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return out


def from_sitk(image: "sitk.Image") -> nib.Nifti1Image:
    """The inverse of :func:`to_sitk`."""
    import SimpleITK as sitk

    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    return new_image(sitk.GetArrayFromImage(image).T, LPS_FROM_RAS @ lps)


def has_shear(affine: np.ndarray) -> bool:
    """Tell whether the voxel axes are not at right angles (as after a gantry tilt)."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > 1e-3)


def remove_shear(
    image: nib.Nifti1Image, *, outside: float = 0.0, order: int = 1
) -> nib.Nifti1Image:
    """Resample to a grid with right angles and the same voxel size.

    Parameters
    ----------
    order
        1 interpolates linearly; 0 takes the nearest voxel, for labels.
    outside
        Value of the corners that the sheared grid does not cover.
    """
    from nibabel.processing import resample_to_output

    if not has_shear(image.affine):
        return image
    sizes = nib.affines.voxel_sizes(image.affine)
    upright = resample_to_output(image, sizes, order=order, cval=outside)
    return new_image(upright.get_fdata(dtype=np.float32), upright.affine)


def itk_from_ras(out_from_in: np.ndarray) -> "sitk.AffineTransform":
    """The ITK transform that resamples an image of space *in* onto a grid of space *out*.

    Parameters
    ----------
    out_from_in
        (4, 4) RAS matrix that maps world coordinates of *in* to *out*.
    """
    import SimpleITK as sitk

    lps = LPS_FROM_RAS @ np.linalg.inv(out_from_in) @ LPS_FROM_RAS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    return transform


def ras_from_itk(transform: "sitk.Transform") -> np.ndarray:
    """The inverse of :func:`itk_from_ras`, for any linear ITK transform."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    lps = np.eye(4)
    lps[:3, 3] = origin
    for axis in range(3):
        lps[:3, axis] = np.array(transform.TransformPoint(np.eye(3)[axis].tolist())) - origin
    return np.linalg.inv(LPS_FROM_RAS @ lps @ LPS_FROM_RAS)


def compose(transforms: "list[sitk.Transform]") -> "sitk.Transform":
    """Chain ITK transforms in the order in which points of the output grid go through them.

    The identity where there is none.
    """
    import SimpleITK as sitk

    if not transforms:
        return sitk.Transform(3, sitk.sitkIdentity)
    # ITK's queue is a stack: the transform added last is applied first.
    return sitk.CompositeTransform(list(reversed(transforms)))


def read_transforms(paths: list[Path]) -> "sitk.Transform":
    """Read ITK transform files and chain them as :func:`compose` does."""
    import SimpleITK as sitk

    return compose([sitk.ReadTransform(str(path)) for path in paths])


def resample(
    image: nib.Nifti1Image,
    reference: nib.Nifti1Image,
    transform: "sitk.Transform | None" = None,
    *,
    interpolation: str = "linear",
    outside: float = 0.0,
    n_threads: int = 1,
) -> nib.Nifti1Image:
    """Resample onto the grid of `reference`.

    Parameters
    ----------
    transform
        ITK transform from points of `reference` to points of `image`; None is the identity.
    interpolation
        ``nearest``, ``linear`` or ``cubic`` (B-spline, whose overshoot below the minimum of the
        image is cut off).
    outside
        Value outside the field of view of `image`.
    """
    import SimpleITK as sitk

    kernels = {
        "nearest": sitk.sitkNearestNeighbor,
        "linear": sitk.sitkLinear,
        "cubic": sitk.sitkBSpline,
    }
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(n_threads)
    moving = to_sitk(image)
    resampled = sitk.Resample(
        moving,
        empty_like(reference),
        sitk.Transform(3, sitk.sitkIdentity) if transform is None else transform,
        kernels[interpolation],
        outside,
        sitk.sitkFloat32,
    )
    data = sitk.GetArrayFromImage(resampled).T
    if interpolation == "cubic":
        data = np.clip(data, min(0.0, float(np.asarray(image.dataobj).min())), None)
    return new_image(data, reference.affine)


def empty_like(reference: nib.Nifti1Image) -> "sitk.Image":
    """A SimpleITK image with the grid of `reference`."""
    return to_sitk(nib.Nifti1Image(np.zeros(reference.shape[:3], np.float32), reference.affine))


def downsample(image: nib.Nifti1Image, spacing: float) -> nib.Nifti1Image:
    """Smooth against aliasing and sample at about `spacing` millimetres, never finer.

    Samples are linear interpolations of the image under a Gaussian, whose nearest voxels stand for
    what lies outside of it.

    Parameters
    ----------
    image
        3-D, finite.

    Returns
    -------
    nibabel.Nifti1Image
        float32.
    """
    old = nib.affines.voxel_sizes(image.affine)
    new = np.maximum(old, spacing)
    data = np.asarray(image.dataobj, np.float32)
    if old.min() >= spacing:
        return new_image(data, image.affine)
    # in the order of the file, so that the largest product needs no copy
    for axis in reversed(range(3)):
        data = _sampled(data.T, 2 - axis, old[axis], new[axis]).T
    # sampling starts at the centre of the first new voxel, not of the first old one
    affine = image.affine @ nib.affines.from_matvec(np.diag(new / old), (new / old - 1) / 2)
    return new_image(data, affine)


def _sampled(data: np.ndarray, axis: int, old: float, new: float) -> np.ndarray:
    """Smooth (X, Y, Z) along an axis and sample it at another voxel size, at most one as large.

    Both at once, as a product with a sparse matrix: what is left out between samples is never
    computed, and what is gets shorter from axis to axis.
    """
    from scipy import sparse

    size = data.shape[axis]
    if new <= old:
        return data
    count = max(int(np.floor(size * old / new)), 1)
    places = (np.arange(count) + 0.5) * new / old - 0.5
    weights = line_weights(size, places, ALIAS_SIGMA * np.sqrt(new**2 - old**2) / old)
    lines = np.moveaxis(data, axis, 0)
    sampled = sparse.csr_array(weights) @ lines.reshape(size, -1)
    return np.moveaxis(sampled.reshape(count, *lines.shape[1:]), 0, axis)


def line_weights(
    length: int, places: np.ndarray, sigma: float, *, truncate: float = 4.0
) -> np.ndarray:
    """Shares of the voxels of a line in linear samples of it under a Gaussian.

    Parameters
    ----------
    places
        (N,) of the samples, voxels; beyond the ends they have the value there.
    sigma, truncate
        Standard deviation of the Gaussian, voxels, and how many of them it reaches.

    Returns
    -------
    numpy.ndarray
        (N, length) float32.
    """
    from scipy import ndimage

    blur = np.eye(length)
    if sigma > 0:
        blur = ndimage.gaussian_filter1d(blur, sigma, 0, mode="nearest", truncate=truncate)
    low = np.clip(np.floor(places), 0, max(length - 2, 0)).astype(int)
    share = np.clip(places - low, 0.0, 1.0)[:, None]
    weights = (1 - share) * blur[low] + share * blur[np.minimum(low + 1, length - 1)]
    return weights.astype(np.float32)
