"""From scores to probabilities."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Platt:
    """A logistic curve for each class.

    Attributes
    ----------
    slopes, offsets
        (classes,).
    shares
        (classes,), of the training subjects.
    """

    slopes: np.ndarray
    offsets: np.ndarray
    shares: np.ndarray

    @classmethod
    def fit(cls, scores: np.ndarray, labels: np.ndarray) -> "Platt":
        """Fit to scores (n, classes) of subjects that the models had not seen, and their classes.

        Platt J. Probabilistic outputs for support vector machines and comparisons to regularized
        likelihood methods. Advances in Large Margin Classifiers 61-74, 1999. His targets, which
        stay short of 0 and 1, keep the curve finite where the classes are apart. No curve falls:
        scores that were worse than chance say nothing, and not the opposite.
        """
        classes = scores.shape[1]
        curves = [_curve(scores[:, each], labels == each) for each in range(classes)]
        slopes, offsets = (np.array(column) for column in zip(*curves, strict=True))
        return cls(slopes, offsets, np.bincount(labels, minlength=classes) / len(labels))

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(n, classes), rows adding up to 1."""
        each = _logistic(self.slopes * scores + self.offsets)
        return each / each.sum(axis=1, keepdims=True)

    def classes(self, probabilities: np.ndarray) -> np.ndarray:
        """(n,), the class most above its share in training, so that rare classes count as much."""
        return np.argmax(probabilities / self.shares, axis=1)


def _logistic(value: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return np.clip(expit(value), 1e-9, 1.0)


def _curve(scores: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    from scipy.optimize import minimize

    count = int(positive.sum())
    goal = np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))
    centre, spread = scores.mean(), scores.std() or 1.0
    scaled = (scores - centre) / spread

    def loss(curve: np.ndarray) -> tuple[float, np.ndarray]:
        level = curve[0] * scaled + curve[1]
        wrong = _logistic(level) - goal
        return float(np.sum(np.logaddexp(0, level) - goal * level)), np.array(
            [wrong @ scaled, wrong.sum()]
        )

    limits = ((0, None), (None, None))
    slope, offset = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=limits).x
    return float(slope / spread), float(offset - slope * centre / spread)
