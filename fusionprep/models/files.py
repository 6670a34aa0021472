"""Fusion of two aligned files: NIfTI volumes or PNG slices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from fusionprep.choices import ColourMapName, Device, Planes
from fusionprep.errors import DataError, NoInputError, OutputError, UsageError
from fusionprep.files import json_text, write_text, write_whole
from fusionprep.image.colour import (
    DEFAULT_COLOUR_MAP,
    colour_table,
    describe_colours,
    fuse_colour,
    gray_as_rgb,
    rgb24_image,
)
from fusionprep.image.colour_key import draw_key
from fusionprep.image.intensity import Scaling
from fusionprep.image.io import new_image, read_volume, same_grid
from fusionprep.image.fusion_mask import fusion_mask
from fusionprep.image.pictures import read_luminance
from fusionprep.modalities import PET, Modality
from fusionprep.models.entry import ModelEntry, input_records
from fusionprep.models.inference import resolve_device
from fusionprep.models.pair import fuse_pair, scale_pair
from fusionprep.models.registry import get_model

if TYPE_CHECKING:
    from nibabel import Nifti1Image

ANATOMY = "MRI"
"""What the first file is, in the sidecar and the key of colours."""


@dataclass(frozen=True)
class FusionRequest:
    """Two files to fuse, and how.

    Attributes
    ----------
    anatomical, functional
        Aligned: both NIfTI on one grid, or both PNG of one size. The anatomical image is an MRI,
        or a map of gray matter probabilities where the model asks for it.
    mask
        Where to fuse, on the same grid. None fuses where a volume's anatomical image is above 0
        (with a CT, in the whole head), and all of a PNG.
    modality, tracer
        Name of one of :data:`~fusionprep.modalities.FUSED`, and the name of the tracer, for the
        scaling of volumes.
    weights
        Safetensors file in place of the packaged weights of the model.
    planes, batch_size
        As in :func:`~fusionprep.models.inference.fuse_volume`.
    colour, colour_map
        As in :func:`fusionprep.models.fuse`.
    """

    anatomical: Path
    functional: Path
    output: Path
    model: str
    weights: Path | None = None
    mask: Path | None = None
    modality: str = PET.name
    tracer: str | None = None
    planes: Planes = "axial"
    batch_size: int = 4
    device: Device = "auto"
    colour: bool = False
    colour_map: ColourMapName = DEFAULT_COLOUR_MAP


@dataclass(frozen=True)
class _Pair:
    """What was read; ``save`` takes a gray image in [0, 1], or uint8 (..., 3)."""

    images: tuple[np.ndarray, np.ndarray]
    mask: np.ndarray
    save: Callable[[np.ndarray, Path], None]
    scalings: tuple[Scaling, Scaling] | None = None
    voxel_sizes: Sequence[float] = (1.0, 1.0, 1.0)


def fuse_files(request: FusionRequest) -> None:
    """Fuse two files; a JSON sidecar beside the result gives model, weights and scaling.

    A NIfTI result is float32 in [0, 1], closest to RAS orientation; a PNG result is 8-bit gray. In
    colour it is RGB24 or 8-bit RGB, and the key of the colours is drawn beside a PNG.

    Raises
    ------
    UsageError
        When the file types do not go together, the model or device is unknown, or the model has
        no weights to replace or cannot fuse the modality.
    NoInputError, DataError
        When an input or the weights are missing or unreadable, or an image is on another grid.
    OutputError
        When the result cannot be written.
    """
    entry = get_model(request.model, request.weights)
    modality = entry.check_modality(request.modality)
    # fails at once, not after the files were read
    resolve_device(request.device)
    pair = _read_pair(request, modality)
    if request.colour and modality.tracer:
        image, sidecar = _coloured(request, pair, entry, modality)
    else:
        image, sidecar = _fused(request, pair, entry, modality)
    stem = request.output.name.removesuffix(".png").removesuffix(".gz").removesuffix(".nii")
    try:
        write_whole(request.output, lambda path: pair.save(image, path))
        write_text(request.output.with_name(f"{stem}.json"), json_text(sidecar))
        if "ColourMap" in sidecar and request.output.suffix == ".png":
            key = draw_key(colour_table(request.colour_map), ANATOMY, modality.label)
            write_whole(request.output.with_name(f"{stem}_key.png"), partial(_save_png, key))
    except OSError as error:
        raise OutputError(f"cannot write {request.output}: {error}") from error


def _coloured(
    request: FusionRequest, pair: _Pair, entry: ModelEntry, modality: Modality
) -> tuple[np.ndarray, dict[str, Any]]:
    """Both images in one in colour, and its sidecar."""
    scaled = scale_pair(
        *pair.images,
        pair.mask,
        modality,
        tracer=request.tracer,
        anatomical_input=entry.anatomical_input,
        scalings=pair.scalings,
    )
    image = fuse_colour(*scaled.images, pair.mask, request.colour_map)
    inputs = input_records((request.anatomical.name, request.functional.name), scaled.scalings)
    return image, {
        "Description": f"{ANATOMY} and {modality.label} in colour: lightness tells mostly the"
        f" {ANATOMY}, hue and chroma the {modality.label}",
        "ColourMap": {**describe_colours(request.colour_map), "Inputs": inputs},
    }


def _fused(
    request: FusionRequest, pair: _Pair, entry: ModelEntry, modality: Modality
) -> tuple[np.ndarray, dict[str, Any]]:
    """The model's gray image, as RGB where colour was asked for, and its sidecar."""
    fused = fuse_pair(
        pair.images[0],
        pair.images[1],
        pair.mask,
        entry,
        modality=modality,
        tracer=request.tracer,
        scalings=pair.scalings,
        planes=request.planes,
        voxel_sizes=pair.voxel_sizes,
        batch_size=request.batch_size,
        device=request.device,
    )
    sources = (request.anatomical.name, request.functional.name)
    scalings = fused.scaled.scalings
    return gray_as_rgb(fused.image) if request.colour else fused.image, {
        "Description": f"Fused by {entry.label}: {entry.title}",
        "FusionModel": fused.entry.provenance(fused.device, request.planes, sources, scalings),
    }


def _read_pair(request: FusionRequest, modality: Modality) -> _Pair:
    paths = [request.anatomical, request.functional, request.output]
    if request.mask is not None:
        paths.append(request.mask)
    if all(path.name.endswith((".nii", ".nii.gz")) for path in paths):
        return _read_volumes(request, modality)
    if all(path.suffix == ".png" for path in paths):
        return _read_slices(request)
    raise UsageError("the images, the mask and the output must all be NIfTI, or all PNG")


def _read_volumes(request: FusionRequest, modality: Modality) -> _Pair:
    grid = _read_nifti(request.anatomical)
    anatomical = grid.get_fdata(dtype=np.float32)
    functional = _read_on_grid(request.functional, grid, modality.outside)
    if request.mask is None:
        mask = fusion_mask(anatomical, functional, modality)
    else:
        mask = _read_on_grid(request.mask, grid) > 0
    return _Pair(
        images=(anatomical, functional),
        mask=mask,
        save=lambda image, path: _save_nifti(image, grid.affine, path),
        voxel_sizes=nib.affines.voxel_sizes(grid.affine),
    )


def _read_on_grid(path: Path, reference: "Nifti1Image", missing: float = 0.0) -> np.ndarray:
    image = _read_nifti(path, missing)
    if not same_grid(image, reference):
        raise DataError(f"{path} is not on the grid of the MRI; resample it first")
    return image.get_fdata(dtype=np.float32)


def _read_nifti(path: Path, missing: float = 0.0) -> "Nifti1Image":
    if not path.is_file():
        raise NoInputError(f"there is no file {path}")
    return read_volume(path, path.name, missing=missing)


def _read_slices(request: FusionRequest) -> _Pair:
    scaling = Scaling("8-bit gray levels", 0.0, 255.0)
    images = read_luminance(request.anatomical), read_luminance(request.functional)
    everywhere = np.ones(images[0].shape, bool)
    return _Pair(
        images=images,
        mask=everywhere if request.mask is None else read_luminance(request.mask) > 0,
        save=_save_png,
        scalings=(scaling, scaling),
    )


def _save_nifti(image: np.ndarray, affine: np.ndarray, path: Path) -> None:
    make = rgb24_image if image.dtype == np.uint8 else new_image
    make(image, affine).to_filename(path)


def _save_png(image: np.ndarray, path: Path) -> None:
    from PIL import Image

    levels = image if image.dtype == np.uint8 else np.rint(255 * image).astype(np.uint8)
    Image.fromarray(levels).save(path)
