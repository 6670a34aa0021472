"""Which subjects are tested together, and permutations of labels that keep folds as they are."""

import numpy as np

from fusionprep.errors import DataError

FEWEST_FOLDS = 3
"""One to test, one to choose by, one to train on."""


def assign_folds(
    labels: np.ndarray, folds: int, seed: int, groups: np.ndarray | None = None
) -> np.ndarray:
    """The fold of each subject; every class is spread evenly over them.

    Parameters
    ----------
    labels
        (n,), number of each subject's class.
    folds
        How many.
    groups
        (n,), such as sites: each is in one fold as a whole.

    Returns
    -------
    numpy.ndarray
        (n,), 0 to ``folds - 1``.

    Raises
    ------
    DataError
        When a fold would have fewer than two subjects of a class.
    """
    if groups is None:
        assigned = _dealt(labels, folds, seed)
    else:
        assigned = _grouped(labels, folds, seed, groups)
    for fold in range(folds):
        counts = np.bincount(labels[assigned == fold], minlength=labels.max() + 1)
        if counts.min() < 2:
            raise DataError(
                f"{folds} folds leave {counts.min()} subjects of a class in one of them, and two "
                "are needed; use fewer --folds, or a --group of more and smaller groups"
            )
    return assigned


def _dealt(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    assigned = np.empty(len(labels), int)
    start = 0
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        # each class begins where the one before ended, so that folds are of one size
        assigned[members] = (np.arange(len(members)) + start) % folds
        start += len(members)
    return assigned


def _grouped(labels: np.ndarray, folds: int, seed: int, groups: np.ndarray) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold

    if (count := len(np.unique(groups))) < folds:
        raise DataError(
            f"there are {count} groups, fewer than the {folds} folds; use fewer --folds"
        )
    assigned = np.empty(len(labels), int)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, tested) in enumerate(splitter.split(labels, labels, groups)):
        assigned[tested] = fold
    return assigned


def permuted_labels(labels: np.ndarray, strata: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Labels permuted within strata.

    Within folds, or groups that are whole in a fold, each fold keeps its numbers of every class:
    the permuted data go through exactly the procedure that the real ones went through.

    Parameters
    ----------
    labels, strata
        (n,).
    count
        How many permutations.

    Returns
    -------
    numpy.ndarray
        (n, count).
    """
    rng = np.random.default_rng(seed)
    permuted = np.empty((len(labels), count), labels.dtype)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        columns = np.tile(labels[members][:, None], count)
        permuted[members] = rng.permuted(columns, axis=0)
    return permuted
