"""Fusion of two aligned files: NIfTI volumes or PNG slices."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionprep.errors import DataError, NoInputError, OutputError, UsageError
from fusionprep.image.colour import read_luminance
from fusionprep.image.intensity import Scaling, mri_scaling, pet_scaling
from fusionprep.image.io import new_image, read_volume, write_whole
from fusionprep.models.inference import fuse_volume, resolve_device
from fusionprep.models.registry import get_model


@dataclass(frozen=True)
class FusionRequest:
    """Two files to fuse, and how.

    Attributes
    ----------
    anatomical, functional
        Aligned: both NIfTI on one grid, or both PNG of one size.
    mask
        Brain mask on the same grid. None takes where a volume's anatomical image is above 0, and
        the whole of a PNG.
    tracer
        Name of the PET tracer, for the scaling of volumes.
    """

    anatomical: Path
    functional: Path
    output: Path
    model: str
    mask: Path | None = None
    tracer: str | None = None
    device: str = "auto"


@dataclass(frozen=True)
class _Pair:
    images: tuple[np.ndarray, np.ndarray]
    scalings: tuple[Scaling, Scaling]
    mask: np.ndarray | None
    save: Callable[[np.ndarray, Path], None]


def fuse_files(request: FusionRequest) -> None:
    """Fuse two files; a JSON sidecar beside the result tells model, weights and scaling.

    A NIfTI result is float32 in [0, 1], closest to RAS orientation; a PNG result is 8-bit gray.

    Raises
    ------
    UsageError
        When the file types do not go together, or the model or device is unknown.
    NoInputError, DataError
        When an input is missing, unreadable or on another grid.
    OutputError
        When the result cannot be written.
    """
    entry = get_model(request.model)
    device = resolve_device(request.device)
    pair = _read_pair(request)
    scaled = [
        scaling.apply(image) for scaling, image in zip(pair.scalings, pair.images, strict=True)
    ]
    fused = fuse_volume(entry.load(device), *scaled, pair.mask, device=device)
    sources = (request.anatomical.name, request.functional.name)
    sidecar = {
        "Description": f"Fused by {entry.label}: {entry.title}",
        "FusionModel": entry.provenance(device, sources, pair.scalings),
    }
    stem = request.output.name.removesuffix(".png").removesuffix(".gz").removesuffix(".nii")
    text = json.dumps(sidecar, indent=2) + "\n"
    try:
        write_whole(request.output, lambda path: pair.save(fused, path))
        write_whole(request.output.with_name(f"{stem}.json"), lambda path: path.write_text(text))
    except OSError as error:
        raise OutputError(f"cannot write {request.output}: {error}") from error


def _read_pair(request: FusionRequest) -> _Pair:
    paths = [request.anatomical, request.functional, request.output]
    if request.mask is not None:
        paths.append(request.mask)
    if all(path.name.endswith((".nii", ".nii.gz")) for path in paths):
        return _read_volumes(request)
    if all(path.suffix == ".png" for path in paths):
        return _read_slices(request)
    raise UsageError("the images, the mask and the output must all be NIfTI, or all PNG")


def _read_volumes(request: FusionRequest) -> _Pair:
    anatomical = _read_nifti(request.anatomical)
    functional = _read_nifti(request.functional)
    inside = anatomical if request.mask is None else _read_nifti(request.mask)
    for image, path in ((functional, request.functional), (inside, request.mask)):
        if image.shape != anatomical.shape or not np.allclose(
            image.affine, anatomical.affine, atol=1e-3
        ):
            raise DataError(f"{path} is not on the grid of the MRI; resample it first")
    images = (anatomical.get_fdata(dtype=np.float32), functional.get_fdata(dtype=np.float32))
    mask = inside.get_fdata(dtype=np.float32) > 0
    return _Pair(
        images=images,
        scalings=(mri_scaling(images[0], mask), pet_scaling(images[1], mask, request.tracer)),
        mask=mask,
        save=lambda fused, path: new_image(fused, anatomical.affine).to_filename(path),
    )


def _read_nifti(path: Path):
    if not path.is_file():
        raise NoInputError(f"there is no file {path}")
    return read_volume(path, path.name)


def _read_slices(request: FusionRequest) -> _Pair:
    scaling = Scaling("8-bit gray levels", 0.0, 255.0)
    return _Pair(
        images=(read_luminance(request.anatomical), read_luminance(request.functional)),
        scalings=(scaling, scaling),
        mask=None if request.mask is None else read_luminance(request.mask) > 0,
        save=_save_png,
    )


def _save_png(fused: np.ndarray, path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.rint(255 * fused).astype(np.uint8)).save(path)
