"""The time that decay-corrected values refer to, and whether what a sidecar says of it can be."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fusionprep.bids.clock import scan_time
from fusionprep.bids.radionuclides import decay_constant, within_frame
from fusionprep.bids.types import FrameTiming
from fusionprep.bids.units import is_given, number_and_unit
from fusionprep.plausibility import DECAY_BEFORE_SCAN, UNTIMED_REFERENCE

_TRUE = ("true", "yes", "y", "t", "1", "1.0")
_FALSE = ("false", "no", "n", "f", "0", "0.0")
# Seconds by which times may be rounded, and the share by which factors may.
_SLACK = 1.0
_ROUNDING = math.log(1.02)
_MOST_FACTORS = 3
FACTOR_FIELDS = ("DecayCorrectionFactor", "DecayFactor")
"""That of PET-BIDS and that of converters from DICOM."""


@dataclass(frozen=True)
class DecayReference:
    """What the values of a decay-corrected image refer to.

    Attributes
    ----------
    time
        Seconds from the scan's time zero; None where it is not known.
    own_starts
        Whether each frame is corrected to its own start instead.
    problem
        Why the time is not known, or cannot be; empty otherwise.
    notes, doubts
        What was assumed, and what has to be looked at.
    """

    time: float | None
    own_starts: bool = False
    problem: str = ""
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def decay_corrected(metadata: Mapping[str, Any]) -> tuple[bool | None, str]:
    """Whether an image is corrected for decay, and what is wrong where the sidecar does not say."""
    key = "ImageDecayCorrected"
    value = metadata.get(key)
    if not is_given(value):
        return None, f"{key} is not given"
    text = str(value).strip().lower()
    if isinstance(value, bool | str | int | float) and text in (*_TRUE, *_FALSE):
        corrected = text in _TRUE
        # DICOM's word for it, which converters write beside ours
        other = metadata.get("DecayCorrection")
        if corrected and isinstance(other, str) and other.strip().upper() == "NONE":
            return None, f"{key} is {value!r} but DecayCorrection is 'NONE'"
        return corrected, ""
    return None, f"{key} is {value!r}, neither true nor false"


def check_injection(
    injection: float, timing: FrameTiming, half_life: float | None, written: Any
) -> str:
    """Why a tracer cannot have been injected at that time of the scan; empty where it can.

    Parameters
    ----------
    injection
        Seconds from the scan's time zero.
    half_life
        Seconds; None where it is not known.
    written
        The field, quoted in the reason.
    """
    end = last_end(timing)
    if end is not None and injection > end + _SLACK:
        return f"InjectionStart {written} is after the end of the last frame, at {end:g} s"
    if timing.starts is None or half_life is None:
        return ""
    start = timing.starts[0]
    problem = DECAY_BEFORE_SCAN.problem((start - injection) / half_life)
    return (
        problem
        and f"InjectionStart is {written} and the first frame starts at {start:g} s: {problem}"
    )


def last_end(timing: FrameTiming) -> float | None:
    """When the last frame ends; None where starts or durations are not known."""
    if timing.starts is None or timing.durations is None:
        return None
    return max(
        start + length for start, length in zip(timing.starts, timing.durations, strict=True)
    )


def decay_reference(
    metadata: Mapping[str, Any],
    timing: FrameTiming,
    injection: float,
    half_life: float | None,
) -> DecayReference:
    """What the values of a decay-corrected image refer to.

    All frames are corrected to ``ImageDecayCorrectionTime``, or each to its own start, as some
    scanners do; ``DecayCorrectionFactor`` tells which. The time must be possible: from injection,
    the time zero or the first frame, whichever is earliest, to the end of the last frame.

    Parameters
    ----------
    metadata
        Merged sidecar.
    timing
        Of the frames.
    injection
        Seconds from the scan's time zero.
    half_life
        Seconds; None where it is not known.
    """
    time, problem, note = scan_time(metadata, "ImageDecayCorrectionTime", timing)
    if time is None:
        return DecayReference(None, problem=problem)
    notes = (note,) * bool(note)
    written = metadata["ImageDecayCorrectionTime"]
    if problem := _outside_scan(time, timing, injection, half_life, written):
        return DecayReference(None, problem=problem)
    doubt = _at_nothing(metadata, time, timing, injection)
    doubts = (doubt,) * bool(doubt)
    key, factors = decay_factors(metadata, len(timing.durations or timing.starts or ()))
    if not factors or timing.starts is None or timing.durations is None or half_life is None:
        return DecayReference(time, notes=notes, doubts=doubts)
    constant = decay_constant(half_life)
    if _to_one_time(factors, timing, time, constant):
        return DecayReference(time, notes=notes, doubts=doubts)
    if _to_own_starts(factors, timing, constant):
        if len(factors) > 1:
            own = f"each frame is decay-corrected to its own start, as {key} shows"
            return DecayReference(time, own_starts=True, notes=(*notes, own))
        return DecayReference(
            None,
            problem=f"{key} {factors[0]:g} is a correction to the start of the frame, at "
            f"{timing.starts[0]:g} s, and ImageDecayCorrectionTime is {written}",
        )
    shown = ", ".join(f"{factor:g}" for factor in factors[:_MOST_FACTORS])
    more = ", ..." * (len(factors) > _MOST_FACTORS)
    return DecayReference(
        None,
        problem=f"{key} {shown}{more} is a correction neither to ImageDecayCorrectionTime"
        f" {written} nor to the start of each frame",
    )


def assumed_reference(metadata: Mapping[str, Any], n_frames: int) -> str:
    """What is assumed of decay-corrected frames without factors; empty where nothing is.

    Parameters
    ----------
    metadata
        Merged sidecar.
    n_frames
        Frames of the image.
    """
    corrected, _ = decay_corrected(metadata)
    if not corrected or n_frames == 1 or decay_factors(metadata, n_frames)[1]:
        return ""
    given = f"{FACTOR_FIELDS[0]} is not given"
    return f"all frames are taken to be decay-corrected to one time, as {given}"


def _outside_scan(
    time: float, timing: FrameTiming, injection: float, half_life: float | None, written: Any
) -> str:
    end = last_end(timing)
    earliest = min(injection, 0.0, *(timing.starts or ()))
    if time < earliest - _SLACK:
        return (
            f"ImageDecayCorrectionTime {written} is before the injection, at {injection:g} s,"
            " the time zero and the first frame"
        )
    if end is not None:
        late = time > end + _SLACK
        return (
            f"ImageDecayCorrectionTime {written} is after the end of the last frame, at {end:g} s"
            * late
        )
    problem = UNTIMED_REFERENCE.problem(abs(time - injection) / 60)
    short_lived = half_life is None or half_life < UNTIMED_REFERENCE.high * 60 * 4
    if problem and short_lived:
        return f"ImageDecayCorrectionTime is {written} and frame times are not given: {problem}"
    return ""


def _at_nothing(
    metadata: Mapping[str, Any], time: float, timing: FrameTiming, injection: float
) -> str:
    """What is odd about a time before the injection at which nothing has happened."""
    scan_start, _, _ = scan_time(metadata, "ScanStart", timing)
    events = (0.0, scan_start, *(timing.starts or ()))
    if time >= injection - _SLACK or any(
        event is not None and abs(time - event) <= _SLACK for event in events
    ):
        return ""
    return (
        f"ImageDecayCorrectionTime {metadata['ImageDecayCorrectionTime']} is before the injection,"
        f" at {injection:g} s, and neither TimeZero nor the start of the scan"
    )


def decay_factors(metadata: Mapping[str, Any], n_frames: int) -> tuple[str, tuple[float, ...]]:
    """The field of decay correction factors and its values, if there is one for each frame.

    Parameters
    ----------
    metadata
        Merged sidecar.
    n_frames
        Frames of the image.
    """
    for key in FACTOR_FIELDS:
        value = metadata.get(key)
        if is_given(value):
            cells = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
            read = [number_and_unit(cell) for cell in cells]
            numbers = tuple(cell[0] for cell in read if cell is not None and cell[0] > 0)
            if len(numbers) == len(cells) == n_frames:
                return key, numbers
    return "", ()


def _to_one_time(
    factors: Sequence[float], timing: FrameTiming, time: float, constant: float
) -> bool:
    # Conventions differ on decay within a frame: from its start, its middle or its mean.
    return all(
        constant * (start - time) - _ROUNDING
        <= math.log(factor)
        <= constant * (start + length - time) + _ROUNDING
        for factor, start, length in _frames(factors, timing)
    )


def _to_own_starts(factors: Sequence[float], timing: FrameTiming, constant: float) -> bool:
    return all(
        abs(math.log(factor / within_frame(constant, length))) < _ROUNDING
        for factor, _, length in _frames(factors, timing)
        if length > 0
    )


def _frames(factors: Sequence[float], timing: FrameTiming) -> zip:
    return zip(factors, timing.starts or (), timing.durations or (), strict=True)
