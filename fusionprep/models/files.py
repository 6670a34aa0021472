"""Fusion of two aligned files: NIfTI volumes or pictures of slices."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fusionprep.choices import ColourMapName, Device, Planes
from fusionprep.devices import resolve_device
from fusionprep.errors import OutputError
from fusionprep.files import json_text, write_whole
from fusionprep.image.colour import (
    DEFAULT_COLOUR_MAP,
    colour_table,
    describe_colours,
    fuse_colour,
    gray_as_rgb,
)
from fusionprep.image.colour_key import draw_key
from fusionprep.modalities import PET, Modality
from fusionprep.models.entry import ModelEntry, input_records
from fusionprep.models.file_pair import (
    PICTURE,
    FilePair,
    check_outputs,
    read_file_pair,
    save_picture,
    sidecar_path,
    stem,
)
from fusionprep.models.pair import fuse_pair, scale_pair
from fusionprep.models.registry import get_model

ANATOMY = "MRI"
"""What the first file is, in the sidecar and the key of colours."""


@dataclass(frozen=True)
class FusionRequest:
    """Two files to fuse, and how.

    Attributes
    ----------
    anatomical, functional
        Aligned: both NIfTI on one grid, or both pictures of one size (PNG, JPEG, TIFF). The
        anatomical image is an MRI, or a map of gray matter probabilities where the model asks for
        it.
    mask
        Where to fuse, on the same grid. None fuses the head or brain that either image shows
        (:func:`~fusionprep.image.fusion_mask.fusion_mask`).
    modality, tracer
        Name of one of :data:`~fusionprep.modalities.FUSED`, and the name of the tracer, for the
        scaling of volumes.
    weights
        Safetensors file in place of the packaged weights of the model.
    planes, batch_size
        As in :func:`~fusionprep.models.inference.fuse_volume`.
    colour, colour_map
        As in :func:`fusionprep.models.fuse`.
    overwrite
        Whether files that are there may be replaced, other than the inputs.
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
    batch_size: int | None = None
    device: Device = "auto"
    colour: bool = False
    colour_map: ColourMapName = DEFAULT_COLOUR_MAP
    overwrite: bool = False

    @property
    def inputs(self) -> list[Path]:
        """Every file that is read."""
        read = (self.anatomical, self.functional, self.mask, self.weights)
        return [path for path in read if path is not None]


def fuse_files(request: FusionRequest) -> None:
    """Fuse two files; a JSON sidecar beside the result gives model, weights and scaling.

    A NIfTI result is float32 in [0, 1], with the axes and the affine of the first file; a PNG
    result is 8-bit gray. In colour it is RGB24 or 8-bit RGB, and the key of the colours is drawn
    beside a PNG.

    Raises
    ------
    UsageError
        When the file types do not go together, the model or device is unknown, or the model has
        no weights to replace or cannot fuse the modality; when the result would replace an input.
    NoInputError, DataError
        When an input or the weights are missing or unreadable, or an image is on another grid.
    OutputError
        When the result cannot be written, or exists and may not be replaced.
    """
    entry = get_model(request.model, request.weights)
    modality = entry.check_modality(request.modality)
    # fails at once, not after the files were read
    resolve_device(request.device)
    output, coloured = request.output, request.colour and modality.tracer
    sidecar_file, key_file = sidecar_path(output), output.with_name(f"{stem(output)}_key{PICTURE}")
    keys = [key_file] if coloured and output.suffix.lower() == PICTURE else []
    check_outputs([output, sidecar_file, *keys], request.inputs, overwrite=request.overwrite)
    pair = read_file_pair(request.anatomical, request.functional, request.mask, output, modality)
    if coloured:
        image, sidecar = _coloured(request, pair, entry, modality)
    else:
        image, sidecar = _fused(request, pair, entry, modality)
    if pair.units is not None and pair.units.note:
        sidecar["StoredUnits"] = pair.units.note
    writers: dict[Path, Callable[[Path], object]] = {
        output: partial(pair.save, image),
        sidecar_file: partial(Path.write_text, data=json_text(sidecar), encoding="utf-8"),
    }
    for path in keys:
        key = draw_key(colour_table(request.colour_map), ANATOMY, modality.label)
        writers[path] = partial(save_picture, key)
    _write_all(writers)


def _write_all(writers: Mapping[Path, Callable[[Path], object]]) -> None:
    """Write files that belong together; none of them stays where one cannot be written."""
    written: list[Path] = []
    try:
        for path, write in writers.items():
            write_whole(path, write)
            written.append(path)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        why = error.strerror or error
        raise OutputError(f"cannot write {path}: {why}") from error


def _coloured(
    request: FusionRequest, pair: FilePair, entry: ModelEntry, modality: Modality
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
    request: FusionRequest, pair: FilePair, entry: ModelEntry, modality: Modality
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
    if pair.units is not None and pair.units.scaling:
        scalings = scalings[0], pair.units.scaling
    return gray_as_rgb(fused.image) if request.colour else fused.image, {
        "Description": f"Fused by {entry.label}: {entry.title}",
        "FusionModel": fused.entry.provenance(fused.device, request.planes, sources, scalings),
    }
