"""Rigid registration of PET, CT, FLAIR or T2w to the T1w."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from fusionprep.choices import Method
from fusionprep.image.prediction import align
from fusionprep.image.resample import downsample
from fusionprep.image.rigid import Brain, moved, near_brain, standard_error
from fusionprep.image.similarity import CT_LIMITS, Level, Similarity, emphasised
from fusionprep.modalities import PET, Modality

COARSE = Level(spacing=8.0, t1w_sigma=4.0, moving_sigma=4.0, bins=32, samples=6000)
MIDDLE = Level(spacing=4.0, t1w_sigma=2.0, moving_sigma=2.0, bins=32, samples=15000)
FINE = Level(spacing=2.0, t1w_sigma=0.7, moving_sigma=0.7, bins=96, samples=150000)
WORKING_MM = 2.0
"""Voxel size that both images are brought to first, where theirs is smaller."""

NEAR_MM, NEAR_CT_MM = 15.0, 40.0
"""Margin around the brain: what lies farther away (jaw, neck) moves on its own and is left out in
the end. In a CT, skull and skin say more than the brain."""

TURNS = 250
"""Number of rotations tried, spread evenly over all orientations, about 35 degrees apart."""

SCORED_SAMPLES = 2000
"""Samples by which rotations are compared before any is optimised."""

FEW_STARTS, COARSE_STARTS, MIDDLE_STARTS = 5, 24, 4
"""Best rotations that are optimised at 8 mm: first a few; more where the best of these is not
clearly better than the others; and how many of the results are optimised at 4 mm."""

CLEARLY_BETTER = 0.7
"""Share of the best alignment's mutual information that others stay below where it is clear."""

START_APART_MM, OPTIMUM_APART_MM = 20.0, 12.0

AS_GOOD = 0.98
"""Share of the best alignment's mutual information at which the header's alignment is as good."""

AS_NEAR_MM = 1.5
"""Distance from the best alignment within which the header's is as good."""


@dataclass(frozen=True)
class RigidResult:
    """A rigid registration and its scores.

    Attributes
    ----------
    t1w_from_moving
        (4, 4) RAS, maps world coordinates of the moving image to those of the T1w.
    method
        ``rigid``, or ``identity`` where the header's own alignment was kept.
    mi_before, mi_after
        Mutual information (nats, higher is better; :class:`Similarity`) near the brain, with the
        header's alignment and with the result.
    runner_up
        Mutual information of the best clearly different alignment, as a share of the best one's;
        None where no other was found. Near 1, two alignments explain the images equally well.
    off_optimum_mm
        Largest distance in the brain from where the best alignment found would bring it; 0 unless
        the header's was kept.
    standard_error_mm
        Standard error of the alignment where it is largest in the brain, from registrations of
        halves of the image; None where these were not run (`sloppy`, or no PET near the brain).
    """

    t1w_from_moving: np.ndarray
    method: str
    mi_before: float
    mi_after: float
    runner_up: float | None = None
    off_optimum_mm: float = 0.0
    standard_error_mm: float | None = None

    @property
    def rotation_degrees(self) -> float:
        cosine = (np.trace(self.t1w_from_moving[:3, :3]) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def register_rigid(
    t1w: nib.Nifti1Image,
    moving: nib.Nifti1Image,
    mask: nib.Nifti1Image,
    *,
    method: Method = "rigid",
    modality: Modality = PET,
    n_threads: int = 1,
    sloppy: bool = False,
) -> RigidResult:
    """Find the rigid transform from an image to the T1w.

    Headers can say anything, so the search covers every rotation, with centres aligned and some way
    off, at 8 mm. The best of these and the header's own alignment are optimised there, the best of
    those at 4 mm. From the best one a PET is aligned by least squares with what the T1w predicts
    (:func:`~fusionprep.image.prediction.align`). For other modalities mutual information is
    maximised at 2 mm near the brain; the result is the mean of that optimum and of the mean of the
    optima of halves of the image, which lie around it where it is flat. It does not depend on the
    number of threads.

    Parameters
    ----------
    t1w, mask
        T1w and its brain mask.
    moving
        3-D image.
    method
        ``rigid``; ``identity`` keeps the header's alignment; ``auto`` keeps it when its mutual
        information reaches 98% of that of the best alignment, or is within 1.5 mm of it.
    modality
        A CT is compared between fixed Hounsfield units.
    sloppy
        Stop at 4 mm and do not repeat on halves.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(n_threads)
    brain = Brain.from_mask(mask)
    limits = CT_LIMITS if modality.hounsfield else None
    head = emphasised(t1w, mask, WORKING_MM)
    moving = downsample(moving, WORKING_MM)
    coarse, middle = (
        Similarity.from_images(head, moving, level, limits) for level in (COARSE, MIDDLE)
    )
    best, runner_up = search(
        coarse, middle, brain, _grid_centre(moving), polish=sloppy or not modality.tracer
    )
    near, error = middle, None
    if not sloppy:
        fine = Similarity.from_images(head, moving, FINE, limits)
        reach = NEAR_CT_MM if modality.hounsfield else NEAR_MM
        near = fine.only(near_brain(fine.points, best, mask, reach))
        if modality.tracer:
            best, error = align(t1w, mask, moving, best, brain)
        else:
            best, error = finish(near, best, brain)
    header = np.eye(4)
    before, after = near(header), near(best)
    off = brain.distance(header, best)
    keep = method == "auto" and (before >= AS_GOOD * after or off <= AS_NEAR_MM)
    if method == "identity" or keep:
        return RigidResult(header, "identity", before, before, runner_up, off, error)
    return RigidResult(best, "rigid", before, after, runner_up, 0.0, error)


def search(
    coarse: Similarity,
    middle: Similarity,
    brain: Brain,
    grid_centre: np.ndarray,
    *,
    polish: bool = True,
) -> tuple[np.ndarray, float | None]:
    """Find the best alignment over all rotations.

    Parameters
    ----------
    grid_centre
        (3,) of the moving image, mm.
    polish
        Optimise to the end at 4 mm, not only to some millimetres.

    Returns
    -------
    t1w_from_moving
        Optimised at 4 mm.
    runner_up
        As in :class:`RigidResult`.
    """
    header, *others = _starts(coarse.centre, grid_centre, brain.centre)
    scored = coarse.thinned(SCORED_SAMPLES)
    others = _best_apart(scored, others, brain, START_APART_MM, COARSE_STARTS)
    optima: list[np.ndarray] = []
    for starts in ([header, *others[:FEW_STARTS]], others[FEW_STARTS:]):
        optima += [
            _simplex(coarse, start, brain.centre, step_mm=15.0, calls=200) for start in starts
        ]
        optima = _best_apart(coarse, optima, brain, OPTIMUM_APART_MM, MIDDLE_STARTS)
        if len(optima) == 1 or coarse(optima[1]) < CLEARLY_BETTER * coarse(optima[0]):
            break
    optima = [_simplex(middle, start, brain.centre, step_mm=4.0, calls=150) for start in optima]
    optima = _best_apart(middle, optima, brain, OPTIMUM_APART_MM, 2)
    if polish:
        optima = [refine(middle, start, brain.centre, step_mm=4.0) for start in optima]
        optima = _best_apart(middle, optima, brain, OPTIMUM_APART_MM, 2)
    runner_up = middle(optima[1]) / middle(optima[0]) if len(optima) > 1 else None
    return optima[0], runner_up


def refine(
    similarity: Similarity, start: np.ndarray, centre: np.ndarray, *, step_mm: float
) -> np.ndarray:
    """Maximise along one direction after another (Powell) from an alignment that is nearly right.

    Parameters
    ----------
    centre
        Centre of rotation (3,) in T1w space.
    """
    from scipy.optimize import minimize

    found = minimize(
        _loss(similarity, start, centre, step_mm),
        np.zeros(6),
        method="Powell",
        options={"maxiter": 4, "ftol": 1e-5, "xtol": 0.02},
    )
    return moved(start, step_mm * found.x, centre)


def finish(near: Similarity, start: np.ndarray, brain: Brain) -> tuple[np.ndarray, float]:
    """Optimise an alignment that is nearly right over all samples and over halves of them.

    Returns
    -------
    t1w_from_moving
        The mean of the optimum and of the mean of the optima of halves.
    standard_error_mm
        As in :class:`RigidResult`.
    """
    best = start
    for step_mm in (1.5, 0.7):
        best = refine(near, best, brain.centre, step_mm=step_mm)
    pairs = _moves_of_halves(near, best, brain.centre)
    return _half_of_mean(pairs, brain.centre) @ best, standard_error(pairs, brain)


def _simplex(
    similarity: Similarity, start: np.ndarray, centre: np.ndarray, *, step_mm: float, calls: int
) -> np.ndarray:
    from scipy.optimize import minimize

    found = minimize(
        _loss(similarity, start, centre, step_mm),
        np.zeros(6),
        method="Nelder-Mead",
        options={
            "initial_simplex": np.vstack([np.zeros(6), np.eye(6)]),
            "maxfev": calls,
            "xatol": 0.02,
            "fatol": 1e-4,
        },
    )
    return moved(start, step_mm * found.x, centre)


def _loss(
    similarity: Similarity, start: np.ndarray, centre: np.ndarray, step_mm: float
) -> Callable[[np.ndarray], float]:
    return lambda steps: -similarity(moved(start, step_mm * steps, centre))


def _starts(
    mass_centre: np.ndarray, grid_centre: np.ndarray, brain_centre: np.ndarray
) -> list[np.ndarray]:
    """The header's alignment, then small turns with far shifts and all turns with near ones."""
    from scipy.spatial.transform import Rotation

    axes = np.vstack([np.eye(3), -np.eye(3)])
    near = [np.zeros(3), *25 * axes]
    far = [*near, *50 * axes]
    small = [np.eye(3), *Rotation.from_rotvec(np.radians(25) * axes).as_matrix()]
    moves = [*itertools.product(small, far), *itertools.product(even_rotations(TURNS), near)]
    return [
        np.eye(4),
        nib.affines.from_matvec(np.eye(3), brain_centre - grid_centre),
        *(
            nib.affines.from_matvec(turn, brain_centre - turn @ mass_centre + shift)
            for turn, shift in moves
        ),
    ]


def even_rotations(count: int) -> np.ndarray:
    """Rotations (N, 3, 3) spread evenly: super-Fibonacci spirals (Alexa, CVPR 2022)."""
    from scipy.spatial.transform import Rotation

    phi, psi = np.sqrt(2.0), 1.533751168755204288118041
    index = np.arange(count) + 0.5
    inner, outer = np.sqrt(index / count), np.sqrt(1 - index / count)
    alpha, beta = 2 * np.pi * index / phi, 2 * np.pi * index / psi
    quaternions = [
        inner * np.sin(alpha), inner * np.cos(alpha), outer * np.sin(beta), outer * np.cos(beta),
    ]  # fmt: skip
    return Rotation.from_quat(np.stack(quaternions, axis=1)).as_matrix()


def _best_apart(
    similarity: Similarity,
    alignments: Sequence[np.ndarray],
    brain: Brain,
    apart_mm: float,
    count: int,
) -> list[np.ndarray]:
    """The best of some alignments, best first, none nearer to a better one than `apart_mm`."""
    scores = [similarity(alignment) for alignment in alignments]
    kept: list[np.ndarray] = []
    for index in np.argsort(scores)[::-1]:
        if all(brain.distance(alignments[index], other) > apart_mm for other in kept):
            kept.append(alignments[index])
        if len(kept) == count:
            break
    return kept


def _moves_of_halves(
    near: Similarity, best: np.ndarray, centre: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Where halves of the samples are aligned best, as moves (4, 4) from where all are.

    The samples are halved three times, across each axis of the T1w.
    """

    def move(half: np.ndarray) -> np.ndarray:
        return refine(near.only(half), best, centre, step_mm=1.5) @ np.linalg.inv(best)

    points = nib.affines.apply_affine(best, near.points)
    halves = points > np.median(points, axis=0)
    return [(move(half), move(~half)) for half in halves.T]


def _half_of_mean(pairs: Sequence[tuple[np.ndarray, np.ndarray]], centre: np.ndarray) -> np.ndarray:
    """The mean of no move and of the mean of small moves."""
    from scipy.spatial.transform import Rotation

    moves = np.array([move for pair in pairs for move in pair])
    turns = Rotation.from_matrix(moves[:, :3, :3]).as_rotvec()
    turn = Rotation.from_rotvec(turns.mean(axis=0) / 2).as_matrix()
    shift = ((moves.mean(axis=0) @ [*centre, 1])[:3] - centre) / 2
    return nib.affines.from_matvec(turn, centre - turn @ centre + shift)


def _grid_centre(image: nib.Nifti1Image) -> np.ndarray:
    return nib.affines.apply_affine(image.affine, (np.array(image.shape[:3]) - 1) / 2)
