"""Whether what a PET shows can be: its uptake against limits."""

from collections.abc import Mapping

import numpy as np

from fusionprep.image.intensity import tracer_class
from fusionprep.plausibility import BRAIN_SUV, GLUCOSE_GM_WM, USUAL_BRAIN_SUV


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
