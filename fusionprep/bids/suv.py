"""What a sidecar gives for standardised uptake values: dose, decay and body weight."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionprep.bids.metadata import (
    normalised_radionuclide,
    number_value,
    text_value,
    units_factor,
)
from fusionprep.bids.participants import participant_rows
from fusionprep.bids.types import FrameTiming, SUVInputs

# Seconds; Table of Radionuclides (LNHB/DDEP recommended data).
HALF_LIVES = {
    "C11": 20.361 * 60,
    "N13": 9.967 * 60,
    "O15": 2.041 * 60,
    "F18": 1.8289 * 3600,
    "Cu64": 12.7004 * 3600,
    "Ga68": 67.83 * 60,
    "Zr89": 78.42 * 3600,
    "I124": 4.176 * 86400,
}
_BECQUEREL = {
    "bq": 1.0,
    "kbq": 1e3,
    "mbq": 1e6,
    "gbq": 1e9,
    "ci": 3.7e10,
    "mci": 3.7e7,
    "uci": 3.7e4,
}
_WEIGHT_COLUMNS = ("weight", "bodyweight", "body_weight", "weight_kg")
_PLAUSIBLE_KG = (0.5, 500.0)


def suv_inputs(
    metadata: Mapping[str, Any], weight_kg: float | None, timing: FrameTiming, n_frames: int = 1
) -> tuple[SUVInputs | None, str]:
    """Dose and weight for SUV(t) = C(t) * weight / dose, when the sidecar allows it.

    The dose is decayed from the injection to the time that the image's values refer to:
    ``ImageDecayCorrectionTime`` for a decay-corrected image, else the mean over the single frame.
    All times are relative to ``TimeZero``, as PET-BIDS writes them.

    Parameters
    ----------
    metadata
        Merged sidecar of the image, whose values are first brought to Bq/mL by
        :func:`fusionprep.bids.metadata.units_factor`.
    weight_kg
        Body weight in kg, e.g. of :func:`body_weight`; None if unknown.
    timing
        Of the frames, e.g. of :func:`fusionprep.bids.timing.frame_timing`.
    n_frames
        Frames of the image.

    Returns
    -------
    inputs
        None when SUV cannot be computed.
    reason
        Why not; empty otherwise.
    """
    units, _ = units_factor(metadata)
    if units != "Bq/mL":
        return None, f"the image is in {text_value(metadata, 'Units') or 'unknown units'}"
    if weight_kg is None:
        return None, "the body weight is not given"
    dose = _injected_dose(metadata)
    if dose is None:
        return None, "InjectedRadioactivity or its units are not given"
    nuclide = normalised_radionuclide(text_value(metadata, "TracerRadionuclide") or "") or None
    remaining, reason = _remaining_fraction(metadata, nuclide, timing, n_frames)
    if remaining is None:
        return None, reason
    return SUVInputs(dose, dose * remaining, weight_kg, nuclide), ""


def _injected_dose(metadata: Mapping[str, Any]) -> float | None:
    dose = number_value(metadata, "InjectedRadioactivity")
    unit = (text_value(metadata, "InjectedRadioactivityUnits") or "").lower()
    # Two code points look like a micro sign.
    scale = _BECQUEREL.get(unit.replace("µ", "u").replace("μ", "u"))
    return None if dose is None or dose <= 0 or scale is None else dose * scale


def _remaining_fraction(
    metadata: Mapping[str, Any], nuclide: str | None, timing: FrameTiming, n_frames: int
) -> tuple[float | None, str]:
    """Share of the injected activity left at the time that the image's values refer to."""
    injection = number_value(metadata, "InjectionStart")
    corrected = metadata.get("ImageDecayCorrected")
    reference = number_value(metadata, "ImageDecayCorrectionTime")
    if injection is None:
        return None, "InjectionStart is not given"
    if not isinstance(corrected, bool):
        return None, "ImageDecayCorrected is not given"
    if corrected and reference is None:
        return None, "ImageDecayCorrectionTime is not given"
    if corrected and reference == injection:
        return 1.0, ""
    if nuclide not in HALF_LIVES:
        return None, f"the half-life of {nuclide or 'the radionuclide'} is not known"
    constant = math.log(2) / HALF_LIVES[nuclide]
    if corrected and reference is not None:
        return math.exp(-constant * (reference - injection)), ""
    if n_frames > 1:
        return None, "the image is dynamic and not decay-corrected"
    return _mean_over_frame(timing, injection, constant)


def _mean_over_frame(
    timing: FrameTiming, injection: float, constant: float
) -> tuple[float | None, str]:
    if timing.starts is None or timing.durations is None:
        return None, "the image is not decay-corrected and its frame times are not given"
    start = math.exp(-constant * (timing.starts[0] - injection))
    decay = constant * timing.durations[0]
    return start * -math.expm1(-decay) / decay, ""


def body_weight(bids_dir: Path, subject: str, metadata: Mapping[str, Any]) -> float | None:
    """Body weight in kg, of the scan's sidecar or else of ``participants.tsv``.

    Parameters
    ----------
    subject
        Label without ``sub-``.
    metadata
        Merged sidecar; its weight comes first because it belongs to the scan.

    Returns
    -------
    float or None
        None where no plausible weight is given.
    """
    candidates = [number_value(metadata, key) for key in ("BodyWeight", "PatientWeight")]
    for row in participant_rows(bids_dir, subject):
        candidates += [number_value(row, name) for name in _WEIGHT_COLUMNS]
    low, high = _PLAUSIBLE_KG
    return next((kg for kg in candidates if kg is not None and low <= kg <= high), None)
