"""How well motion between the frames of a dynamic PET is found, and what it costs SUVR.

The demo's heads are scanned for 53 min in 20 frames of 30 s to 5 min, with kinetics of their own in
five tissues: ``turning``, where gray matter is bright at first and white matter in the end, and
``trapped``, much as FDG. They lie still, or jump four times and drift between, by up to 8 mm and 8
degrees; the true place of a head that drifts during a frame is its mean place there. Errors are
distances in the brain, but for one rigid transform of all frames, of frames with more than 5 % of
the counts of the one with most. SUVR is that of gray matter with binding over the last 45 min,
against gray matter without; its truth is that of the same head at rest.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import ndimage
from tables import add_option, record

from fusionprep.demo import dynamic, scanner
from fusionprep.demo.dataset import OLD, YOUNG
from fusionprep.demo.subject import Subject, load_template, make_subject
from fusionprep.image.aligned_frames import average_aligned
from fusionprep.image.io import new_image
from fusionprep.image.motion import Motion, find_motion

LENGTHS = (*(30.0,) * 4, *(60.0,) * 4, *(120.0,) * 3, *(300.0,) * 9)
STARTS = tuple(float(start) for start in np.cumsum(LENGTHS) - LENGTHS)
FRAMES = scanner.Frames(STARTS, LENGTHS)
LATE = tuple(range(11, 20))
REMAINING = 0.5 ** (np.add(STARTS, np.divide(LENGTHS, 2)) / scanner.FLUORINE_18_HALF_LIFE_S)
KINETICS = {"turning": dynamic.TURNING, "trapped": dynamic.TRAPPED}
COUNTED = 0.05
T1W_MM, PET_MM, FIELD_MM = 2.0, 2.5, (256, 256, 180)


@dataclass(frozen=True)
class Head:
    """A simulated head, and points (N, 3) of its brain and of gray matter in T1w space."""

    subject: Subject
    brain: np.ndarray
    binding: np.ndarray
    reference: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        return scanner.brain_centre_in(np.eye(4), self.subject)


@dataclass(frozen=True)
class Scan:
    """Frames, their affine, and the head's mean place in each from its first one (T, 4, 4)."""

    frames: np.ndarray
    affine: np.ndarray
    means: np.ndarray


def main() -> None:
    options = parse()
    moving, resting, singly = {}, {}, {}
    for name, kinetics in KINETICS.items():
        for number in range(options.heads):
            head = make_head(number)
            still = acquire(head, kinetics, number, 1.0, at_rest=True)
            truth = suvr(head, still, None)
            for counts in (1.0, 0.1):
                share = "all" if counts == 1 else "a tenth of the"
                row = f"{name}, head {number + 1}, {share} counts"
                scan = acquire(head, kinetics, number, counts)
                moving[row], singly[row] = of_moving(head, scan, truth)
                print(row, moving[row], singly[row], flush=True)
                rest = (
                    still if counts == 1 else acquire(head, kinetics, number, counts, at_rest=True)
                )
                resting[row] = of_resting(rest)
                print(row, "at rest", resting[row], flush=True)
    tables = {
        "moving": table("the head moves", moving),
        "resting": table("the head lies still", resting),
        "singly": table("each frame to the reference", singly),
    }
    for name, text in tables.items():
        print(f"\n## {name}\n\n{text}")
    record("motion", tables, options.record)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heads", type=int, default=2, help="of each kinetics; default: 2")
    add_option(parser)
    return parser.parse_args()


def make_head(number: int) -> Head:
    person = (YOUNG, OLD)[number % 2]
    subject = make_subject(load_template(), person.traits, T1W_MM, np.random.default_rng(number))
    gray = subject.fractions[0] > 0.9
    height = nib.affines.apply_affine(subject.grid.affine, np.argwhere(gray))
    middle = scanner.brain_centre_in(np.eye(4), subject)[2]
    above = height[:, 2] - middle
    return Head(
        subject,
        nib.affines.apply_affine(subject.grid.affine, np.argwhere(subject.mask)[::200]),
        height[above > 0],
        height[above < -dynamic.BELOW_MM - 2 * dynamic.OVER_MM],
    )


def acquire(
    head: Head, kinetics: dict, number: int, counts: float, *, at_rest: bool = False
) -> Scan:
    shape = tuple(round(extent / PET_MM) for extent in FIELD_MM)
    grid = scanner.scanner_grid(head.centre, shape, (PET_MM,) * 3)
    moves = dynamic.random_moves(len(LENGTHS), head.centre, np.random.default_rng([number, 1]))
    means = np.array([np.eye(4)] * len(LENGTHS)) if at_rest else moves.means
    places = [[mean] for mean in means] if at_rest else moves.during
    poses = [[np.linalg.inv(place) for place in during] for during in places]
    rng = np.random.default_rng([number, round(10 * counts), at_rest])
    frames = dynamic.acquire_dynamic(
        head.subject, grid, FRAMES, kinetics, poses, rng, counts=counts
    )
    return Scan(np.stack(list(frames)), grid.affine, means)


def of_moving(head: Head, scan: Scan, truth: float) -> tuple[dict[str, str], dict[str, str]]:
    """What is found jointly, and what is found when each frame is aligned to the reference."""
    begin = time.process_time()
    motion = find_motion(iter(scan.frames), scan.affine, LENGTHS, REMAINING)
    seconds = time.process_time() - begin
    alone = find_motion(iter(scan.frames), scan.affine, LENGTHS, REMAINING, together=False)
    places = np.array([
        nib.affines.apply_affine(mean, head.brain) for mean in scan.means[motion.counts > COUNTED]
    ])  # fmt: skip
    moved = max(np.linalg.norm(places - place, axis=2).max() for place in places)
    bias = [100 * (suvr(head, scan, moves) / truth - 1) for moves in (None, motion)]
    return {
        **errors(head, scan, motion),
        "true movement, mm": f"{moved:.1f}",
        "corrected by auto": "yes" if motion.moves() else "no",
        "SUVR before, %": f"{bias[0]:+.1f}",
        "SUVR after, %": f"{bias[1]:+.1f}",
        "CPU s": f"{seconds:.0f}",
    }, errors(head, scan, alone)


def of_resting(scan: Scan) -> dict[str, str]:
    motion = find_motion(iter(scan.frames), scan.affine, LENGTHS, REMAINING)
    moved, _ = motion.largest_movement_mm()
    errors_mm = motion.standard_errors_mm[motion.counts > COUNTED]
    return {
        "movement found, mm": f"{moved:.2f}",
        "largest standard error, mm": f"{np.nanmax(errors_mm):.2f}",
        "corrected by auto": "yes" if motion.moves() else "no",
    }


def errors(head: Head, scan: Scan, motion: Motion) -> dict[str, str]:
    counted = motion.counts > COUNTED
    weights = motion.counts * counted
    back = np.array([
        nib.affines.apply_affine(aligned @ mean, head.brain)
        for aligned, mean in zip(motion.reference_from_frame, scan.means, strict=True)
    ])  # fmt: skip
    distances = np.linalg.norm(back - np.average(back, axis=0, weights=weights), axis=2)[counted]
    return {
        "mean error, mm": f"{distances.mean():.2f}",
        "worst frame's mean, mm": f"{distances.mean(axis=1).max():.2f}",
        "largest error, mm": f"{distances.max():.2f}",
        "frames with a neighbour's place": str(len(motion.carried)),
    }


def suvr(head: Head, scan: Scan, motion: Motion | None) -> float:
    """Over the late frames, registered exactly to the T1w as far as one transform can."""
    moves = np.array([np.eye(4)] * len(LENGTHS)) if motion is None else motion.reference_from_frame
    weights = np.zeros(len(LENGTHS))
    weights[[*LATE]] = np.array(LENGTHS)[[*LATE]]
    back = [
        nib.affines.apply_affine(aligned @ mean, head.brain)
        for aligned, mean in zip(moves, scan.means, strict=True)
    ]
    reference_from_t1w = rigid_fit(head.brain, np.average(back, axis=0, weights=weights))
    mean = average_aligned(
        scan.frames,
        scan.affine,
        moves,
        new_image(scan.frames[0], scan.affine),
        durations=LENGTHS,
        chosen=LATE,
    )
    voxels = np.linalg.inv(scan.affine) @ reference_from_t1w
    binding, reference = (
        ndimage.map_coordinates(mean, nib.affines.apply_affine(voxels, points).T, order=1).mean()
        for points in (head.binding, head.reference)
    )
    return float(binding / reference)


def rigid_fit(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The rigid transform (4, 4) that brings points nearest to others (Kabsch 1976)."""
    centres = points.mean(axis=0), others.mean(axis=0)
    left, _, right = np.linalg.svd((points - centres[0]).T @ (others - centres[1]))
    sign = np.sign(np.linalg.det(left @ right))
    turn = (left @ np.diag([1, 1, sign]) @ right).T
    return nib.affines.from_matvec(turn, centres[1] - turn @ centres[0])


def table(corner: str, rows: dict[str, dict[str, str]]) -> str:
    columns: Sequence[str] = list(next(iter(rows.values())))
    lines = [[corner, *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *row.values()] for name, row in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
