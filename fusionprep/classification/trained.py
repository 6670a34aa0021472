"""A trained linear model as plain weights of voxels and columns, which a file can hold.

In place of the training subjects it keeps what they amount to: weights, means and scales.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fusionprep.classification.calibration import Platt
from fusionprep.classification.cohort import Cohort
from fusionprep.classification.inputs import TABLES, parse_input
from fusionprep.classification.kernels import Features, TableScale
from fusionprep.classification.linear import STRENGTHS, fit
from fusionprep.classification.nested import Design, best_strength, class_targets, with_opposite


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
    strength
        What was chosen.
    """

    weights: Mapping[str, np.ndarray]
    scales: Mapping[str, TableScale]
    offset: np.ndarray
    curve: Platt
    strength: float

    def scores(self, cohort: Cohort) -> np.ndarray:
        """(scans, classes)."""
        total = np.tile(self.offset, (len(cohort.scans), 1))
        for part, weights in self.weights.items():
            total = total + _values(cohort, part, self.scales) @ weights
        return with_opposite(total)

    def probabilities(self, cohort: Cohort) -> np.ndarray:
        """(subjects, classes), from the mean score over the visits of each subject."""
        scores = self.scores(cohort)
        means = [
            scores[cohort.member == number].mean(axis=0) for number in range(len(cohort.subjects))
        ]
        return self.curve.probabilities(np.array(means))


def train_linear(
    cohort: Cohort, features: Features, text: str, model: str, design: Design
) -> LinearModel:
    """Train on all subjects; the strength is chosen and scores are calibrated by cross-validation.

    Parameters
    ----------
    features
        Of the input `text`.
    model
        Of :data:`fusionprep.classification.linear.LINEAR_MODELS`.
    """
    best, curve = best_strength(features, model, design)
    rows = np.arange(len(cohort.scans))
    kernel, _ = features.split(rows, rows)
    targets = class_targets(design.labels[design.subjects], design.classes)
    dual = fit(model, kernel, targets)[best]
    weights, scales, offset = part_weights(cohort, text, rows, dual)
    return LinearModel(weights, scales, offset, curve, STRENGTHS[model][best])


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
