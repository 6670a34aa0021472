"""Linear models in dual form: scikit-learn's, on kernels, for many sets of labels at once."""

from collections.abc import Callable

import numpy as np

STRENGTHS = {
    "ridge": (1e2, 1e1, 1e0, 1e-1, 1e-2),
    "logistic": (1e-3, 1e-2, 1e-1, 1e0, 1e1),
    "svm": (1e-3, 1e-2, 1e-1, 1e0, 1e1),
}
"""What is chosen between in the inner folds, the most penalised first.

Kernels have a mean diagonal of 1, which makes these independent of the input. They are alpha of
ridge regression, C of the others."""


def fit(model: str, kernel: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Fit a model with every strength to every column of targets.

    Scores are a kernel (test, train) times the weights, without the model's intercept: what is
    centred has the mean score 0 in training, and the calibration finds the threshold. Intercepts
    follow the numbers of each class in training, which are the opposite of those in the test.

    Parameters
    ----------
    model
        Of :data:`fusionprep.classification.linear_models.LINEAR_MODELS`; ridge regression is to -1
        and 1, in the others both classes weigh the same.
    kernel
        (train, train), centred.
    targets
        (train, targets) of -1 and 1.

    Returns
    -------
    numpy.ndarray
        (strengths, train, targets), weights of the training scans.
    """
    fitters: dict[str, Callable[..., np.ndarray]] = {
        "ridge": _ridge,
        "logistic": _logistic,
        "svm": _svm,
    }
    return fitters[model](kernel, np.asarray(targets, float), STRENGTHS[model])


def _ridge(kernel: np.ndarray, targets: np.ndarray, strengths: tuple[float, ...]) -> np.ndarray:
    """As sklearn.kernel_ridge, whose solution for every strength comes from one decomposition."""
    levels, basis = np.linalg.eigh(kernel)
    levels = np.maximum(levels, 0)
    inside = basis.T @ (targets - targets.mean(axis=0))
    return np.stack([basis @ (inside / (levels + each)[:, None]) for each in strengths])


def _logistic(kernel: np.ndarray, targets: np.ndarray, strengths: tuple[float, ...]) -> np.ndarray:
    """On coordinates whose inner products are the kernel; the penalty is the same in both."""
    from sklearn.linear_model import LogisticRegression

    levels, basis = np.linalg.eigh(kernel)
    kept = levels > 1e-9 * levels[-1]
    roots, basis = np.sqrt(levels[kept]), basis[:, kept]

    def solve(strength: float, target: np.ndarray) -> np.ndarray:
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
        model.fit(basis * roots, target)
        return basis @ (model.coef_[0] / roots)

    return _one_by_one(solve, targets, strengths)


def _svm(kernel: np.ndarray, targets: np.ndarray, strengths: tuple[float, ...]) -> np.ndarray:
    from sklearn.svm import SVC

    def solve(strength: float, target: np.ndarray) -> np.ndarray:
        model = SVC(C=strength, kernel="precomputed", class_weight="balanced").fit(kernel, target)
        weights = np.zeros(len(kernel))
        weights[model.support_] = model.dual_coef_[0]
        return weights

    return _one_by_one(solve, targets, strengths)


def _one_by_one(
    solve: Callable[[float, np.ndarray], np.ndarray],
    targets: np.ndarray,
    strengths: tuple[float, ...],
) -> np.ndarray:
    found = [np.stack([solve(each, target) for target in targets.T], axis=1) for each in strengths]
    return np.stack(found)
