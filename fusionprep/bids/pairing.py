"""Which T1w each image of another modality is brought to, and why."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from fusionprep.bids.contents import (
    has_contrast_agent,
    head_coverage,
    is_accelerated,
    is_other_sequence,
    is_part,
    shows_no_brain,
    t1w_doubts,
)
from fusionprep.bids.dates import SubjectDates, day_gap, days
from fusionprep.bids.types import FoundImages, ImageFile, Pairing, Problem
from fusionprep.config import Selection
from fusionprep.modalities import MOVED, T1W, Modality

_CHOICE_REASONS = (
    "one of the brain",
    "one that covers most of the head",
    "one of all echoes, inversions and chunks",
    "one without contrast agent",
    "one other than Dixon, VIBE, MRAC or scout",
    "un-accelerated one",
    "one with the smallest voxels by their longest edge",
    "one with the smallest voxels",
    "first run",
    "first by name",
)


def pair_images(
    images: FoundImages, dates: SubjectDates, selection: Selection
) -> tuple[list[Pairing], list[Problem]]:
    """Pair each image of a subject with a T1w.

    In this order: the session ``selection.anat_session``; the image's own session; the nearest
    session in days; without any date, a T1w outside the sessions or the only session that has a
    T1w. A T1w known to be more than ``selection.max_day_gap`` days away
    (see :func:`fusionprep.bids.dates.day_gap`) is taken from the session asked for alone, not even
    from the image's own. Of several T1w in a session :func:`choose_t1w` takes one.

    Parameters
    ----------
    images
        Images with headers read, whose metadata and T1w headers are sound.
    dates
        Of the subject.

    Returns
    -------
    pairings
        By modality in the order of its table, each in the order found.
    problems
        One for each image without a T1w, or one for a subject without any.
    """
    wanted = [
        (modality, image)
        for modality in MOVED
        if modality in selection.moved
        for image in images.of(modality)
    ]
    if not wanted:
        return [], []
    t1ws = images.of(T1W)
    if not t1ws:
        message = (
            f"sub-{images.subject} has no T1w image for {wanted[0][1].path.name}; "
            "add one or widen the filters"
        )
        return [], [Problem(images.subject, "missing", message)]
    results = [_pair(modality, image, t1ws, dates, selection) for modality, image in wanted]
    pairings = [result for result in results if isinstance(result, Pairing)]
    return pairings, [result for result in results if isinstance(result, Problem)]


def find_contrast(pairings: Sequence[Pairing], contrast: Modality) -> Pairing | None:
    """The first image of a contrast among those paired with one T1w.

    None where there is no such image, or the contrast is the T1w itself.
    """
    return next((pairing for pairing in pairings if pairing.modality == contrast), None)


def choose_t1w(candidates: Sequence[ImageFile]) -> tuple[ImageFile, str]:
    """Choose one of several T1w of a session.

    Prefers, in this order: the brain to another part of the body, the field of view that covers
    most of the head, an image combined from its echoes, inversions or chunks to one of these, no
    contrast agent, no Dixon, VIBE, MRAC or scout image, no acceleration (see
    :mod:`fusionprep.bids.contents`), the voxels with the shortest longest edge, then with the
    smallest volume, the lowest run, the first name.

    Returns
    -------
    t1w
    reason
        Why this one rather than each of the others, for people; empty when there is no choice.
    """
    if len(candidates) == 1:
        return candidates[0], ""
    best, *others = sorted(candidates, key=_rank)
    decisive = {_first_difference(best, other) for other in others}
    reasons = ", the ".join(_CHOICE_REASONS[index] for index in sorted(decisive))
    return best, f"of {len(candidates)} T1w the {reasons}"


def _first_difference(one: ImageFile, other: ImageFile) -> int:
    pairs = zip(_rank(one), _rank(other), strict=True)
    return next(index for index, (a, b) in enumerate(pairs) if a != b)


def _rank(image: ImageFile) -> tuple[bool | float | str, ...]:
    """Smaller is better, in the order of the reasons."""
    return (
        bool(shows_no_brain(image)),
        -head_coverage(image),
        is_part(image),
        has_contrast_agent(image),
        is_other_sequence(image),
        is_accelerated(image),
        round(max(image.voxel_sizes, default=0.0), 2),
        round(math.prod(image.voxel_sizes), 3),
        int(image.entities.get("run", 0)),
        str(image.path),
    )


def _pair(
    modality: Modality,
    image: ImageFile,
    t1ws: Sequence[ImageFile],
    dates: SubjectDates,
    selection: Selection,
) -> Pairing | Problem:
    candidates, reason = _candidates(image, t1ws, dates, selection)
    if not candidates:
        return Problem(image.subject, "missing", reason)
    t1w, choice = choose_t1w(candidates)
    gap = day_gap(dates, image, t1w)
    if gap is None and t1w.session != image.session:
        reason = f"{reason}, gap unknown"
    reason = f"{reason}; {choice}" if choice else reason
    return Pairing(modality, image, t1w, reason, gap, t1w_doubts(t1w))


def _candidates(
    image: ImageFile, t1ws: Sequence[ImageFile], dates: SubjectDates, selection: Selection
) -> tuple[list[ImageFile], str]:
    """T1w of the session to use and why, or an empty list and what is wrong."""
    if selection.anat_session is not None:
        label = selection.anat_session.removeprefix("ses-")
        chosen = _of_session(t1ws, label)
        missing = f"sub-{image.subject} has no T1w in ses-{label}, which --anat-session names"
        return chosen, "session named by --anat-session" if chosen else missing
    gaps = {t1w.path: gap for t1w in t1ws if (gap := day_gap(dates, image, t1w)) is not None}
    near = [t1w for t1w in t1ws if gaps.get(t1w.path, 0) <= selection.max_day_gap]
    if same := _of_session(near, image.session):
        return same, "same session" if image.session else "subject without sessions"
    if gaps:
        return _nearest(image, gaps, t1ws, selection.max_day_gap)
    return _undated(image, t1ws)


def _nearest(
    image: ImageFile,
    gaps: Mapping[Path, int],
    t1ws: Sequence[ImageFile],
    max_day_gap: int,
) -> tuple[list[ImageFile], str]:
    dated = [t1w for t1w in t1ws if t1w.path in gaps]
    nearest = min(dated, key=lambda t1w: (gaps[t1w.path], t1w.session or "", str(t1w.path)))
    if gaps[nearest.path] > max_day_gap:
        return [], (
            f"the T1w nearest to {image.path.name} is {nearest.path.name},"
            f" {days(gaps[nearest.path])} away"
            f" (--max-day-gap {max_day_gap}); raise it or name the session with --anat-session"
        )
    near = [t1w for t1w in t1ws if gaps.get(t1w.path, 0) <= max_day_gap]
    return _of_session(near, nearest.session), "nearest session"


def _undated(image: ImageFile, t1ws: Sequence[ImageFile]) -> tuple[list[ImageFile], str]:
    if outside := _of_session(t1ws, None):
        return outside, "T1w outside the sessions"
    sessions = sorted({t1w.session for t1w in t1ws if t1w.session is not None})
    if len(sessions) > 1:
        return [], (
            f"there are no dates to tell which T1w of sub-{image.subject}"
            f" (sessions {', '.join(sessions)}) belongs to {image.path.name};"
            " name the session with --anat-session"
        )
    return list(t1ws), ("only T1w of the subject" if len(t1ws) == 1 else "only session with a T1w")


def _of_session(t1ws: Sequence[ImageFile], session: str | None) -> list[ImageFile]:
    return [t1w for t1w in t1ws if t1w.session == session]
