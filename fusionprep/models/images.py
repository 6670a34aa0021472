"""Fusion of nibabel images and of files, image in and image out."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage

from fusionprep.choices import Device
from fusionprep.errors import DataError, UsageError
from fusionprep.image.alignment import align_volumes, on_grid_of, overlap
from fusionprep.image.ct_units import to_hounsfield
from fusionprep.image.io import (
    check_affine,
    holds_plain_numbers,
    in_millimetres,
    new_image,
    plain_shape,
    read_volume,
    same_grid,
)
from fusionprep.machine import cpus
from fusionprep.modalities import Modality

ImageLike: TypeAlias = "SpatialImage | str | Path"

STACK = 3
"""Frames from here to the caller of :func:`fusionprep.fuse`, whom a warning concerns."""


@dataclass(frozen=True)
class ImagePair:
    """Two volumes on one grid, closest to RAS orientation, float32 (X, Y, Z).

    Attributes
    ----------
    mask
        bool; None where none was given.
    stored
        Affine (4, 4) of the first image as it was given, whose axes the result gets.
    affine
        That of the arrays.
    """

    anatomical: np.ndarray
    functional: np.ndarray
    mask: np.ndarray | None
    stored: np.ndarray
    affine: np.ndarray

    @property
    def voxel_sizes(self) -> tuple[float, ...]:
        """Along the axes, mm."""
        return tuple(map(float, nib.affines.voxel_sizes(self.affine)))

    def as_given(self, data: np.ndarray) -> nib.Nifti1Image:
        """A fused array as an image with the axes of the first one; RGB24 where it is in colour."""
        from fusionprep.image.colour import rgb24_image

        axes = nib.orientations.ornt_transform(
            nib.io_orientation(self.affine), nib.io_orientation(self.stored)
        )
        turned = np.ascontiguousarray(nib.orientations.apply_orientation(data, axes))
        make = rgb24_image if data.dtype == np.uint8 else new_image
        return make(turned, self.stored)


def is_image(value: Any) -> bool:
    """Whether it is a nibabel image or a path, not an array."""
    return isinstance(value, (SpatialImage, str, Path))


def pair_images(
    anatomical: ImageLike,
    functional: ImageLike,
    mask: "ImageLike | np.ndarray | None",
    modality: Modality,
    *,
    register: bool = False,
    device: Device = "auto",
) -> ImagePair:
    """Bring the second of two images to the grid of the first.

    Parameters
    ----------
    mask
        Image or path on the grid of the first, or an array of its shape.
    register
        Align them first, from whichever pose. A verdict other than ``pass`` is a warning.

    Raises
    ------
    UsageError
        When one is an array.
    NoInputError, DataError
        When an image is missing or cannot be used, or both do not overlap in space.

    Warns
    -----
    UserWarning
        When the second was resampled by the headers alone, or the registration is in doubt.
    """
    if not (is_image(anatomical) and is_image(functional)):
        raise UsageError("give two arrays, or two images or paths, not one of each")
    first, stored = _volume(anatomical, "the first image")
    second, _ = _volume(functional, "the second image", missing=modality.outside)
    if modality.hounsfield:
        levels, _ = to_hounsfield(second.get_fdata(dtype=np.float32), f"the {modality.label}")
        second = new_image(levels, second.affine)
    inside = None if mask is None else _mask(mask, first, stored)
    if register:
        aligned = align_volumes(
            first, second, modality, mask=inside, device=device, n_threads=cpus()
        )
        if aligned.registration["Verdict"] != "pass":
            warnings.warn(aligned.in_words(), stacklevel=STACK)
        second = aligned.moved
    elif not same_grid(second, first):
        second = _by_headers(first, second, modality)
    arrays = [image.get_fdata(dtype=np.float32) for image in (first, second)]
    inside_array = None if inside is None else np.asarray(inside.dataobj) > 0
    return ImagePair(arrays[0], arrays[1], inside_array, stored, first.affine)


def _by_headers(
    first: nib.Nifti1Image, second: nib.Nifti1Image, modality: Modality
) -> nib.Nifti1Image:
    if not overlap(first, second):
        raise DataError(
            "the images do not overlap in space by their headers; give register=True to align them"
        )
    warnings.warn(
        "the second image was resampled to the grid of the first, by their headers;"
        " register=True would align them",
        stacklevel=STACK + 1,
    )
    return on_grid_of(first, second, modality, n_threads=cpus())


def _volume(
    image: ImageLike, name: str, *, missing: float = 0.0
) -> tuple[nib.Nifti1Image, np.ndarray]:
    """A volume as :func:`~fusionprep.image.io.read_volume` reads it, and its affine as given."""
    if not isinstance(image, SpatialImage):
        from fusionprep.image.io import load_image
        from fusionprep.models.file_pair import VOLUMES, present

        path = present(Path(image))
        if not path.name.endswith(VOLUMES):
            raise UsageError(f"{path} is not NIfTI by its name; read pictures as arrays")
        return read_volume(path, path.name, missing=missing), load_image(path).affine
    if not holds_plain_numbers(image):
        raise DataError(f"{name} holds colours or complex numbers; give gray levels")
    affine, _ = in_millimetres(image)
    check_affine(affine, name)
    data = np.asarray(image.dataobj, np.float32).reshape(plain_shape(image.shape))
    if data.ndim != 3:
        raise DataError(f"{name} has {data.ndim} dimensions; give one volume")
    data = np.where(np.isfinite(data), data, np.float32(missing))
    volume = nib.as_closest_canonical(new_image(data, affine))
    return cast(nib.Nifti1Image, volume), affine


def _mask(
    mask: "ImageLike | np.ndarray", first: nib.Nifti1Image, stored: np.ndarray
) -> nib.Nifti1Image:
    """A mask on the grid of the first image, uint8; an array has the axes of its file."""
    if is_image(mask):
        image, _ = _volume(cast(ImageLike, mask), "the mask")
    else:
        as_stored = new_image(np.asarray(mask, np.float32), stored)
        image = cast(nib.Nifti1Image, nib.as_closest_canonical(as_stored))
    if not same_grid(image, first):
        raise DataError("the mask is not on the grid of the first image; resample it first")
    return new_image((image.get_fdata(dtype=np.float32) > 0).astype(np.uint8), first.affine)
