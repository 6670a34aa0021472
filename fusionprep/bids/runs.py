"""PET runs of one injection, made one scan."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fusionprep.bids.clock import day_time, scan_time
from fusionprep.bids.decay import is_uncorrected
from fusionprep.bids.decay_reference import (
    FACTOR_FIELDS,
    assumed_reference,
    check_injection,
    decay_corrected,
    decay_reference,
)
from fusionprep.bids.names import raw_uri
from fusionprep.bids.pet_facts import pet_facts
from fusionprep.bids.radionuclides import HALF_LIVES, decay_constant, within_frame
from fusionprep.bids.sidecars import FRAME_TABLE
from fusionprep.bids.subject_tables import Participants
from fusionprep.bids.types import ImageFile, SUVInputs
from fusionprep.bids.units import number_and_unit
from fusionprep.config import Config
from fusionprep.errors import DataError

SAME_DOSE = 0.01
"""By which share doses of one injection may be written differently."""

SAME_INJECTION_S = 60.0
"""By how much clocks of one injection may differ."""

_ROUNDING_S = 1.0
_DAY_S = 86400.0
_OF_ONE_RUN = (
    *FACTOR_FIELDS,
    "FrameReferenceTime",
    "DecayCorrection",
    "Time",
    FRAME_TABLE,
    "ScanStart",
    "TimeZero",
)


@dataclass(frozen=True)
class ScanRun:
    """A run that a scan is made of.

    Attributes
    ----------
    path
        Absolute, of its image.
    factors
        What each of its frames is multiplied by, into the units of the scan and to its time of
        decay correction.
    starts, durations
        Of its frames, s, from the injection.
    """

    path: Path
    factors: tuple[float, ...]
    starts: tuple[float, ...]
    durations: tuple[float, ...]


@dataclass(frozen=True)
class _Timed:
    """A run whose times are known.

    ``injection`` and ``reference`` are seconds from its own time zero; ``starts`` those of its
    frames from the injection. ``factors`` correct frames for decay to the reference, and bring them
    into units.
    """

    image: ImageFile
    injection: float
    reference: float
    starts: tuple[float, ...]
    durations: tuple[float, ...]
    factors: tuple[float, ...]

    @property
    def end(self) -> float:
        return max(s + d for s, d in zip(self.starts, self.durations, strict=True))

    @property
    def clock(self) -> float | None:
        """Time of day of the injection, s; None where that is not known."""
        zero = day_time(self.image.metadata.get("TimeZero"))
        return None if zero is None else zero + self.injection

    @property
    def minutes(self) -> str:
        return f"{self.starts[0] / 60:.3g} to {self.end / 60:.3g} min"


def raw_uris(image: ImageFile, bids_dir: Path) -> list[str]:
    """BIDS URIs of the raw files that an image is made from: of each run of a scan of several."""
    return [raw_uri(replace(image, path=run.path), bids_dir) for run in image.runs or (image,)]


def combined_scans(
    images: Sequence[ImageFile], config: Config, participants: Participants | None = None
) -> tuple[tuple[ImageFile, ...], list[str]]:
    """The same as :func:`combine_runs`, with the facts of scans settled."""
    made, notes = combine_runs(images)
    return tuple(_settled(image, config, participants) for image in made), notes


def _settled(image: ImageFile, config: Config, participants: Participants | None) -> ImageFile:
    if not image.runs or image.pet is None:
        return image
    facts = pet_facts(image, config.bids_dir, config.processing, participants)
    # the first run's, to whose grid the others are brought
    spread, smoothing = image.pet.point_spread, image.pet.smoothing
    # those of each run on its times: gaps between runs are as they should be
    others = (doubt for doubt in facts.doubts if doubt not in facts.timing.doubts)
    doubts = tuple(dict.fromkeys((*image.pet.doubts, *others)))
    # nothing is assumed of decay that was not of a run
    assumed = assumed_reference(image.metadata, image.n_frames)
    notes = (*image.pet.notes, *(note for note in facts.notes if note != assumed))
    facts = replace(facts, notes=notes, doubts=doubts, point_spread=spread, smoothing=smoothing)
    return replace(image, pet=facts)


def combine_runs(images: Sequence[ImageFile]) -> tuple[list[ImageFile], list[str]]:
    """Make one scan of the runs of each injection.

    Runs are images whose names differ in ``run-`` alone. A scan has the frames of its runs in the
    order of time, with times after the injection, and the decay correction of the first. Its name
    has no ``run-``; where runs of one name are of several injections, the scans of later ones keep
    that of their first run.

    Parameters
    ----------
    images
        PET of one subject, whose facts are settled.

    Returns
    -------
    images
        Scans in the place of their first run, with its facts and all doubts about times of frames,
        and images that stay as they were.
    notes
        What was combined and what was not, and why.
    """
    groups: dict[tuple[object, ...], list[ImageFile]] = {}
    for image in images:
        entities = {name: value for name, value in image.entities.items() if name != "run"}
        groups.setdefault((image.suffix, tuple(sorted(entities.items()))), []).append(image)
    made: list[ImageFile] = []
    notes: list[str] = []
    for group in groups.values():
        if len(group) == 1:
            made += group
        else:
            combined, told = _combine(group)
            made, notes = [*made, *combined], [*notes, *told]
    order = {image.path: number for number, image in enumerate(images)}
    return sorted(made, key=lambda image: order[image.path]), notes


def _combine(group: Sequence[ImageFile]) -> tuple[list[ImageFile], list[str]]:
    apart: list[ImageFile] = []
    notes: list[str] = []
    timed: list[_Timed] = []
    for image in group:
        try:
            timed.append(_timed(image))
        except DataError as error:
            apart.append(image)
            notes.append(f"{image.path.name} is not combined with other runs: {error}")
    scans: list[list[_Timed]] = []
    for run in sorted(timed, key=lambda run: run.starts[0]):
        reasons = [_apart(scan, run) for scan in scans]
        if "" in reasons:
            scans[reasons.index("")].append(run)
            continue
        if reasons:
            notes.append(f"{run.image.path.name} is not combined with other runs: {reasons[0]}")
        scans.append([run])
    images = [scan[0].image for scan in scans if len(scan) == 1]
    for number, scan in enumerate(scan for scan in scans if len(scan) > 1):
        images.append(_scan(scan, keep_run=number > 0))
        each = ", ".join(f"{run.image.path.name} ({run.minutes})" for run in scan)
        notes.append(f"combined, in minutes after injection: {each}")
    return [*apart, *images], notes


def _timed(image: ImageFile) -> _Timed:
    """The times of a run.

    Raises
    ------
    DataError
        When they are not known, or what its values refer to is not.
    """
    facts = image.pet
    if facts is None:
        raise ValueError(f"nothing is known of {image.path.name}")
    timing = facts.timing
    if timing.starts is None or timing.durations is None or timing.averaged > 1:
        raise DataError("the times of its frames are not given")
    injection, problem, _ = scan_time(image.metadata, "InjectionStart", timing)
    if injection is None:
        raise DataError(problem)
    half_life = HALF_LIVES.get(facts.radionuclide or "")
    if half_life is None:
        raise DataError(f"the half-life of {facts.radionuclide or 'its radionuclide'} is not known")
    if problem := check_injection(injection, timing, half_life, image.metadata["InjectionStart"]):
        raise DataError(problem)
    if facts.units == "g/mL":
        raise DataError("it came in SUV, whose decay correction is not that of activity")
    reference, factors = _decay(image, injection, half_life)
    return _Timed(
        image,
        injection,
        reference,
        tuple(start - injection for start in timing.starts),
        timing.durations,
        tuple(facts.factor * factor for factor in factors),
    )


def _decay(image: ImageFile, injection: float, half_life: float) -> tuple[float, tuple[float, ...]]:
    """The time that values refer to, once frames are multiplied by factors, and these."""
    facts, count = image.pet, image.n_frames
    if facts is None or facts.timing.starts is None or facts.timing.durations is None:
        raise ValueError(f"nothing is known of {image.path.name}")
    if facts.frame_factors is not None:
        return 0.0, facts.frame_factors
    constant, timing = decay_constant(half_life), facts.timing
    since = tuple(math.exp(constant * start) for start in facts.timing.starts)
    if is_uncorrected(image.metadata):
        if count > 1:
            raise DataError(facts.no_suvr or "its decay is not corrected")
        return 0.0, (since[0] * within_frame(constant, facts.timing.durations[0]),)
    corrected, problem = decay_corrected(image.metadata)
    if not corrected:
        raise DataError(problem)
    found = decay_reference(image.metadata, timing, injection, half_life)
    if found.own_starts:
        return 0.0, since
    if found.time is None:
        raise DataError(found.problem)
    return found.time, (1.0,) * count


def _apart(scan: Sequence[_Timed], run: _Timed) -> str:
    """Why a run is not of a scan; empty where it is."""
    first, last = scan[0], scan[-1]
    own, others = run.image.pet, first.image.pet
    name = first.image.path.name
    if own is None or others is None:
        raise ValueError(f"nothing is known of {name}")
    for what, one, other in (
        ("tracer", own.tracer, others.tracer),
        ("radionuclide", own.radionuclide, others.radionuclide),
        ("unit", own.units, others.units),
    ):
        if one != other:
            return f"its {what} is {one}, and that of {name} {other}"
    doses = _dose(run.image), _dose(first.image)
    if None not in doses and not math.isclose(*doses, rel_tol=SAME_DOSE):  # type: ignore[arg-type]
        return f"its injected dose is {doses[0]:.4g}, and that of {name} {doses[1]:.4g}"
    if run.clock is not None and first.clock is not None:
        gap = (run.clock - first.clock + _DAY_S / 2) % _DAY_S - _DAY_S / 2
        if abs(gap) > SAME_INJECTION_S:
            told = f"{_clock(run.clock)}, and for {name} at {_clock(first.clock)}"
            return f"the tracer was injected at {told}"
    if run.starts[0] < last.end - _ROUNDING_S:
        return (
            f"it was measured {run.minutes} after injection, and {last.image.path.name}"
            f" {last.minutes}: they overlap"
        )
    return ""


def _dose(image: ImageFile) -> float | None:
    if image.pet is not None and isinstance(image.pet.suv, SUVInputs):
        return image.pet.suv.dose
    read = number_and_unit(image.metadata.get("InjectedRadioactivity"))
    return None if read is None else read[0]


def _clock(seconds: float) -> str:
    whole = round(seconds % _DAY_S) % int(_DAY_S)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _scan(runs: Sequence[_Timed], *, keep_run: bool) -> ImageFile:
    first = runs[0]
    facts = first.image.pet
    if facts is None:
        raise ValueError(f"nothing is known of {first.image.path.name}")
    constant = decay_constant(HALF_LIVES[facts.radionuclide or ""])
    reference = first.reference - first.injection
    parts = []
    for run in runs:
        # values that refer to a later time are smaller by the decay since
        later = run.reference - run.injection - reference
        scale = math.exp(constant * later)
        factors = tuple(scale * factor for factor in run.factors)
        parts.append(ScanRun(run.image.path, factors, run.starts, run.durations))
    metadata = {
        **_common(runs),
        "Units": facts.units,
        "FrameTimesStart": [start for run in runs for start in run.starts],
        "FrameDuration": [length for run in runs for length in run.durations],
        "InjectionStart": 0,
        "ScanStart": first.starts[0],
        "ImageDecayCorrected": True,
        "ImageDecayCorrectionTime": reference,
        "TracerRadionuclide": facts.radionuclide,
        **({} if first.clock is None else {"TimeZero": _clock(first.clock)}),
    }
    image = first.image
    of_times = (run.image.pet.timing.doubts for run in runs if run.image.pet is not None)
    doubts = tuple(doubt for told in of_times for doubt in told)
    assumed = (assumed_reference(run.image.metadata, run.image.n_frames) for run in runs)
    notes = tuple(dict.fromkeys(filter(None, assumed)))
    notes += () if facts.smoothing is None else facts.smoothing.notes
    entities = {key: label for key, label in image.entities.items() if keep_run or key != "run"}
    return replace(
        image,
        entities=entities,
        metadata=metadata,
        shape=(*image.shape[:3], sum(len(part.factors) for part in parts)),
        pet=replace(facts, notes=notes, doubts=doubts),
        runs=tuple(parts),
        notes=(*image.notes, f"combined of {', '.join(part.path.name for part in parts)}"),
    )


def _common(runs: Sequence[_Timed]) -> dict[str, Any]:
    """What sidecars say of all runs: lists of one value a frame are joined.

    A field in which runs differ otherwise is that of the first where it is of the person, and left
    out where it is of the run.
    """
    sidecars: list[Mapping[str, Any]] = [run.image.metadata for run in runs]
    common: dict[str, Any] = {}
    for name in dict.fromkeys(name for sidecar in sidecars for name in sidecar):
        values = [sidecar[name] for sidecar in sidecars if name in sidecar]
        counts = [len(value) if isinstance(value, list) else None for value in values]
        if name in _OF_ONE_RUN:
            continue
        if all(value == values[0] for value in values):
            common[name] = values[0]
        elif counts == [len(run.starts) for run in runs]:
            common[name] = [item for value in values for item in value]
        elif name.startswith(("Body", "Injected")):
            common[name] = values[0]
    if isinstance(end := common.pop("InjectionEnd", None), int | float):
        common["InjectionEnd"] = end - runs[0].injection
    return common
