"""What partial-volume correction recovers, and what mistakes in its inputs cost.

The demo's head is seen by a PET with a Gaussian point spread of 6 mm, without noise. Gray matter
has an activity of 4, white matter of 1, CSF of 0.2. Corrections are made with the true fractions of
tissue, with those that the App finds in the T1w (its own mask, bias correction and segmentation),
with a point spread that is wrong by 1 mm, with fractions that are 1 mm off, and of noisy images.
Errors are in percent of the truth. MG and GTM find the activity of pure gray matter; RBV, IY and
what is not corrected are compared with the sharp image where gray matter fills more than half of
the voxel, and the last with pure gray matter as well.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from tables import add_option, record

from fusionprep.demo import phantom
from fusionprep.demo.scanner import acquire_mr
from fusionprep.demo.subject import Traits, load_template, make_subject
from fusionprep.image import partial_volume as pvc
from fusionprep.image.bias import correct_bias
from fusionprep.image.masks import dice, find_brain
from fusionprep.image.segmentation import TISSUES, segment_tissues

FWHM_MM = 6.0
NEAR_MM = 1.5 * FWHM_MM
NOISE_FWHM_MM, NOISE = 4.0, 0.2
T1W_NOISE = (0.01, 0.02, 0.05, 0.09)
PURE = {
    "GM": phantom.GREY_MATTER.pet,
    "WM": phantom.WHITE_MATTER.pet,
    "CSF": phantom.CEREBROSPINAL_FLUID.pet,
}


@dataclass(frozen=True)
class Head:
    """The truth on the grid of the T1w, and its voxel size (mm, along all axes)."""

    fractions: Mapping[str, np.ndarray]
    activity: np.ndarray
    t1w: np.ndarray
    affine: np.ndarray
    size: float

    @property
    def sizes(self) -> tuple[float, float, float]:
        return (self.size,) * 3

    @property
    def gray(self) -> np.ndarray:
        """Voxels that gray matter fills more than half."""
        return self.fractions["GM"] > 0.5

    def seen(self) -> np.ndarray:
        """The PET, without noise."""
        return pvc.blur(self.activity, (FWHM_MM,) * 3, self.sizes)

    def blurred(self, fractions: Mapping[str, np.ndarray], fwhm: float = FWHM_MM) -> pvc.Blurred:
        """Tissues as a scanner of that point spread sees them."""
        parts = pvc.Partition.from_fractions(fractions, self.sizes, near_mm=NEAR_MM)
        return parts.blurred((fwhm,) * 3)


def main() -> None:
    options = parse()
    head = make_head(options.voxel_size)
    found = {noise: own_fractions(head, noise) for noise in T1W_NOISE}
    own = found[0.02]
    tables = {
        "accuracy": table(
            "error, %",
            {
                "true fractions": errors(head, head.seen(), head.blurred(head.fractions)),
                "fractions from the T1w": errors(head, head.seen(), head.blurred(own)),
            },
        ),
        "mistakes": table("error, %", mistakes(head)),
        "noise": noise_table(head, options.draws),
        "fractions": table("T1w", {"truth": of_fractions(head, head.fractions)} | {
            f"noise of {noise:.0%}": of_fractions(head, values) for noise, values in found.items()
        }),
        "costs": table("CPU s", {"at 1 mm": costs(head)}) if head.size == 1 else "",
    }  # fmt: skip
    for name, text in tables.items():
        print(f"\n## {name}\n\n{text}")
    record("partial_volume", {name: text for name, text in tables.items() if text}, options.record)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voxel-size", type=float, default=1.0, help="of the T1w, mm; default: 1")
    parser.add_argument("--draws", type=int, default=20, help="of noise; default: 20")
    add_option(parser)
    return parser.parse_args()


def make_head(size: float) -> Head:
    """The head of the demo's first subject."""
    traits = Traits((1.02, 0.97, 1.00), 1.0, 3.0)
    subject = make_subject(load_template(), traits, size, np.random.default_rng(0))
    crop = subject.crop_to_t1w
    return Head(
        fractions={
            name: np.ascontiguousarray(crop(share))
            for name, share in zip(TISSUES, subject.fractions, strict=True)
        },
        activity=np.ascontiguousarray(crop(subject.signals["pet"])),
        t1w=np.ascontiguousarray(crop(subject.signals["t1w"])),
        affine=subject.t1w_grid.affine,
        size=size,
    )


def own_fractions(head: Head, noise: float) -> dict[str, np.ndarray]:
    """What the App finds in a T1w with that noise, relative to the signal of white matter."""
    t1w = acquire_mr(head.t1w, np.random.default_rng(1), noise=noise).astype(np.float32)
    mask, _ = find_brain(t1w, head.affine)
    corrected = correct_bias(t1w, mask, head.sizes, iterations=(50, 50, 30))
    return segment_tissues(corrected, mask, head.sizes).fraction


def errors(head: Head, pet: np.ndarray, regions: pvc.Blurred) -> dict[str, str]:
    """Error of each method in gray matter, and of GTM in white matter, %."""
    means = pvc.transfer_matrix_means(pet, regions).by_name()
    gray = pvc.muller_gartner(pet, regions, means)
    eroded = means | {"WM": pvc.eroded_mean(pet, regions)}
    rbv = pvc.region_based_voxelwise(pet, regions, means)
    yang, _ = pvc.iterative_yang(pet, regions)
    sharp = head.activity[head.gray].mean()
    found = {
        "not corrected, to pure gray matter": pet[head.gray].mean() / PURE["GM"],
        "not corrected": pet[head.gray].mean() / sharp,
        "GTM": means["GM"] / PURE["GM"],
        "GTM, white matter": means["WM"] / PURE["WM"],
        "MG": gray[head.gray & (gray != 0)].mean() / PURE["GM"],
        "MG, eroded white matter": _mean(pvc.muller_gartner(pet, regions, eroded), head),
        "MG, worst eighth of the brain": worst(gray, head),
        "RBV": rbv[head.gray].mean() / sharp,
        "IY": yang[head.gray].mean() / sharp,
    }
    return {name: f"{100 * (ratio - 1):+.1f}" for name, ratio in found.items()}


def _mean(gray: np.ndarray, head: Head) -> float:
    return float(gray[head.gray & (gray != 0)].mean() / PURE["GM"])


def worst(gray: np.ndarray, head: Head) -> float:
    """Ratio to the truth in that eighth of the brain where it is furthest from 1."""
    inside = np.argwhere(head.gray & (gray != 0))
    eighth = (inside > np.median(inside, axis=0)) @ (1, 2, 4)
    values = gray[tuple(inside.T)] / PURE["GM"]
    ratios = np.bincount(eighth, values) / np.bincount(eighth)
    return float(ratios[np.abs(ratios - 1).argmax()])


def mistakes(head: Head) -> dict[str, dict[str, str]]:
    """Errors with true fractions, when something else is wrong."""
    pet = head.seen()
    columns = {
        f"point spread taken for {fwhm:g} mm": errors(head, pet, head.blurred(head.fractions, fwhm))
        for fwhm in (FWHM_MM - 1, FWHM_MM + 1)
    }
    for name, step in zip("xyz", np.eye(3) / head.size, strict=True):
        moved = ndimage.shift(pet, step, mode="nearest")
        columns[f"1 mm off along {name}"] = errors(head, moved, head.blurred(head.fractions))
    return columns


def noise_table(head: Head, draws: int) -> str:
    """How noise grows: standard deviations over draws, % of the activity of gray matter."""
    rng = np.random.default_rng(2)
    regions, pet, fwhm = head.blurred(head.fractions), head.seen(), (NOISE_FWHM_MM,) * 3
    means = pvc.transfer_matrix_means(pet, regions).by_name()
    methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "not corrected": lambda image: image,
        "MG": lambda image: pvc.muller_gartner(image, regions, means),
        "RBV": lambda image: pvc.region_based_voxelwise(image, regions, means),
    }
    inside = head.gray & (pvc.muller_gartner(pet, regions, means) != 0)
    without = {name: method(pet)[inside] for name, method in methods.items()}
    squares, found = dict.fromkeys(methods, 0.0), []
    for _ in range(draws):
        noise = pvc.blur(rng.standard_normal(pet.shape, dtype=np.float32), fwhm, head.sizes)
        noisy = pet + noise * np.float32(NOISE * PURE["GM"] / noise.std())
        for name, method in methods.items():
            squares[name] += float(np.mean((method(noisy)[inside] - without[name]) ** 2)) / draws
        found.append(pvc.transfer_matrix_means(noisy, regions))
    known = pvc.transfer_matrix_means(pet, regions, noise_sd=NOISE * PURE["GM"], noise_fwhm=fwhm)
    gray = known.names.index("GM")
    spread = {
        **{f"voxels of gray matter, {name}": square**0.5 for name, square in squares.items()},
        "mean of gray matter, not corrected": np.std([draw.observed[gray] for draw in found]),
        "mean of gray matter, GTM": np.std([draw.values[gray] for draw in found]),
        "the same as GTM predicts it": known.variance[gray] ** 0.5,
    }
    cells = {name: f"{100 * value / PURE['GM']:.3g}" for name, value in spread.items()}
    return table("standard deviation, %", {"noise": cells})


def of_fractions(head: Head, fractions: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Volumes and overlap with the truth."""
    ml = head.size**3 / 1000
    cells = {}
    for name, true in head.fractions.items():
        own = fractions[name]
        cells[f"{name}, ml"] = f"{own.sum(dtype=np.float64) * ml:.0f}"
        cells[f"{name} above .99, ml"] = f"{np.count_nonzero(own > 0.99) * ml:.0f}"
        cells[f"{name}, Dice above .5"] = f"{dice(own > 0.5, true > 0.5):.3f}"
        cells[f"{name}, error in all voxels, ml"] = f"{np.abs(own - true).sum() * ml:.0f}"
    return cells


def costs(head: Head) -> dict[str, str]:
    """CPU seconds of each step on the whole grid of the T1w."""
    pet, regions = head.seen(), head.blurred(head.fractions)
    means = pvc.transfer_matrix_means(pet, regions).by_name()
    steps: dict[str, Callable[[], Any]] = {
        "blurring the tissues, for any method": lambda: head.blurred(head.fractions),
        "GTM": lambda: pvc.transfer_matrix_means(pet, regions),
        "MG": lambda: pvc.muller_gartner(pet, regions, means),
        "RBV": lambda: pvc.region_based_voxelwise(pet, regions, means),
        "IY": lambda: pvc.iterative_yang(pet, regions),
    }
    cells = {}
    for name, step in steps.items():
        began = time.process_time()
        step()
        cells[name] = f"{time.process_time() - began:.1f}"
    return cells


def table(title: str, columns: Mapping[str, Mapping[str, str]]) -> str:
    """A Markdown table from the cells of each column by the names of rows."""
    lines = [f"| {title} | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for row in next(iter(columns.values())):
        lines.append(f"| {row} | {' | '.join(cells[row] for cells in columns.values())} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
