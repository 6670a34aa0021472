"""One way to fuse: an aligned pair in its own units, scaled, fused by a model of the registry."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.choices import Device, Planes
from fusionprep.devices import gpu_turn, resolve_device
from fusionprep.image.intensity import Scaling, anatomical_scaling, functional_scaling
from fusionprep.modalities import PET, Modality
from fusionprep.models.entry import AnatomicalInput, ModelEntry
from fusionprep.models.inference import fuse_volume


@dataclass(frozen=True)
class ScaledPair:
    """Two aligned images, float32 in [0, 1], and how each was scaled."""

    images: tuple[np.ndarray, np.ndarray]
    scalings: tuple[Scaling, Scaling]


@dataclass(frozen=True)
class Fused:
    """A fused image and what it was made of.

    Attributes
    ----------
    image
        float32 in [0, 1], 0 outside the mask.
    entry
        The model, with the weights that were used.
    scaled
        The two images that were fused.
    device
        ``cpu`` or ``cuda``.
    seconds
        Wall time of the fusion alone.
    """

    image: np.ndarray
    entry: ModelEntry
    scaled: ScaledPair
    device: str
    seconds: float


def scale_pair(
    anatomical: np.ndarray,
    functional: np.ndarray,
    mask: np.ndarray,
    modality: Modality = PET,
    *,
    tracer: str | None = None,
    anatomical_input: AnatomicalInput = "image",
    anatomical_mask: np.ndarray | None = None,
    scalings: tuple[Scaling, Scaling] | None = None,
) -> ScaledPair:
    """Scale two aligned images to [0, 1], as :mod:`fusionprep.image.intensity` describes.

    Parameters
    ----------
    anatomical, functional
        Volumes (X, Y, Z) or slices (H, W), in any unit (CT in Hounsfield units).
    mask
        Same shape, above 0 where the limits are looked for.
    modality, tracer
        Of the functional image.
    anatomical_input
        What the anatomical image is.
    anatomical_mask
        Where the limits of the anatomical image are looked for, e.g. without a lesion; None takes
        `mask`. A hot lesion stays within the limits of the functional image.
    scalings
        Of both images; None finds them.

    Raises
    ------
    DataError
        When an image is empty or constant inside the mask.
    """
    found = scalings or (
        anatomical_scaling(
            anatomical, mask if anatomical_mask is None else anatomical_mask, anatomical_input
        ),
        functional_scaling(functional, mask, modality, tracer),
    )
    return ScaledPair((found[0].apply(anatomical), found[1].apply(functional)), found)


def fuse_pair(
    anatomical: np.ndarray,
    functional: np.ndarray,
    mask: np.ndarray,
    entry: ModelEntry,
    *,
    modality: Modality = PET,
    tracer: str | None = None,
    anatomical_mask: np.ndarray | None = None,
    scalings: tuple[Scaling, Scaling] | None = None,
    axis: int = 2,
    planes: Planes = "axial",
    voxel_sizes: Sequence[float] = (1.0, 1.0, 1.0),
    batch_size: int | None = None,
    device: Device = "auto",
) -> Fused:
    """Scale and fuse two aligned images.

    Parameters
    ----------
    anatomical, functional, mask, modality, tracer, anatomical_mask, scalings
        As in :func:`scale_pair`; fused where the mask is above 0.
    entry
        The model, e.g. of :func:`fusionprep.models.registry.get_model`.
    axis, planes, voxel_sizes, batch_size
        As in :func:`fusionprep.models.inference.fuse_volume`.
    device
        Where the model runs.

    Raises
    ------
    UsageError
        When CUDA is asked for and absent.
    DataError
        When the shapes differ, an image is empty or constant inside the mask, or the weights are
        not those of the model.
    """
    computed_on = resolve_device(device)
    scaled = scale_pair(
        anatomical,
        functional,
        mask,
        modality,
        tracer=tracer,
        anatomical_input=entry.anatomical_input,
        anatomical_mask=anatomical_mask,
        scalings=scalings,
    )
    entry = entry.of(modality)
    with gpu_turn(computed_on):
        network = entry.load(computed_on)
        began = time.perf_counter()
        image = fuse_volume(
            network,
            *scaled.images,
            mask,
            device=computed_on,
            batch_size=batch_size,
            axis=axis,
            planes=planes,
            voxel_sizes=voxel_sizes,
        )
        seconds = time.perf_counter() - began
        # before the memory of the GPU is handed back
        del network
    return Fused(image, entry, scaled, computed_on, seconds)
