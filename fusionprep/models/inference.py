"""A fusion model run over slices and volumes."""

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from fusionprep.choices import Device, Planes, choices
from fusionprep.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from fusionprep.models.nets.base import FusionModel

SMALLEST_SIDE = 16
"""Smaller slices are padded with zeros to this side: reflection and wavelets need some room."""

Box = tuple[slice, slice]


def resolve_device(device: Device) -> str:
    """The device to compute on: ``auto`` takes CUDA where it is present.

    Raises
    ------
    UsageError
        When CUDA is asked for but absent, or the device is unknown.
    """
    import torch

    if device not in choices(Device):
        raise UsageError(f"unknown device {device!r}; there are: {', '.join(choices(Device))}")
    if device == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise UsageError("no CUDA device was found; use --device cpu, or expose the GPU")
    return "cpu"


def fuse_volume(
    model: "FusionModel",
    anatomical: np.ndarray,
    functional: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    device: str = "cpu",
    batch_size: int = 4,
    axis: int = 2,
    planes: Planes = "axial",
    voxel_sizes: "Sequence[float]" = (1.0, 1.0, 1.0),
) -> np.ndarray:
    """Fuse two aligned images slice by slice.

    What lies outside the mask is set to 0 before and after the fusion, so that scalp and skull have
    no influence. Slices without mask are skipped; the others are cropped around the mask where the
    model's reach allows it, which changes nothing but the time it takes. On CUDA, networks compute
    in mixed precision (float16); classical models, which divide by small variances, in float32.

    Parameters
    ----------
    anatomical, functional
        (X, Y, Z) volumes or (H, W) slices, finite, scaled to [0, 1].
    mask
        Same shape, True where to fuse; None fuses everywhere.
    batch_size
        Slices held in memory by the model at once; does not change the result beyond rounding. A
        GPU that has too little memory for them gets fewer; a slice that does not fit at all is
        fused on the CPU, with a warning.
    axis
        The axis across the axial slices of a volume.
    planes
        ``axial``, or ``triplanar`` for the mean of the volumes fused along each of the three axes:
        three times the work, without the flicker of slices that know nothing of their neighbours.
        It is meant for voxels that are about as thick as wide.
    voxel_sizes
        Along the axes of a volume, in mm. Models that smooth over neighbouring slices
        (:class:`~fusionprep.models.nets.base.PlannedFusion`) do so over fewer where they are thick.

    Returns
    -------
    numpy.ndarray
        float32 in [0, 1], same shape, 0 outside the mask.

    Raises
    ------
    DataError
        When the shapes differ, or are neither those of a slice nor of a volume.
    UsageError
        When the planes are unknown or need a volume, or the batch size is below 1.
    """
    check_shapes(anatomical, functional, mask)
    if planes not in choices(Planes):
        raise UsageError(f"unknown planes {planes!r}; there are: {', '.join(choices(Planes))}")
    if batch_size < 1:
        raise UsageError(f"the batch size must be at least 1, not {batch_size}")
    inside = np.ones(anatomical.shape, bool) if mask is None else mask > 0
    stacks = [anatomical, functional, inside]
    if anatomical.ndim == 2:
        if planes == "triplanar":
            raise UsageError("triplanar fusion needs volumes; a single slice has one plane")
        stacks, axis = [image[..., None] for image in stacks], 2
    fused = np.zeros(stacks[0].shape, np.float32)
    axes = (axis,) if planes == "axial" else (0, 1, 2)
    for across in axes:
        slices = [np.moveaxis(image, across, 0) for image in (*stacks, fused)]
        smoothed = _smoothed_slices(model, voxel_sizes, across)
        _add_fused(model, *slices, device=device, batch_size=batch_size, smoothed=smoothed)
    fused /= len(axes)
    return fused.reshape(anatomical.shape)


def _add_fused(
    model: "FusionModel",
    anatomical: np.ndarray,
    functional: np.ndarray,
    inside: np.ndarray,
    total: np.ndarray,
    *,
    device: str,
    batch_size: int,
    smoothed: float,
) -> None:
    """Fuse stacks of slices (N, H, W) and add the result to the total.

    ``smoothed`` is the standard deviation, in slices, with which plans are smoothed.
    """
    from fusionprep.models.nets.base import PlannedFusion

    filled = np.flatnonzero(inside.any(axis=(1, 2)))
    sources = anatomical, functional
    batches = [filled[start : start + batch_size] for start in range(0, len(filled), batch_size)]

    def inputs(indices: np.ndarray) -> tuple[Box, list[np.ndarray]]:
        box = _box(inside[indices], model.reach)
        where = inside[indices][:, *box]
        return box, [np.where(where, image[indices][:, *box], 0) for image in sources]

    def add(indices: np.ndarray, rule: "Callable[..., torch.Tensor]", *plan: np.ndarray) -> None:
        box, images = inputs(indices)
        height, width = images[0].shape[1:]
        fused = _run(model, rule, images, device, *plan)[:, 0, :height, :width]
        total[indices, *box] += np.where(inside[indices][:, *box], fused, 0)

    if isinstance(model, PlannedFusion):
        told = [_run(model, model.plan, inputs(indices)[1], device) for indices in batches]
        plans = _smoothed(told, smoothed)
        for indices, plan in zip(batches, plans, strict=True):
            add(indices, model.follow, plan)
    else:
        for indices in batches:
            add(indices, model)


def _smoothed_slices(model: "FusionModel", voxel_sizes: "Sequence[float]", axis: int) -> float:
    from fusionprep.models.nets.base import PlannedFusion

    return model.smoothed_slices(voxel_sizes, axis) if isinstance(model, PlannedFusion) else 0.0


def _smoothed(plans: list[np.ndarray], deviation: float) -> list[np.ndarray]:
    """Plans of batches of slices, smoothed over all slices by a Gaussian; deviation in slices."""
    if not plans:
        return []
    stack = gaussian_filter1d(np.concatenate(plans), deviation, axis=0, mode="nearest")
    ends = np.cumsum([len(plan) for plan in plans])
    return np.split(stack, ends[:-1])


def check_shapes(anatomical: np.ndarray, functional: np.ndarray, mask: np.ndarray | None) -> None:
    """Raise :class:`DataError` unless all are slices or volumes of one shape."""
    shapes = {image.shape for image in (anatomical, functional, mask) if image is not None}
    if len(shapes) > 1:
        raise DataError(f"images to fuse differ in shape: {', '.join(map(str, sorted(shapes)))}")
    if anatomical.ndim not in (2, 3):
        raise DataError(f"images to fuse must have 2 or 3 dimensions, not {anatomical.ndim}")


def _box(inside: np.ndarray, margin: int | None) -> Box:
    """The rectangle that holds the mask of all slices (N, H, W), ``margin`` pixels wider.

    Without a margin it is the whole slice.
    """
    if margin is None:
        return slice(None), slice(None)
    sides = []
    for projection in (inside.any(axis=(0, 2)), inside.any(axis=(0, 1))):
        hits = np.flatnonzero(projection)
        sides.append(slice(max(hits[0] - margin, 0), hits[-1] + 1 + margin))
    return sides[0], sides[1]


def mixed_precision(model: "FusionModel", device: str) -> bool:
    """Whether a model computes in float16 where that is enough: networks on a GPU do."""
    return device == "cuda" and next(model.parameters(), None) is not None


def _run(
    model: "FusionModel",
    rule: "Callable[..., torch.Tensor]",
    images: list[np.ndarray],
    device: str,
    *plan: np.ndarray,
) -> np.ndarray:
    """Apply a rule of a model to two stacks of slices (N, H, W), and to plans for them."""
    room = ((0, 0), *((0, max(SMALLEST_SIDE - side, 0)) for side in images[0].shape[1:]))
    padded = [np.pad(image, room)[:, None] for image in images]
    arrays = [array.astype(np.float32, copy=False) for array in (*padded, *plan)]
    return _in_what_fits(model, rule, arrays, device)


def _in_what_fits(
    model: "FusionModel", rule: "Callable[..., torch.Tensor]", stacks: list[np.ndarray], device: str
) -> np.ndarray:
    """Apply a rule to stacks; where a GPU's memory is short, to halves, at last on the CPU."""
    import torch

    try:
        return _on_device(model, rule, stacks, device)
    except torch.cuda.OutOfMemoryError:
        slices = len(stacks[0])
        if slices == 1 and device == "cpu":
            raise
    # here, not above: the error holds on to what it was about
    if device != "cpu":
        torch.cuda.empty_cache()
    if slices > 1:
        halves = [[stack[part] for stack in stacks] for part in _halves(slices)]
        return np.concatenate([_in_what_fits(model, rule, half, device) for half in halves])
    size = " x ".join(map(str, stacks[0].shape[-2:]))
    warnings.warn(
        f"the GPU has too little memory for a slice of {size}: it is fused on the CPU", stacklevel=2
    )
    model.to("cpu")
    try:
        return _on_device(model, rule, stacks, "cpu")
    finally:
        model.to(device)


def _halves(slices: int) -> tuple[slice, slice]:
    return slice(slices // 2), slice(slices // 2, None)


def _on_device(
    model: "FusionModel", rule: "Callable[..., torch.Tensor]", stacks: list[np.ndarray], device: str
) -> np.ndarray:
    import torch

    tensors = [torch.from_numpy(stack).to(device) for stack in stacks]
    mixed = torch.autocast("cuda", torch.float16, enabled=mixed_precision(model, device))
    with torch.inference_mode(), mixed:
        return rule(*tensors).float().cpu().numpy()
