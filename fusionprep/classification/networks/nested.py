"""Cross-validation of networks: one fold to test, the next one to stop by, the others to train."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fusionprep.classification.calibration import Platt
from fusionprep.classification.nested import Design, Predictions
from fusionprep.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from fusionprep.classification.networks.loop import Standard, Training


def require_packages(names: Sequence[str] = ("lightning", "monai")) -> None:
    """Refuse at once what would fail for lack of an optional package.

    Raises
    ------
    UsageError
        When one is missing.
    """
    missing = [name for name in names if not importlib.util.find_spec(name)]
    if missing:
        raise UsageError(
            f"networks need {' and '.join(missing)}; install with: "
            "pip install 'fusionprep[classify]'"
        )


def cross_validate_network(
    name: str,
    volumes: np.ndarray,
    mask: np.ndarray,
    design: Design,
    training: "Training",
    watch: Callable[["nn.Module", "Standard", np.ndarray], None] | None = None,
) -> Predictions:
    """Scores of every subject by a network that saw it neither in training nor when to stop.

    Parameters
    ----------
    name
        Of :data:`fusionprep.classification.networks.NETWORKS`.
    volumes
        (scans, channels, X, Y, Z), 0 outside the mask.
    mask
        (X, Y, Z).
    watch
        Called after each fold with the network, what volumes are scaled by, and (subjects,) of
        bool, who is tested.

    Returns
    -------
    Predictions
        ``chosen`` are the epochs of the weights.
    """
    count, classes = len(design.labels), design.classes
    scores, probabilities = np.zeros((count, classes)), np.zeros((count, classes))
    predicted, chosen = np.zeros(count, int), []
    folds = int(design.folds.max()) + 1
    for fold in range(folds):
        tested, held = design.folds == fold, design.folds == (fold + 1) % folds
        seeded = replace(training, seed=training.seed * 1009 + fold)
        network, standard, epoch = fit_network(
            name, volumes, mask, design, held, ~tested & ~held, seeded
        )
        known = subject_scores(network, standard, volumes, design, held, seeded)
        curve = Platt.fit(known, design.labels[held])
        scores[tested] = subject_scores(network, standard, volumes, design, tested, seeded)
        probabilities[tested] = curve.probabilities(scores[tested])
        predicted[tested] = curve.classes(probabilities[tested])
        chosen.append(float(epoch))
        if watch is not None:
            watch(network, standard, tested)
    return Predictions(scores, probabilities, predicted, tuple(chosen))


def fit_network(
    name: str,
    volumes: np.ndarray,
    mask: np.ndarray,
    design: Design,
    held: np.ndarray,
    trained: np.ndarray,
    training: "Training",
) -> tuple["nn.Module", "Standard", int]:
    """Train on some subjects and stop by others.

    Parameters
    ----------
    name, volumes, mask
        As in :func:`cross_validate_network`.
    held, trained
        (subjects,) of bool.

    Returns
    -------
    network, standard
        The network, and what volumes are scaled by, which the trained subjects alone decide.
    epoch
        Of the weights.
    """
    import torch

    from fusionprep.classification.networks.loop import Standard, build_network, train_network

    rows, others = design.scans_of(trained), design.scans_of(held)
    labels = design.labels[design.subjects]
    standard = Standard.of(volumes[rows], mask)
    torch.manual_seed(training.seed)
    network = build_network(name, volumes.shape[1], design.classes)
    epoch = train_network(
        network,
        (standard.apply(volumes[rows]), labels[rows]),
        (standard.apply(volumes[others]), labels[others]),
        training,
    )
    return network, standard, epoch


def subject_scores(
    network: "nn.Module",
    standard: "Standard",
    volumes: np.ndarray,
    design: Design,
    chosen: np.ndarray,
    training: "Training",
) -> np.ndarray:
    """Scores (chosen subjects, classes), means over the visits of each."""
    from fusionprep.classification.networks.loop import scores_of

    rows = design.scans_of(chosen)
    scores = scores_of(network, standard.apply(volumes[rows]), training)
    owners = design.subjects[rows]
    return np.array([scores[owners == who].mean(axis=0) for who in np.flatnonzero(chosen)])
