"""Nested cross-validation of linear models.

The inner folds of a training set are the other outer folds. A model trained without two folds then
serves both, and permuting labels within folds leaves every training set as it is, so that the Gram
matrices of K (K + 1) / 2 training sets do for all permutations.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fusionprep.classification.calibration import Platt
from fusionprep.classification.kernels import Features
from fusionprep.classification.linear import STRENGTHS, fit


@dataclass(frozen=True)
class Design:
    """Who is tested when.

    Attributes
    ----------
    subjects
        (scans,), number of each scan's subject. A subject's score is the mean over its scans.
    labels
        (subjects,), number of the class.
    folds
        (subjects,).
    """

    subjects: np.ndarray
    labels: np.ndarray
    folds: np.ndarray

    @property
    def classes(self) -> int:
        """How many."""
        return int(self.labels.max()) + 1

    def scans_of(self, chosen: np.ndarray) -> np.ndarray:
        """Rows of the scans of subjects, which are chosen by (subjects,) of bool."""
        return np.flatnonzero(chosen[self.subjects])


@dataclass(frozen=True)
class Predictions:
    """What models said of subjects they had not seen.

    Attributes
    ----------
    scores
        (subjects, classes), higher for the class; comparable within a fold only.
    probabilities
        (subjects, classes), by a calibration in the training folds.
    predicted
        (subjects,), number of the class.
    chosen
        What was chosen in the inner folds, for each outer fold.
    """

    scores: np.ndarray
    probabilities: np.ndarray
    predicted: np.ndarray
    chosen: tuple[float, ...]


def cross_validate(features: Features, model: str, design: Design) -> Predictions:
    """Scores of every subject by models for which all was chosen in the other folds.

    Parameters
    ----------
    model
        Of :data:`fusionprep.classification.linear_models.LINEAR_MODELS`.
    """
    labels = design.labels[:, None]
    held = _held_out_scores(features, model, design, labels)
    count, classes = len(labels), design.classes
    scores, probabilities = np.zeros((count, classes)), np.zeros((count, classes))
    predicted, chosen = np.zeros(count, int), []
    for fold in range(design.folds.max() + 1):
        tested = design.folds == fold
        best = _best(held, design, labels, fold)[0]
        inner = np.concatenate([held[fold, other][best, :, 0] for other in _others(design, fold)])
        known = np.concatenate([design.labels[design.folds == o] for o in _others(design, fold)])
        curve = Platt.fit(inner, known)
        scores[tested] = held[fold, fold][best, :, 0]
        probabilities[tested] = curve.probabilities(scores[tested])
        predicted[tested] = curve.classes(probabilities[tested])
        chosen.append(STRENGTHS[model][best])
    return Predictions(scores, probabilities, predicted, tuple(chosen))


def permutation_p(features: Features, model: str, design: Design, permuted: np.ndarray) -> float:
    """Share of permutations whose area is as large as that of the true labels, which count as one.

    Parameters
    ----------
    permuted
        As in :func:`permuted_areas`.
    """
    columns = np.column_stack([design.labels, permuted])
    areas = permuted_areas(features, model, design, columns)
    return float(np.mean(areas >= areas[0] - 1e-9))


def permuted_areas(
    features: Features, model: str, design: Design, permuted: np.ndarray
) -> np.ndarray:
    """The cross-validated area for each column of permuted labels, everything chosen again.

    Parameters
    ----------
    permuted
        (subjects, permutations), see :func:`fusionprep.classification.folds.permuted_labels`.

    Returns
    -------
    numpy.ndarray
        (permutations,).
    """
    held = _held_out_scores(features, model, design, permuted)
    columns = np.arange(permuted.shape[1])
    total, pairs = np.zeros(len(columns)), 0.0
    for fold in range(design.folds.max() + 1):
        best = _best(held, design, permuted, fold)
        scores = held[fold, fold][best, :, columns].transpose(1, 0, 2)
        tested = permuted[design.folds == fold]
        # as many of each class in every permutation, and so as many pairs
        counts = np.bincount(tested[:, 0], minlength=design.classes)
        weight = float(counts[-1] * (len(tested) - counts[-1]))
        total, pairs = total + weight * mean_areas(scores, tested), pairs + weight
    return total / pairs


def mean_areas(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Area of each class against the others, averaged; of two classes that of the second.

    Parameters
    ----------
    scores
        (n, columns, classes).
    labels
        (n, columns).

    Returns
    -------
    numpy.ndarray
        (columns,).
    """
    from scipy.stats import rankdata

    classes = scores.shape[2]
    areas = []
    for each in range(classes) if classes > 2 else (1,):
        positive = labels == each
        count = positive.sum(axis=0)
        ranks = (rankdata(scores[:, :, each], axis=0) * positive).sum(axis=0)
        areas.append((ranks - count * (count + 1) / 2) / (count * (len(labels) - count)))
    return np.asarray(np.mean(areas, axis=0))


def best_strength(features: Features, model: str, design: Design) -> tuple[int, Platt]:
    """Number of the strength with the largest cross-validated area, and its calibration."""
    held = _held_out_scores(features, model, design, design.labels[:, None])
    folds = range(design.folds.max() + 1)
    labels = [design.labels[design.folds == fold] for fold in folds]
    areas = [
        [mean_areas(scores, known[:, None])[0] for scores in held[fold, fold]]
        for fold, known in zip(folds, labels, strict=True)
    ]
    best = int(np.argmax(np.round(np.mean(areas, axis=0), 9)))
    scores = np.concatenate([held[fold, fold][best, :, 0] for fold in folds])
    return best, Platt.fit(scores, np.concatenate(labels))


def _others(design: Design, fold: int) -> list[int]:
    return [other for other in range(design.folds.max() + 1) if other != fold]


def _held_out_scores(
    features: Features, model: str, design: Design, labels: np.ndarray
) -> Mapping[tuple[int, int], np.ndarray]:
    """Scores (strengths, subjects, columns, classes) of fold `l` without the folds `k` and `l`.

    Under (k, l); for k = l only that fold was left out.
    """
    held = {}
    for pair in itertools.combinations_with_replacement(range(design.folds.max() + 1), 2):
        trained = ~np.isin(design.folds, pair)
        rows = design.scans_of(trained)
        left_out = design.scans_of(~trained)
        kernel, cross = features.split(rows, left_out)
        targets = class_targets(labels[design.subjects[rows]], design.classes)
        weights = fit(model, kernel, targets.reshape(len(rows), -1))
        scores = _by_subject(cross @ weights, design.subjects[left_out], len(design.labels))
        scores = with_opposite(scores.reshape(*scores.shape[:2], labels.shape[1], -1))
        for fold, tested in (pair, pair[::-1]):
            held[fold, tested] = scores[:, design.folds == tested]
    return held


def class_targets(labels: np.ndarray, classes: int) -> np.ndarray:
    """-1 and 1 for each class: (..., classes) from labels (...); of two classes only the second."""
    wanted = np.arange(classes) if classes > 2 else np.array([1])
    return np.where(labels[..., None] == wanted, 1.0, -1.0)


def with_opposite(scores: np.ndarray) -> np.ndarray:
    """Scores of all classes (..., classes); of two the first is the opposite of the second."""
    return scores if scores.shape[-1] > 1 else np.concatenate([-scores, scores], axis=-1)


def _by_subject(scores: np.ndarray, subjects: np.ndarray, count: int) -> np.ndarray:
    """Means over the scans of each subject: (strengths, count, targets); 0 for those without."""
    member = np.equal.outer(np.arange(count), subjects).astype(float)
    return (member / np.maximum(member.sum(axis=1, keepdims=True), 1)) @ scores


def _best(
    held: Mapping[tuple[int, int], np.ndarray], design: Design, labels: np.ndarray, fold: int
) -> np.ndarray:
    """The strength (columns,) with the largest inner area; the strongest penalty among equals."""
    inner = []
    for other in _others(design, fold):
        tested = labels[design.folds == other]
        inner.append([mean_areas(scores, tested) for scores in held[fold, other]])
    return np.asarray(np.argmax(np.round(np.mean(inner, axis=0), 9), axis=0))
