"""PET smoothed in the brain, brought to one resolution, and put together from runs.

The truth is that of a simulated head, whose gray matter has another activity in each region of the
Desikan-Killiany atlas; regions and brain are the true ones, so that what is measured is smoothing
and runs alone. Three questions: what smoothing loses at the edge of the brain; how far the regional
SUVR of a scanner of 4 mm and one of 7 mm are apart before and after both are brought to 8 mm; and
whether a scan that was cut in two runs has the regional values of the scan in one piece. Runs go
through the App's own code, from sidecars to the series of frames.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from partial_volume import table
from scanners import RIM_MM, Head, Scanner, make_head, pose, regions
from scipy import ndimage
from tables import add_option, record

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fusionprep.bids.pet_facts import pet_facts
from fusionprep.bids.radionuclides import HALF_LIVES
from fusionprep.bids.runs import combine_runs
from fusionprep.bids.types import ImageFile
from fusionprep.demo import phantom
from fusionprep.image.io import read_frames
from fusionprep.image.partial_volume import blur
from fusionprep.image.region_values import region_curves, region_values
from fusionprep.image.regions import CEREBELLAR_CORTEX
from fusionprep.image.smoothing import Smoother, kernel_to
from fusionprep.interfaces.runs import RUNS, CombineRuns

TARGET_MM = 8.0
SCANNERS = {"4 mm": (4.0, 2.0), "7 mm": (7.0, 3.0)}
"""Point spread and voxel size, mm."""

KERNELS_MM = (4.0, 6.0, 8.0, 12.0)
HALF_LIFE_S = HALF_LIVES["C11"]
FRAME_S = 300.0
RUN_MM, RUN_VOXEL_MM = 6.0, 3.0
CUT_MIN = (30, 50)
"""The first run ends and the second begins, minutes after the injection."""


def main() -> None:
    options = parse()
    head = make_head(options.voxel_size)
    tables = {
        "edge": edge_table(head),
        "scanners": scanner_table(head),
        "runs": runs_table(head),
    }
    for name, text in tables.items():
        print(f"\n## {name}\n\n{text}")
    record("resolution", tables, options.record)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voxel-size", type=float, default=1.0, help="of the T1w, mm; default: 1")
    add_option(parser)
    return parser.parse_args()


def edge_table(head: Head) -> str:
    """What a Gaussian takes from the brain, over all of the image and over the brain alone.

    The even head is 1 up to 3 mm outside the brain, so that smoothing alone can change its rim.
    """
    scanner = Scanner.around(head, RUN_MM, 2.0, pose(0))
    far = ndimage.distance_transform_edt(~head.brain) * head.size
    even = replace(scanner, spread=0.0).see((far <= 3).astype(np.float32), head) > 0.5
    images = {"even head": even.astype(np.float32), "PET": scanner.see(head.activity, head)}
    masks = {"brain alone": head.brain, "brain alone, its mask 1 mm too wide": far <= 1}
    before = {name: scanner.brought(image, head) for name, image in images.items()}
    columns = {}
    for width in KERNELS_MM:
        kernel = (width,) * 3
        ways = {"all of the image": Smoother(kernel, scanner.sizes)}
        ways |= {
            name: Smoother(kernel, scanner.sizes, scanner.inside(head, mask))
            for name, mask in masks.items()
        }
        after = {
            (name, way): scanner.brought(smoother(image), head)
            for name, image in images.items()
            for way, smoother in ways.items()
        }
        cells = {}
        for (name, way), image in after.items():
            for place, where in (("brain", head.brain), (f"its outer {RIM_MM:g} mm", head.rim)):
                change = image[where].mean() / before[name][where].mean()
                cells[f"{name}, {place}: {way}"] = percent(change)
            if name == "even head":
                cells[f"{name}, lowest voxel of the brain: {way}"] = percent(
                    image[head.brain].min()
                )
        columns[f"{width:g} mm"] = cells
    return table("change by smoothing, %", columns)


def percent(ratio: float) -> str:
    """By how much a ratio is off 1."""
    return f"{100 * (ratio - 1):+.1f}"


def scanner_table(head: Head) -> str:
    """How far two scanners are apart, and each from the truth at the resolution wanted."""
    scanners = [
        Scanner.around(head, spread, voxel, pose(seed))
        for seed, (spread, voxel) in enumerate(SCANNERS.values())
    ]
    seen = [scanner.see(head.activity, head) for scanner in scanners]
    truth = blur(head.activity, (TARGET_MM,) * 3, (head.size,) * 3)
    ways = {
        "as they are": [None, None],
        "to 8 mm": [target_smoother(scanner) for scanner in scanners],
        "to 8 mm, over the brain alone": [
            replace(target_smoother(scanner), brain=scanner.inside(head)) for scanner in scanners
        ],
        "to 8 mm, 7 mm taken for 6": [
            target_smoother(scanner, min(scanner.spread, 6.0)) for scanner in scanners
        ],
    }
    columns = {}
    for name, smoothers in ways.items():
        images = []
        for scanner, image, smoother in zip(scanners, seen, smoothers, strict=True):
            images.append(scanner.brought(image if smoother is None else smoother(image), head))
        columns[name] = apart(head, *images, truth)
    return table("difference, %", columns)


def target_smoother(scanner: Scanner, taken_for: float | None = None) -> Smoother:
    """What brings a scanner to the resolution wanted, by what its point spread is taken for."""
    spread = (scanner.spread if taken_for is None else taken_for,) * 3
    return Smoother(kernel_to(TARGET_MM, spread, scanner.sizes), scanner.sizes)


def apart(head: Head, sharp: np.ndarray, soft: np.ndarray, truth: np.ndarray) -> dict[str, str]:
    """The second scanner against the first, and both against the truth."""
    ratios = [suvr(head, image) for image in (sharp, soft, truth)]
    between = 100 * (ratios[1] / ratios[0] - 1)
    gray = head.tissues["gray"] > 0.5
    unit = 100 / truth[gray].mean()
    cells = {
        "SUVR of regions, mean": f"{np.abs(between).mean():.2f}",
        "SUVR of regions, largest": f"{np.abs(between).max():.2f}",
    }
    for name, where in (("gray matter", gray), (f"outer {RIM_MM:g} mm of the brain", head.rim)):
        off = (soft - sharp)[where]
        cells[f"voxels of {name}, mean"] = f"{unit * off.mean():+.2f}"
        cells[f"voxels of {name}, root mean square"] = f"{unit * np.sqrt(np.mean(off**2)):.2f}"
    for name, ratio in zip(SCANNERS, ratios, strict=False):
        worst = np.abs(100 * (ratio / ratios[2] - 1)).max()
        cells[f"SUVR of regions, {name} against the truth at 8 mm, largest"] = f"{worst:.2f}"
    return cells


def suvr(head: Head, image: np.ndarray) -> np.ndarray:
    """Of each region, by the cortex of the cerebellum."""
    reference = image[np.isin(head.labels, CEREBELLAR_CORTEX)].mean()
    found = region_values(image, head.labels, indices=regions(head))
    return np.array([value.mean for value in found if value.mean is not None]) / reference


@dataclass(frozen=True)
class Cut:
    """A scan with carbon-11 that is cut in two.

    ``whole`` are its frames (T, X, Y, Z), corrected for decay to the injection; ``late`` those of
    the second run, in another pose and corrected to its own start.
    """

    whole: np.ndarray
    late: np.ndarray


def starts(first: bool) -> np.ndarray:
    """Of the frames of a run, s after the injection."""
    begin, end = (0, CUT_MIN[0]) if first else (CUT_MIN[1], 90)
    return np.arange(60.0 * begin, 60.0 * end, FRAME_S)


def decayed() -> float:
    """What is left when the second run begins."""
    return 2 ** (-60 * CUT_MIN[1] / HALF_LIFE_S)


def curves_of(minutes: np.ndarray) -> dict[str, np.ndarray]:
    """Activity of each tissue over time, corrected for decay, much like that of PiB."""
    return {
        "gray": 1.3 * (np.exp(-minutes / 60) - np.exp(-minutes / 3)),
        "white": 2.5 * (np.exp(-minutes / 150) - np.exp(-minutes / 8)),
        "rest": 1 - np.exp(-minutes / 10),
    }


def frames_seen(head: Head, scanner: Scanner, at: np.ndarray) -> np.ndarray:
    """Frames (T, X, Y, Z) that begin at those seconds."""
    white = phantom.WHITE_MATTER.pet * head.tissues["white"]
    rest = np.where(head.brain, 0, head.activity)
    parts = {"gray": head.activity - white - rest, "white": white, "rest": rest}
    curves = curves_of((at + FRAME_S / 2) / 60)
    seen = np.zeros((len(at), *scanner.shape), np.float32)
    for name, part in parts.items():
        image = scanner.see(part.astype(np.float32), head)
        seen += curves[name][:, None, None, None].astype(np.float32) * image
    return seen


def cut(head: Head, scanner: Scanner, move: np.ndarray, noise: float) -> Cut:
    """A scan in one piece and its second run, where the head is moved by `move`."""
    rng = np.random.default_rng(5)
    there = replace(scanner, t1w_from_pet=scanner.t1w_from_pet @ np.linalg.inv(move))
    both = np.concatenate([starts(True), starts(False)])
    whole = frames_seen(head, scanner, both)
    late = frames_seen(head, there, starts(False))
    for frames, at in ((whole, both), (late, starts(False))):
        for frame, start in zip(frames, at, strict=True):
            grain = blur(rng.standard_normal(frame.shape), (4.0,) * 3, scanner.sizes)
            # fewer counts are left
            level = noise * 2 ** (start / HALF_LIFE_S / 2)
            frame += np.float32(level * phantom.GREY_MATTER.pet / grain.std()) * grain
    return Cut(whole, late * np.float32(decayed()))


def combined(scan: Cut, scanner: Scanner) -> tuple[dict[str, object], np.ndarray]:
    """What is said of the second run, and the frames of both, as the App puts them together."""
    count = len(starts(True))
    zero = 60.0 * CUT_MIN[1]
    with tempfile.TemporaryDirectory() as name:
        images = [
            run(Path(name), 1, scan.whole[:count], scanner, starts(True), "10:00:00", 0.0),
            run(Path(name), 2, scan.late, scanner, starts(False) - zero, "10:50:00", -zero),
        ]
        (made,), _ = combine_runs(images)
        combine = CombineRuns(
            in_files=[str(part.path) for part in made.runs],
            factors=[list(part.factors) for part in made.runs],
            starts=[list(part.starts) for part in made.runs],
            durations=[list(part.durations) for part in made.runs],
            sources=["one", "two"],
        )
        done = combine.run(cwd=name).outputs
        _, frames = read_frames(done.out_file)
        return done.metadata[RUNS][1], np.stack(list(frames))


def run(
    folder: Path,
    number: int,
    frames: np.ndarray,
    scanner: Scanner,
    at: np.ndarray,
    zero: str,
    injection: float,
) -> ImageFile:
    """A run on disk, with a sidecar whose times are from its own start."""
    path = folder / f"sub-01_trc-11CPIB_run-{number}_pet.nii"
    nib.save(nib.Nifti1Image(np.moveaxis(frames, 0, -1), scanner.affine), path)
    metadata = {
        "TracerName": "PIB",
        "TracerRadionuclide": "C11",
        "InjectedRadioactivity": 500.0,
        "InjectedRadioactivityUnits": "MBq",
        "Units": "Bq/mL",
        "TimeZero": zero,
        "ScanStart": float(at[0]),
        "InjectionStart": injection,
        "FrameTimesStart": at.tolist(),
        "FrameDuration": [FRAME_S] * len(at),
        "ImageDecayCorrected": True,
        "ImageDecayCorrectionTime": 0,
    }
    entities = {"sub": "01", "trc": "11CPIB", "run": str(number)}
    image = ImageFile(path, entities, "pet", metadata, (*scanner.shape, len(at)), scanner.sizes)
    return replace(image, pet=pet_facts(image, folder))


def runs_table(head: Head) -> str:
    """Regional values of a scan that was cut against those of the scan in one piece."""
    scanner = Scanner.around(head, RUN_MM, RUN_VOXEL_MM, pose(0))
    late = slice(len(starts(True)), None)
    columns = {}
    for extent, noise in ((0.0, 0.0), (3.0, 0.0), (10.0, 0.0), (10.0, 0.01)):
        move = np.eye(4)
        if extent:
            move = around_middle(head, scanner, pose(7, degrees=extent, mm=extent))
        name = f"head moved by {pose_error(head, scanner, move):.1f} mm" if extent else "head still"
        name += ", noise" * (noise > 0)
        scan = cut(head, scanner, move, noise)
        truth = region_means(head, scanner, frames_seen(head, scanner, starts(False)))
        told, frames = combined(scan, scanner)
        ways = {
            "combined": frames[late],
            "not brought back": scan.late / decayed(),
            "decay left as it came": frames[late] * decayed(),
            "in one piece": scan.whole[late],
        }
        cells = {"brought back": "yes" if told["Realigned"] else "no"}
        found = np.array(told["FirstFromRun"]) if told["Realigned"] else np.eye(4)
        cells["error of the pose in the brain, largest, mm"] = (
            f"{pose_error(head, scanner, found @ move):.2f}"
        )
        for way, images in ways.items():
            errors = 100 * np.abs(region_means(head, scanner, images) / truth - 1)
            cells[f"error of regions, mean, %: {way}"] = f"{errors.mean():.2f}"
            cells[f"error of regions, largest, %: {way}"] = f"{errors.max():.2f}"
        columns[name] = cells
    return table(f"frames of {CUT_MIN[1]} to 90 min", columns)


def around_middle(head: Head, scanner: Scanner, move: np.ndarray) -> np.ndarray:
    """The same turn about the middle of the brain, and the same shift."""
    middle = nib.affines.apply_affine(head.affine, np.argwhere(head.brain).mean(axis=0))
    middle = nib.affines.apply_affine(np.linalg.inv(scanner.t1w_from_pet), middle)
    turn, shift = nib.affines.to_matvec(move)
    return nib.affines.from_matvec(turn, middle - turn @ middle + shift)


def pose_error(head: Head, scanner: Scanner, left: np.ndarray) -> float:
    """How far a rigid transform of the PET's world takes any point of the brain, mm."""
    points = nib.affines.apply_affine(head.affine, np.argwhere(head.brain)[::997])
    points = nib.affines.apply_affine(np.linalg.inv(scanner.t1w_from_pet), points)
    return float(np.linalg.norm(nib.affines.apply_affine(left, points) - points, axis=1).max())


def region_means(head: Head, scanner: Scanner, frames: np.ndarray) -> np.ndarray:
    """(T, R) in the true regions."""
    matrix = np.linalg.inv(scanner.t1w_from_pet @ scanner.affine) @ head.affine
    return region_curves(iter(frames), matrix, head.labels, regions(head)).means


if __name__ == "__main__":
    main()
