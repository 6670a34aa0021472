"""A simulated dynamic PET whose tissues have kinetics of their own, of a head that moves."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from fusionprep.demo import phantom, scanner
from fusionprep.demo.subject import Grid, Subject, sample, world_points

STEP_S = 1.0
"""Between the times at which curves are worked out."""

PLACES = 4
"""Of a head that drifts during a frame."""

TISSUES = ("GM", "GM below", "WM", "CSF", "head")
"""Gray matter has kinetics of its own in the lower part of the brain, as where a tracer has nothing
to bind to."""

BELOW_MM, OVER_MM = 25.0, 6.0
"""How far below the middle of the brain that is, and over how much they change."""


@dataclass(frozen=True)
class Kinetics:
    """Rate constants of the two-tissue compartment model.

    Attributes
    ----------
    k1
        mL of plasma per mL of tissue and minute.
    k2, k3, k4
        Per minute.
    blood
        Share of blood in the tissue.
    """

    k1: float
    k2: float
    k3: float = 0.0
    k4: float = 0.0
    blood: float = 0.05


TURNING = {
    "GM": Kinetics(0.30, 0.15, 0.015, 0.02),
    "GM below": Kinetics(0.36, 0.18),
    "WM": Kinetics(0.12, 0.04, 0.05, 0.02),
    "CSF": Kinetics(0.02, 0.05, blood=0.0),
    "head": Kinetics(0.04, 0.04, 0.01, 0.02),
}
"""Bright gray matter at first and bright white matter at the end, as with amyloid tracers in people
without amyloid."""

TRAPPED = {
    "GM": Kinetics(0.10, 0.13, 0.06, 0.007),
    "GM below": Kinetics(0.10, 0.15, 0.04, 0.007),
    "WM": Kinetics(0.05, 0.10, 0.04, 0.007),
    "CSF": Kinetics(0.01, 0.05, blood=0.0),
    "head": Kinetics(0.03, 0.10, 0.01, 0.007),
}
"""Much as FDG has them: the tissues differ more and more."""


def plasma_input(minutes: np.ndarray) -> np.ndarray:
    """Activity of arterial plasma, arbitrary units.

    The model and the numbers of Feng et al. (Int J Biomed Comput 1993;32:95-110) for FDG.
    """
    peak, slow, slower = 851.1, 21.88, 20.81
    first, second, third = 4.134, 0.1191, 0.01043
    return (
        (peak * minutes - slow - slower) * np.exp(-first * minutes)
        + slow * np.exp(-second * minutes)
        + slower * np.exp(-third * minutes)
    )


def tissue_curve(kinetics: Kinetics, frames: scanner.Frames) -> np.ndarray:
    """Mean activity (T,) of a tissue over each frame, corrected for decay, arbitrary units."""
    ends = np.add(frames.starts, frames.durations)
    seconds = np.arange(0, float(np.max(ends)) + STEP_S, STEP_S)
    minutes = seconds / 60
    plasma = plasma_input(minutes)
    total = kinetics.k2 + kinetics.k3 + kinetics.k4
    root = np.sqrt(total**2 - 4 * kinetics.k2 * kinetics.k4)
    slow, fast = (total - root) / 2, (total + root) / 2
    bound = kinetics.k3 + kinetics.k4
    response = (bound - slow) * np.exp(-slow * minutes) + (fast - bound) * np.exp(-fast * minutes)
    response *= kinetics.k1 / (fast - slow)
    size = 2 * len(seconds)
    product = np.fft.rfft(plasma, size) * np.fft.rfft(response, size)
    tissue = np.fft.irfft(product, size)[: len(seconds)] * STEP_S / 60
    curve = (1 - kinetics.blood) * tissue + kinetics.blood * plasma
    summed = np.concatenate([[0], np.cumsum((curve[1:] + curve[:-1]) / 2 * STEP_S)])
    parts = np.interp(ends, seconds, summed) - np.interp(frames.starts, seconds, summed)
    return parts / np.asarray(frames.durations)


@dataclass(frozen=True)
class Moves:
    """How a head moves during the frames of a scan.

    Attributes
    ----------
    during
        For each frame the places of the head one after the other, (4, 4) from its first place.
    means
        (T, 4, 4), the mean place during each frame.
    """

    during: tuple[tuple[np.ndarray, ...], ...]
    means: np.ndarray


def random_moves(
    count: int,
    centre: np.ndarray,
    rng: np.random.Generator,
    *,
    reach: float = 8.0,
    drift: float = 4.0,
) -> Moves:
    """Let a head lie still at first, then jump every few frames and drift between jumps.

    Parameters
    ----------
    count
        Frames.
    centre
        (3,) of rotations, mm.
    reach
        Largest distance from the first place, in mm, and largest rotation, in degrees.
    drift
        Likewise, between two jumps.
    """
    jumps = np.sort(rng.choice(np.arange(1, count), min(4, count - 1), replace=False))
    edges = [0, *jumps, count]
    during: list[tuple[np.ndarray, ...]] = []
    means = []
    for first, end in itertools.pairwise(edges):
        start = np.zeros(6) if first == 0 else _random_move(rng, reach)
        stop = np.zeros(6) if first == 0 else _within(start + _random_move(rng, drift), reach)
        for frame in range(first, end):
            shares = (frame - first + (np.arange(PLACES) + 0.5) / PLACES) / (end - first)
            moves = start + shares[:, None] * (stop - start)
            during.append(tuple(placed_head(move, centre) for move in moves))
            means.append(placed_head(moves.mean(axis=0), centre))
    return Moves(tuple(during), np.array(means))


def _random_move(rng: np.random.Generator, reach: float) -> np.ndarray:
    """Degrees about three axes and mm along them, (6,), each part at most `reach` long."""
    parts = rng.standard_normal((2, 3))
    parts *= reach * rng.uniform(0.2, 1, (2, 1)) / np.linalg.norm(parts, axis=1, keepdims=True)
    return parts.ravel()


def _within(move: np.ndarray, reach: float) -> np.ndarray:
    parts = move.reshape(2, 3)
    return (parts * np.minimum(1, reach / np.linalg.norm(parts, axis=1, keepdims=True))).ravel()


def placed_head(move: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Where a move brings the head, (4, 4): degrees about three axes through `centre`, then mm."""
    turn = Rotation.from_rotvec(np.radians(move[:3])).as_matrix()
    placed = np.eye(4)
    placed[:3, :3], placed[:3, 3] = turn, centre - turn @ centre + move[3:]
    return placed


def tissue_maps(subject: Subject) -> dict[str, np.ndarray]:
    """Where each of the :data:`TISSUES` is, blurred by the detector, on the subject's grid."""
    head = subject.signals["pet"] - phantom.brain_signal(subject.fractions, "pet")
    gray, white, fluid = subject.fractions
    height = world_points(subject.grid)[2] - scanner.brain_centre_in(np.eye(4), subject)[2]
    below = 1 / (1 + np.exp((height + BELOW_MM) / OVER_MM))
    parts = (gray * (1 - below), gray * below, white, fluid, head / phantom.SKIN.pet)
    maps = dict(zip(TISSUES, parts, strict=True))
    sigma = scanner.DETECTOR_FWHM_MM / scanner.FWHM_PER_SIGMA / subject.grid.voxel_size
    return {name: ndimage.gaussian_filter(part, sigma, truncate=3.0) for name, part in maps.items()}


def acquire_dynamic(
    subject: Subject,
    grid: Grid,
    frames: scanner.Frames,
    kinetics: Mapping[str, Kinetics],
    poses: Sequence[Sequence[np.ndarray]],
    rng: np.random.Generator,
    *,
    counts: float = 1.0,
) -> Iterator[np.ndarray]:
    """Simulate the frames of a dynamic PET one after the other.

    Parameters
    ----------
    grid
        Of the PET.
    kinetics
        Of each of the :data:`TISSUES`.
    poses
        For each frame the places of the head during it, each for as long as the others: (4, 4)
        ``t1w_from_pet``.
    counts
        1 is the sensitivity of :func:`~fusionprep.demo.scanner.acquire_pet`.

    Yields
    ------
    numpy.ndarray
        (X, Y, Z) float32, decay-corrected to injection; the mean of gray matter over all frames
        is that of the other scans.
    """
    maps = tissue_maps(subject)
    curves = np.array([tissue_curve(kinetics[name], frames) for name in TISSUES])
    curves *= phantom.GREY_MATTER.pet / np.average(curves[0], weights=frames.durations)
    for index, places in enumerate(poses):
        activity = sum(
            curves[row, index] * maps[name].astype(np.float32) for row, name in enumerate(TISSUES)
        )
        seen = [sample(activity, subject.grid.affine, grid, place, 0.0) for place in places]
        one = scanner.Frames((frames.starts[index],), (frames.durations[index],))
        image = scanner.acquire_pet(
            np.mean(seen, axis=0),
            grid.voxel_size,
            one,
            rng,
            scanner.COUNTS_PER_UNIT_SECOND * counts,
        )
        yield image[..., 0]
