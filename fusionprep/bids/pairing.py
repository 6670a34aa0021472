"""Which T1w each image of another modality is brought to, and why."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from fusionprep.bids.dates import SubjectDates, day_gap, days, read_dates
from fusionprep.bids.types import FoundImages, ImageFile, Pairing, Problem
from fusionprep.config import Selection
from fusionprep.modalities import MOVED, T1W, Modality

_ACCELERATED = re.compile("accel|sense|grappa|asset|caipi|fast", re.IGNORECASE)
_CHOICE_REASONS = (
    "un-accelerated one",
    "one without contrast agent",
    "one with the smallest voxels",
    "first run",
    "first by name",
)


def pair_images(
    images: FoundImages, bids_dir: Path, selection: Selection
) -> tuple[list[Pairing], list[Problem]]:
    """Pair each image of a subject with a T1w.

    In this order: the session ``selection.anat_session``; the image's own session; the nearest
    session in days, at most ``selection.max_day_gap`` away
    (see :func:`fusionprep.bids.dates.day_gap`); without any date, a T1w outside the sessions or the
    only session that has a T1w. Of several T1w in a session :func:`choose_t1w` takes one.

    Parameters
    ----------
    images
        Images with headers read, whose metadata and T1w headers are sound.

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
    dates = read_dates(bids_dir, images.subject)
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

    Prefers, in this order: not accelerated (``acq-`` without accel, sense, grappa, asset, caipi or
    fast), no contrast agent (no ``ce-``), the smallest voxel volume, the lowest run, the first
    name.

    Returns
    -------
    t1w
    reason
        Why this one, for people; empty when there is no choice.
    """
    if len(candidates) == 1:
        return candidates[0], ""
    best, second = sorted(candidates, key=_rank)[:2]
    differs = [a != b for a, b in zip(_rank(best), _rank(second), strict=True)]
    return best, f"of {len(candidates)} T1w the {_CHOICE_REASONS[differs.index(True)]}"


def _rank(image: ImageFile) -> tuple[bool, bool, float, int, str]:
    return (
        _ACCELERATED.search(image.entities.get("acq", "")) is not None,
        "ce" in image.entities,
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
    reason = f"{reason}; {choice}" if choice else reason
    return Pairing(modality, image, t1w, reason, day_gap(dates, image, t1w))


def _candidates(
    image: ImageFile, t1ws: Sequence[ImageFile], dates: SubjectDates, selection: Selection
) -> tuple[list[ImageFile], str]:
    """T1w of the session to use and why, or an empty list and what is wrong."""
    if selection.anat_session is not None:
        label = selection.anat_session.removeprefix("ses-")
        chosen = _of_session(t1ws, label)
        missing = f"sub-{image.subject} has no T1w in ses-{label}, which --anat-session names"
        return chosen, "session named by --anat-session" if chosen else missing
    if same := _of_session(t1ws, image.session):
        return same, "same session" if image.session else "subject without sessions"
    gaps = [(gap, t1w) for t1w in t1ws if (gap := day_gap(dates, image, t1w)) is not None]
    if gaps:
        return _nearest(image, gaps, t1ws, selection.max_day_gap)
    return _undated(image, t1ws)


def _nearest(
    image: ImageFile,
    gaps: Sequence[tuple[int, ImageFile]],
    t1ws: Sequence[ImageFile],
    max_day_gap: int,
) -> tuple[list[ImageFile], str]:
    gap, t1w = min(gaps, key=lambda item: (item[0], item[1].session or "", str(item[1].path)))
    if gap > max_day_gap:
        return [], (
            f"the T1w nearest to {image.path.name} is {t1w.path.name}, {days(gap)} away "
            f"(--max-day-gap {max_day_gap}); raise it or name the session with --anat-session"
        )
    return _of_session(t1ws, t1w.session), "nearest session"


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
