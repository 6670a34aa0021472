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
