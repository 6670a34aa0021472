"""What a dataset says about a PET image, resolved once for everything that needs it."""

from pathlib import Path

from fusionprep.bids.body_weight import body_weight
from fusionprep.bids.clock import scan_time
from fusionprep.bids.contents import lacks_attenuation_correction
from fusionprep.bids.decay import frame_decay
from fusionprep.bids.decay_reference import assumed_reference
from fusionprep.bids.metadata import (
    contradicted_radionuclide,
    radionuclide,
    tracer_label,
    tracer_name,
)
from fusionprep.bids.subject_tables import Participants
from fusionprep.bids.suv import suv_inputs
from fusionprep.bids.timing import frame_timing
from fusionprep.bids.types import FrameTiming, ImageFile, PETFacts, SUVGiven, SUVInputs
from fusionprep.bids.units import units_factor
from fusionprep.bids.usual import nuclide_doubt, region_note, start_conflict, window_note
from fusionprep.plausibility import SHORT_SCAN
from fusionprep.suvr_regions import ReferenceRegion
from fusionprep.tracers import find_tracer


def pet_facts(
    image: ImageFile,
    bids_dir: Path,
    region: ReferenceRegion | None = None,
    participants: Participants | None = None,
) -> PETFacts:
    """Decide tracer, frame times, units, decay and SUV of a PET image.

    Parameters
    ----------
    image
        With its header and metadata read.
    bids_dir
        Root of the dataset, whose ``participants.tsv`` may give the body weight.
    region
        Reference region of the SUVR to be made; None for a mask of the user's own, or no SUVR.
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
    reason = uncorrected or decay.problem or decision.reason
    if isinstance(decision.inputs, SUVInputs):
        # frames are corrected to a time zero, which may then not be that of the injection
        reason = reason or conflict or untimed * (decay.factors is not None)
    elif isinstance(decision.inputs, SUVGiven) and decay.factors is not None:
        reason = reason or f"the image came in SUV, whose decay is corrected, but {decay.note}"
    weighed = isinstance(decision.inputs, SUVInputs) and not reason
    tracer = find_tracer(name) or find_tracer(label)
    injection = None if untimed else scan_time(metadata, "InjectionStart", timing)[0]
    notes = [
        *timing.notes,
        decay.note or assumed_reference(image.metadata, image.n_frames),
        untimed,
        window_note(tracer, timing, injection),
        "" if decay.problem else region_note(tracer, region),
        *((*decision.notes, *weight.notes) if weighed else decision.notes if not reason else ()),
    ]
    doubts = [
        *timing.doubts,
        uncorrected and f"{uncorrected}: uptake is too low, most in the middle of the head",
        decay.problem,
        decay.doubt,
        conflict or nuclide_doubt(tracer, nuclide),
        _too_short(timing, nuclide),
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
        no_suvr=uncorrected or decay.problem,
        notes=tuple(filter(None, notes)),
        doubts=tuple(filter(None, doubts)),
        frame_factors=decay.factors,
        changed=decay.changed,
    )


def _too_short(timing: FrameTiming, nuclide: str | None) -> str:
    if timing.durations is None or nuclide == "O15":
        return ""
    if len(timing.durations) == 1 and timing.averaged == 1:
        return ""
    problem = SHORT_SCAN.problem(sum(timing.durations))
    return f"{problem}: are its times in seconds?" if problem else ""
