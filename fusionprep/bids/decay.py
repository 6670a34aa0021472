"""Frames that are not corrected for decay, or each to its own start: what corrects them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fusionprep.bids.decay_reference import FACTOR_FIELDS, decay_corrected, decay_factors
from fusionprep.bids.radionuclides import HALF_LIVES, decay_constant, within_frame
from fusionprep.bids.types import FrameTiming
from fusionprep.bids.units import is_given
from fusionprep.plausibility import DECAY_OF_FRAMES

_NOT_SAID = ("", "n/a", "na", "none", "unknown")
# Share of the activity that rounding of factors makes, and below which decay is not looked for.
_SAME_SHARE = 0.02


@dataclass(frozen=True)
class FrameDecay:
    """How the frames of an image are corrected for decay.

    Attributes
    ----------
    factors
        What each frame is multiplied by; None where frames stay as they are.
    changed
        Fields of the sidecar after that.
        One that is None is no longer there.
    total
        What each frame is then corrected by since it was measured; None where unknown.
    problem
        Why frames that need it cannot be corrected, so that their mean has no SUVR; else empty.
    note
        What was done; empty where nothing was.
    doubt
        What has to be looked at; empty where nothing has to.
    """

    factors: tuple[float, ...] | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)
    total: tuple[float, ...] | None = None
    problem: str = ""
    note: str = ""
    doubt: str = ""

    def applied_to(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """What the sidecar would say of the corrected frames."""
        told = {FACTOR_FIELDS[0]: list(self.total)} if self.total is not None else {}
        return {**metadata, **self.changed, **told}


def frame_decay(
    metadata: Mapping[str, Any], nuclide: str | None, timing: FrameTiming, n_frames: int
) -> FrameDecay:
    """Decide how the frames of a dynamic PET are corrected for decay before they are averaged.

    A frame from t to t + Δ that is not corrected is multiplied by exp(λt)·λΔ/(1 − exp(−λΔ)), the
    mean decay during it and since time zero. One that is corrected to its own start, which
    ``DecayCorrectionFactor`` shows, is multiplied by exp(λt).

    Parameters
    ----------
    metadata
        Merged sidecar.
    nuclide
        E.g. ``"F18"``; None if unknown.
    timing
        Of the frames.
    n_frames
        Frames of the image. A single one stays as it is: decay is then one factor for all voxels.
    """
    uncorrected = is_uncorrected(metadata)
    if n_frames == 1:
        if uncorrected and timing.averaged > 1:
            return FrameDecay(problem="frames were averaged before their decay was corrected")
        return FrameDecay()
    if not uncorrected and _denied(metadata):
        return FrameDecay(problem="ImageDecayCorrected is true but DecayCorrection is 'NONE'")
    if not uncorrected:
        return _to_time_zero(metadata, nuclide, timing)
    problem = _missing(nuclide, timing)
    if problem or nuclide is None or timing.starts is None or timing.durations is None:
        return FrameDecay(problem=f"frames are not decay-corrected and {problem}")
    constant = decay_constant(HALF_LIVES[nuclide])
    factors = tuple(
        math.exp(constant * start) * within_frame(constant, duration)
        for start, duration in zip(timing.starts, timing.durations, strict=True)
    )
    note = f"frames were not decay-corrected; each was corrected to TimeZero as {nuclide}"
    return FrameDecay(factors, _changed(nuclide), factors, note=note)


def is_uncorrected(metadata: Mapping[str, Any]) -> bool:
    """Whether the sidecar says that the image is not corrected for decay, in whatever words."""
    if not is_given(metadata.get("ImageDecayCorrected")):
        return _denied(metadata)
    return decay_corrected(metadata)[0] is False


def _denied(metadata: Mapping[str, Any]) -> bool:
    # DICOM's field, which converters keep
    return str(metadata.get("DecayCorrection", "")).strip().upper() == "NONE"


def _missing(nuclide: str | None, timing: FrameTiming) -> str:
    if nuclide is None:
        return "the radionuclide is not given"
    if nuclide not in HALF_LIVES:
        return f"the half-life of {nuclide} is not known"
    if timing.starts is None or timing.durations is None:
        return "their times are not given"
    farthest = max(timing.starts, key=abs) / HALF_LIVES[nuclide]
    return DECAY_OF_FRAMES.problem(farthest)


def _changed(nuclide: str) -> dict[str, Any]:
    return {
        "ImageDecayCorrected": True,
        "ImageDecayCorrectionTime": 0,
        "TracerRadionuclide": nuclide,
        **dict.fromkeys((*FACTOR_FIELDS, "DecayCorrection")),
    }


def _to_time_zero(
    metadata: Mapping[str, Any], nuclide: str | None, timing: FrameTiming
) -> FrameDecay:
    """Bring frames that are each corrected to their own start to one time."""
    if _missing(nuclide, timing) or nuclide is None:
        return FrameDecay()
    starts, durations = timing.starts or (), timing.durations or ()
    constant = decay_constant(HALF_LIVES[nuclide])
    own = [within_frame(constant, duration) for duration in durations]
    since = [math.exp(constant * start) for start in starts]
    if max(since) / min(since) - 1 < _SAME_SHARE:
        return FrameDecay()
    said = str(metadata.get("ImageDecayCorrected", "")).strip().lower()
    assumed = (
        "ImageDecayCorrected is not given: frames are taken to be corrected for decay to one time"
    ) * (said in _NOT_SAID)
    _, factors = decay_factors(metadata, len(starts))
    if not factors:
        return FrameDecay(note=assumed)
    # Short frames have a factor of 1 to their own start, as those have that are not corrected.
    if _alike(factors, [1.0] * len(factors)):
        doubt = "the decay correction of every frame is 1: frames may not be corrected for decay"
        return FrameDecay(doubt=doubt)
    if not _alike(factors, own):
        return FrameDecay(note=assumed)
    note = (
        "frames were decay-corrected each to its own start, by DecayCorrectionFactor; each was"
        f" brought to TimeZero as {nuclide}"
    )
    total = tuple(x * y for x, y in zip(since, own, strict=True))
    return FrameDecay(tuple(since), _changed(nuclide), total, note=note)


def _alike(ones: Sequence[float], others: Sequence[float]) -> bool:
    return all(abs(one / other - 1) <= _SAME_SHARE for one, other in zip(ones, others, strict=True))
