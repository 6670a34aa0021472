"""Registration of one file to another."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fusionprep.choices import Device
from fusionprep.errors import DataError, UsageError
from fusionprep.files import json_text
from fusionprep.image.alignment import Aligned, align_volumes
from fusionprep.image.ct_units import to_hounsfield
from fusionprep.image.io import new_image, read_mask, read_volume, same_grid
from fusionprep.image.resample import itk_from_ras
from fusionprep.image.transform_files import check_transform_name, write_transform
from fusionprep.machine import cpus
from fusionprep.modalities import PET, get_modality
from fusionprep.models.file_pair import (
    VOLUMES,
    check_outputs,
    present,
    sidecar_path,
    write_together,
)


@dataclass(frozen=True)
class RegistrationRequest:
    """Two files to register, and what to write.

    Attributes
    ----------
    moving, fixed
        NIfTI volumes; the second an MRI of the head, best a T1w.
    output
        The moving image on the grid of the fixed one; a JSON sidecar is written beside it.
    transform
        ITK file that resamples the moving image onto the fixed one; None writes none.
    mask
        Brain mask on the grid of the fixed image; None makes one.
    modality
        Of the moving image, by name.
    overwrite
        Whether files that are there may be replaced, other than the inputs.
    """

    moving: Path
    fixed: Path
    output: Path
    transform: Path | None = None
    mask: Path | None = None
    modality: str = PET.name
    device: Device = "auto"
    overwrite: bool = False

    @property
    def inputs(self) -> list[Path]:
        """Every file that is read."""
        return [path for path in (self.moving, self.fixed, self.mask) if path is not None]


def register_files(request: RegistrationRequest) -> Aligned:
    """Register a file to an MRI (:func:`~fusionprep.image.alignment.align_volumes`).

    All is written even where the registration failed, so that it can be looked at. The moved image
    is float32, closest to RAS orientation, in its own units; a CT in Hounsfield units.

    Raises
    ------
    UsageError
        When a file is not NIfTI by its name, or an output would replace an input.
    NoInputError, DataError
        When an input is missing or cannot be used.
    OutputError
        When the result cannot be written, or exists and may not be replaced.
    """
    for path in (*request.inputs, request.output):
        if not path.name.endswith(VOLUMES):
            raise UsageError(f"{path} is not NIfTI by its name: {' or '.join(VOLUMES)}")
    outputs = [request.output, sidecar_path(request.output)]
    if request.transform is not None:
        check_transform_name(request.transform)
        outputs.append(request.transform)
    check_outputs(outputs, request.inputs, overwrite=request.overwrite)
    aligned = _aligned(request)
    writers: dict[Path, Callable[[Path], object]] = {
        request.output: aligned.moved.to_filename,
        outputs[1]: partial(
            Path.write_text, data=json_text(sidecar(request, aligned)), encoding="utf-8"
        ),
    }
    if request.transform is not None:
        transform = itk_from_ras(aligned.fixed_from_moving)
        writers[request.transform] = partial(write_transform, transform)
    write_together(writers)
    return aligned


def _aligned(request: RegistrationRequest) -> Aligned:
    modality = get_modality(request.modality)
    fixed = read_volume(present(request.fixed), request.fixed.name)
    moving = read_volume(present(request.moving), request.moving.name, missing=modality.outside)
    if modality.hounsfield:
        levels, _ = to_hounsfield(moving.get_fdata(dtype=np.float32), str(request.moving))
        moving = new_image(levels, moving.affine)
    mask = None if request.mask is None else read_mask(present(request.mask))
    if mask is not None and not same_grid(mask, fixed):
        raise DataError(f"{request.mask} is not on the grid of {request.fixed}; resample it first")
    return align_volumes(
        fixed,
        moving,
        modality,
        mask=mask,
        fixed_name=str(request.fixed),
        moving_name=str(request.moving),
        device=request.device,
        n_threads=cpus(),
    )


def sidecar(request: RegistrationRequest, aligned: Aligned) -> dict[str, Any]:
    """What the JSON beside the moved image says, as JSON values."""
    return {
        "Description": f"{get_modality(request.modality).label} registered rigidly to an MRI",
        "Sources": [request.moving.name, request.fixed.name],
        "FixedFromMoving": aligned.fixed_from_moving.round(6).tolist(),
        "Registration": aligned.registration,
    }
