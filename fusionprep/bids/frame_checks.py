"""Whether times of frames can be those of a PET scan."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from fusionprep.errors import DataError
from fusionprep.plausibility import FRAME, FRAME_START, PET_SCAN, STATIC_FRAME

# Times are rounded to seconds in many sidecars, so that frames seem to overlap by that much.
_ROUNDING_SECONDS, _ROUNDING_SHARE = 1.0, 0.02
_SAME_SECONDS = 0.01
_UNIT_RATIOS = {60.0: "minutes", 1000.0: "thousands of seconds", 3600.0: "hours"}
_HINT = "times are in seconds, and durations are not end times"


@dataclass(frozen=True)
class CheckedTimes:
    """Durations as they are used (s), what was corrected, and what has to be looked at."""

    durations: tuple[float, ...] | None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def check_times(
    starts: Sequence[float] | None, durations: Sequence[float] | None, what: str
) -> CheckedTimes:
    """Check starts and durations of frames against each other and against what scans last.

    Durations that hold end times, each the start of the next frame, are corrected.

    Parameters
    ----------
    starts, durations
        In seconds; None where unknown.
    what
        Where they stand, named in errors.

    Raises
    ------
    DataError
        When starts do not rise, frames overlap, or a frame or the scan is longer than any is.
    """
    for before, after in itertools.pairwise(starts or ()):
        if after <= before:
            raise DataError(
                f"frames do not start one after another ({after:g} s after {before:g} s):"
                f" {what}; correct them"
            )
    for start in starts or ():
        if problem := FRAME_START.problem(start / 3600):
            raise DataError(f"{problem}: {what}; give times in seconds")
    if durations is None:
        return CheckedTimes(None)
    notes: list[str] = []
    if starts is not None:
        ends_from = _start_of_ends(starts, durations)
        if ends_from is not None:
            durations = [ends_from + e - s for s, e in zip(starts, durations, strict=True)]
            notes.append(
                "FrameDuration holds the end of each frame: durations were computed from it"
            )
        elif _could_be_ends(starts, durations):
            notes.append(
                "the durations of both frames could be end times as well, and are taken for"
                " durations"
            )
    _check_lengths(starts, durations, what)
    doubts: list[str] = []
    if starts is not None and len(starts) > 1:
        found, doubts = _check_gaps(starts, durations, what)
        notes += found
    if len(durations) == 1 and (problem := STATIC_FRAME.problem(durations[0])):
        doubts.append(f"{problem}: is it in seconds?")
    return CheckedTimes(tuple(durations), tuple(notes), tuple(doubts))


def derived_durations(starts: Sequence[float]) -> tuple[float, ...]:
    """From each start to the next; the last frame is as long as the one before."""
    steps = [after - before for before, after in itertools.pairwise(starts)]
    return (*steps, steps[-1])


def _start_of_ends(starts: Sequence[float], durations: Sequence[float]) -> float | None:
    """Time from which durations count where they are end times; None where they are durations."""
    steps = [after - before for before, after in itertools.pairwise(starts)]
    if not steps or all(map(_same, steps, durations[:-1])):
        return None
    for origin in dict.fromkeys((0.0, starts[0])):
        ends = [origin + duration for duration in durations]
        if all(map(_same, ends[:-1], starts[1:])) and ends[-1] > starts[-1]:
            return origin
    return None


def _could_be_ends(starts: Sequence[float], durations: Sequence[float]) -> bool:
    """Whether two frames from 0 would be equally long by end times, and are not by durations."""
    return (
        len(starts) == 2
        and _same(starts[0], 0)
        and _same(durations[0], starts[1])
        and _same(durations[1], 2 * durations[0])
    )


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=0, abs_tol=_SAME_SECONDS)


def _check_lengths(starts: Sequence[float] | None, durations: Sequence[float], what: str) -> None:
    if min(durations) <= 0:
        listed = ", ".join(f"{duration:g}" for duration in durations)
        raise DataError(f"frame durations must be positive, not {listed} s: {what}; correct them")
    begin = starts[0] if starts is not None else 0.0
    end = starts[-1] + durations[-1] if starts is not None else sum(durations)
    problems = [FRAME.problem(seconds / 60) for seconds in (max(durations), min(durations))]
    problems.append(PET_SCAN.problem((end - begin) / 3600))
    if problem := next(filter(None, problems), ""):
        raise DataError(f"{problem}: {what}; give times in seconds")


def _check_gaps(
    starts: Sequence[float], durations: Sequence[float], what: str
) -> tuple[list[str], list[str]]:
    """Notes and doubts about what lies between frames."""
    steps = [after - before for before, after in itertools.pairwise(starts)]
    ratios = [step / duration for step, duration in zip(steps, durations, strict=False)]
    for ratio, unit in _UNIT_RATIOS.items():
        if len(ratios) > 1 and all(abs(found / ratio - 1) < 0.01 for found in ratios):
            raise DataError(
                f"frames start every {ratio:g} times their duration, which is in {unit}: {what};"
                " give both in seconds"
            )
    gaps = [step - duration for step, duration in zip(steps, durations, strict=False)]
    for index, (gap, duration) in enumerate(zip(gaps, durations, strict=False)):
        rounding = max(_ROUNDING_SECONDS, _ROUNDING_SHARE * duration)
        if -gap > min(rounding, steps[index] / 2):
            end = starts[index] + duration
            raise DataError(
                f"frame {index + 1} ends at {end:g} s, after the next has started at"
                f" {starts[index + 1]:g} s: {what}; correct them ({_HINT})"
            )
    notes, doubts = [], []
    if (overlap := -min(gaps)) > _SAME_SECONDS:
        notes.append(f"frames overlap by up to {overlap:.3g} s, as rounded times do")
    small, large = (
        [gap for gap, duration in zip(gaps, durations, strict=False) if wide(gap, duration)]
        for wide in (
            lambda gap, duration: _SAME_SECONDS < gap <= duration / 2,
            lambda gap, duration: gap > duration / 2,
        )
    )
    if small:
        notes.append(f"there are gaps of up to {max(small):.3g} s between frames")
    if large:
        doubts.append(
            f"there are gaps of up to {max(large):.4g} s between frames, more than half a frame:"
            " an interrupted scan, or wrong durations"
        )
    return notes, doubts
