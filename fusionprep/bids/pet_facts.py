"""What a dataset says about a PET image, resolved once for everything that needs it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fusionprep.bids.body_weight import body_weight
from fusionprep.bids.clock import scan_time
from fusionprep.bids.contents import lacks_attenuation_correction
from fusionprep.bids.decay import FrameDecay, frame_decay
from fusionprep.bids.decay_reference import assumed_reference, check_injection
from fusionprep.bids.frame_choice import Injection, choose_frames
from fusionprep.bids.metadata import (
    contradicted_radionuclide,
    radionuclide,
    tracer_label,
    tracer_name,
)
from fusionprep.bids.radionuclides import HALF_LIVES
from fusionprep.bids.subject_tables import Participants
from fusionprep.bids.suv import SUVDecision, suv_inputs
from fusionprep.bids.timing import frame_timing
from fusionprep.bids.types import (
    FrameChoice,
    FrameTiming,
    ImageFile,
    PETFacts,
    SUVGiven,
    SUVInputs,
)
from fusionprep.bids.units import units_factor
from fusionprep.bids.usual import (
    RegionChoice,
    choose_region,
    nuclide_doubt,
    start_conflict,
    window_note,
)
from fusionprep.config import Processing
from fusionprep.frame_windows import AUTO_FRAMES
from fusionprep.plausibility import SHORT_SCAN
from fusionprep.tracers import Tracer, find_tracer


def pet_facts(
    image: ImageFile,
    bids_dir: Path,
    processing: Processing | None = None,
    participants: Participants | None = None,
) -> PETFacts:
    """Decide tracer, frames and their times, units, decay, SUV and SUVR of a PET image.

    Parameters
    ----------
    image
        With its header and metadata read.
    bids_dir
        Root of the dataset, whose ``participants.tsv`` may give the body weight.
    processing
        What is asked for; None for the defaults.
    participants
        ``participants.tsv`` of the dataset, where it is read for many images.

    Raises
    ------
    DataError
        When the frame times cannot be those of the image.
    """
    timing = frame_timing(image.metadata, image.n_frames, image.path)
    nuclide, label, name = radionuclide(image), tracer_label(image), tracer_name(image)
    decay = frame_decay(image.metadata, nuclide, timing, image.n_frames)
    metadata = decay.applied_to(image.metadata)
    units, factor = units_factor(metadata)
    weight = body_weight(image, bids_dir, participants)
    decision = suv_inputs(metadata, weight, timing, image.n_frames, nuclide)
    conflict = contradicted_radionuclide(image)
    untimed = start_conflict(timing, scan_time(metadata, "ScanStart", timing)[0])
    told = lacks_attenuation_correction(image)
    uncorrected = f"the image is not corrected for attenuation ({told})" if told else ""
    reason = uncorrected or decay.problem or _no_suv(decision, decay, conflict, untimed)
    weighed = isinstance(decision.inputs, SUVInputs) and not reason
    tracer = find_tracer(name) or find_tracer(label)
    injection = _injection(metadata, timing, nuclide, untimed)
    chosen = _chosen(processing or Processing(), image.n_frames, timing, tracer, injection)
    no_suvr = uncorrected or decay.problem
    notes = [
        *timing.notes,
        decay.note or assumed_reference(image.metadata, image.n_frames),
        untimed * (untimed not in chosen.frames.note),
        *chosen.notes,
        "" if no_suvr else chosen.region.note,
        *((*decision.notes, *weight.notes) if weighed else decision.notes if not reason else ()),
    ]
    doubts = [
        *timing.doubts,
        uncorrected and f"{uncorrected}: uptake is too low, most in the middle of the head",
        decay.problem,
        decay.doubt,
        conflict or nuclide_doubt(tracer, nuclide),
        _too_short(timing, nuclide),
        chosen.frames.doubt,
        *((*decision.doubts, *weight.doubts) if weighed else ()),
    ]
    return PETFacts(
        tracer=label,
        tracer_name=name,
        radionuclide=nuclide,
        timing=timing,
        units=units,
        factor=factor,
        suv=None if reason else decision.inputs,
        no_suv=reason,
        no_suvr=no_suvr,
        notes=tuple(filter(None, notes)),
        doubts=tuple(filter(None, doubts)),
        frame_factors=decay.factors,
        changed=decay.changed,
        frames=chosen.frames,
        region=chosen.region.region,
        region_reason=chosen.region.reason,
    )


def _no_suv(decision: SUVDecision, decay: FrameDecay, conflict: str, untimed: str) -> str:
    """Why there is no SUV; empty where there is."""
    if decision.reason:
        return decision.reason
    if isinstance(decision.inputs, SUVInputs):
        # frames are corrected to a time zero, which may then not be that of the injection
        return conflict or untimed * (decay.factors is not None)
    if isinstance(decision.inputs, SUVGiven) and decay.factors is not None:
        return f"the image came in SUV, whose decay is corrected, but {decay.note}"
    return ""


class _Chosen(NamedTuple):
    """What is averaged, what it is divided by, and what is to be said of the frames."""

    frames: FrameChoice
    region: RegionChoice
    notes: tuple[str, ...]


def _chosen(
    processing: Processing,
    n_frames: int,
    timing: FrameTiming,
    tracer: Tracer | None,
    injection: Injection,
) -> _Chosen:
    frames = choose_frames(processing.frames, timing, tracer, injection, n_frames)
    outside = ""
    # with the window of the tracer, the choice itself says what is not in it
    if not frames.doubt and (n_frames == 1 or processing.frames != AUTO_FRAMES):
        outside = window_note(tracer, _of_frames(timing, frames), injection.seconds)
    region = choose_region(processing, tracer)
    return _Chosen(frames, region, (frames.note, outside))


def _of_frames(timing: FrameTiming, frames: FrameChoice) -> FrameTiming:
    if frames.chosen is None:
        return timing
    starts, durations = (
        values and tuple(values[index] for index in frames.chosen)
        for values in (timing.starts, timing.durations)
    )
    return dataclasses.replace(timing, starts=starts, durations=durations)


def _injection(
    metadata: Mapping[str, Any], timing: FrameTiming, nuclide: str | None, untimed: str
) -> Injection:
    """When the tracer was injected, where that can be related to the frames."""
    seconds, problem, _ = scan_time(metadata, "InjectionStart", timing)
    if seconds is None or untimed:
        return Injection(None, problem or untimed)
    half_life = HALF_LIVES.get(nuclide or "")
    problem = check_injection(seconds, timing, half_life, metadata["InjectionStart"])
    return Injection(None, problem) if problem else Injection(seconds)


def _too_short(timing: FrameTiming, nuclide: str | None) -> str:
    if timing.durations is None or nuclide == "O15":
        return ""
    if len(timing.durations) == 1 and timing.averaged == 1:
        return ""
    problem = SHORT_SCAN.problem(sum(timing.durations))
    return f"{problem}: are its times in seconds?" if problem else ""
