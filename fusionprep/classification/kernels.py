"""Inputs of linear models as Gram matrices, so that voxels cost no more than subjects.

A linear model with a quadratic penalty needs only inner products of scans. Those of images are
computed once and serve every fold, strength and permutation; centring by the mean of the training
scans is arithmetic on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fusionprep.errors import DataError

ALIKE = 0.999
"""Correlation, without what all images have in common, above which two show one brain."""


class Features(Protocol):
    """What a linear model reads."""

    def split(self, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Kernels (train, train) and (test, train) of rows, prepared by the training rows alone.

        Centred, and of mean diagonal 1 in training.
        """
        ...


@dataclass(frozen=True)
class VoxelFeatures:
    """Voxels of one kind of image.

    Attributes
    ----------
    gram
        (n, n), inner products of scans, not centred.
    """

    gram: np.ndarray

    @classmethod
    def of(cls, voxels: np.ndarray) -> "VoxelFeatures":
        """From voxels (n, p)."""
        voxels = np.asarray(voxels, np.float64)
        return cls(voxels @ voxels.T)

    def split(self, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return normalised(self.gram[np.ix_(train, train)], self.gram[np.ix_(test, train)])


@dataclass(frozen=True)
class TableFeatures:
    """Columns of a table: gaps filled with the median and brought to one scale, both of training.

    Attributes
    ----------
    values
        (n, columns); NaN where there is no value.
    """

    values: np.ndarray

    def split(self, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = TableScale.of(self.values[train])
        fitted, other = scale.apply(self.values[train]), scale.apply(self.values[test])
        return normalised(fitted @ fitted.T, other @ fitted.T)


@dataclass(frozen=True)
class TableScale:
    """Median, mean and standard deviation of the columns of training scans, each (columns,)."""

    median: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "TableScale":
        """Of a table (n, columns); a column without any value counts as 0 everywhere."""
        empty = np.isnan(values).all(axis=0)
        median = np.zeros(values.shape[1])
        median[~empty] = np.nanmedian(values[:, ~empty], axis=0)
        filled = np.where(np.isnan(values), median, values)
        deviation = filled.std(axis=0)
        # what does not vary in training says nothing
        return cls(median, filled.mean(axis=0), np.where(deviation > 0, deviation, np.inf))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The table filled and scaled."""
        filled = np.where(np.isnan(values), self.median, values)
        return (filled - self.mean) / self.deviation


@dataclass(frozen=True)
class JoinedFeatures:
    """Several kinds of input side by side, each with the same total variance in training."""

    parts: tuple[Features, ...]

    def split(self, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kernels = [part.split(train, test) for part in self.parts]
        first, second = (sum(kinds) / len(kernels) for kinds in zip(*kernels, strict=True))
        return np.asarray(first), np.asarray(second)


def normalised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernels (train, train) and (test, train) centred and scaled by the training scans.

    Raises
    ------
    DataError
        When the training scans do not differ.
    """
    mean, level = train.mean(axis=0), train.mean()
    test = test - test.mean(axis=1, keepdims=True) - mean + level
    centred = train - mean - mean[:, None] + level
    scale = np.trace(centred) / len(centred)
    if not scale > 1e-12 * abs(level):
        raise DataError("an input is the same in all training subjects; leave it out of --inputs")
    return centred / scale, test / scale


def check_alike(features: VoxelFeatures, names: Sequence[str], subjects: np.ndarray) -> None:
    """Refuse images of two subjects that differ by no more than a factor and rounding.

    Parameters
    ----------
    names
        Of the scans, for the message.
    subjects
        (n,), number of each scan's subject.

    Raises
    ------
    DataError
        When there are such images.
    """
    gram = features.gram
    mean = gram.mean(axis=0)
    centred = gram - mean - mean[:, None] + gram.mean()
    length = np.sqrt(np.maximum(np.diag(centred), 1e-12 * np.trace(centred)))
    alike = centred / np.outer(length, length) > ALIKE
    alike &= subjects[:, None] < subjects
    if alike.any():
        one, other = np.argwhere(alike)[0]
        raise DataError(
            f"{names[one]} and {names[other]} are almost the same image, so that one subject would "
            "be both trained on and tested; remove one of the two"
        )
