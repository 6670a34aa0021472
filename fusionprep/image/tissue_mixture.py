"""Intensities of a T1w as those of three tissues and of voxels that hold two of them."""

from dataclasses import dataclass

import numpy as np

CLASSES = ("CSF", "GM", "WM")
"""In the order of their intensity in a T1w: CSF darkest, WM brightest."""

GROUPS = 5
"""Kinds of voxels: CSF, CSF with GM, GM, GM with WM, WM."""

RATIOS = 21
"""Ratios of two tissues in a voxel that are told apart; each is as frequent."""

LEVELS = 512
"""Levels of intensity."""

POOLED = 0.05
"""How far each tissue's variance is drawn to that of all (Friedman, J Am Stat Assoc 1989;84:165).
CSF is hardly ever pure and has no variance of its own to speak of; but gray matter varies more than
noise alone: drawn halfway, a sixth of its voxels in a real head would pass for white matter."""

ITERATIONS, SMALLEST_STEP = 200, 1e-5
SAMPLE = 60_000


def _states() -> tuple[np.ndarray, np.ndarray]:
    """Shares (K, 3) of :data:`CLASSES` in voxels of every kind and ratio, and their group (K,)."""
    ratio = (np.arange(RATIOS) + 0.5)[:, None] / RATIOS
    dark, gray, white = np.eye(3)
    parts = [
        dark[None], dark + ratio * (gray - dark), gray[None], gray + ratio * (white - gray),
        white[None],
    ]  # fmt: skip
    return np.concatenate(parts), np.repeat(np.arange(GROUPS), [len(part) for part in parts])


@dataclass(frozen=True)
class TissueMixture:
    """Distribution of intensities between 0 and 1.

    Attributes
    ----------
    means, variances
        (3,) of :data:`CLASSES`.
    weights
        (5,) of the groups; they sum to 1.
    """

    means: np.ndarray
    variances: np.ndarray
    weights: np.ndarray

    def densities(self) -> np.ndarray:
        """Of each state at each level, (LEVELS, K)."""
        shares, group = _states()
        variances = shares @ self.variances
        weights = (self.weights / np.bincount(group))[group]
        square = (_levels()[:, None] - shares @ self.means) ** 2
        return np.exp(-square / (2 * variances)) / np.sqrt(2 * np.pi * variances) * weights

    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """What an intensity tells.

        Returns
        -------
        membership : numpy.ndarray
            (LEVELS, 5) float32, probability of each group.
        share : numpy.ndarray
            (LEVELS, 5, 3) float32, expected share of each class in a voxel of each group.
        """
        shares, group = _states()
        likely = self.densities()
        # A wide Gaussian overtakes a narrow one far out on the other's side, which would call the
        # brightest voxels CSF: beyond the outer means there are the outer classes alone.
        for beyond, state in (
            (_levels() < self.means[0], 0),
            (_levels() > self.means[-1], -1),
        ):
            likely[beyond] = 0
            likely[beyond, state] = 1
        likely /= np.maximum(likely.sum(axis=1, keepdims=True), 1e-300)
        of_group = np.eye(GROUPS)[group]
        membership = likely @ of_group
        share = np.einsum("lk,kg,kc->lgc", likely, of_group, shares)
        share /= np.maximum(membership, 1e-30)[..., None]
        return membership.astype(np.float32), share.astype(np.float32)


def _levels() -> np.ndarray:
    return (np.arange(LEVELS) + 0.5) / LEVELS


def fit_tissue_mixture(scaled: np.ndarray, seed: int = 0) -> TissueMixture:
    """Fit pure tissues and mixtures of two to intensities inside a brain.

    Parameters
    ----------
    scaled
        (N,) intensities, from 0 to 1.
    seed
        Of the sample that the fit starts from.

    Notes
    -----
    Expectation-maximisation on the histogram, from three Gaussians without mixtures. In a voxel of
    two tissues every ratio is as likely, means and variances are those of the ratio. It ends where
    means would change their order, and keeps those before.

    References
    ----------
    Shattuck et al. (2001), NeuroImage 13(5):856-876; Santago & Gage (1993), IEEE Trans Med Imaging
    12(3):566-574.
    """
    counts, _ = np.histogram(scaled, LEVELS, (0, 1))
    mixture = _start(scaled, seed)
    for _ in range(ITERATIONS):
        better = _step(mixture, counts)
        if not (np.diff(better.means) > 1 / LEVELS).all():
            break
        moved = float(np.abs(better.means - mixture.means).max())
        mixture = better
        if moved < SMALLEST_STEP:
            break
    return mixture


def _start(scaled: np.ndarray, seed: int) -> TissueMixture:
    from sklearn.mixture import GaussianMixture

    rng = np.random.default_rng(seed)
    sample = rng.choice(scaled, size=min(SAMPLE, scaled.size), replace=False)
    means = np.percentile(sample, [8, 40, 80]).reshape(-1, 1)
    model = GaussianMixture(3, means_init=means, random_state=seed, max_iter=300, tol=1e-4)
    model.fit(sample.reshape(-1, 1))
    order = np.argsort(model.means_.ravel())
    # Of two neighbours three in ten voxels are taken to hold both.
    pure = model.weights_[order]
    weights = np.interp(np.arange(GROUPS), [0, 2, 4], pure) * [0.7, 0.3, 0.7, 0.3, 0.7]
    return TissueMixture(
        model.means_.ravel()[order], model.covariances_.ravel()[order], weights / weights.sum()
    )


def _step(mixture: TissueMixture, counts: np.ndarray) -> TissueMixture:
    shares, group = _states()
    variances = shares @ mixture.variances
    densities = mixture.densities()
    total = np.maximum(densities.sum(axis=1, keepdims=True), 1e-300)
    members = densities / total * counts[:, None]
    each = members.sum(axis=0)
    # Means by weighted least squares: a voxel's intensity is the mean of what it holds.
    exact = shares.T @ (shares * (each / variances)[:, None])
    sums = shares.T @ ((members / variances).T @ _levels())
    means = np.linalg.solve(exact + 1e-9 * np.eye(3), sums)
    squares = (members * (_levels()[:, None] - shares @ means) ** 2).sum(axis=0)
    pure = np.flatnonzero(shares.max(axis=1) == 1)
    own = squares[pure] / np.maximum(each[pure], 1e-9)
    pooled = squares.sum() / each.sum()
    return TissueMixture(
        means=means,
        variances=np.maximum((1 - POOLED) * own + POOLED * pooled, LEVELS**-2.0),
        weights=np.bincount(group, each) / each.sum(),
    )
