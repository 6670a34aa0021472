"""One fusion model of the registry. Imports no torch, so that a command line can list models."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fusionprep._version import __version__
from fusionprep.errors import UsageError
from fusionprep.models.weights import Weights, fits, packaged_weights, read_own_weights

if TYPE_CHECKING:
    from fusionprep.image.intensity import Scaling
    from fusionprep.models.nets.base import FusionModel

AnatomicalInput = Literal["image", "gm_probseg"]

_ANATOMY: dict[AnatomicalInput, str] = {"image": "T1w", "gm_probseg": "Gray matter of the T1w"}


@dataclass(frozen=True)
class ModelEntry:
    """A fusion model and where it comes from.

    Attributes
    ----------
    name
        What users type, e.g. ``densefuse``.
    label
        CamelCase name in BIDS ``desc-`` entities, e.g. ``DenseFuse``.
    factory
        ``module:callable`` that builds the model without weights, below ``fusionprep.models.nets``.
    citation
        The paper in a few words for running text, or what the method does.
    paper, year
        The full reference; None where the method is common knowledge.
    modalities
        What was fused with the MRI in its training data; empty for models without training.
    weights
        Name of the weights file and its card in ``fusionprep/data/weights``; None without.
    bibliography_key
        Key of the paper in ``fusionprep/data/boilerplate.bib``; None where it is not there.
    anatomical_input
        What the model is given beside the functional image: ``image``, the MRI scaled to [0, 1], or
        ``gm_probseg``, the probability of gray matter as it is.
    variants
        Factories, below ``fusionprep.models.nets``, of other configurations of the model that own
        weights may be of, e.g. with the paper's number of channels.
    own_weights
        Weights of a user's training in place of the packaged ones, of which ``version`` is then.
    """

    name: str
    label: str
    title: str
    factory: str
    citation: str
    paper: str | None = None
    year: int | None = None
    modalities: tuple[str, ...] = ()
    weights: str | None = None
    version: str | None = "1.0.0"
    bibliography_key: str | None = None
    anatomical_input: AnatomicalInput = "image"
    variants: tuple[str, ...] = ()
    own_weights: Weights | None = None

    @property
    def anatomy(self) -> str:
        """The anatomical input in words."""
        return _ANATOMY[self.anatomical_input]

    def fuses(self, modality: str) -> bool:
        """Whether a modality can be the functional image.

        The gray matter is where uptake is of interest; in a CT it says nothing.
        """
        return modality != "ct" or self.anatomical_input == "image"

    def check_modality(self, modality: str) -> None:
        """Raise :class:`UsageError` when the modality cannot be the functional image."""
        if not self.fuses(modality):
            raise UsageError(
                f"{self.name} shows uptake in the gray matter and cannot fuse a {modality.upper()};"
                " choose another model"
            )

    def load(self, device: str = "cpu") -> "FusionModel":
        """Build the model in evaluation mode, with its weights.

        Raises
        ------
        DataError
            When the weights file is missing or is not the one its card describes.
        """
        import torch

        model = self.build()
        weights = self._weights()
        if weights is not None:
            weights.load_into(model)
        # Convolutions on a CPU are a third faster in this layout.
        return model.eval().to(device, memory_format=torch.channels_last)

    def with_weights(self, path: Path) -> "ModelEntry":
        """This model with weights of a user's own training.

        Raises
        ------
        UsageError
            When it is a model without weights.
        NoInputError, DataError
            When the file is missing, or holds no weights of this model.
        """
        if self.weights is None:
            raise UsageError(f"{self.name} has no weights that {path} could replace; leave it out")
        import torch

        # Names and shapes of the tensors are all that is asked of these.
        with torch.device("meta"):
            modules = {factory: _build(factory) for factory in (*self.variants, self.factory)}
        factory = next((f for f in self.variants if fits(path, modules[f])), self.factory)
        own = read_own_weights(path, self.name, modules[factory])
        title = f"own weights {path.name}; {self.title}"
        return replace(self, factory=factory, title=title, version=own.version, own_weights=own)

    def build(self) -> "FusionModel":
        """The model without weights."""
        return _build(self.factory)

    def _weights(self) -> Weights | None:
        if self.weights is None:
            return None
        return self.own_weights or packaged_weights(self.weights)

    def weights_sha256(self) -> str | None:
        """SHA-256 of the weights; None for a model without weights."""
        weights = self._weights()
        return None if weights is None else weights.sha256

    def parameters(self) -> int:
        """How many trained parameters the model has."""
        weights = self._weights()
        return 0 if weights is None else weights.parameters

    def identity(self) -> dict[str, Any]:
        """Which model with which weights, as JSON values.

        ``WeightsFile`` is the name of own weights, and absent without them.
        """
        own = {} if self.own_weights is None else {"WeightsFile": self.own_weights.path.name}
        return {
            "Name": self.name,
            "Label": self.label,
            "Version": self.version,
            "WeightsSHA256": self.weights_sha256(),
            **own,
        }

    def provenance(
        self,
        device: str,
        planes: str,
        sources: Sequence[str],
        scalings: Sequence["Scaling"],
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """The ``FusionModel`` field of a fused image's sidecar.

        Parameters
        ----------
        device
            Where the model was run: ``cpu`` or ``cuda``.
        planes
            ``axial`` or ``triplanar``.
        sources, scalings
            URI or file name of the anatomical and of the functional image, and how each was scaled.
        seconds
            Wall time of the fusion alone; None where it was not taken.
        """
        roles = ("anatomical", "functional")
        run_time = {} if seconds is None else {"RunTimeSeconds": round(seconds, 3)}
        return {
            **self.identity(),
            "Software": f"fusionprep {__version__}",
            "Device": device,
            **run_time,
            "Planes": planes,
            "Inputs": [
                {"Role": role, "Source": source, "Scaling": scaling.to_dict()}
                for role, source, scaling in zip(roles, sources, scalings, strict=True)
            ],
        }


def _build(factory: str) -> "FusionModel":
    module_name, _, factory_name = factory.partition(":")
    module = importlib.import_module(f"fusionprep.models.nets.{module_name}")
    return getattr(module, factory_name)()
