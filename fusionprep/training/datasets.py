"""Training images: paired PNG slices, split by patient."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from fusionprep.errors import DataError, NoInputError
from fusionprep.image.colour import read_luminance

SPLITS = ("train", "val")


@dataclass(frozen=True)
class SliceGroup:
    """One row of ``slices.csv``: the aligned images of one slice of one patient.

    Attributes
    ----------
    images
        Modality folder name to file, e.g. ``{"ct": …, "mri": …}``.
    """

    dataset: str
    split: str
    subject: str
    images: dict[str, Path]


def read_slice_table(data_dir: Path) -> list[SliceGroup]:
    """Read ``slices.csv`` (columns dataset, split, file, subject) and find the images it lists.

    The images lie at ``<dataset>/<split>/<modality>/<file>``, below ``data_dir``.

    Raises
    ------
    NoInputError
        When the table or an image is missing.
    DataError
        When a column is missing, a split is unknown, or a subject is on both sides of the split.
    """
    table = Path(data_dir) / "slices.csv"
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise NoInputError(f"cannot read the table of training slices {table}: {error}") from error
    if not rows:
        raise DataError(f"{table} lists no slice")
    missing = {"dataset", "split", "file", "subject"} - set(rows[0])
    if missing:
        raise DataError(f"{table} lacks the column(s) {', '.join(sorted(missing))}")
    groups = [_slice_group(Path(data_dir), row) for row in rows]
    check_patient_split(groups)
    return groups


def _slice_group(data_dir: Path, row: dict[str, str]) -> SliceGroup:
    if row["split"] not in SPLITS:
        raise DataError(f"slices.csv: split {row['split']!r} of {row['file']} is not train or val")
    folder = data_dir / row["dataset"] / row["split"]
    images = {path.parent.name: path for path in sorted(folder.glob(f"*/{row['file']}"))}
    if not images:
        raise NoInputError(f"slices.csv lists {row['file']}, which is in no folder of {folder}")
    return SliceGroup(row["dataset"], row["split"], row["subject"], images)


def check_patient_split(groups: Iterable[SliceGroup]) -> None:
    """Make sure that no patient is used for both training and validation.

    Raises
    ------
    DataError
        Naming the subjects on both sides.
    """
    splits = defaultdict(set)
    for group in groups:
        splits[group.subject].add(group.split)
    leaked = sorted(subject for subject, found in splits.items() if len(found) > 1)
    if leaked:
        raise DataError(
            f"subject(s) in both training and validation: {', '.join(leaked)}; "
            "split by patient, not by slice"
        )


class SingleSlices(Dataset):
    """Every image on its own, for auto-encoders: float32 (1, H, W) in [0, 1].

    Parameters
    ----------
    paths
        The images, all kept in memory as 8-bit gray levels.
    crop
        Side of a random square crop in pixels; None gives whole slices without augmentation.
    seed
        Crop, flips and gain of item i in epoch e depend on (seed, e, i) only.
    """

    def __init__(self, paths: Sequence[Path], *, crop: int | None = None, seed: int = 0) -> None:
        self.images = [read_luminance(path) for path in paths]
        self.crop = crop
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = self.images[index].astype(np.float32) / 255
        if self.crop is not None:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            image = augment(random_crop(image, self.crop, rng), rng)
        return torch.from_numpy(np.ascontiguousarray(image[None]))


def random_crop(image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random ``side`` x ``side`` part of an image (H, W), drawn up to 8 times until not empty.

    Empty means fewer than a tenth of the pixels above zero: most of a head slice is air, from
    which there is nothing to learn.

    Raises
    ------
    DataError
        When the image is smaller than the crop.
    """
    if min(image.shape) < side:
        raise DataError(f"an image of {image.shape} pixels is smaller than the crop of {side}")
    for _ in range(8):
        top, left = (rng.integers(0, size - side + 1) for size in image.shape)
        part = image[top : top + side, left : left + side]
        if np.count_nonzero(part) >= 0.1 * part.size:
            break
    return part


def augment(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flip, rotate by quarter turns and scale the gray levels by 0.6 to 1 at random."""
    image = np.rot90(image, rng.integers(4))
    if rng.integers(2):
        image = image[:, ::-1]
    return image * np.float32(rng.uniform(0.6, 1.0))
