"""Which frames of a dynamic PET are averaged: those of a window after the injection."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from fusionprep.bids.types import FrameChoice, FrameTiming
from fusionprep.frame_windows import ALL_FRAMES, AUTO_FRAMES, Minutes, parse_frames
from fusionprep.tracers import Tracer

LEAST_COVERAGE = 0.5
"""Share of a window that frames have to cover to stand for it."""

_ROUNDING = 1e-6


class Injection(NamedTuple):
    """When the tracer was injected: seconds after time zero, or None and why it is not known."""

    seconds: float | None
    problem: str = ""


class _Wanted(NamedTuple):
    """A window, what it is called, and whether the user has asked for it in minutes."""

    minutes: Minutes
    name: str
    asked: bool


def choose_frames(
    option: str,
    timing: FrameTiming,
    tracer: Tracer | None,
    injection: Injection,
    n_frames: int,
) -> FrameChoice:
    """Choose the frames of a static image by the middle of each.

    A window of the tracer is used where frames cover at least half of it. Where they do not, all
    frames are taken, and doubted where they begin before it: early frames show the blood flow. A
    window that the user has given is used where it has any frame. Where the window or the time of
    the injection is not known, all frames are taken and that is said.

    Parameters
    ----------
    option
        As :func:`fusionprep.frame_windows.parse_frames` reads it.
    timing
        Of all frames.
    tracer
        None where it is unknown.
    injection
        Known only where it can be that of these frames.
    n_frames
        Frames of the image.
    """
    wanted = _wanted(option, tracer)
    spans = _spans(timing, injection.seconds)
    if n_frames == 1:
        minutes = _extent(spans)
        window = wanted.minutes if wanted is not None else None
        return FrameChoice(window=window, minutes=minutes, doubt=_ends_before(wanted, minutes))
    if wanted is None:
        return _all_frames(n_frames, spans, _no_window(option, tracer), option == ALL_FRAMES)
    if not spans:
        reason = injection.problem or "the times of the frames are not given"
        said = f"all {n_frames} frames are averaged, not those of {wanted.name}: {reason}"
        found = FrameChoice(n_frames, reason, window=wanted.minutes)
        return replace(found, doubt=said) if wanted.asked else replace(found, note=said)
    return _in_window(wanted, spans, n_frames)


def _wanted(option: str, tracer: Tracer | None) -> _Wanted | None:
    minutes = parse_frames(option)
    if minutes is not None:
        return _Wanted(minutes, "{:g} to {:g} min (--frames)".format(*minutes), True)
    if option != AUTO_FRAMES or tracer is None or tracer.window is None:
        return None
    name = "the usual window of {}, {:g} to {:g} min ({})"
    told = name.format(tracer.name, *tracer.window, tracer.window_source)
    return _Wanted(tracer.window, told, False)


def _all_frames(n_frames: int, spans: Sequence[Minutes], reason: str, asked: bool) -> FrameChoice:
    note = "" if asked else f"all {n_frames} frames are averaged: {reason}"
    return FrameChoice(n_frames, reason, minutes=_extent(spans), note=note)


def _no_window(option: str, tracer: Tracer | None) -> str:
    if option == ALL_FRAMES:
        return f"--frames {ALL_FRAMES}"
    if tracer is None:
        return "the tracer is not known"
    return f"no usual window of {tracer.name} is known"


def _spans(timing: FrameTiming, injection: float | None) -> list[Minutes]:
    """Begin and end of each frame in minutes after injection; empty where they are not known."""
    if injection is None or timing.starts is None or timing.durations is None:
        return []
    return [
        ((start - injection) / 60, (start + length - injection) / 60)
        for start, length in zip(timing.starts, timing.durations, strict=True)
    ]


def _extent(spans: Sequence[Minutes]) -> Minutes | None:
    return (spans[0][0], max(end for _, end in spans)) if spans else None


def _coverage(spans: Sequence[Minutes], window: Minutes) -> float:
    """Share of a window in which frames were measured."""
    low, high = window
    seen = sum(max(0.0, min(end, high) - max(begin, low)) for begin, end in spans)
    return seen / (high - low)


def _in_window(wanted: _Wanted, spans: Sequence[Minutes], n_frames: int) -> FrameChoice:
    low, high = wanted.minutes
    inside = tuple(
        index
        for index, (begin, end) in enumerate(spans)
        if low - _ROUNDING <= (begin + end) / 2 <= high + _ROUNDING
    )
    enough = _coverage(spans, wanted.minutes) >= LEAST_COVERAGE - _ROUNDING
    short = f"the scan, {_told(_extent(spans))}, covers less than half of {wanted.name}"
    if not inside or not (enough or wanted.asked):
        missed = f"no frame has its middle in {wanted.name}" if enough else short
        found = FrameChoice(n_frames, missed, window=wanted.minutes, minutes=_extent(spans))
        said = f"all {n_frames} frames are averaged: {missed}"
        early = spans[0][0] < low
        return replace(found, doubt=said) if early or wanted.asked else replace(found, note=said)
    reason = f"the middle of each is in {wanted.name}"
    minutes = _extent([spans[index] for index in inside])
    doubt = "" if enough else short
    if len(inside) == n_frames:
        return FrameChoice(n_frames, reason, None, wanted.minutes, minutes, doubt=doubt)
    note = f"of {n_frames} frames, {_numbered(inside)} taken, {_told(minutes)}: {reason}"
    return FrameChoice(n_frames, reason, inside, wanted.minutes, minutes, note, doubt)


def _ends_before(wanted: _Wanted | None, minutes: Minutes | None) -> str:
    """What is wrong with a single frame that ends before the window; empty where it does not."""
    if wanted is None or minutes is None or minutes[1] > wanted.minutes[0] + _ROUNDING:
        return ""
    return f"the scan, {_told(minutes)}, ends before {wanted.name}"


def _told(minutes: Minutes | None) -> str:
    if minutes is None:
        return ""
    begin, end = (round(minute, 1) for minute in minutes)
    return f"{begin:g} to {end:g} min after injection"


def _numbered(inside: Sequence[int]) -> str:
    first, last = inside[0] + 1, inside[-1] + 1
    if len(inside) == 1:
        return f"number {first} is"
    if len(inside) == last - first + 1:
        return f"numbers {first} to {last} are"
    return f"numbers {', '.join(str(index + 1) for index in inside)} are"
