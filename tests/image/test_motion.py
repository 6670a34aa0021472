"""Motion between frames of simulated heads whose places are known."""

import dataclasses

import nibabel as nib
import numpy as np
import pytest

from fusionprep.demo import dynamic, scanner
from fusionprep.demo.dataset import YOUNG
from fusionprep.demo.subject import Subject, load_template, make_subject
from fusionprep.image.motion import Motion, find_motion

LENGTHS = (10.0, 60.0, 120.0, *(300.0,) * 6)
STARTS = tuple(float(sum(LENGTHS[:index])) for index in range(len(LENGTHS)))
FRAMES = scanner.Frames(STARTS, LENGTHS)
REMAINING = 0.5 ** ((np.array(STARTS) + np.array(LENGTHS) / 2) / scanner.FLUORINE_18_HALF_LIFE_S)
SIZE = 4.0


@pytest.fixture(scope="module")
def subject() -> Subject:
    return make_subject(load_template(), YOUNG.traits, SIZE, np.random.default_rng(0))


def acquire(subject: Subject, moves: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames and their affine of a head that the transforms (4, 4) bring from its first place."""
    centre = scanner.brain_centre_in(np.eye(4), subject)
    grid = scanner.scanner_grid(centre, (60, 64, 52), (SIZE,) * 3)
    poses = [[np.linalg.inv(move)] for move in moves]
    rng = np.random.default_rng(1)
    frames = dynamic.acquire_dynamic(subject, grid, FRAMES, dynamic.TURNING, poses, rng)
    return list(frames), grid.affine


def found(frames: list[np.ndarray], affine: np.ndarray) -> Motion:
    return find_motion(iter(frames), affine, LENGTHS, REMAINING)


def errors(motion: Motion, moves: list[np.ndarray], subject: Subject) -> np.ndarray:
    """Mean and largest error in the brain of each frame, (frames, 2) mm.

    Places are known but for one rigid transform of all.
    """
    voxels = np.argwhere(subject.mask)[::50]
    points = nib.affines.apply_affine(subject.grid.affine, voxels)
    back = np.array([
        nib.affines.apply_affine(aligned @ move, points)
        for aligned, move in zip(motion.reference_from_frame, moves, strict=True)
    ])  # fmt: skip
    distances = np.linalg.norm(back - np.average(back, axis=0, weights=motion.counts), axis=2)
    return np.stack([distances.mean(axis=1), distances.max(axis=1)], axis=1)


def test_a_head_that_jumps_and_turns_is_found(subject):
    centre = scanner.brain_centre_in(np.eye(4), subject)
    places = (
        [np.zeros(6)] * 4
        + [np.array([3.0, -2, 4, 2, -3, 1])] * 3
        + [np.array([-5.0, 1, 2, -4, 5, -2])] * 2
    )
    moves = [dynamic.placed_head(place, centre) for place in places]
    motion = found(*acquire(subject, moves))
    assert motion.moves()
    assert motion.carried == (0,)
    assert np.isnan(motion.standard_errors_mm[0])
    np.testing.assert_array_equal(motion.reference_from_frame[0], motion.reference_from_frame[1])
    error = errors(motion, moves, subject)[motion.counts > 0.05]
    assert error[:, 0].mean() < 0.7
    assert error[:, 1].max() < 1.5
    displacement = motion.framewise_displacement()
    assert np.isnan(displacement[0])
    assert set(np.argsort(displacement[1:])[-2:] + 1) == {4, 7}


def test_a_head_at_rest_is_left_alone_whatever_its_uptake_does(subject):
    motion = found(*acquire(subject, [np.eye(4)] * len(LENGTHS)))
    assert not motion.moves()
    error = errors(motion, [np.eye(4)] * len(LENGTHS), subject)[motion.counts > 0.05]
    assert error[:, 0].mean() < 0.7


def test_places_become_parameters():
    points = np.array([[10.0, 0, 0], [-10, 0, 0], [0, 10, 0], [0, -10, 0], [0, 0, 5], [0, 0, -5]])
    turn = np.eye(4)
    turn[:2, :2] = [[0.0, -1.0], [1.0, 0.0]]
    there = np.eye(4)
    there[:3, 3] = 1, 2, 3
    moves = np.array([np.eye(4), np.linalg.inv(there), np.linalg.inv(turn)])
    motion = Motion(moves, np.array([0.1, 0.1, 0.1]), np.ones(3), (), points)
    given = motion.parameters()
    np.testing.assert_allclose([given[f"trans_{a}"][1] for a in "xyz"], [1, 2, 3], atol=1e-12)
    np.testing.assert_allclose([given[f"rot_{a}"][2] for a in "xyz"], [0, 0, np.pi / 2], atol=1e-12)
    np.testing.assert_allclose(motion.framewise_displacement()[1], 6)
    np.testing.assert_allclose(motion.framewise_displacement()[2], 6 + 50 * np.pi / 2)
    # (0, 10, 0) is at (1, 12, 3) in one frame and at (-10, 0, 0) in another
    distance, error = motion.largest_movement_mm()
    assert distance == pytest.approx(np.sqrt(11**2 + 12**2 + 3**2))
    assert error == pytest.approx(np.hypot(0.1, 0.1))


def test_a_movement_within_its_uncertainty_is_none():
    move = np.eye(4)
    move[0, 3] = 1.5
    points = np.zeros((1, 3))
    for error, moves in ((0.1, True), (0.2, False)):
        motion = Motion(np.array([np.eye(4), move]), np.full(2, error), np.ones(2), (), points)
        assert motion.moves() is moves


def test_both_ways_to_align_must_find_a_movement():
    move = np.eye(4)
    move[0, 3] = 5
    given = np.full(2, 0.1), np.ones(2), (), np.zeros((1, 3))
    still, moving = (Motion(np.array([np.eye(4), place]), *given) for place in (np.eye(4), move))
    assert moving.moves()
    assert dataclasses.replace(moving, alone=moving).moves()
    assert not dataclasses.replace(moving, alone=still).moves()
    assert not dataclasses.replace(still, alone=moving).moves()


def test_only_frames_with_counts_tell_whether_the_head_moves():
    move = np.eye(4)
    move[0, 3] = 5
    moves = np.array([move, np.eye(4), np.eye(4)])
    motion = Motion(moves, np.full(3, 0.1), np.array([0.02, 1, 1]), (), np.zeros((1, 3)))
    assert not motion.moves()
    assert motion.largest_movement_mm()[0] == 0


def test_where_no_frame_has_a_place_of_its_own_the_head_is_at_rest():
    motion = Motion(
        np.array([np.eye(4)] * 2), np.full(2, np.nan), np.ones(2), (0, 1), np.zeros((1, 3))
    )
    assert not motion.moves()
    assert motion.largest_movement_mm()[0] == 0


@pytest.mark.parametrize(
    ("frames", "given", "said"),
    [
        ([], (None, None), "there are no frames"),
        ([np.zeros((4, 4, 4), np.float32)] * 2, (None, None), "no frame shows anything"),
        ([np.ones((9, 9, 9), np.float32)] * 2, (None, None), "too small for a head"),
        ([np.ones((4, 4, 4), np.float32)] * 2, ([1], None), "1 durations for 2 frames"),
        ([np.ones((4, 4, 4), np.float32)] * 2, (None, [1, 1, 1]), "3 shares for 2 frames"),
    ],
)
def test_what_cannot_be_aligned_is_refused(frames, given, said):
    with pytest.raises(ValueError, match=said):
        find_motion(frames, np.eye(4), *given)
