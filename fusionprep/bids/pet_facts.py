"""What a dataset says about a PET image, resolved once for everything that needs it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionprep.bids.decay import frame_decay
from fusionprep.bids.metadata import (
    contradicted_radionuclide,
    number_value,
    radionuclide,
    tracer_label,
    tracer_name,
    units_factor,
)
from fusionprep.bids.suv import HALF_LIVES, body_weight, suv_inputs
from fusionprep.bids.timing import frame_timing
from fusionprep.bids.types import FrameTiming, ImageFile, PETFacts
from fusionprep.bids.usual import nuclide_doubt, region_note, start_conflict, window_note
from fusionprep.plausibility import DECAY_BEFORE_SCAN, SHORT_SCAN
from fusionprep.suvr_regions import ReferenceRegion
from fusionprep.tracers import find_tracer


def pet_facts(image: ImageFile, bids_dir: Path, region: ReferenceRegion | None = None) -> PETFacts:
    """Decide tracer, frame times, units, decay and SUV of a PET image.

    Parameters
    ----------
    image
        With its header and metadata read.
    bids_dir
        Root of the dataset, whose ``participants.tsv`` may give the body weight.
    region
        Reference region of the SUVR to be made; None for a mask of the user's own, or no SUVR.

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
    weight = body_weight(bids_dir, image.subject, metadata)
    suv, reason = suv_inputs(metadata, weight, timing, image.n_frames)
    conflict, untimed = (
        contradicted_radionuclide(image),
        start_conflict(timing, number_value(metadata, "ScanStart")),
    )
    reason = reason or decay.problem or conflict or _too_late(metadata, nuclide, timing)
    if decay.factors is not None:
        # to a time zero that is not that of the injection
        reason = reason or untimed
    tracer = find_tracer(name) or find_tracer(label)
    injection = None if untimed else number_value(metadata, "InjectionStart")
    usual = [
        untimed,
        window_note(tracer, timing, injection),
        "" if decay.problem else region_note(tracer, region),
    ]
    doubts = [
        *timing.doubts,
        decay.problem,
        decay.doubt,
        conflict or nuclide_doubt(tracer, nuclide),
        _too_short(timing, nuclide),
    ]
    return PETFacts(
        tracer=label,
        tracer_name=name,
        radionuclide=nuclide,
        timing=timing,
        units=units,
        factor=factor,
        suv=None if reason else suv,
        no_suv=reason,
        no_suvr=decay.problem,
        notes=tuple(filter(None, (*timing.notes, decay.note, *usual))),
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


def _too_late(metadata: Mapping[str, Any], nuclide: str | None, timing: FrameTiming) -> str:
    injection = number_value(metadata, "InjectionStart")
    if nuclide not in HALF_LIVES or timing.starts is None or injection is None:
        return ""
    return DECAY_BEFORE_SCAN.problem((timing.starts[0] - injection) / HALF_LIVES[nuclide])
