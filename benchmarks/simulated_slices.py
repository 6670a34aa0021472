"""A folder of training slices with functional images simulated from the MRI.

    python benchmarks/simulated_slices.py SLICES OUT --volumes T1W.nii.gz --leave-out SUBJECT

SLICES is a folder as ``fusionprep train`` reads it (``slices.csv`` beside folders of PNG). Its
pairs are taken over; beside them stand pairs of the same MRI with simulated uptake, once per
``--repeats``, and slices of whole T1w volumes with uptake simulated in 3-D. A pseudo-colour PET is
taken over twice, as luma and as the levels that its colour map stands for. ``--kind NAME LOW HIGH``
adds a dataset ``sim-NAME`` of further draws whose uptake in gray over that in white matter lies
between both, such as ``amyloid 0.35 1.2``.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from fusionprep.image.intensity import mri_scaling
from fusionprep.image.masks import extract_brain
from fusionprep.training.options import TrainingOptions
from fusionprep.training.pairs import SlicePair
from fusionprep.training.simulated import GRAY_TO_WHITE, simulate_uptake
from fusionprep.training.slices import TABLE, read_slice_pairs

SMALLEST_BRAIN = 2500
SIDE = 256
EVERY, VOLUME_DRAWS = 3, 3
BRIGHT_CSF = 0.7
"""Share of 2-D draws in which the brightest tissue is taken for cerebrospinal fluid: the pairs do
not say which MRI are T2-weighted, and a wrong guess only makes the draw stranger."""

STRIPPED = 0.3


@dataclass
class Folder:
    """Where pairs are written, and their table."""

    root: Path
    rows: list[dict[str, str]]

    def add(self, pair: SlicePair, dataset: str, name: str) -> None:
        """Write a pair under the name of a dataset."""
        from PIL import Image

        for kind, image in ((pair.modality, pair.functional), ("mri", pair.anatomical)):
            path = self.root / dataset / pair.split / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
        self.rows.append(
            {
                "dataset": dataset,
                "split": pair.split,
                "file": f"{name}.png",
                "subject": pair.subject,
            }
        )


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("slices", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--volumes", type=Path, nargs="*", default=[])
    parser.add_argument("--subjects", nargs="*", default=[], help="of the volumes")
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="SUBJECT")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument(
        "--kind", nargs=3, action="append", default=[], metavar=("NAME", "LOW", "HIGH")
    )
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    rng, folder = np.random.default_rng(arguments.seed), Folder(arguments.out, [])
    for number, (pair, dataset) in enumerate(_pairs(arguments.slices, set(arguments.leave_out))):
        name = f"{number:05d}"
        folder.add(pair, dataset, name)
        if dataset.endswith("-level"):
            continue
        for draw in range(arguments.repeats):
            simulated = _simulated(pair, rng)
            if simulated is not None:
                folder.add(simulated, f"sim-{pair.modality}", f"{name}-{draw}")
    _add_volumes(folder, arguments, "sim-volume", arguments.repeats, rng)
    for name, *ratio in arguments.kind:
        _add_kind(folder, arguments, f"sim-{name}", tuple(map(float, ratio)), rng)
    with (arguments.out / TABLE).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(folder.rows[0]))
        writer.writeheader()
        writer.writerows(folder.rows)


def _add_kind(
    folder: Folder,
    arguments: argparse.Namespace,
    dataset: str,
    ratio: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Further draws with gray over white matter in a range: of some slices, and of the volumes."""
    pairs = _pairs(arguments.slices, set(arguments.leave_out))
    for number, (pair, origin) in enumerate(pairs):
        if number % EVERY == 0 and not origin.endswith("-level"):
            simulated = _simulated(pair, rng, ratio)
            if simulated is not None:
                folder.add(simulated, dataset, f"{number:05d}")
    _add_volumes(folder, arguments, dataset, VOLUME_DRAWS * arguments.repeats, rng, ratio)


def _add_volumes(
    folder: Folder,
    arguments: argparse.Namespace,
    dataset: str,
    draws: int,
    rng: np.random.Generator,
    ratio: tuple[float, float] = GRAY_TO_WHITE,
) -> None:
    names = [path.name.split(".")[0] for path in arguments.volumes]
    subjects = arguments.subjects or names
    for path, name, subject in zip(arguments.volumes, names, subjects, strict=True):
        for number, pair in enumerate(_slices(path, subject, draws, rng, ratio)):
            folder.add(pair, dataset, f"{name}-{number:04d}")


def _pairs(slices: Path, left_out: set[str]) -> Iterator[tuple[SlicePair, str]]:
    """All pairs with the name of their dataset: CT together, PET as luma and as levels."""
    for pair in read_slice_pairs(slices, TrainingOptions()):
        if pair.subject not in left_out:
            yield pair, pair.modality
    if not (slices / TrainingOptions().colormap).exists():
        return
    for pair in read_slice_pairs(slices, TrainingOptions(functional_levels="colormap")):
        if pair.modality == "pet" and pair.subject not in left_out:
            yield pair, "pet-level"


def _simulated(
    pair: SlicePair, rng: np.random.Generator, ratio: tuple[float, float] = GRAY_TO_WHITE
) -> SlicePair | None:
    """The MRI with simulated uptake; None where there is too little brain."""
    brain = ndimage.binary_fill_holes(_brain(pair) & (pair.anatomical > 8))
    if brain.sum() < SMALLEST_BRAIN:
        return None
    levels = pair.anatomical / 255
    try:
        bright_csf = bool(rng.random() < BRIGHT_CSF)
        uptake = simulate_uptake(levels, brain, rng, bright_csf=bright_csf, gray_to_white=ratio)
    except ValueError:  # fewer than three gray levels
        return None
    stripped = ndimage.binary_dilation(brain) if rng.random() < STRIPPED else 1
    return SlicePair(
        *(pair.dataset, pair.split, pair.subject, "pet"),
        anatomical=(pair.anatomical * stripped).astype(np.uint8),
        functional=np.rint(255 * uptake).astype(np.uint8),
    )


def _brain(pair: SlicePair) -> np.ndarray:
    """Roughly the brain: inside the bone of a CT, or where a tracer is."""
    levels, room = pair.functional / 255, 10
    if pair.modality == "ct":
        bone = ndimage.binary_closing(levels > 0.8, iterations=3)
        brain = ndimage.binary_fill_holes(bone) & ~bone
        brain = ndimage.binary_erosion(brain, iterations=2)
    else:
        taken_up = np.pad(levels > 0.25, room)
        closed = ndimage.binary_closing(taken_up, iterations=6)[room:-room, room:-room]
        brain = ndimage.binary_fill_holes(closed)
    labels, _ = ndimage.label(brain)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.isin(labels, np.flatnonzero(sizes > SMALLEST_BRAIN // 3))


def _slices(
    path: Path,
    subject: str,
    repeats: int,
    rng: np.random.Generator,
    ratio: tuple[float, float] = GRAY_TO_WHITE,
) -> Iterator[SlicePair]:
    """Axial slices of a T1w with uptake simulated in 3-D; all but the first draw stripped."""
    image = nib.as_closest_canonical(nib.load(path))
    data = image.get_fdata(dtype=np.float32)
    sizes = nib.affines.voxel_sizes(image.affine)
    brain = extract_brain(data, image.affine)
    levels = mri_scaling(data, brain).apply(data)
    area = brain.sum(axis=(0, 1))
    for draw in range(repeats):
        uptake = simulate_uptake(levels, brain, rng, voxel_sizes=sizes, gray_to_white=ratio)
        shown = levels * brain if draw else levels
        for place in np.flatnonzero(area > 0.25 * area.max())[::EVERY]:
            planes = (_padded(np.rot90(volume[:, :, place])) for volume in (shown, uptake))
            yield SlicePair("volume", "train", subject, "pet", *planes)


def _padded(plane: np.ndarray) -> np.ndarray:
    room = [(max(0, SIDE - side + 1) // 2,) * 2 for side in plane.shape]
    return np.rint(255 * np.pad(plane, room)[:SIDE, :SIDE]).astype(np.uint8)


if __name__ == "__main__":
    main()
