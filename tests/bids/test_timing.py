"""Frame times that cannot be, and those of means over frames."""

from pathlib import Path

import pytest

from fusionprep.bids.pet_facts import pet_facts
from fusionprep.bids.timing import frame_timing
from fusionprep.bids.types import ImageFile
from fusionprep.errors import DataError
from tests.bids.skeleton import PET_SIDECAR, only_plan, pet, t1w, write_dataset, write_image
from tests.bids.test_metadata import table


def timing(starts, durations, n_frames=None):
    metadata = {"FrameTimesStart": starts, "FrameDuration": durations}
    metadata = {name: value for name, value in metadata.items() if value is not None}
    return frame_timing(metadata, n_frames or len(starts or durations), Path("/data/x_pet.nii.gz"))


@pytest.mark.parametrize(
    ("starts", "ends", "durations"),
    [
        ([0, 60, 300, 1200], [60, 300, 1200, 3000], (60, 240, 900, 1800)),
        ([3000, 3300, 3600], [3300, 3600, 3900], (300, 300, 300)),
        ([10, 70], [70, 190], (60, 120)),
        # from the first start, not from 0
        ([3000, 3300, 3600], [300, 600, 1200], (300, 300, 600)),
        ([0, 10.5, 21], [10.5, 21, 41], (10.5, 10.5, 20)),
    ],
)
def test_end_times_are_no_durations(starts, ends, durations):
    found = timing(starts, ends)
    assert found.durations == durations
    assert found.notes == (
        "FrameDuration holds the end of each frame: durations were computed from it",
    )
    assert found.doubts == ()


def test_end_times_of_a_table_and_of_the_older_field_are_found_as_well():
    lines = ("start duration", "0 60", "60 300", "300 1200", "1200 3000")
    assert frame_timing(table(*lines), 4).durations == (60, 240, 900, 1800)
    values = [[0, 1], [1, 5], [5, 20], [20, 50]]
    older = {"Labels": ["start", "duration"], "Units": ["min", "min"], "Values": values}
    assert frame_timing({"Time": {"FrameTimes": older}}, 4).durations == (60, 240, 900, 1800)


@pytest.mark.parametrize(
    ("starts", "durations"),
    [
        ([0, 60, 300], [60, 240, 900]),
        ([0, 300], [300, 300]),
        ([0, 300], [300, 900]),
        ([-60, 0, 60], [60, 60, 60]),
        ([1800], [1800]),
        ([0, 60, 120], [59.9, 60, 60]),
    ],
)
def test_durations_that_can_be_stay_as_they_are(starts, durations):
    found = timing(starts, durations)
    assert found.durations == tuple(durations)
    assert not any("end of each frame" in note for note in found.notes)
    assert found.doubts == ()


def test_what_can_be_read_both_ways_is_said():
    (note,) = timing([0, 300], [300, 600]).notes
    assert "could be end times" in note


def test_gaps_are_said_and_larger_ones_doubted():
    found = timing([0, 70, 140], [60, 60, 60])
    assert found.notes == ("there are gaps of up to 10 s between frames",)
    assert found.doubts == ()
    found = timing([0, 5400], [600, 1200])
    assert "gaps of up to 4800 s" in found.doubts[0]
    found = timing([0, 59, 119], [60, 60, 60])
    assert found.notes == ("frames overlap by up to 1 s, as rounded times do",)


@pytest.mark.parametrize(
    ("starts", "durations", "message"),
    [
        ([0, 50, 120], [60, 60, 60], "frame 1 ends at 60 s, after the next has started at 50 s"),
        ([0, 60, 60], [60, 60, 60], "do not start one after another"),
        ([120, 60, 0], [60, 60, 60], "do not start one after another"),
        ([0, 0], [600, 600], "do not start one after another"),
        ([0, 60, 30], None, "do not start one after another"),
        # ends, but with pauses
        ([0, 300, 600], [290, 590, 890], "not end times"),
        ([2400000], [1200000], "give times in seconds"),
        ([2400000], [1200], "give times in seconds"),
        ([0], [60000], "a PET frame of 1000 min is outside"),
        ([0, 600000], [600, 600], "give times in seconds"),
        ([0, 300000, 600000], [300000, 300000, 300000], "give times in seconds"),
        ([0, 600], [600000, 600000], "give times in seconds"),
        ([0, 600], [600000, 0], "must be positive"),
        ([0, 600], [600, 0], "must be positive"),
        ([0, 600, 1200], [600, 0, 600], "must be positive"),
        ([0, 300, 600], [5, 5, 5], "which is in minutes"),
        ([0, 5, 10], [300, 300, 300], "ends at 300 s, after the next"),
        ([0, 600, 1200], [0.6, 0.6, 0.6], "which is in thousands of seconds"),
        (list(range(0, 36000, 3600)), [3600] * 10, "a PET scan of 10 h is outside 0 to 8 h"),
        ([0, 60], [True, True], "not a list of numbers"),
        ([0, 1e-5], [1e-5, 1e-5], "is outside"),
    ],
)
def test_times_that_cannot_be_are_refused(starts, durations, message):
    with pytest.raises(DataError, match=message) as error:
        timing(starts, durations)
    assert "/data/x_pet.nii.gz" in str(error.value)


def test_a_table_is_checked_like_a_sidecar():
    with pytest.raises(DataError, match="give times in seconds"):
        frame_timing(table("start duration", "0 600000", "600000 600000"), 2)


def test_the_image_with_wrong_times_fails_and_leaves_the_others(tmp_path):
    root = write_dataset(tmp_path, t1w(), pet(rest="_trc-A"))
    wrong = {"FrameTimesStart": [0, 600], "FrameDuration": [600000, 0]}
    image = write_image(root / pet(rest="_trc-B"), (4, 4, 4, 2), sidecar=wrong)
    plan = only_plan(root)
    assert [pairing.image.entities["trc"] for pairing in plan.pairings] == ["A"]
    (problem,) = plan.problems
    assert "must be positive, not 600000, 0 s" in problem.message
    assert str(image) in problem.message


@pytest.mark.parametrize("seconds", [1, 4.9, 0.5])
def test_a_static_frame_of_seconds_is_doubted(seconds):
    (doubt,) = timing([1800], [seconds]).doubts
    assert f"the only frame of {seconds:g} s is outside 5" in doubt


@pytest.mark.parametrize("duration", [[0], 0, "n/a", ["n/a"], [None], "", []])
def test_an_unknown_duration_of_a_static_image_is_unknown(duration):
    found = timing([1800], duration, 1)
    assert (found.starts, found.durations) == ((1800,), None)


def test_times_said_to_be_unknown_are_unknown():
    found = frame_timing({"FrameTimesStart": "n/a", "FrameDuration": "n/a"}, 3)
    assert (found.starts, found.durations) == (None, None)
    assert "equal weights" in found.source


def test_one_duration_for_all_frames():
    found = frame_timing({"FrameTimesStart": [0, 300, 600], "FrameDuration": 300}, 3)
    assert found.durations == (300, 300, 300)
    assert "every frame" in found.notes[0]
    with pytest.raises(DataError, match="3 frames but FrameDuration lists 1"):
        frame_timing({"FrameTimesStart": [0, 60, 300], "FrameDuration": 60}, 3)


def test_a_static_image_beside_the_sidecar_of_its_frames_is_their_mean():
    found = timing([3000, 3300, 3900], [300, 600, 900], 1)
    assert (found.starts, found.durations, found.averaged) == ((3000,), (1800,), 3)
    assert "its times are of 3" in found.notes[0]
    found = frame_timing({"FrameTimesStart": [3000, 3300]}, 1)
    assert (found.starts, found.durations) == ((3000,), (600,))
    values = [[3000, 300], [3300, 600]]
    older = {"Labels": ["start", "duration"], "Values": values}
    found = frame_timing({"Time": {"FrameTimes": older}}, 1)
    assert (found.starts, found.durations) == ((3000,), (900,))


def facts_of(metadata, *frames, **entities):
    path = Path("/nowhere/sub-01_pet.nii.gz")
    entities = {"sub": "01", **entities}
    image = ImageFile(path, entities, "pet", metadata, (4, 4, 4, *frames), (2.0, 2.0, 2.0))
    return pet_facts(image, path.parent)


def test_a_mean_of_frames_that_were_not_corrected_for_decay_has_neither_suv_nor_suvr():
    times = {"ScanStart": 0, "FrameTimesStart": [0, 600], "FrameDuration": [600, 600]}
    metadata = {**PET_SIDECAR, **times, "BodyWeight": 70}
    assert facts_of(metadata).suv is not None
    facts = facts_of({**metadata, "ImageDecayCorrected": False})
    assert facts.suv is None
    assert facts.no_suv == facts.no_suvr == "frames were averaged before their decay was corrected"


@pytest.mark.parametrize("times", [([0, 5, 10], [5, 5, 10]), ([0, 30, 60], [30, 30, 30])])
def test_minutes_for_seconds_are_doubted_but_for_water(times):
    metadata = {"FrameTimesStart": times[0], "FrameDuration": times[1]}
    (doubt,) = facts_of({**metadata, "TracerRadionuclide": "C11"}, 3).doubts
    assert "are its times in seconds?" in doubt
    assert facts_of({**metadata, "TracerRadionuclide": "O15"}, 3).doubts == ()


def test_five_dimensions_of_which_one_is_one_are_frames(tmp_path):
    root = write_dataset(tmp_path, t1w())
    sidecar = {"FrameTimesStart": [0, 60, 120], "FrameDuration": [60, 60, 60]}
    write_image(root / pet(), (4, 4, 4, 1, 3), sidecar=sidecar)
    plan = only_plan(root)
    assert not plan.problems
    assert plan.pairings[0].image.shape == (4, 4, 4, 3)
    assert plan.pairings[0].image.n_frames == 3
    write_image(root / pet(), (4, 4, 4, 2, 3), sidecar=sidecar)
    (problem,) = only_plan(root).problems
    assert "is 5-D (6 volumes)" in problem.message
