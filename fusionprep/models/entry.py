"""One fusion model of the registry. Imports no torch, so that a command line can list models."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fusionprep._version import __version__
from fusionprep.errors import UsageError
from fusionprep.modalities import FUSED, T1W, Modality
from fusionprep.models.weights import Weights, fits, packaged_weights, read_own_weights

if TYPE_CHECKING:
    from fusionprep.image.intensity import Scaling
    from fusionprep.models.nets.base import FusionModel

AnatomicalInput = Literal["image", "gm_probseg"]

_ANATOMY: dict[AnatomicalInput, str] = {
    "image": T1W.label,
    "gm_probseg": f"Gray matter of the {T1W.label}",
}

COLOUR_ENDING = "Color"
"""Ends the name of a fused image in colour, so that no label may."""


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
    paper
        The full reference; None where the method is common knowledge.
    weights
        Name of the weights file and its card in ``fusionprep/data/weights``; None without.
    ct_weights, ct_factory
        Those for CT, where they are others.
    bibliography_key
        Key of the paper in ``fusionprep/data/boilerplate.bib``; None where it is not there.
    anatomical_input
        What the model is given beside the functional image: ``image``, the MRI scaled to [0, 1], or
        ``gm_probseg``, the probability of gray matter as it is.
    variants
        Factories, below ``fusionprep.models.nets``, of other configurations of the model that the
        user's own weights may be for, e.g. with the paper's number of channels.
    own_weights
        The user's own weights in place of the packaged ones; ``version`` is then theirs.
    """

    name: str
    label: str
    title: str
    factory: str
    citation: str
    paper: str | None = None
    weights: str | None = None
    ct_weights: str | None = None
    ct_factory: str | None = None
    version: str | None = "1.0.0"
    bibliography_key: str | None = None
    anatomical_input: AnatomicalInput = "image"
    variants: tuple[str, ...] = ()
    own_weights: Weights | None = None

    @property
    def anatomy(self) -> str:
        """The anatomical input in words."""
        return _ANATOMY[self.anatomical_input]

    @property
    def year(self) -> int | None:
        """When the paper appeared."""
        return int(self.citation.rsplit(", ", 1)[-1]) if self.paper else None

    @property
    def modalities(self) -> tuple[str, ...]:
        """What was fused with the MRI in its training data; empty for models without training."""
        return tuple(modality.name for modality in FUSED) if self.weights else ()

    @property
    def takes_image(self) -> bool:
        """Whether it is given an anatomical image, not a map of its gray matter."""
        return self.anatomical_input == "image"

    def fuses(self, modality: Modality) -> bool:
        """Whether a modality can be fused with the anatomical image.

        The gray matter is where uptake is of interest; elsewhere it says nothing.
        """
        return modality.fused and (modality.tracer or self.takes_image)

    def check_modality(self, name: str) -> Modality:
        """The modality of that name.

        Raises
        ------
        UsageError
            When there is no such modality, or the model cannot fuse it.
        """
        modality = next((modality for modality in FUSED if modality.name == name), None)
        if modality is None:
            names = ", ".join(modality.name for modality in FUSED)
            raise UsageError(f"unknown modality {name!r}; there are: {names}")
        if not self.fuses(modality):
            raise UsageError(
                f"{self.name} shows uptake in the gray matter and cannot fuse a {modality.label};"
                " choose another model"
            )
        return modality

    def of(self, modality: Modality) -> "ModelEntry":
        """The model as it fuses a modality; a user's own weights are for all of them."""
        if self.ct_weights is None or not modality.hounsfield:
            return self
        factory = self.ct_factory or self.factory
        return replace(self, weights=self.ct_weights, factory=factory, ct_weights=None)

    def load(self, device: str = "cpu") -> "FusionModel":
        """Build the model in evaluation mode, with its weights.

        Raises
        ------
        DataError
            When the weights file is missing or is not the one its card describes.
        """
        import torch

        from fusionprep.models.nets.base import in_layout

        model = self.build()
        weights = self._weights()
        if weights is not None:
            weights.load_into(model)
        # Convolutions on a CPU are a third faster in this layout.
        return in_layout(model.eval(), torch.channels_last).to(device)

    def with_weights(self, path: Path) -> "ModelEntry":
        """The model with the user's own weights.

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
        title = f"user's weights {path.name}; {self.title}"
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

        ``WeightsFile`` is the file name of the user's own weights, and absent without them.
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
        run_time = {} if seconds is None else {"RunTimeSeconds": round(seconds, 3)}
        return {
            **self.identity(),
            "Software": f"fusionprep {__version__}",
            "Device": device,
            **run_time,
            "Planes": planes,
            "Inputs": input_records(sources, scalings),
        }


def input_records(sources: Sequence[str], scalings: Sequence["Scaling"]) -> list[dict[str, Any]]:
    """The ``Inputs`` of a sidecar: URI or file name of both images, and how each was scaled."""
    roles = ("anatomical", "functional")
    return [
        {"Role": role, "Source": source, "Scaling": scaling.to_dict()}
        for role, source, scaling in zip(roles, sources, scalings, strict=True)
    ]


def _build(factory: str) -> "FusionModel":
    module_name, _, factory_name = factory.partition(":")
    module = importlib.import_module(f"fusionprep.models.nets.{module_name}")
    return getattr(module, factory_name)()
