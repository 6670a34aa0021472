"""Fusion models and how they are run over volumes."""

from pathlib import Path
from typing import TYPE_CHECKING

from fusionprep.modalities import PET
from fusionprep.models.registry import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from fusionprep.choices import ColourMapName, Device, Planes


def fuse(
    anatomical: "np.ndarray",
    functional: "np.ndarray",
    mask: "np.ndarray | None" = None,
    *,
    model: str = DEFAULT_MODEL,
    weights: str | Path | None = None,
    modality: str = PET.name,
    tracer: str | None = None,
    planes: "Planes" = "axial",
    voxel_sizes: "Sequence[float]" = (1.0, 1.0, 1.0),
    batch_size: int | None = None,
    device: "Device" = "auto",
    colour: bool = False,
    colour_map: "ColourMapName" = "clear",
) -> "np.ndarray":
    """Fuse two aligned arrays in their own units.

    Both are scaled to [0, 1] as :mod:`fusionprep.image.intensity` describes. ``gmpet`` and
    ``gmpet_prob`` take the probability of gray matter in place of the MRI.

    Parameters
    ----------
    anatomical, functional
        MRI and PET, SPECT (any unit) or CT (Hounsfield units, or what
        :mod:`fusionprep.image.ct_units` can turn into them): volumes (X, Y, Z) whose last axis is
        inferior-superior, or slices (H, W).
    mask
        Same shape, above 0 where to fuse. None fuses the head or brain that either image shows
        (:func:`fusionprep.image.fusion_mask.fusion_mask`).
    model
        One of :func:`fusionprep.models.registry.model_names`.
    weights
        Safetensors file of your own training of the model; None takes the packaged weights.
    modality
        ``pet``, ``spect`` or ``ct``.
    tracer
        Decides with which percentile PET and SPECT become white, e.g. ``18FFDG``.
    planes
        ``axial``, or ``triplanar`` for the mean of the three orientations.
    voxel_sizes
        Along the axes of a volume, in mm: some models smooth over neighbouring slices.
    batch_size
        Slices that the model holds in memory at once; None takes 4 on a CPU and what fits on a GPU.
    device
        ``auto``, ``cpu`` or ``cuda``.
    colour
        Show a PET or SPECT in colour over the MRI, in place of the model's gray image: lightness
        tells mostly the MRI, hue and chroma the uptake, and
        :func:`fusionprep.image.colour.decode_colour` reads both back. A CT has no uptake: the
        model's gray image is returned as RGB.
    colour_map
        One of :data:`fusionprep.image.colour.COLOUR_MAPS`.

    Returns
    -------
    numpy.ndarray
        float32 in [0, 1], same shape, 0 outside the mask; in colour uint8 (..., 3), sRGB.

    Raises
    ------
    UsageError
        When a name is unknown, weights are given to a model without any, the model cannot fuse the
        modality, or CUDA is asked for and absent.
    NoInputError
        When the weights are missing.
    DataError
        When the shapes differ, an image is empty or constant inside the mask, it cannot be told
        what the numbers of a CT are, or the weights are not those of the model.
    """
    # Imported here, so that a command line can list the models without torch.
    from fusionprep.image.colour import fuse_colour, gray_as_rgb
    from fusionprep.image.ct_units import to_hounsfield
    from fusionprep.image.fusion_mask import fusion_mask
    from fusionprep.models.inference import check_shapes
    from fusionprep.models.pair import fuse_pair, scale_pair
    from fusionprep.models.registry import get_model

    check_shapes(anatomical, functional, mask)
    entry = get_model(model, Path(weights) if weights else None)
    kind = entry.check_modality(modality)
    if kind.hounsfield:
        functional, _ = to_hounsfield(functional, f"the {kind.label}")
    mask = fusion_mask(anatomical, functional, kind) if mask is None else mask > 0
    if colour and kind.tracer:
        scaled = scale_pair(
            anatomical,
            functional,
            mask,
            kind,
            tracer=tracer,
            anatomical_input=entry.anatomical_input,
        )
        return fuse_colour(*scaled.images, mask, colour_map)
    fused = fuse_pair(
        anatomical,
        functional,
        mask,
        entry,
        modality=kind,
        tracer=tracer,
        planes=planes,
        voxel_sizes=voxel_sizes,
        batch_size=batch_size,
        device=device,
    ).image
    return gray_as_rgb(fused) if colour else fused
