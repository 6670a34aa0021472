"""From PET frames to one volume."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FrameMean:
    """The mean over frames, and what was found on the way.

    Attributes
    ----------
    image
        (X, Y, Z) float32; 0 where no frame has a finite value.
    frames
        How many the image has.
    chosen
        Those, counted from 0, that the mean was to be over.
    empty
        Of these those with nothing but zeros and values that are not finite. They are left
        out.
    partial
        Those with values that are not finite in voxels where others have one.
    share
        Of the voxels, where that is so.
    """

    image: np.ndarray
    frames: int
    chosen: tuple[int, ...]
    empty: tuple[int, ...]
    partial: tuple[int, ...]
    share: float

    @property
    def kept(self) -> tuple[int, ...]:
        """The frames that the mean is over."""
        return tuple(index for index in self.chosen if index not in self.empty)

    def notes(self) -> list[str]:
        """What was left out, in words."""
        if not self.empty:
            return []
        which = _numbered(self.empty, self.frames)
        return [f"{which} no value but zero: left out of mean, times and duration"]

    def doubts(self) -> list[str]:
        """What has to be looked at, in words."""
        if not self.partial:
            return []
        return [
            f"{_numbered(self.partial, self.frames)} values that are not numbers, so that the mean"
            f" is over fewer frames in {100 * self.share:.2g} % of the voxels"
        ]


def average_frames(
    frames: Iterable[np.ndarray],
    durations: Sequence[float] | None = None,
    factors: Sequence[float] | None = None,
    chosen: Sequence[int] | None = None,
) -> FrameMean:
    """Mean over frames weighted by their duration, of which one is in memory at a time.

    Frames without any signal are left out. Elsewhere the voxels of a frame that are not finite do
    not count.

    Parameters
    ----------
    frames
        T times (X, Y, Z), activity concentration averaged over each frame.
    durations
        T durations in seconds, at least one above 0; None weights all frames equally.
    factors
        T factors that each frame is multiplied by first, e.g. for decay; None for none.
    chosen
        Numbers, from 0, of the frames that the mean is over; None for all.

    Raises
    ------
    ValueError
        When durations or factors do not match the frames, when durations of those chosen sum to 0,
        or when one is chosen that is not there.
    """
    _check_durations(durations, chosen)
    total = finite_frames = missing = None
    empty, partial = [], []
    count, weights = 0, 0.0
    for index, frame in enumerate(frames):
        count = index + 1
        weight = 1.0 if durations is None else float(_of(durations, index, "durations"))
        factor = 1.0 if factors is None else float(_of(factors, index, "factors"))
        if total is None or finite_frames is None:
            total = np.zeros(frame.shape)
            finite_frames = np.zeros(frame.shape, np.uint16)
        if chosen is not None and index not in chosen:
            continue
        finite = np.isfinite(frame)
        whole = bool(finite.all())
        if not whole:
            frame = np.where(finite, frame, np.float32(0))
        if not frame.any():
            empty.append(index)
            continue
        finite_frames += finite
        weights += weight
        total += np.multiply(frame, weight * factor, dtype=np.float64)
        if not whole:
            partial.append(index)
            missing = np.zeros(frame.shape) if missing is None else missing
            missing[~finite] += weight
    if total is None or finite_frames is None:
        raise ValueError("there are no frames")
    for name, values in (("durations", durations), ("factors", factors)):
        if values is not None and len(values) != count:
            raise ValueError(f"{len(values)} {name} for {count} frames")
    taken = tuple(range(count) if chosen is None else chosen)
    if not set(taken) <= set(range(count)):
        raise ValueError(f"frames {list(taken)} of {count} were chosen")
    some = finite_frames > 0
    if missing is None:
        mean = total / weights if weights else total
    else:
        known = np.subtract(weights, missing, out=missing)
        mean = np.divide(total, known, out=np.zeros_like(total), where=some & (known > 0))
    fewer = some & (finite_frames < len(taken) - len(empty))
    return FrameMean(
        mean.astype(np.float32),
        count,
        taken,
        tuple(empty),
        tuple(partial) if fewer.any() else (),
        float(fewer.mean()),
    )


def _check_durations(durations: Sequence[float] | None, chosen: Sequence[int] | None) -> None:
    if durations is None:
        return
    weights = np.asarray(durations, dtype=float)
    if chosen is not None:
        weights = weights[[index for index in chosen if index < len(weights)]]
    if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() == 0:
        raise ValueError(f"frame durations must be positive: {weights.tolist()}")


def _of(values: Sequence[float], index: int, name: str) -> float:
    if index >= len(values):
        raise ValueError(f"{len(values)} {name} for more frames")
    return values[index]


def _numbered(indices: Sequence[int], count: int) -> str:
    """E.g. ``frames 2 and 3 of 6 hold``, counted from 1."""
    numbers = [str(index + 1) for index in indices]
    if len(numbers) == 1:
        return f"frame {numbers[0]} of {count} holds"
    return f"frames {', '.join(numbers[:-1])} and {numbers[-1]} of {count} hold"
