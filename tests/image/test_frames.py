import numpy as np
import pytest

from fusionprep.image.frames import FrameMean
from fusionprep.image.frames import average_frames as average


def average_frames(frames: np.ndarray, durations=None, factors=None) -> np.ndarray:
    return averaged(frames, durations, factors).image


def averaged(frames: np.ndarray, durations=None, factors=None) -> FrameMean:
    return average(np.moveaxis(frames, -1, 0), durations, factors)


def constant_frames(*values: float) -> np.ndarray:
    return np.stack([np.full((2, 3, 4), value, np.float32) for value in values], axis=-1)


def test_frames_count_by_their_duration():
    # (1*10 + 2*20 + 7*30) / 60
    mean = average_frames(constant_frames(1, 2, 7), [10, 20, 30])
    assert mean.shape == (2, 3, 4)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, 260 / 60, rtol=1e-6)


def test_without_durations_frames_count_equally():
    np.testing.assert_allclose(average_frames(constant_frames(1, 2, 6)), 3)


def test_nan_leaves_the_other_frames_of_that_voxel():
    frames = constant_frames(1, 2, 7)
    frames[0, 0, 0, 2] = np.nan
    frames[0, 0, 1, :2] = np.inf, -np.inf
    frames[0, 0, 2] = np.nan
    mean = average_frames(frames, [10, 20, 30])
    np.testing.assert_allclose(mean[0, 0, :4], [50 / 30, 7, 0, 260 / 60], rtol=1e-6)


def test_a_frame_without_duration_does_not_count():
    np.testing.assert_allclose(average_frames(constant_frames(5, 1), [0, 60]), 1)


def test_one_frame_is_itself_whatever_its_duration():
    rng = np.random.default_rng(0)
    frame = rng.standard_normal((3, 3, 3, 1)).astype(np.float32)
    np.testing.assert_allclose(average_frames(frame, [1200]), frame[..., 0], rtol=1e-6)


def test_a_short_bright_frame_keeps_double_precision():
    mean = average_frames(constant_frames(1e7, 1), [1, 1e4])
    np.testing.assert_allclose(mean, (1e7 + 1e4) / 10001, rtol=1e-6)


@pytest.mark.parametrize("durations", [[1, 2], [0, 0, 0], [1, -1, 1], [1, np.nan, 1]])
def test_impossible_durations_are_refused(durations):
    with pytest.raises(ValueError, match="durations"):
        average_frames(constant_frames(1, 2, 3), durations)


@pytest.mark.parametrize("nothing", [0, np.nan, np.inf, "mixed"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_frames_without_signal_are_left_out(nothing, place):
    frames = constant_frames(1, 1, 1)
    frames[..., place] = 0 if nothing == "mixed" else nothing
    if nothing == "mixed":
        frames[0, :, :, place] = np.nan
    frames[..., [1, 2, 0][place]] = 4
    found = averaged(frames, [60, 60, 60])
    np.testing.assert_allclose(found.image, 2.5)
    assert found.empty == (place,)
    assert place not in found.kept
    assert len(found.kept) == 2
    assert found.partial == ()
    assert found.doubts() == []
    (note,) = found.notes()
    assert note.startswith(f"frame {place + 1} of 3 holds no value but zero")


def test_an_empty_frame_of_1800_s_does_not_dilute_the_mean():
    # (3*300 + 5*900) / 1200 = 4.5; with the empty 1800 s it was 1.8.
    found = averaged(constant_frames(3, 5, 0), [300, 900, 1800])
    np.testing.assert_allclose(found.image, 4.5)


def test_frames_of_which_a_part_is_missing_are_told():
    frames = constant_frames(1, 2, 7, 7)
    frames[0, 0, 0, 2] = np.nan
    frames[0, 0, 1, 3] = np.inf
    found = averaged(frames, [10, 20, 30, 30])
    assert found.partial == (2, 3)
    assert found.share == pytest.approx(2 / 24)
    (doubt,) = found.doubts()
    assert doubt.startswith("frames 3 and 4 of 4 hold values that are not numbers")
    assert "8.3 % of the voxels" in doubt


def test_background_that_is_nan_in_every_frame_is_no_doubt():
    frames = constant_frames(1, 3)
    frames[0] = np.nan
    found = averaged(frames, [10, 10])
    assert found.doubts() == []
    np.testing.assert_allclose(found.image[1], 2)
    assert not found.image[0].any()


def test_frames_are_corrected_before_they_are_averaged():
    # (1*2*10 + 3*4*30) / 40
    np.testing.assert_allclose(average_frames(constant_frames(1, 3), [10, 30], [2, 4]), 9.5)
    with pytest.raises(ValueError, match="factors"):
        average_frames(constant_frames(1, 3), [10, 30], [2])


def test_signal_of_any_size_counts():
    np.testing.assert_allclose(average_frames(constant_frames(1e-20, 3e-20)), 2e-20, rtol=1e-6)


def test_of_some_frames_the_others_do_not_count():
    frames = constant_frames(9, 1, np.nan, 4, 9)
    taken = average(np.moveaxis(frames, -1, 0), [5, 10, 20, 20, 5], [3, 2, 1, 1, 3], [1, 2, 3])
    # (1*2*10 + 4*20) / 30
    np.testing.assert_allclose(taken.image, 100 / 30, rtol=1e-6)
    assert (taken.frames, taken.chosen, taken.kept, taken.empty) == (5, (1, 2, 3), (1, 3), (2,))
    assert taken.notes() == [
        "frame 3 of 5 holds no value but zero: left out of mean, times and duration"
    ]
    partial = frames.copy()
    partial[0, 0, 0, 3] = np.nan
    found = average(np.moveaxis(partial, -1, 0), [5, 10, 20, 20, 5], None, [1, 3])
    assert found.partial == (3,)
    assert found.image[0, 0, 0] == 1
    with pytest.raises(ValueError, match=r"frames \[1, 5\] of 5"):
        average(np.moveaxis(frames, -1, 0), None, None, [1, 5])
    with pytest.raises(ValueError, match="must be positive"):
        average(np.moveaxis(frames, -1, 0), [5, 0, 0, 5, 5], None, [1, 2])
