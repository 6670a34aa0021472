"""What a model looks at: how much of what it tells apart is lost when a cube is hidden.

Zeiler MD, Fergus R. Visualizing and Understanding Convolutional Networks. ECCV, LNCS 8689:818-833,
2014. doi:10.1007/978-3-319-10590-1_53

Hidden means replaced by the mean of the training images. What is measured is the separation of the
tested subjects, the mean score of a class above that of the others, averaged over folds; 1 means
that a cube holds all of it, and less than 0 that the classes are told apart better without it.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fusionprep.classification.cohort import Cohort
from fusionprep.classification.inputs import TABLES, parse_input
from fusionprep.classification.kernels import Features
from fusionprep.classification.linear import STRENGTHS, fit
from fusionprep.classification.nested import Design, Predictions, class_targets
from fusionprep.classification.trained import part_weights

if TYPE_CHECKING:
    from torch import nn

    from fusionprep.classification.networks.loop import Standard, Training

LINEAR_CUBE = 3
NETWORK_CUBE = 6
"""Sides in voxels. Cubes of linear models are everywhere, those of networks side by side."""

_SHOWN = 4
"""Tested subjects of each class and fold that a network is asked about."""


@dataclass
class Occlusion:
    """Adds up what folds lose.

    Attributes
    ----------
    lost
        (X, Y, Z) for each kind of image.
    total
        The separation itself.
    """

    lost: dict[str, np.ndarray] = field(default_factory=dict)
    total: float = 0.0

    def add(self, kind: str, lost: np.ndarray) -> None:
        """Add one fold's volume."""
        self.lost[kind] = self.lost.get(kind, 0) + lost

    def maps(self, mask: np.ndarray) -> dict[str, np.ndarray]:
        """Shares (X, Y, Z) of the separation, 0 outside the mask; empty where there is not any."""
        if self.total <= 0:
            return {}
        return {
            kind: np.where(mask, lost / self.total, 0).astype(np.float32)
            for kind, lost in self.lost.items()
        }


def class_contrasts(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weights (targets, n) that give the mean of a class minus that of the others."""
    targets = class_targets(labels, classes).T > 0
    return targets / targets.sum(axis=1, keepdims=True) - ~targets / (~targets).sum(
        axis=1, keepdims=True
    )


def linear_occlusion(
    cohort: Cohort,
    features: Features,
    text: str,
    model: str,
    design: Design,
    predictions: Predictions,
) -> Mapping[str, np.ndarray]:
    """Maps (X, Y, Z) for every kind of image in an input, by the models of all folds.

    A linear score is a sum over voxels, so that what a cube holds of it is a sum as well.

    Parameters
    ----------
    predictions
        With the strength that was chosen in each fold.
    """
    from scipy.ndimage import uniform_filter

    if cohort.grid is None:
        return {}
    found, mask = Occlusion(), cohort.grid.mask
    for fold, strength in enumerate(predictions.chosen):
        tested = design.folds == fold
        rows, test_rows = design.scans_of(~tested), design.scans_of(tested)
        kernel, _ = features.split(rows, rows[:1])
        targets = class_targets(design.labels[design.subjects[rows]], design.classes)
        dual = fit(model, kernel, targets)[STRENGTHS[model].index(strength)]
        weights, _, _ = part_weights(cohort, text, rows, dual)
        contrast = class_contrasts(design.labels[design.subjects[test_rows]], design.classes)
        for part, each in weights.items():
            if part in TABLES:
                values = _scaled(cohort, part, rows)[test_rows]
                found.total += float(np.mean(np.sum(contrast @ values * each.T, axis=1)))
                continue
            held = np.mean(contrast @ cohort.voxels(part)[test_rows] * each.T, axis=0)
            volume = np.zeros(mask.shape)
            volume[mask] = held
            found.total += float(held.sum())
            found.add(part, LINEAR_CUBE**3 * uniform_filter(volume, LINEAR_CUBE, mode="constant"))
    return found.maps(mask)


def _scaled(cohort: Cohort, part: str, rows: np.ndarray) -> np.ndarray:
    from fusionprep.classification.kernels import TableScale

    values = cohort.tables[part][0]
    return TableScale.of(values[rows]).apply(values)


@dataclass
class NetworkOcclusion:
    """Asks the network of each fold, see ``watch`` of ``cross_validate_network``."""

    text: str
    volumes: np.ndarray
    mask: np.ndarray
    design: Design
    training: "Training"
    found: Occlusion = field(default_factory=Occlusion)

    def __call__(self, network: "nn.Module", standard: "Standard", tested: np.ndarray) -> None:
        """Hide each cube of each channel in turn."""
        from fusionprep.classification.networks.loop import scores_of

        rows = self.design.scans_of(tested)
        labels = self.design.labels[self.design.subjects[rows]]
        shown = np.concatenate(
            [np.flatnonzero(labels == each)[:_SHOWN] for each in range(self.design.classes)]
        )
        images = standard.apply(self.volumes[rows[shown]])
        contrast = class_contrasts(labels[shown], self.design.classes)

        def separation() -> float:
            scores = scores_of(network, images, self.training)[:, -len(contrast) :]
            return float(np.mean(np.sum(contrast * scores.T, axis=1)))

        whole = separation()
        self.found.total += whole
        for channel, part in enumerate(parse_input(self.text)):
            lost = np.zeros(self.mask.shape)
            for cube in cubes(self.mask):
                hidden = images[:, channel][(slice(None), *cube)]
                kept = hidden.clone()
                hidden.zero_()
                lost[cube] = whole - separation()
                hidden.copy_(kept)
            self.found.add(part, lost)


def cubes(mask: np.ndarray) -> Iterator[tuple[slice, slice, slice]]:
    """Cubes side by side that hold a voxel of the mask."""
    starts = (range(0, length, NETWORK_CUBE) for length in mask.shape)
    for corner in itertools.product(*starts):
        x, y, z = (slice(start, start + NETWORK_CUBE) for start in corner)
        cube = (x, y, z)
        if mask[cube].any():
            yield cube
