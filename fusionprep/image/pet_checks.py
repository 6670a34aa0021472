"""Whether what a PET shows can be: its uptake against limits."""

from collections.abc import Mapping

import numpy as np

from fusionprep.image.intensity import tracer_class
from fusionprep.plausibility import (
    BRAIN_SUV,
    GLUCOSE_GM_WM,
    PET_NOISE,
    SLICE_JUMP,
    USUAL_BRAIN_SUV,
)

# Slices of less than this share of a bright slice are beside the head.
_HEAD_SHARE = 0.3
_DARKEST_SHARE = 0.01


def check_suv(pet: np.ndarray, dseg: np.ndarray, factor: float) -> tuple[str, str]:
    """Whether the mean SUV of the brain can be.

    Parameters
    ----------
    pet
        (X, Y, Z) on the grid of the T1w, 0 outside its field of view.
    dseg
        (X, Y, Z) tissue labels, above 0 in the brain.
    factor
        SUV per unit of the PET.

    Returns
    -------
    refused
        Why there can be no SUV; empty where there can.
    doubt
        What has to be looked at; empty where nothing is unusual.
    """
    inside = (dseg > 0) & (pet != 0) & np.isfinite(pet)
    mean = factor * float(pet[inside].mean(dtype=np.float64)) if inside.any() else 0.0
    if refused := BRAIN_SUV.problem(mean):
        return refused, ""
    return "", USUAL_BRAIN_SUV.problem(mean)


def check_uptake(quality: Mapping[str, float | None], tracer: str) -> list[str]:
    """Doubts about the uptake of gray against white matter, for tracers where it is known.

    Parameters
    ----------
    quality
        As :func:`fusionprep.image.quality.pet_quality` gives it.
    tracer
        Label or name.
    """
    ratio = quality.get("GMWMRatio")
    if ratio is None or tracer_class(tracer) != "glucose":
        return []
    problem = GLUCOSE_GM_WM.problem(ratio)
    return [problem] if problem else []


def check_slices(static: np.ndarray) -> str:
    """Whether the means of slices jump, as where conversion has lost a scale of each slice.

    Parameters
    ----------
    static
        (X, Y, Z) PET on its own grid.

    Returns
    -------
    str
        The doubt; empty where there is none.
    """
    problem = SLICE_JUMP.problem(slice_jump(static))
    return f"{problem}: slices may have lost their scale in conversion" if problem else ""


def slice_jump(static: np.ndarray) -> float:
    """The largest factor between the mean of a slice and the geometric mean of its neighbours'.

    Over the slices of the head along each axis, as slices may be stacked along any. A steady rise
    or fall, as at the top of the head, does not count.

    Parameters
    ----------
    static
        (X, Y, Z) PET on its own grid; what is not finite counts as 0.

    Returns
    -------
    float
        At least 1.
    """
    magnitude = np.abs(np.where(np.isfinite(static), static, 0.0))
    return max(_largest_jump(_profile(magnitude, axis)) for axis in range(3))


def _profile(magnitude: np.ndarray, axis: int) -> np.ndarray:
    others = tuple(other for other in range(3) if other != axis)
    means = magnitude.mean(axis=others, dtype=np.float64)
    bright = float(np.percentile(means, 90))
    head = np.flatnonzero(means >= _HEAD_SHARE * bright)
    inside = means[head[0] : head[-1] + 1]
    # an empty slice between others is a jump, too, and not one without end
    return np.maximum(inside, _DARKEST_SHARE * bright)


def _largest_jump(profile: np.ndarray) -> float:
    if profile.size < 3 or profile.min() <= 0:
        return 1.0
    logarithm = np.log(profile)
    bend = np.abs(logarithm[1:-1] - (logarithm[:-2] + logarithm[2:]) / 2)
    return float(np.exp(bend.max()))


def check_noise(quality: Mapping[str, float | None]) -> str:
    """Whether the noise is far beyond that of a PET; empty where it is not, or not known.

    Parameters
    ----------
    quality
        With ``Noise`` of :func:`fusionprep.image.quality.pet_noise`.
    """
    noise = quality.get("Noise")
    return "" if noise is None else PET_NOISE.problem(noise)
