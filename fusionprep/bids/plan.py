"""The plan of a run: for every subject what is processed, with what, and why something is not."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from fusionprep.bids.dates import days
from fusionprep.bids.filters import options_used
from fusionprep.bids.headers import check_header
from fusionprep.bids.images import find_images
from fusionprep.bids.layout import find_subjects, unknown_subjects
from fusionprep.bids.names import kept_entities
from fusionprep.bids.pairing import find_contrast, pair_images
from fusionprep.bids.pet_facts import pet_facts
from fusionprep.bids.sidecars import FRAME_TABLE
from fusionprep.bids.types import (
    FoundImages,
    ImageFile,
    Pairing,
    PETFacts,
    Problem,
    SubjectPlan,
)
from fusionprep.config import Config, Selection
from fusionprep.errors import DataError
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
    plans = [
        plan_subject(found.get(label, FoundImages(label)), config)
        for label in find_subjects(layout, selection)
    ]
    for label in unknown_subjects(layout, selection):
        problem = Problem(label, "missing", f"the dataset has no folder sub-{label}")
        plans.append(SubjectPlan(label, problems=(problem,)))
    return plans


def plan_subject(found: FoundImages, config: Config) -> SubjectPlan:
    """Check the headers of a subject's images, settle the facts of its PET, and pair them.

    An image that cannot be used becomes a problem and does not exclude the others.
    """
    subject = found.subject
    if not re.fullmatch("[A-Za-z0-9+]+", subject):
        message = f"sub-{subject} is not a BIDS label (letters and digits only); rename the folder"
        return SubjectPlan(subject, problems=(Problem(subject, "data", message),))
    usable, faults = _check_images(found, config)
    problems = [problem for _, problem in faults]
    faulty = {modality for modality, _ in faults}
    moved = config.selection.moved
    if not faulty & set(moved) and not any(map(found.of, moved)):
        problems.append(Problem(subject, "missing", _nothing_found(subject, config.selection)))
    pairings: list[Pairing] = []
    unpaired: list[Problem] = []
    # Where every T1w is faulty, the faults have been named; that there is no other adds nothing.
    if usable.of(T1W) or T1W not in faulty:
        pairings, unpaired = pair_images(usable, config.bids_dir, config.selection)
    pairings, clashes = _without_clashes(pairings)
    pairings, without_contrast = _with_contrast(pairings, config.fusion.contrast)
    return SubjectPlan(
        subject,
        pairings=tuple(pairings),
        problems=(*problems, *unpaired, *clashes, *without_contrast),
        notes=(*found.notes, *_notes(usable, pairings, faulty, moved)),
    )


def _check_images(
    found: FoundImages, config: Config
) -> tuple[FoundImages, list[tuple[Modality, Problem]]]:
    """The sound images with headers read and facts settled, and the fault of each other."""
    faults = list(found.unreadable)
    usable: dict[Modality, tuple[ImageFile, ...]] = {}
    for modality in APP_MODALITIES:
        sound = []
        for image in found.of(modality):
            try:
                sound.append(_check_image(image, modality, config))
            except DataError as error:
                faults.append((modality, Problem(found.subject, "data", str(error))))
        usable[modality] = tuple(sound)
    return FoundImages(found.subject, usable), faults


def _check_image(image: ImageFile, modality: Modality, config: Config) -> ImageFile:
    header = check_header(image.path, (3, 4) if modality.tracer else (3,), modality.label)
    checked = dataclasses.replace(image, shape=header.shape, voxel_sizes=header.voxel_sizes)
    if modality.tracer:
        region = config.processing.region
        return dataclasses.replace(checked, pet=pet_facts(checked, config.bids_dir, region))
    return checked


def _nothing_found(subject: str, selection: Selection) -> str:
    kinds = " or ".join(modality.label for modality in selection.moved)
    # Several modalities share options; each is named once.
    used = dict.fromkeys(
        option for modality in selection.moved for option in options_used(modality, selection)
    )
    return f"sub-{subject} has no {kinds} image" + (f" that passes {', '.join(used)}" * bool(used))


def _without_clashes(pairings: Sequence[Pairing]) -> tuple[list[Pairing], list[Problem]]:
    """Drop images whose derivatives would overwrite those of an earlier one."""
    kept: dict[tuple, Pairing] = {}
    clashes = []
    for pairing in pairings:
        image, modality = pairing.image, pairing.modality
        entities = kept_entities(image, modality)
        key = (modality, image.session, tuple(sorted(entities.items())))
        first = kept.setdefault(key, pairing)
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
    usable: FoundImages,
    pairings: Sequence[Pairing],
    faulty: set[Modality],
    moved: Sequence[Modality],
) -> list[str]:
    notes = [
        note
        for modality in moved
        if modality.tracer
        for image in usable.of(modality)
        for note in _of_pet(image)
    ]
    if any(map(usable.of, moved)):
        absent = [modality for modality in moved if not usable.of(modality)]
        notes += [f"no {'usable ' * (m in faulty)}{m.label} image" for m in absent]
    used = {pairing.t1w.path for pairing in pairings}
    notes += [
        f"{image.path.name} is not used: no image is paired with it"
        for image in usable.of(T1W)
        if image.path not in used
    ]
    return notes


def _of_pet(image: ImageFile) -> list[str]:
    missing = _without_sidecar(image.metadata, image.path)
    told = (*image.pet.notes, *image.pet.doubts) if image.pet is not None else ()
    return [missing] * bool(missing) + [f"{image.path.name}: {note}" for note in told]


def _without_sidecar(metadata: Mapping[str, Any], path: Path) -> str:
    if not metadata:
        return f"{path.name} has no sidecar: units, tracer and frame times are not known from it"
    if set(metadata) == {FRAME_TABLE}:
        return f"{path.name} has no sidecar: units and tracer are not known from it"
    return ""


def describe_plan(plans: Sequence[SubjectPlan]) -> str:
    """The plan in words, for ``--dry-run``: one block for each subject and a line of totals."""
    blocks = ["\n".join(_describe_subject(plan)) for plan in plans]
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
    lines += [f"  note: {note}" for note in plan.notes]
    return lines


def _describe_pet(image: ImageFile, facts: PETFacts) -> str:
    frames = "3-D" if len(image.shape) == 3 else f"{image.n_frames} frames"
    timing, weighting = facts.timing, ""
    if image.n_frames > 1:
        weighted = timing.durations is not None
        weighting = (
            f", weighted by duration ({timing.source})" if weighted else f", {timing.source}"
        )
    suv = f"no SUV: {facts.no_suv}" if facts.suv is None else "SUV"
    suvr = f"; no SUVR: {facts.no_suvr}" if facts.no_suvr else ""
    return f"tracer {facts.tracer or 'unknown'}, {frames}{weighting}; {suv}{suvr}"


def _short(image: ImageFile, label: str) -> PurePath:
    parts = Path(image.path).parts
    return PurePath(*parts[parts.index(f"sub-{label}") :])
