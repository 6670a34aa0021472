"""From PET frames to one volume."""

from collections.abc import Sequence

import numpy as np


def average_frames(frames: np.ndarray, durations: Sequence[float] | None = None) -> np.ndarray:
    """Mean over frames weighted by their duration; NaN voxels of a frame do not count.

    Parameters
    ----------
    frames
        (X, Y, Z, T), activity concentration averaged over each frame.
    durations
        T durations in seconds, at least one above 0; None weights all frames equally.

    Returns
    -------
    numpy.ndarray
        (X, Y, Z) float32; 0 where no frame has a finite value.

    Raises
    ------
    ValueError
        When the durations do not match the frames or sum to 0.
    """
    n_frames = frames.shape[3]
    weights = np.ones(n_frames) if durations is None else np.asarray(durations, dtype=float)
    if weights.shape != (n_frames,):
        raise ValueError(f"{len(weights)} durations for {n_frames} frames")
    if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() == 0:
        raise ValueError(f"frame durations must be positive: {weights.tolist()}")
    total = np.zeros(frames.shape[:3])
    weight = np.zeros(frames.shape[:3])
    for index, frame_weight in enumerate(weights):
        frame = frames[..., index]
        finite = np.isfinite(frame)
        total[finite] += frame_weight * frame[finite]
        weight[finite] += frame_weight
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0).astype(np.float32)
