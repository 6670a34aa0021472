"""A fusion model run over slices and volumes."""

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from fusionprep.choices import Planes, choices
from fusionprep.devices import SLICES_ON_CPU, free_bytes
from fusionprep.errors import DataError, UsageError
from fusionprep.models.running import apply_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from fusionprep.models.nets.base import FusionModel

SMALLEST_SIDE = 16
"""Smaller slices are padded with zeros to this side: reflection and wavelets need some room."""

Box = tuple[slice, slice]


def fuse_volume(
    model: "FusionModel",
    anatomical: np.ndarray,
    functional: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
    axis: int = 2,
    planes: Planes = "axial",
    voxel_sizes: "Sequence[float]" = (1.0, 1.0, 1.0),
) -> np.ndarray:
    """Fuse two aligned images slice by slice.

    What lies outside the mask is set to 0 before and after the fusion, so that scalp and skull have
    no influence. Slices without mask are skipped; the others are cropped around the mask where the
    model's reach allows it, which changes nothing but the time it takes. On GPUs made for it,
    networks compute in mixed precision (float16), which changes the result by less than one of 256
    gray levels; classical models, which divide by small variances, in float32.

    Parameters
    ----------
    anatomical, functional
        (X, Y, Z) volumes or (H, W) slices, finite, scaled to [0, 1].
    mask
        Same shape, True where to fuse; None fuses everywhere.
    batch_size
        Slices held in memory by the model at once; does not change the result beyond rounding. None
        takes :data:`~fusionprep.devices.SLICES_ON_CPU` on a CPU and what half of the free memory
        holds on a GPU (:func:`~fusionprep.models.footprint.footprint`). A GPU that has too little
        memory for them gets fewer; a slice that does not fit at all is fused on the CPU, with a
        warning.
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
    if batch_size is not None and batch_size < 1:
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
    batch_size: int | None,
    smoothed: float,
) -> None:
    """Fuse stacks of slices (N, H, W) and add the result to the total.

    ``smoothed`` is the standard deviation, in slices, with which plans are smoothed.
    """
    from fusionprep.models.nets.base import PlannedFusion

    filled = np.flatnonzero(inside.any(axis=(1, 2)))
    if not filled.size:
        return
    if batch_size is None:
        batch_size = _fitting_slices(model, _box(inside[filled], model.reach), inside, device)
    batches = [filled[start : start + batch_size] for start in range(0, len(filled), batch_size)]
    boxes = [_box(inside[indices], model.reach) for indices in batches]

    def images() -> "Iterator[list[np.ndarray]]":
        for indices, box in zip(batches, boxes, strict=True):
            where = inside[indices][:, *box]
            cut = [image[indices][:, *box] for image in (anatomical, functional)]
            yield _padded([np.where(where, image, 0) for image in cut])

    rule: Callable[..., torch.Tensor] = model
    stacks = images()
    if isinstance(model, PlannedFusion):
        told = list(apply_rule(model, model.plan, stacks, device))
        plans = [plan.astype(np.float32, copy=False) for plan in _smoothed(told, smoothed)]
        rule = model.follow
        stacks = ([*pair, plan] for pair, plan in zip(images(), plans, strict=True))
    results = apply_rule(model, rule, stacks, device)
    for indices, box, result in zip(batches, boxes, results, strict=True):
        where = inside[indices][:, *box]
        height, width = where.shape[1:]
        total[indices, *box] += np.where(where, result[:, 0, :height, :width], 0)


def _fitting_slices(model: "FusionModel", box: Box, inside: np.ndarray, device: str) -> int:
    """How many slices (N, H, W), cut to a box, to hold at once; GPUs have room for more."""
    from fusionprep.models.footprint import footprint

    if device == "cpu":
        return SLICES_ON_CPU
    height, width = (max(SMALLEST_SIDE, side) for side in inside[0][box].shape)
    found = footprint(model, (height, width))
    return SLICES_ON_CPU if found is None else found.slices_in(free_bytes())


def _smoothed_slices(model: "FusionModel", voxel_sizes: "Sequence[float]", axis: int) -> float:
    from fusionprep.models.nets.base import PlannedFusion

    return model.smoothed_slices(voxel_sizes, axis) if isinstance(model, PlannedFusion) else 0.0


def _smoothed(plans: list[np.ndarray], deviation: float) -> list[np.ndarray]:
    """Plans of batches of slices, smoothed over all slices by a Gaussian; deviation in slices."""
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


def _padded(images: list[np.ndarray]) -> list[np.ndarray]:
    """Two stacks of slices (N, H, W) as models take them: float32 (N, 1, H, W), not too small."""
    room = ((0, 0), *((0, max(SMALLEST_SIDE - side, 0)) for side in images[0].shape[1:]))
    return [np.pad(image, room)[:, None].astype(np.float32, copy=False) for image in images]
