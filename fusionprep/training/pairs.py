"""Pairs of aligned slices to train on."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from fusionprep.errors import DataError

SPLITS = ("train", "val")


@dataclass(frozen=True)
class SlicePair:
    """Two aligned slices of one patient.

    Attributes
    ----------
    modality
        What the functional image is, e.g. ``pet``.
    anatomical, functional
        uint8 (H, W).
    file
        Of the slices, for messages; empty where they are of volumes.
    """

    dataset: str
    split: str
    subject: str
    modality: str
    anatomical: np.ndarray
    functional: np.ndarray
    file: str = ""

    @property
    def empty(self) -> bool:
        """Whether one of the slices shows nothing, so that there is nothing to fuse."""
        return bool(np.ptp(self.anatomical) == 0 or np.ptp(self.functional) == 0)


def padded(image: np.ndarray, side: int) -> np.ndarray:
    """A slice (H, W) with black around it where it is smaller than `side` pixels."""
    missing = [max(side - length, 0) for length in image.shape]
    return np.pad(image, [(short // 2, short - short // 2) for short in missing])


class _OfSubject(Protocol):
    @property
    def subject(self) -> str: ...

    @property
    def split(self) -> str: ...


def usable_pairs(pairs: Sequence[SlicePair], crop: int) -> tuple[list[SlicePair], str]:
    """The pairs that can be trained on, at least as large as the crops.

    Parameters
    ----------
    crop
        Side in pixels, up to which smaller slices get black around them.

    Returns
    -------
    pairs
        Those in which both slices show something.
    note
        How many were left out and how many padded, each with an example; empty where none was.
    """
    kept, empty, small = [], [], []
    for pair in pairs:
        name = f"{pair.dataset} {pair.subject} {pair.file}".strip()
        if pair.empty:
            empty.append(name)
            continue
        if min(pair.anatomical.shape) < crop:
            small.append(name)
            images = (padded(image, crop) for image in (pair.anatomical, pair.functional))
            anatomical, functional = images
            pair = replace(pair, anatomical=anatomical, functional=functional)
        kept.append(pair)
    said = []
    if empty:
        said.append(
            f"{len(empty)} of {len(pairs)} pairs left out, with a slice that shows nothing"
            f" (e.g. {empty[0]})"
        )
    if small:
        said.append(
            f"{len(small)} of {len(pairs)} pairs padded with black to the crops of {crop} pixels"
            f" (e.g. {small[0]})"
        )
    return kept, "; ".join(said)


def check_patient_split(items: Iterable[_OfSubject]) -> None:
    """Make sure that no patient is used for both training and validation.

    Raises
    ------
    DataError
        Naming the subjects on both sides.
    """
    splits = defaultdict(set)
    for item in items:
        splits[item.subject].add(item.split)
    leaked = sorted(subject for subject, found in splits.items() if len(found) > 1)
    if leaked:
        raise DataError(
            f"subject(s) in both training and validation: {', '.join(leaked)}; "
            "split by patient, not by slice"
        )
