"""Which frames are averaged: windows, coverage, and what is not guessed."""

import itertools

import pytest

from fusionprep.bids.frame_choice import Injection, choose_frames
from fusionprep.bids.types import FrameTiming
from fusionprep.tracers import find_tracer
from tests.bids.skeleton import PET_SIDECAR
from tests.bids.test_timing import facts_of

PIB = find_tracer("PIB")
AT_ZERO = Injection(0.0)


def timed(*minutes: float) -> FrameTiming:
    """Frames that follow each other, from their boundaries."""
    seconds = [60.0 * minute for minute in minutes]
    lengths = [end - start for start, end in itertools.pairwise(seconds)]
    return FrameTiming(tuple(seconds[:-1]), tuple(lengths), "test")


def choose(option, timing, tracer=PIB, injection=AT_ZERO):
    return choose_frames(option, timing, tracer, injection, len(timing.starts))


@pytest.mark.parametrize(
    ("option", "boundaries", "numbers", "minutes"),
    [
        ("auto", (0, 10, 30, 50, 55, 60, 65, 70, 90), [4, 5, 6, 7], (50, 70)),
        # a frame counts by its middle, 50 and 70 included
        ("auto", (0, 45, 55, 65, 75, 90), [2, 3, 4], (45, 75)),
        ("auto", (0, 44, 54, 64, 74, 90), [3, 4], (54, 74)),
        ("auto", (50, 55, 60, 65, 70), [1, 2, 3, 4], (50, 70)),
        # exactly half
        ("auto", (0, 40, 50, 55, 60), [3, 4], (50, 60)),
        ("auto", (60, 65, 70, 80, 90), [1, 2], (60, 70)),
        # one frame that covers it
        ("auto", (0, 45, 90), [2], (45, 90)),
        ("all", (0, 10, 30, 50, 70), [1, 2, 3, 4], (0, 70)),
        ("0-30", (0, 10, 30, 50, 70), [1, 2], (0, 30)),
        ("0.5-10.5", (0, 1, 10, 30, 50), [1, 2], (0, 10)),
    ],
)
def test_frames_of_a_window(option, boundaries, numbers, minutes):
    found = choose(option, timed(*boundaries))
    assert found.numbers == numbers
    assert found.minutes == minutes
    assert found.doubt == ""
    assert (found.chosen is None) == (len(numbers) == len(boundaries) - 1)
    assert bool(found.note) == (found.chosen is not None)


def test_minutes_count_from_the_injection():
    # time zero is the start of the scan, and the injection 2 min later, or 45 min before
    assert choose("auto", timed(0, 30, 52, 72, 90), injection=Injection(120.0)).numbers == [3]
    late = choose("auto", timed(0, 5, 10, 15, 20), injection=Injection(-2700.0))
    assert (late.numbers, late.minutes) == ([2, 3, 4], (50, 65))


@pytest.mark.parametrize(
    ("boundaries", "doubted"),
    [
        ((0, 10, 20, 30), True),  # ends before the window
        ((0, 20, 40, 59), True),  # less than half of it
        ((0, 60, 120), True),  # no middle in it
        ((62, 66, 70, 80), False),  # begins in it: no early frame is averaged
        ((75, 85, 95), False),
    ],
)
def test_a_scan_that_misses_the_window_is_averaged_whole(boundaries, doubted):
    found = choose("auto", timed(*boundaries))
    assert found.chosen is None
    assert found.minutes == (boundaries[0], boundaries[-1])
    assert bool(found.doubt) == doubted
    assert bool(found.note) != doubted
    told = found.doubt or found.note
    assert told.startswith(f"all {len(boundaries) - 1} frames are averaged: ")
    assert "window of [11C]PiB, 50 to 70 min (Klunk" in told


def test_a_window_of_the_user_is_kept_however_little_of_it_is_there():
    found = choose("50-90", timed(0, 20, 50, 55, 60))
    assert found.numbers == [3, 4]
    assert "0 to 60 min after injection, covers less than half of 50 to 90 min" in found.doubt
    none = choose("90-110", timed(0, 30, 60))
    assert none.chosen is None
    assert "covers less than half of 90 to 110 min (--frames)" in none.doubt


@pytest.mark.parametrize(
    ("option", "tracer", "injection", "told", "doubted"),
    [
        ("auto", PIB, Injection(None, "InjectionStart is not given"), "InjectionStart", False),
        ("auto", None, AT_ZERO, "the tracer is not known", False),
        ("auto", find_tracer("UCBJ"), AT_ZERO, "no usual window of UCB-J is known", False),
        # what was asked for cannot be done
        ("50-70", None, Injection(None, "InjectionStart is not given"), "InjectionStart", True),
    ],
)
def test_what_is_not_known_is_said_and_not_guessed(option, tracer, injection, told, doubted):
    timing = timed(0, 30, 50, 70, 90)
    found = choose(option, timing, tracer, injection)
    assert found.chosen is None
    assert told in found.reason
    assert told in (found.doubt if doubted else found.note)
    assert (found.doubt == "") != doubted
    assert "minutes" not in str(found.to_dict()) or injection.seconds == 0
    untimed = FrameTiming(None, timing.durations, "test")
    missing = choose_frames("auto", untimed, PIB, AT_ZERO, 4)
    assert "the times of the frames are not given" in missing.note


def test_a_window_without_a_tracer_is_used():
    assert choose("50-70", timed(0, 50, 60, 70, 90), None).numbers == [2, 3]


@pytest.mark.parametrize(("start", "doubted"), [(10, True), (30, True), (35, False), (90, False)])
def test_a_single_frame_stays_and_is_doubted_where_it_ends_before_the_window(start, doubted):
    found = choose("auto", timed(start, start + 20))
    assert found.numbers == [1]
    assert found.minutes == (start, start + 20)
    assert ("ends before the usual window of [11C]PiB" in found.doubt) == doubted
    assert choose("all", timed(start, start + 20)).doubt == ""


@pytest.mark.parametrize("injection", ["12:00:00", 99999, "soon", None])
def test_an_injection_that_cannot_be_that_of_the_frames_places_none(injection):
    times = {"ScanStart": 0, "FrameTimesStart": [0, 3000], "FrameDuration": [3000, 1800]}
    metadata = {**PET_SIDECAR, **times, "TracerName": "PIB", "TracerRadionuclide": "C11"}
    assert facts_of(metadata, 2).frames.numbers == [2]
    facts = facts_of({**metadata, "InjectionStart": injection}, 2)
    assert facts.frames.numbers == [1, 2]
    assert any("InjectionStart" in note and "all 2 frames" in note for note in facts.notes)


def test_what_the_sidecar_says():
    found = choose("auto", timed(0, 10, 30, 50, 60, 70, 90))
    assert found.to_dict() == {
        "Frames": [4, 5],
        "FramesOfScan": 6,
        "WindowMinutes": [50, 70],
        "MinutesAfterInjection": [50, 70],
        "Reason": "the middle of each is in the usual window of [11C]PiB, 50 to 70 min (Klunk et"
        " al., Alzheimers Dement 2015;11:1-15)",
    }
    assert found.note.startswith(
        "of 6 frames, numbers 4 to 5 are taken, 50 to 70 min after injection: the middle of each"
    )
