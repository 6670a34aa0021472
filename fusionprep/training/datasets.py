"""Training data: pairs of slices from either kind of folder, and the samples drawn from them."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from fusionprep.errors import DataError, NoInputError
from fusionprep.training.derivatives import DESCRIPTION, read_derivative_pairs
from fusionprep.training.options import TrainingOptions
from fusionprep.training.pairs import SPLITS, SlicePair, usable_pairs
from fusionprep.training.slices import TABLE, read_slice_pairs


def read_pairs(data_dir: Path, options: TrainingOptions) -> list[SlicePair]:
    """All usable pairs of a folder of training data: slices with a table, or outputs of the App.

    Pairs with an empty slice are left out, small ones padded to the crops, and that is said on
    standard error (:func:`~fusionprep.training.pairs.usable_pairs`).

    See :func:`fusionprep.training.slices.read_slice_table` and
    :func:`fusionprep.training.derivatives.read_derivative_pairs`.

    Raises
    ------
    NoInputError, DataError
        When the data cannot be used; also when a patient is on both sides of the split, or one
        side is empty.
    UsageError
        When the options name subjects that are not there.
    """
    if (data_dir / TABLE).exists():
        pairs = read_slice_pairs(data_dir, options)
    elif (data_dir / DESCRIPTION).exists():
        pairs = read_derivative_pairs(data_dir, options)
    else:
        raise NoInputError(
            f"{data_dir} holds no training data: expected {TABLE} beside folders of slices, or "
            f"the output folder of fusionapp with its {DESCRIPTION}"
        )
    pairs, note = usable_pairs(pairs, options.crop)
    if note:
        print(note, file=sys.stderr, flush=True)
    for split in SPLITS:
        if not any(pair.split == split for pair in pairs):
            raise DataError(f"{data_dir} holds no {split} pair; training needs train and val")
    return pairs


class PairSamples(Dataset):
    """Random crops of pairs, all datasets equally often, or whole pairs to validate on.

    Item i of epoch e depends on (seed, e, i) only, whatever was drawn before.

    Parameters
    ----------
    prepare
        Makes a sample of an anatomical and a functional slice, float32 (H, W) in [0, 1], and a
        random generator; see :meth:`fusionprep.training.recipes.base.Recipe.prepare`.
    count
        Items in an epoch; None takes every pair once, whole and as it is.
    crop
        Side of the crops in pixels.
    smallest_gain
        Lower limit of each image's random gain, see :func:`augment`.
    """

    def __init__(
        self,
        pairs: Sequence[SlicePair],
        prepare: Callable[..., dict[str, np.ndarray]],
        *,
        seed: int,
        count: int | None = None,
        crop: int | None = None,
        smallest_gain: float = 0.6,
    ) -> None:
        datasets = sorted({pair.dataset for pair in pairs})
        self.pairs = list(pairs)
        self.by_dataset = [[p for p in pairs if p.dataset == name] for name in datasets]
        self.prepare = prepare
        self.seed = seed
        self.count = count
        self.crop = crop
        self.smallest_gain = smallest_gain
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.pairs) if self.count is None else self.count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        if self.count is None or self.crop is None:
            pair = self.pairs[index]
            images = np.stack([pair.anatomical, pair.functional]) / np.float32(255)
        else:
            members = self.by_dataset[rng.integers(len(self.by_dataset))]
            pair = members[rng.integers(len(members))]
            images = np.stack([pair.anatomical, pair.functional]) / np.float32(255)
            images = augment(random_crop(images, self.crop, rng), rng, self.smallest_gain)
        sample = self.prepare(*images, rng)
        return {
            name: torch.from_numpy(np.ascontiguousarray(image[None], np.float32))
            for name, image in sample.items()
        }


def random_crop(images: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random ``side`` x ``side`` part of images (N, H, W), drawn up to 8 times until not empty.

    Empty means fewer than a tenth of the pixels above zero: most of a head slice is air, from
    which there is nothing to learn.

    Raises
    ------
    DataError
        When the images are smaller than the crop.
    """
    shape = images.shape[1:]
    if min(shape) < side:
        raise DataError(f"an image of {shape} pixels is smaller than the crop of {side}")
    for _ in range(8):
        top, left = (rng.integers(0, size - side + 1) for size in shape)
        part = images[:, top : top + side, left : left + side]
        if np.count_nonzero(part) >= 0.1 * part.size:
            break
    return part


def augment(images: np.ndarray, rng: np.random.Generator, smallest_gain: float) -> np.ndarray:
    """Flip and rotate images (N, H, W) together, and multiply the levels of each by a gain."""
    images = np.rot90(images, int(rng.integers(4)), axes=(1, 2))
    if rng.integers(2):
        images = images[..., ::-1]
    return images * rng.uniform(smallest_gain, 1.0, (len(images), 1, 1)).astype(np.float32)
