"""Pairs of aligned slices to train on."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
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
    """

    dataset: str
    split: str
    subject: str
    modality: str
    anatomical: np.ndarray
    functional: np.ndarray


class _OfSubject(Protocol):
    @property
    def subject(self) -> str: ...

    @property
    def split(self) -> str: ...


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
