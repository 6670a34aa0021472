"""The plan of a run: for every subject what is processed, with what, and why something is not."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from fusionprep.bids.contents import (
    lacks_attenuation_correction,
    shows_no_activity,
    tells_correction,
)
from fusionprep.bids.dates import days, read_dates
from fusionprep.bids.earlier import with_lacks
from fusionprep.bids.filters import options_used
from fusionprep.bids.headers import check_header
from fusionprep.bids.images import find_images
from fusionprep.bids.layout import find_subjects, unknown_subjects
from fusionprep.bids.lesions import with_lesions
from fusionprep.bids.names import BIDS, kept_entities
from fusionprep.bids.odd_names import too_long
from fusionprep.bids.pairing import find_contrast, pair_images
from fusionprep.bids.pet_facts import pet_facts
from fusionprep.bids.point_spread import point_spread
from fusionprep.bids.runs import combined_scans
from fusionprep.bids.sidecars import FRAME_TABLE
from fusionprep.bids.smoothing import decide_smoothing
from fusionprep.bids.subject_tables import Participants
from fusionprep.bids.types import (
    FoundImages,
    ImageFile,
    Pairing,
    PETFacts,
    Problem,
    SubjectPlan,
)
from fusionprep.bids.unread import some, unread_files, unusable_files
from fusionprep.config import Config, Selection
from fusionprep.errors import DataError, one_line
from fusionprep.modalities import APP_MODALITIES, T1W, Modality

if TYPE_CHECKING:
    from bids import BIDSLayout


def plan_dataset(layout: BIDSLayout, config: Config) -> list[SubjectPlan]:
    """Plan every subject asked for.

    Returns
    -------
    list of SubjectPlan
        Sorted by label, then the participant labels asked for that the dataset does not have, each
        with a problem.
    """
    selection = config.selection
    found = find_images(layout, config.bids_dir, selection)
    participants = Participants(config.bids_dir)
    plans = [
        plan_subject(found.get(label, FoundImages(label)), config, participants)
        for label in find_subjects(layout, selection)
    ]
    for label in unknown_subjects(layout, selection):
        problem = Problem(label, "missing", f"the dataset has no folder sub-{label}")
        plans.append(SubjectPlan(label, problems=(problem,)))
    return plans


def plan_subject(
    found: FoundImages, config: Config, participants: Participants | None = None
) -> SubjectPlan:
    """Check the headers of a subject's images, settle the facts of its PET, and pair them.

    An image that cannot be used becomes a problem and does not exclude the others.

    Parameters
    ----------
    found
        The images that the options keep.
    config
        Of the run.
    participants
        ``participants.tsv`` of the dataset, where it is read for many subjects.
    """
    subject = found.subject
    if not re.fullmatch("[A-Za-z0-9+]+", subject):
        message = f"sub-{subject} is not a BIDS label (letters and digits only); rename the folder"
        return SubjectPlan(subject, problems=(Problem(subject, "data", message),))
    found = _without_maps(found)
    usable, faults = _check_images(found, config, participants)
    usable = _without_uncorrected(usable, config.selection)
    dates = read_dates(config.bids_dir, subject)
    unusable = [Problem(subject, "data", line) for line in unusable_files(config.bids_dir, subject)]
    problems = [*unusable, *(problem for _, problem in faults)]
    faulty = {modality for modality, _ in faults}
    moved = config.selection.moved
    if not faulty & set(moved) and not any(map(found.of, moved)):
        problems.append(Problem(subject, "missing", _nothing_found(subject, config.selection)))
    pairings: list[Pairing] = []
    unpaired: list[Problem] = []
    # Where every T1w is faulty, the faults have been named; that there is no other adds nothing.
    if usable.of(T1W) or T1W not in faulty:
        pairings, unpaired = pair_images(usable, dates, config.selection)
    pairings, clashes = _without_clashes(_told_apart(with_lacks(config, pairings)))
    pairings, without_contrast = _with_contrast(pairings, config.fusion.contrast)
    return SubjectPlan(
        subject,
        pairings=tuple(pairings),
        problems=(*problems, *unpaired, *clashes, *without_contrast),
        notes=(
            *usable.notes,
            *unread_files(config.bids_dir, subject),
            *dates.notes,
            *_notes(usable, pairings, moved),
        ),
        expected=(*found.expected, *_not_used(usable, pairings, faulty, moved)),
    )


def _without_maps(found: FoundImages) -> FoundImages:
    """Leave out, by name, what lies among images of a tracer and shows none."""
    told: dict[str, list[str]] = {}
    kept = dict(found.images)
    for modality in filter(lambda modality: modality.tracer, kept):
        for image in found.of(modality):
            if reason := shows_no_activity(image):
                told.setdefault(reason, []).append(image.path.name)
        names = {name for listed in told.values() for name in listed}
        kept[modality] = tuple(i for i in found.of(modality) if i.path.name not in names)
    notes = [f"left out, {reason}: {some(names)}" for reason, names in told.items()]
    return dataclasses.replace(found, images=kept, notes=(*found.notes, *notes))


def _without_uncorrected(found: FoundImages, selection: Selection) -> FoundImages:
    """Leave out PET without attenuation correction where the same scan was corrected, too.

    Reconstructions that were asked for by name are all kept.
    """
    kept, notes = dict(found.images), list(found.notes)
    for modality in filter(lambda modality: modality.tracer, found.images):
        asked = selection.bids_filters.get(modality.name, {})
        if selection.rec_label or not asked.keys().isdisjoint(("rec", "reconstruction")):
            continue
        corrected = {
            _scan(image): image.path.name
            for image in found.of(modality)
            if not lacks_attenuation_correction(image)
        }
        left = [
            image
            for image in found.of(modality)
            if lacks_attenuation_correction(image) and _scan(image) in corrected
        ]
        kept[modality] = tuple(image for image in found.of(modality) if image not in left)
        notes += [
            f"left out, not corrected for attenuation ({lacks_attenuation_correction(image)}),"
            f" as {corrected[_scan(image)]} is: {image.path.name}"
            for image in left
        ]
    return dataclasses.replace(found, images=kept, notes=tuple(notes))


def _scan(image: ImageFile) -> tuple[str | None, ...]:
    """What tells a scan from others, however it was reconstructed."""
    tracer = image.pet.tracer if image.pet is not None else None
    acquisition = None if tells_correction(image) else image.entities.get("acq")
    if tracer is not None and tracer == image.entities.get("acq"):
        tracer = acquisition
    return (image.session, tracer, acquisition, *map(image.entities.get, ("task", "run")))


def _check_images(
    found: FoundImages, config: Config, participants: Participants | None
) -> tuple[FoundImages, list[tuple[Modality, Problem]]]:
    """The sound images with headers read and facts settled, and the fault of each other."""
    faults = list(found.unreadable)
    usable: dict[Modality, tuple[ImageFile, ...]] = {}
    for modality in APP_MODALITIES:
        sound = []
        for image in found.of(modality):
            try:
                sound.append(_check_image(image, modality, config, participants))
            except DataError as error:
                faults.append((modality, Problem(found.subject, "data", str(error))))
        usable[modality] = tuple(sound)
    notes = list(found.notes)
    if config.processing.combine_runs:
        for modality in filter(lambda modality: modality.tracer, APP_MODALITIES):
            usable[modality], told = combined_scans(usable[modality], config, participants)
            notes += told
    return FoundImages(found.subject, usable, notes=tuple(notes)), faults


def _check_image(
    image: ImageFile, modality: Modality, config: Config, participants: Participants | None
) -> ImageFile:
    if too_long(image.path.name):
        raise DataError(
            f"the name of {image.path.name} leaves no room for what names of derivatives add;"
            " shorten it"
        )
    execution = config.execution
    # the jobs of a batch system run where there may be more than here
    memory = execution.mem_gb if execution.plugin_file is None else None
    ndim = (3, 4) if modality.tracer else (3,)
    header = check_header(image.path, ndim, modality.label, memory)
    checked = dataclasses.replace(
        image,
        shape=header.shape,
        voxel_sizes=header.voxel_sizes,
        notes=(*image.notes, *header.notes),
    )
    if modality.tracer:
        facts = pet_facts(checked, config.bids_dir, config.processing, participants)
        if config.processing.corrections:
            spread = point_spread(checked, config.processing.psf)
            facts = dataclasses.replace(facts, point_spread=spread)
        smoothing = decide_smoothing(checked, config.processing, header.ras_sizes)
        notes = facts.notes if smoothing is None else (*facts.notes, *smoothing.notes)
        facts = dataclasses.replace(facts, smoothing=smoothing, notes=notes)
        return dataclasses.replace(checked, pet=facts)
    return with_lesions(checked, config) if modality == T1W else checked


def _nothing_found(subject: str, selection: Selection) -> str:
    kinds = " or ".join(modality.label for modality in selection.moved)
    # Several modalities share options; each is named once.
    used = dict.fromkeys(
        option for modality in selection.moved for option in options_used(modality, selection)
    )
    return f"sub-{subject} has no {kinds} image" + (f" that passes {', '.join(used)}" * bool(used))


def _told_apart(pairings: Sequence[Pairing]) -> list[Pairing]:
    """Give images that only ``acq-`` tells apart another ``rec-``, where BIDS has no ``acq-``."""
    names = [_written_names(pairing) for pairing in pairings]
    return [
        _with_acquisition(pairing)
        if names.count(name) > 1
        and "acq" in pairing.image.entities
        and "acq" not in BIDS[pairing.modality].kept
        else pairing
        for pairing, name in zip(pairings, names, strict=True)
    ]


def _with_acquisition(pairing: Pairing) -> Pairing:
    image = pairing.image
    label = image.entities.get("rec", "") + image.entities["acq"]
    note = f"written with rec-{label}, since names of {pairing.modality.label} have no acq-"
    entities = {**image.entities, "rec": label}
    told = dataclasses.replace(image, entities=entities, notes=(*image.notes, note))
    return dataclasses.replace(pairing, image=told)


def _written_names(pairing: Pairing) -> tuple[object, ...]:
    """What tells the derivatives of one image from those of another."""
    image, modality = pairing.image, pairing.modality
    return modality, image.session, tuple(sorted(kept_entities(image, modality).items()))


def _without_clashes(pairings: Sequence[Pairing]) -> tuple[list[Pairing], list[Problem]]:
    """Drop images whose derivatives would overwrite those of an earlier one."""
    kept: dict[tuple, Pairing] = {}
    clashes = []
    for pairing in pairings:
        image = pairing.image
        first = kept.setdefault(_written_names(pairing), pairing)
        if first is not pairing:
            message = (
                f"{image.path.name} would be written under the same names as "
                f"{first.image.path.name}; choose one with --bids-filter-file"
            )
            clashes.append(Problem(image.subject, "data", message))
    return list(kept.values()), clashes


def _with_contrast(
    pairings: Sequence[Pairing], contrast: Modality
) -> tuple[list[Pairing], list[Problem]]:
    """Drop images for which there is none of the contrast they are to be fused with."""
    kept, problems = [], []
    for pairing in pairings:
        together = [other for other in pairings if other.t1w.path == pairing.t1w.path]
        apart = pairing.modality.fused and contrast != T1W
        if apart and find_contrast(together, contrast) is None:
            message = (
                f"{pairing.image.path.name} has no {contrast.label} to be fused with, paired"
                f" with {pairing.t1w.path.name}; leave out --anat-contrast, or add one"
            )
            problems.append(Problem(pairing.image.subject, "missing", message))
        else:
            kept.append(pairing)
    return kept, problems


def _notes(
    usable: FoundImages, pairings: Sequence[Pairing], moved: Sequence[Modality]
) -> list[str]:
    used = {image.path: image for pair in pairings for image in (pair.t1w, pair.image)}
    found = (image for modality in (T1W, *moved) for image in usable.of(modality))
    # Of a T1w only what concerns the one that is used.
    told = {image.path: image for image in found if image.pet is not None or image.path in used}
    notes = [note for path, image in told.items() for note in _of_image(used.get(path, image))]
    doubts = {(pair.t1w.path.name, doubt) for pair in pairings for doubt in pair.doubts}
    return notes + [f"{name}: {doubt}" for name, doubt in sorted(doubts)]


def _not_used(
    usable: FoundImages,
    pairings: Sequence[Pairing],
    faulty: set[Modality],
    moved: Sequence[Modality],
) -> list[str]:
    notes: list[str] = []
    used = {pairing.t1w.path for pairing in pairings}
    if any(map(usable.of, moved)):
        absent = [modality for modality in moved if not usable.of(modality)]
        notes += [f"no {'usable ' * (m in faulty)}{m.label} image" for m in absent]
    notes += [
        f"{image.path.name} is not used: no image is paired with it"
        for image in usable.of(T1W)
        if image.path not in used
    ]
    return notes


def _of_image(image: ImageFile) -> list[str]:
    told, missing = [*image.notes], ""
    if image.pet is not None:
        missing = _without_sidecar(image.metadata, image.path)
        told += [*image.pet.notes, *image.pet.doubts]
    return [missing] * bool(missing) + [f"{image.path.name}: {note}" for note in told]


def _without_sidecar(metadata: Mapping[str, Any], path: Path) -> str:
    if not metadata:
        return f"{path.name} has no sidecar: units, tracer and frame times are not known from it"
    if set(metadata) == {FRAME_TABLE}:
        return f"{path.name} has no sidecar: units and tracer are not known from it"
    return ""


def describe_plan(plans: Sequence[SubjectPlan]) -> str:
    """The plan in words, for ``--dry-run``: one block for each subject and a line of totals."""
    blocks = ["\n".join(map(one_line, _describe_subject(plan))) for plan in plans]
    images = sum(len(plan.pairings) for plan in plans)
    subjects = sum(bool(plan.pairings) for plan in plans)
    problems = sum(len(plan.problems) for plan in plans)
    totals = (
        f"{images} image{'s' * (images != 1)} of {subjects} of {len(plans)} "
        f"subject{'s' * (len(plans) != 1)} to process, "
        f"{problems} problem{'s' * (problems != 1)}"
    )
    return "\n\n".join([*blocks, totals])


def _describe_subject(plan: SubjectPlan) -> list[str]:
    lines = [f"sub-{plan.label}" + ("" if plan.pairings else ": nothing to process")]
    for pairing in plan.pairings:
        gap = "" if pairing.day_gap is None else f", {days(pairing.day_gap)} apart"
        lines.append(f"  {pairing.modality.label}: {_short(pairing.image, plan.label)}")
        if pairing.image.pet is not None:
            lines.append(f"    {_describe_pet(pairing.image, pairing.image.pet)}")
        lines.append(f"    with {_short(pairing.t1w, plan.label)} ({pairing.reason}{gap})")
    lines += [f"  skipped: {problem.message}" for problem in plan.problems]
    lines += [f"  note: {note}" for note in (*plan.notes, *plan.expected)]
    return lines


def _describe_pet(image: ImageFile, facts: PETFacts) -> str:
    frames = "3-D" if len(image.shape) == 3 else f"{image.n_frames} frames"
    timing, weighting = facts.timing, ""
    if image.n_frames > 1:
        weighted = timing.durations is not None
        weighting = (
            f", weighted by duration ({timing.source})" if weighted else f", {timing.source}"
        )
        if facts.frames.chosen is not None:
            weighting += f", {len(facts.frames.chosen)} taken"
    suv = f"no SUV: {facts.no_suv}" if facts.suv is None else "SUV"
    suvr = f"; no SUVR: {facts.no_suvr}" if facts.no_suvr else ""
    if facts.region is not None and not facts.no_suvr:
        suvr = f"; SUVR by {facts.region.name}"
    blur = ""
    if facts.point_spread is not None:
        widths = " x ".join(f"{width:.3g}" for width in facts.point_spread.fwhm)
        blur = f"; point spread {widths} mm ({facts.point_spread.source})"
    blur += f"; {facts.smoothing}" * (facts.smoothing is not None)
    return f"tracer {facts.tracer or 'unknown'}, {frames}{weighting}; {suv}{suvr}{blur}"


def _short(image: ImageFile, label: str) -> PurePath:
    parts = Path(image.path).parts
    return PurePath(*parts[parts.index(f"sub-{label}") :])
