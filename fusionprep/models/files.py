"""Fusion of two aligned files: NIfTI volumes or pictures of slices."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fusionprep.choices import Bringing, ColourMapName, Device, Planes
from fusionprep.devices import resolve_device
from fusionprep.errors import UsageError
from fusionprep.files import json_text
from fusionprep.image.alignment import Aligned
from fusionprep.image.chroma import with_chroma
from fusionprep.image.colour import (
    DEFAULT_COLOUR_MAP,
    colour_table,
    describe_colours,
    fuse_colour,
    gray_as_rgb,
)
from fusionprep.image.colour_key import draw_key
from fusionprep.image.pictures import named_colormap
from fusionprep.image.resample import itk_from_ras
from fusionprep.image.transform_files import check_transform_name, write_transform
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
    write_together,
)
from fusionprep.models.pair import fuse_pair, scale_pair
from fusionprep.models.registry import get_model

ANATOMY = "MRI"
"""What the first file is, in the sidecar and the key of colours."""

LUMA_LEVELS = (
    "the luma of {} was taken for the uptake, though its colours may mean another order of levels;"
    " --functional-colours reads the levels"
)


@dataclass(frozen=True)
class FusionRequest:
    """Two files to fuse, and how.

    Attributes
    ----------
    anatomical, functional
        Both NIfTI, or both pictures of one size (PNG, JPEG, TIFF). The anatomical image is an MRI,
        or a map of gray matter probabilities where the model asks for it.
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
    gray
        Whether pictures in colour are fused to a picture in gray.
    source_colours
        Pseudo-colours by which the levels of the functional picture are read
        (:func:`~fusionprep.image.pictures.named_colormap`); None takes its luma.
    bringing
        How the functional volume comes to the grid of the anatomical one.
    transform
        ITK file to write the registration to; None writes none.
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
    gray: bool = False
    source_colours: str | None = None
    bringing: Bringing = "as is"
    transform: Path | None = None

    @property
    def inputs(self) -> list[Path]:
        """Every file that is read."""
        read = (self.anatomical, self.functional, self.mask, self.weights)
        return [path for path in read if path is not None]


def fuse_files(request: FusionRequest) -> Aligned | None:
    """Fuse two files; a JSON sidecar beside the result gives model, weights and scaling.

    A NIfTI result is float32 in [0, 1], with the axes and the affine of the first file; a PNG
    result is 8-bit gray. In colour it is RGB24 or 8-bit RGB, and the key of the colours is drawn
    beside a PNG. Of pictures in colour the luma is fused and the chroma kept
    (:mod:`fusionprep.image.chroma`): the result is 8-bit RGB.

    Returns
    -------
    Aligned or None
        How the second volume was registered; None where it was not. The result is written even
        where the registration failed, so that it can be looked at.

    Raises
    ------
    UsageError
        When the file types do not go together, the model or device is unknown, or the model has
        no weights to replace or cannot fuse the modality; when the result would replace an input;
        when a map of the gray matter is to be registered to, or a transform that is not looked
        for is to be written.
    NoInputError, DataError
        When an input or the weights are missing or unreadable, or an image is on another grid.
    OutputError
        When the result cannot be written, or exists and may not be replaced.
    """
    entry = get_model(request.model, request.weights)
    modality = entry.check_modality(request.modality)
    # fails at once, not after the files were read
    resolve_device(request.device)
    _check_registration(request, entry)
    output, coloured = request.output, request.colour and modality.tracer
    sidecar_file, key_file = sidecar_path(output), output.with_name(f"{stem(output)}_key{PICTURE}")
    keys = [key_file] if coloured and output.suffix.lower() == PICTURE else []
    beside = [sidecar_file, *keys, *([request.transform] if request.transform else [])]
    check_outputs([output, *beside], request.inputs, overwrite=request.overwrite)
    colours = request.source_colours
    pair = read_file_pair(
        request.anatomical,
        request.functional,
        request.mask,
        output,
        modality,
        bringing=request.bringing,
        device=request.device,
        source_colours=None if colours is None else named_colormap(colours),
    )
    make = _coloured if coloured else _fused
    image, sidecar = make(request, pair, entry, modality)
    sidecar |= _brought(pair)
    writers: dict[Path, Callable[[Path], object]] = {
        output: partial(pair.save, image),
        sidecar_file: partial(Path.write_text, data=json_text(sidecar), encoding="utf-8"),
    }
    for path in keys:
        key = draw_key(colour_table(request.colour_map), ANATOMY, modality.label)
        writers[path] = partial(save_picture, key)
    if request.transform and pair.aligned:
        transform = itk_from_ras(pair.aligned.fixed_from_moving)
        writers[request.transform] = partial(write_transform, transform)
    write_together(writers)
    return pair.aligned


def _check_registration(request: FusionRequest, entry: ModelEntry) -> None:
    registering = request.bringing == "register"
    if registering and not entry.takes_image:
        raise UsageError(
            f"{entry.name} is given a map of the gray matter, to which nothing can be registered;"
            " register to the MRI with fusionprep register first"
        )
    if request.transform is not None:
        if not registering:
            raise UsageError("--save-transform needs --register: nothing else finds a transform")
        check_transform_name(request.transform)


def _brought(pair: FilePair) -> dict[str, Any]:
    """What the sidecar says of how the functional image came to be as it was fused."""
    said: dict[str, Any] = {}
    if pair.units is not None and pair.units.note:
        said["StoredUnits"] = pair.units.note
    if pair.aligned is not None:
        said["Registration"] = pair.aligned.registration
    if pair.resampled:
        said["Resampled"] = "functional image to the grid of the anatomical one, by their headers"
    return said


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
    luma = {"Levels": LUMA_LEVELS.format(request.functional.name)} if pair.coloured[1] else {}
    return image, {
        **luma,
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
    sidecar = {
        "Description": f"Fused by {entry.label}: {entry.title}",
        "FusionModel": fused.entry.provenance(fused.device, request.planes, sources, scalings),
    }
    if request.colour:
        return gray_as_rgb(fused.image), sidecar
    if pair.chroma is None or request.gray:
        return fused.image, sidecar
    names = (name for name, has in zip(sources, pair.coloured, strict=True) if has)
    sidecar["Chroma"] = (
        f"Cb and Cr (BT.601) of {' and '.join(names)}, lowered where RGB cannot show them at the"
        " fused luma"
    )
    return with_chroma(fused.image, pair.chroma), sidecar
