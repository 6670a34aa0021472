"""What a sidecar gives for standardised uptake values: dose, decay and body weight."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from fusionprep.bids.body_weight import BodyWeight
from fusionprep.bids.clock import scan_time
from fusionprep.bids.decay_reference import check_injection, decay_corrected, decay_reference
from fusionprep.bids.metadata import normalised_radionuclide, text_value
from fusionprep.bids.radionuclides import HALF_LIVES, decay_constant, within_frame
from fusionprep.bids.types import FrameTiming, SUVGiven, SUVInputs
from fusionprep.bids.units import (
    becquerels,
    in_unit,
    is_given,
    number_and_unit,
    units_factor,
    written_units,
)
from fusionprep.plausibility import INJECTED_DOSE, INJECTED_DOSES


class SUVDecision(NamedTuple):
    """Whether there is SUV, and how.

    Attributes
    ----------
    inputs
        What it is computed from; None where it cannot be.
    reason
        Why not; empty otherwise.
    notes, doubts
        What was assumed, and what has to be looked at.
    """

    inputs: SUVInputs | SUVGiven | None
    reason: str = ""
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


class _Remaining(NamedTuple):
    """Share of the dose that is left when the image's values hold, or why it is not known."""

    share: float | None
    reason: str = ""
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def suv_inputs(
    metadata: Mapping[str, Any],
    weight: BodyWeight,
    timing: FrameTiming,
    n_frames: int = 1,
    nuclide: str | None = None,
) -> SUVDecision:
    """Dose and weight for SUV(t) = C(t) * weight / dose, when the sidecar allows it.

    The dose is decayed from the injection to the time that the image's values refer to:
    ``ImageDecayCorrectionTime`` for a decay-corrected image, else the mean over the single frame.
    All times are relative to ``TimeZero``, as PET-BIDS writes them. Whatever is outside its limits
    (:mod:`fusionprep.plausibility`), or contradicted by something else, leaves no SUV. An image
    that came in SUV by body weight stays as it is.

    Parameters
    ----------
    metadata
        Merged sidecar of the image, whose values are first brought to Bq/mL by
        :func:`fusionprep.bids.units.units_factor`.
    weight
        Of :func:`fusionprep.bids.body_weight.body_weight`.
    timing
        Of the frames, e.g. of :func:`fusionprep.bids.timing.frame_timing`.
    n_frames
        Frames of the image.
    nuclide
        Where the sidecar does not say, e.g. of the tracer's label.
    """
    units, _ = units_factor(metadata)
    if units == "g/mL":
        return _given(metadata)
    if units != "Bq/mL":
        return SUVDecision(None, f"the image is in {written_units(metadata) or 'unknown units'}")
    if weight.kg is None:
        return SUVDecision(None, weight.problem)
    nuclide = normalised_radionuclide(text_value(metadata, "TracerRadionuclide") or nuclide or "")
    dose, reason = _injected_dose(metadata, nuclide)
    if dose is None:
        return SUVDecision(None, reason)
    remaining = _remaining_fraction(metadata, nuclide, timing, n_frames)
    if remaining.share is None:
        return SUVDecision(None, remaining.reason)
    inputs = SUVInputs(dose, dose * remaining.share, weight.kg, nuclide or None)
    return SUVDecision(inputs, "", remaining.notes, remaining.doubts)


def _given(metadata: Mapping[str, Any]) -> SUVDecision:
    kind = str(text_value(metadata, "SUVType") or "BW").upper()
    if kind not in ("BW", "SUVBW"):
        return SUVDecision(None, f"the image is SUV, not by body weight: SUVType is {kind!r}")
    note = f"the image came in SUV ({written_units(metadata)}): desc-suv is what it holds"
    return SUVDecision(SUVGiven(), notes=(note,))


def _injected_dose(metadata: Mapping[str, Any], nuclide: str) -> tuple[float | None, str]:
    key = "InjectedRadioactivity"
    value = metadata.get(key)
    if not is_given(value):
        return None, f"{key} is not given"
    # drafts of PET-BIDS had the unit in the singular
    units = [metadata.get(f"{key}{ending}") for ending in ("Units", "Unit")]
    read = number_and_unit(value)
    if read is not None and not read[1] and not any(map(is_given, units)):
        return None, f"{key} is {value} and {key}Units is not given"
    dose, problem = in_unit(value, units, becquerels)
    if dose is None:
        return None, f"{key} {problem}"
    limits = INJECTED_DOSES.get(nuclide, INJECTED_DOSE)
    if outside := limits.problem(dose / 1e6):
        written = " ".join(str(part) for part in (value, *units) if is_given(part))
        return None, f"{outside} ({key} is {written})"
    return dose, ""


def _remaining_fraction(
    metadata: Mapping[str, Any], nuclide: str, timing: FrameTiming, n_frames: int
) -> _Remaining:
    """Share of the injected activity left at the time that the image's values refer to."""
    injection, problem, note = scan_time(metadata, "InjectionStart", timing)
    if injection is None:
        return _Remaining(None, problem)
    corrected, problem = decay_corrected(metadata)
    if corrected is None:
        return _Remaining(None, problem)
    half_life = HALF_LIVES.get(nuclide)
    written = metadata["InjectionStart"]
    if problem := check_injection(injection, timing, half_life, written):
        return _Remaining(None, problem)
    notes = (note,) * bool(note)
    elapsed: float | None = None
    doubts: tuple[str, ...] = ()
    if corrected:
        reference = decay_reference(metadata, timing, injection, half_life)
        if reference.time is None:
            return _Remaining(None, reference.problem)
        notes, doubts = (*notes, *reference.notes), reference.doubts
        elapsed = reference.time - injection
        if reference.own_starts:
            return _Remaining(None, "; ".join(reference.notes))
        if elapsed == 0:
            return _Remaining(1.0, notes=notes)
    if half_life is None:
        told = f"the half-life of {nuclide or 'the radionuclide'} is not known"
        return _Remaining(None, told)
    constant = decay_constant(half_life)
    if elapsed is not None:
        return _Remaining(math.exp(-constant * elapsed), "", notes, doubts)
    if n_frames > 1:
        return _Remaining(None, "the image is dynamic and not decay-corrected")
    share, problem = _mean_over_frame(metadata, timing, injection, constant)
    return _Remaining(share, problem, notes)


def _mean_over_frame(
    metadata: Mapping[str, Any], timing: FrameTiming, injection: float, constant: float
) -> tuple[float | None, str]:
    if timing.starts is None or timing.durations is None:
        return None, "the image is not decay-corrected and its frame times are not given"
    scan_start, _, _ = scan_time(metadata, "ScanStart", timing)
    if scan_start is not None and scan_start > timing.starts[0] + 1:
        return None, (
            f"the image is not decay-corrected, and its frame starts at {timing.starts[0]:g} s,"
            f" before ScanStart {metadata['ScanStart']}"
        )
    if injection > timing.starts[0] + 1:
        return None, (
            f"the image is not decay-corrected, and InjectionStart {metadata['InjectionStart']}"
            f" is within its frame, which starts at {timing.starts[0]:g} s"
        )
    start = math.exp(-constant * (timing.starts[0] - injection))
    if timing.durations[0] <= 0:
        return None, "the image is not decay-corrected and its frame has no length"
    return start / within_frame(constant, timing.durations[0]), ""
