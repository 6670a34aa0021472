"""What a reader can see on people nobody trained on: real T1w, uptake simulated from them.

    python benchmarks/reader_simulated.py T1W.nii.gz --methods readfuse selfuse average

Each T1w gets three kinds of uptake (FDG-like, amyloid-like, even); lesions are planted in six axial
slices of each, and the pair is fused by :func:`fusionprep.fuse` with default options.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np

from fusionprep import fuse
from fusionprep.evaluation.visibility import Fuse, combine, visibility
from fusionprep.image.intensity import mri_scaling
from fusionprep.image.masks import extract_brain
from fusionprep.modalities import PET
from fusionprep.training.simulated import simulate_uptake

KINDS = {"FDG-like": 4.0, "amyloid-like": 0.6, "even": 1.2}
"""Uptake of gray over that of white matter."""

SLICES = 6


def main() -> None:
    """Print a table for each T1w."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("t1w", type=Path, nargs="+")
    parser.add_argument("--methods", nargs="+", default=["readfuse", "selfuse", "average"])
    arguments = parser.parse_args()
    for path in arguments.t1w:
        print(f"\n{path.name}\n")
        print("| method | uptake | all | dominated | gain | cancelled 2/4 px | white |")
        print("|---|---|---|---|---|---|---|")
        pairs = list(_pairs(path))
        for method in arguments.methods:
            for kind in KINDS:
                results = [
                    visibility(_rule(method), *images, PET, rng=np.random.default_rng(number))
                    for number, (name, *images) in enumerate(pairs)
                    if name == kind
                ]
                total = combine(results)
                edges = "/".join(f"{share.mean:.2f}" for share in total.cancelled)
                figures = (total.all, total.dominated, total.gain)
                numbers = " | ".join(f"{value.mean:.2f}" for value in figures)
                print(
                    f"| {method} | {kind} | {numbers} | {edges} | {total.white.mean:.3f} |",
                    flush=True,
                )


def _rule(method: str) -> Fuse:
    return lambda anatomical, functional: fuse(anatomical, functional, model=method)


def _pairs(path: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Kind of uptake, both slices in [0, 1] and the brain."""
    image = nib.as_closest_canonical(nib.load(path))
    data = image.get_fdata(dtype=np.float32)
    sizes = nib.affines.voxel_sizes(image.affine)
    brain = extract_brain(data, image.affine)
    levels = mri_scaling(data, brain).apply(data)
    area = brain.sum(axis=(0, 1))
    places = np.flatnonzero(area > 0.5 * area.max())
    places = places[np.linspace(0, len(places) - 1, SLICES + 2)[1:-1].astype(int)]
    for number, (kind, ratio) in enumerate(KINDS.items()):
        rng = np.random.default_rng(number)
        uptake = simulate_uptake(
            levels, brain, rng, voxel_sizes=sizes, gray_to_white=(ratio, ratio)
        )
        for place in places:
            yield kind, levels[:, :, place], uptake[:, :, place], brain[:, :, place]


if __name__ == "__main__":
    main()
