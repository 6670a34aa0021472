"""A fusion model run over slices and volumes."""

from typing import TYPE_CHECKING

import numpy as np

from fusionprep.errors import DataError, UsageError

if TYPE_CHECKING:
    from fusionprep.models.base import FusionModel

SMALLEST_SIDE = 16
"""Smaller slices are padded with zeros to this side: reflection and wavelets need some room."""

Box = tuple[slice, slice]


def resolve_device(device: str) -> str:
    """The device to compute on: ``auto`` takes CUDA where it is present.

    Raises
    ------
    UsageError
        When CUDA is asked for but absent, or the device is unknown.
    """
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown device {device!r}; there are: auto, cpu, cuda")
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
) -> np.ndarray:
    """Fuse two aligned images slice by slice.

    What lies outside the mask is set to 0 before and after the fusion, so that scalp and skull have
    no influence. Slices without mask are skipped, the others cropped around the mask.

    Parameters
    ----------
    anatomical, functional
        (X, Y, Z) volumes or (H, W) slices, finite, scaled to [0, 1].
    mask
        Same shape, True where to fuse; None fuses everywhere.
    batch_size
        Slices held in memory by the model at once; does not change the result beyond rounding.
    axis
        The axis across the slices of a volume.

    Returns
    -------
    numpy.ndarray
        float32 in [0, 1], same shape, 0 outside the mask.

    Raises
    ------
    DataError
        When the shapes differ, or are neither those of a slice nor of a volume.
    """
    _check_shapes(anatomical, functional, mask)
    if anatomical.ndim == 2:
        slice_mask = None if mask is None else mask[..., None]
        fused = fuse_volume(
            model, anatomical[..., None], functional[..., None], slice_mask, device=device
        )
        return fused[..., 0]
    planes = [np.moveaxis(image, axis, 0) for image in (anatomical, functional)]
    inside = np.ones(planes[0].shape, bool) if mask is None else np.moveaxis(mask, axis, 0) > 0
    fused = np.zeros(anatomical.shape, np.float32)
    fused_planes = np.moveaxis(fused, axis, 0)
    filled = np.flatnonzero(inside.any(axis=(1, 2)))
    whole_box = _box(inside, margin=0)
    for start in range(0, len(filled), batch_size):
        indices = filled[start : start + batch_size]
        box = whole_box if model.reach is None else _box(inside[indices], margin=model.reach)
        where = inside[indices][:, *box]
        inputs = [np.where(where, image[indices][:, *box], 0) for image in planes]
        fused_planes[indices, *box] = np.where(where, _run(model, *inputs, device), 0)
    return fused


def _check_shapes(anatomical: np.ndarray, functional: np.ndarray, mask: np.ndarray | None) -> None:
    shapes = {image.shape for image in (anatomical, functional, mask) if image is not None}
    if len(shapes) > 1:
        raise DataError(f"images to fuse differ in shape: {', '.join(map(str, sorted(shapes)))}")
    if anatomical.ndim not in (2, 3):
        raise DataError(f"images to fuse must have 2 or 3 dimensions, not {anatomical.ndim}")


def _box(inside: np.ndarray, margin: int) -> Box:
    """The rectangle that holds the mask of all planes (N, H, W), ``margin`` pixels wider."""
    sides = []
    for projection in (inside.any(axis=(0, 2)), inside.any(axis=(0, 1))):
        hits = np.flatnonzero(projection)
        if not len(hits):
            return slice(0), slice(0)
        sides.append(slice(max(hits[0] - margin, 0), hits[-1] + 1 + margin))
    return sides[0], sides[1]


def _run(
    model: "FusionModel", anatomical: np.ndarray, functional: np.ndarray, device: str
) -> np.ndarray:
    import torch

    height, width = anatomical.shape[1:]
    room = ((0, 0), *((0, max(SMALLEST_SIDE - side, 0)) for side in (height, width)))
    tensors = [
        torch.from_numpy(np.pad(image, room).astype(np.float32, copy=False)[:, None]).to(device)
        for image in (anatomical, functional)
    ]
    with torch.inference_mode():
        fused = model(*tensors)
    return fused[:, 0, :height, :width].float().cpu().numpy()
