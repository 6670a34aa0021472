"""Fusion models and how they are run over volumes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fusionprep.errors import UsageError
from fusionprep.modalities import PET, Modality
from fusionprep.models.registry import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from fusionprep.choices import ColourMapName, Device, Planes
    from fusionprep.models.entry import ModelEntry
    from fusionprep.models.images import ImageLike


def fuse(
    anatomical: "np.ndarray | ImageLike",
    functional: "np.ndarray | ImageLike",
    mask: "np.ndarray | ImageLike | None" = None,
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
    register: bool = False,
) -> Any:  # a union would have to be narrowed by every caller
    """Fuse two aligned arrays, or two images or files, in their own units.

    Both are scaled to [0, 1] as :mod:`fusionprep.image.intensity` describes. ``gmpet`` and
    ``gmpet_prob`` take the probability of gray matter in place of the MRI.

    Parameters
    ----------
    anatomical, functional
        MRI and PET, SPECT (any unit) or CT (Hounsfield units, or what
        :mod:`fusionprep.image.ct_units` can turn into them): volumes (X, Y, Z) whose last axis is
        inferior-superior, or slices (H, W). Or both nibabel images or paths of NIfTI files, in any
        orientation: where their grids differ, the second is resampled to the first by the headers,
        with a warning.
    mask
        Same shape (an image or a path, too, where the others are), above 0 where to fuse. None
        fuses the head or brain that either image shows
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
        Along the axes of a volume, in mm: some models smooth over neighbouring slices. Images
        bring their own.
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
    register
        Of images: align the second with the first before
        (:func:`fusionprep.image.alignment.align_volumes`); a verdict other than ``pass`` is a
        warning.

    Returns
    -------
    numpy.ndarray or nibabel.Nifti1Image
        float32 in [0, 1], same shape, 0 outside the mask; in colour uint8 (..., 3), sRGB. Of images
        an image, with the axes and the affine of the first; in colour RGB24.

    Raises
    ------
    UsageError
        When a name is unknown, weights are given to a model without any, the model cannot fuse the
        modality, CUDA is asked for and absent, only one of both is an array, or arrays, which do
        not say where they lie, are to be registered.
    NoInputError
        When the weights or a file are missing.
    DataError
        When the shapes differ, images do not overlap in space, an image is empty or constant inside
        the mask, it cannot be told what the numbers of a CT are, or the weights are not those of
        the model.

    Examples
    --------
    Images of different grids:

    >>> import nibabel as nib
    >>> import numpy as np
    >>> distance = np.linalg.norm(np.indices((24, 24, 24)) - 11.5, axis=0)
    >>> mri = nib.Nifti1Image(np.where(distance < 9, 100.0 + distance, 0), np.eye(4))
    >>> coarse = nib.affines.from_matvec(np.diag([2, 2, 2]), [0.5, 0.5, 0.5])
    >>> pet = nib.Nifti1Image(np.where(distance[::2, ::2, ::2] < 9, 50.0, 0), coarse)
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     fused = fuse(mri, pet, model="average")
    >>> fused.shape, str(said[0].message)[:48]
    ((24, 24, 24), 'the second image was resampled to the grid of th')
    """
    # Imported here, so that a command line can list the models without torch.
    from fusionprep.image.ct_units import to_hounsfield
    from fusionprep.models.images import is_image, pair_images
    from fusionprep.models.inference import check_shapes
    from fusionprep.models.registry import get_model

    entry = get_model(model, Path(weights) if weights else None)
    kind = entry.check_modality(modality)
    pair = None
    if is_image(anatomical) or is_image(functional):
        given = cast("tuple[Any, Any, Any]", (anatomical, functional, mask))
        if register and not entry.takes_image:
            raise UsageError(
                f"{model} is given a map of the gray matter: register to the MRI first"
            )
        pair = pair_images(*given, kind, register=register, device=device)
        first, second, inside = pair.anatomical, pair.functional, pair.mask
        voxel_sizes = pair.voxel_sizes
    elif register:
        raise UsageError("arrays do not say where they lie; give images or paths to register")
    else:
        first, second, inside = cast("tuple[Any, Any, Any]", (anatomical, functional, mask))
        check_shapes(first, second, inside)
        if kind.hounsfield:
            second, _ = to_hounsfield(second, f"the {kind.label}")
    fused = _fused(
        (first, second, inside),
        entry,
        kind,
        tracer,
        colour_map if colour else None,
        planes=planes,
        voxel_sizes=voxel_sizes,
        batch_size=batch_size,
        device=device,
    )
    return fused if pair is None else pair.as_given(fused)


def _fused(
    images: "tuple[np.ndarray, np.ndarray, np.ndarray | None]",
    entry: "ModelEntry",
    modality: Modality,
    tracer: str | None,
    colour_map: "ColourMapName | None",
    **options: Any,
) -> "np.ndarray":
    """Fuse arrays, a CT in Hounsfield units, with what :func:`fuse_pair` takes besides."""
    from fusionprep.image.colour import fuse_colour, gray_as_rgb
    from fusionprep.image.fusion_mask import fusion_mask
    from fusionprep.models.pair import fuse_pair, scale_pair

    anatomical, functional, given = images
    mask = fusion_mask(anatomical, functional, modality) if given is None else given > 0
    if colour_map is not None and modality.tracer:
        scaled = scale_pair(
            anatomical,
            functional,
            mask,
            modality,
            tracer=tracer,
            anatomical_input=entry.anatomical_input,
        )
        return fuse_colour(*scaled.images, mask, colour_map)
    fused = fuse_pair(
        anatomical, functional, mask, entry, modality=modality, tracer=tracer, **options
    ).image
    return fused if colour_map is None else gray_as_rgb(fused)
