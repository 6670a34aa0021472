"""A trained network with all that it needs to classify other subjects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionprep.classification.calibration import Platt
from fusionprep.classification.cohort import Cohort
from fusionprep.classification.inputs import parse_input
from fusionprep.classification.nested import Design
from fusionprep.classification.networks.nested import fit_network, subject_scores
from fusionprep.classification.trained import prefixed, subject_means, under

if TYPE_CHECKING:
    from torch import nn

    from fusionprep.classification.networks.loop import Standard, Training

_NETWORK, _STANDARD, _CURVE = "network.", "standard.", "curve."


@dataclass(frozen=True)
class NetworkModel:
    """A network, what volumes are scaled by before it, and probabilities after it.

    Attributes
    ----------
    text
        The input.
    training
        For its device and size of batches.
    """

    text: str
    network: "nn.Module"
    standard: "Standard"
    curve: Platt
    training: "Training"

    def probabilities(self, cohort: Cohort) -> np.ndarray:
        """(subjects, classes), from the mean score over the visits of each subject."""
        from fusionprep.classification.networks.loop import scores_of

        images = self.standard.apply(channels_of(cohort, self.text))
        scores = scores_of(self.network, images, self.training)
        return self.curve.probabilities(subject_means(scores, cohort))

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file holds of it."""
        state = {name: each.cpu().numpy() for name, each in self.network.state_dict().items()}
        return {
            **prefixed(_NETWORK, state),
            **prefixed(_STANDARD, vars(self.standard)),
            **prefixed(_CURVE, vars(self.curve)),
        }

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, np.ndarray], text: str, name: str, training: "Training"
    ) -> "NetworkModel":
        """From :meth:`tensors`, for an input and a network.

        Raises
        ------
        KeyError, RuntimeError
            When one is missing or does not fit.
        """
        import torch

        from fusionprep.classification.networks.loop import Standard, build_network

        curve = Platt(**under(tensors, _CURVE))
        network = build_network(name, len(parse_input(text)), len(curve.shares))
        state = {key: torch.from_numpy(each) for key, each in under(tensors, _NETWORK).items()}
        network.load_state_dict(state)
        network.to(training.device).eval()
        return cls(text, network, Standard(**under(tensors, _STANDARD)), curve, training)


def channels_of(cohort: Cohort, text: str) -> np.ndarray:
    """The images of an input as channels: (scans, channels, X, Y, Z)."""
    return np.stack([cohort.images[part] for part in parse_input(text)], axis=1)


def train_network_on(
    cohort: Cohort, text: str, name: str, design: Design, training: "Training"
) -> tuple[NetworkModel, int]:
    """Train on a cohort but for one fold, which says when to stop and calibrates the scores.

    Returns
    -------
    model, epoch
        The latter of the weights.
    """
    if cohort.grid is None:
        raise ValueError("no images were read")
    volumes, held = channels_of(cohort, text), design.folds == 0
    network, standard, epoch = fit_network(
        name, volumes, cohort.grid.mask, design, held, ~held, training
    )
    known = subject_scores(network, standard, volumes, design, held, training)
    curve = Platt.fit(known, design.labels[held])
    return NetworkModel(text, network, standard, curve, training), epoch
