"""One fusion model of the registry. Imports no torch, so that a command line can list models."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionprep.errors import UsageError
from fusionprep.models.weights import Weights, packaged_weights, read_own_weights

if TYPE_CHECKING:
    from fusionprep.image.intensity import Scaling
    from fusionprep.models.base import FusionModel


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
        ``module:callable`` that builds the model without weights, below ``fusionprep.models``.
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
    own_weights: Weights | None = None

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

        # Names and shapes of the tensors are all that is asked of this one.
        with torch.device("meta"):
            module = self.build()
        own = read_own_weights(path, self.name, module)
        title = f"own weights {path.name}; {self.title}"
        return replace(self, title=title, version=own.version, own_weights=own)

    def build(self) -> "FusionModel":
        """The model without weights."""
        module_name, _, factory_name = self.factory.partition(":")
        module = importlib.import_module(f"fusionprep.models.{module_name}")
        return getattr(module, factory_name)()

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
        self, device: str, planes: str, sources: Sequence[str], scalings: Sequence["Scaling"]
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
        """
        roles = ("anatomical", "functional")
        return {
            **self.identity(),
            "Device": device,
            "Planes": planes,
            "Inputs": [
                {"Role": role, "Source": source, "Scaling": scaling.to_dict()}
                for role, source, scaling in zip(roles, sources, scalings, strict=True)
            ],
        }
