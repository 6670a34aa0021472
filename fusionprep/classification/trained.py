"""A trained linear model as plain weights of voxels and columns, which a file can hold.

In place of the training subjects it keeps what they amount to: weights, means and scales.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionprep.classification.calibration import Platt
from fusionprep.classification.cohort import Cohort
from fusionprep.classification.inputs import TABLES, parse_input
from fusionprep.classification.kernels import Features, TableScale
from fusionprep.classification.linear import STRENGTHS, fit
from fusionprep.classification.nested import Design, best_strength, class_targets, with_opposite

_WEIGHTS_OF, _SCALE_OF = "weights.", "scale."


@dataclass(frozen=True)
class LinearModel:
    """Scores are the weighted sum of all parts of an input, and an offset.

    Attributes
    ----------
    weights
        For each part (features, targets), the voxels in the mask or the columns of a table. Of two
        classes there is one target.
    scales
        What columns of tables are filled and scaled by.
    offset
        (targets,).
    curve
        From scores to probabilities.
    """

    weights: Mapping[str, np.ndarray]
    scales: Mapping[str, TableScale]
    offset: np.ndarray
    curve: Platt

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file holds of it."""
        found = {"offset": self.offset, **prefixed("curve.", vars(self.curve))}
        found |= {_WEIGHTS_OF + part: weights for part, weights in self.weights.items()}
        for part, scale in self.scales.items():
            # a column that never varied has an infinite deviation, which no file should hold
            inverse = {"median": scale.median, "mean": scale.mean, "inverse": 1 / scale.deviation}
            found |= prefixed(f"{_SCALE_OF}{part}.", inverse)
        return found

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], text: str) -> "LinearModel":
        """From :meth:`tensors`, for an input.

        Raises
        ------
        KeyError
            When one is missing.
        """
        scales, parts = {}, parse_input(text)
        for part in parts:
            if scale := under(tensors, f"{_SCALE_OF}{part}."):
                with np.errstate(divide="ignore"):
                    inverse = 1 / scale["inverse"]
                scales[part] = TableScale(scale["median"], scale["mean"], inverse)
        weights = {part: tensors[_WEIGHTS_OF + part] for part in parts}
        return cls(weights, scales, tensors["offset"], Platt(**under(tensors, "curve.")))

    def scores(self, cohort: Cohort) -> np.ndarray:
        """(scans, classes)."""
        total = np.tile(self.offset, (len(cohort.scans), 1))
        for part, weights in self.weights.items():
            total = total + _values(cohort, part, self.scales) @ weights
        return with_opposite(total)

    def probabilities(self, cohort: Cohort) -> np.ndarray:
        """(subjects, classes), from the mean score over the visits of each subject."""
        return self.curve.probabilities(subject_means(self.scores(cohort), cohort))


def subject_means(scores: np.ndarray, cohort: Cohort) -> np.ndarray:
    """Means (subjects, classes) over the visits of each subject."""
    numbers = range(len(cohort.subjects))
    return np.array([scores[cohort.member == number].mean(axis=0) for number in numbers])


def prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arrays under names with a prefix."""
    return {prefix + name: np.asarray(value) for name, value in values.items()}


def under(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Those whose names have a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def train_linear(
    cohort: Cohort, features: Features, text: str, model: str, design: Design
) -> tuple[LinearModel, float]:
    """Train on all subjects; the strength is chosen and scores are calibrated by cross-validation.

    Parameters
    ----------
    features
        Of the input `text`.
    model
        Of :data:`fusionprep.classification.linear_models.LINEAR_MODELS`.

    Returns
    -------
    model, strength
        The latter as it was chosen.
    """
    best, curve = best_strength(features, model, design)
    rows = np.arange(len(cohort.scans))
    kernel, _ = features.split(rows, rows)
    targets = class_targets(design.labels[design.subjects], design.classes)
    dual = fit(model, kernel, targets)[best]
    weights, scales, offset = part_weights(cohort, text, rows, dual)
    return LinearModel(weights, scales, offset, curve), STRENGTHS[model][best]


def part_weights(
    cohort: Cohort, text: str, rows: np.ndarray, dual: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, TableScale], np.ndarray]:
    """From weights of training scans to weights of what is in them.

    Parameters
    ----------
    rows
        (train,), the training scans.
    dual
        (train, targets).

    Returns
    -------
    weights
        For each part (features, targets).
    scales
        Of tables.
    offset
        (targets,).
    """
    parts = parse_input(text)
    scales = {part: TableScale.of(cohort.tables[part][0][rows]) for part in parts if part in TABLES}
    weights, offset = {}, np.zeros(dual.shape[1])
    for part in parts:
        values = _values(cohort, part, scales)[rows]
        centre = values.mean(axis=0)
        scale = len(parts) * _scale(values @ values.T)
        weights[part] = (values - centre).T @ dual / scale
        offset -= centre @ weights[part]
    return weights, scales, offset


def _scale(gram: np.ndarray) -> float:
    """By what :func:`fusionprep.classification.kernels.normalised` divides."""
    return float(np.trace(gram) / len(gram) - gram.mean())


def _values(cohort: Cohort, part: str, scales: Mapping[str, TableScale]) -> np.ndarray:
    if part in TABLES:
        return scales[part].apply(cohort.tables[part][0])
    return cohort.voxels(part).astype(np.float64)
