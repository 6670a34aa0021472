"""The fusion models by name. Imports no torch, so that a command line can list them at once."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fusionprep.errors import UsageError
from fusionprep.models import weights

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
    version: str = "1.0.0"
    bibliography_key: str | None = None

    def load(self, device: str = "cpu") -> "FusionModel":
        """Build the model in evaluation mode, with its weights.

        Raises
        ------
        DataError
            When the weights file is missing or is not the one its card describes.
        """
        import torch

        module_name, _, factory_name = self.factory.partition(":")
        module = importlib.import_module(f"fusionprep.models.{module_name}")
        model = getattr(module, factory_name)()
        if self.weights is not None:
            weights.load_into(model, self.weights)
        # Convolutions on a CPU are a third faster in this layout.
        return model.eval().to(device, memory_format=torch.channels_last)

    def weights_sha256(self) -> str | None:
        """SHA-256 of the weights by their card; None for a model without weights."""
        return None if self.weights is None else weights.read_card(self.weights)["sha256"]

    def parameters(self) -> int:
        """How many trained parameters the model has."""
        return 0 if self.weights is None else weights.read_card(self.weights)["parameters"]

    def provenance(
        self, device: str, sources: Sequence[str], scalings: Sequence["Scaling"]
    ) -> dict[str, Any]:
        """The ``FusionModel`` field of a fused image's sidecar.

        Parameters
        ----------
        device
            Where the model was run: ``cpu`` or ``cuda``.
        sources, scalings
            URI or file name of the anatomical and of the functional image, and how each was scaled.
        """
        roles = ("anatomical", "functional")
        return {
            "Name": self.name,
            "Label": self.label,
            "Version": self.version,
            "WeightsSHA256": self.weights_sha256(),
            "Device": device,
            "Inputs": [
                {"Role": role, "Source": source, "Scaling": scaling.to_dict()}
                for role, source, scaling in zip(roles, sources, scalings, strict=True)
            ],
        }


_DENSEFUSE = ModelEntry(
    name="densefuse",
    label="DenseFuse",
    title="dense auto-encoder, l1-norm rule",
    factory="densefuse:densefuse_l1",
    citation="Li & Wu, 2019",
    paper="Li H, Wu X-J. DenseFuse: A Fusion Approach to Infrared and Visible Images. IEEE "
    "Transactions on Image Processing 28(5):2614-2623, 2019. doi:10.1109/TIP.2018.2887342",
    year=2019,
    modalities=("pet", "spect", "ct"),
    weights="densefuse",
    bibliography_key="densefuse",
)

_ENTRIES = (
    _DENSEFUSE,
    replace(
        _DENSEFUSE,
        name="densefuse_add",
        label="DenseFuseAdd",
        title="dense auto-encoder, addition rule",
        factory="densefuse:densefuse_addition",
    ),
    ModelEntry(
        name="average",
        label="Average",
        title="mean of the two images",
        factory="arithmetic:Average",
        citation="mean of the two images",
    ),
    ModelEntry(
        name="max",
        label="Max",
        title="brighter of the two images",
        factory="arithmetic:Maximum",
        citation="brighter of the two images",
    ),
    ModelEntry(
        name="pca",
        label="PCA",
        title="weights from the first principal component of each slice",
        factory="pca:PrincipalComponent",
        citation="Naidu & Raol, 2008",
        paper="Naidu VPS, Raol JR. Pixel-level Image Fusion using Wavelets and Principal Component "
        "Analysis. Defence Science Journal 58(3):338-352, 2008. doi:10.14429/dsj.58.1653",
        year=2008,
    ),
    ModelEntry(
        name="wavelet",
        label="Wavelet",
        title="mean approximation and stronger details of a wavelet transform (db2, 3 levels)",
        factory="wavelet:Wavelet",
        citation="Li et al., 1995",
        paper="Li H, Manjunath BS, Mitra SK. Multisensor Image Fusion Using the Wavelet Transform. "
        "Graphical Models and Image Processing 57(3):235-245, 1995. doi:10.1006/gmip.1995.1022",
        year=1995,
    ),
)


def model_names() -> tuple[str, ...]:
    """Names of all fusion models."""
    return tuple(entry.name for entry in _ENTRIES)


def get_model(name: str) -> ModelEntry:
    """The model of that name.

    Raises
    ------
    UsageError
        When there is none.
    """
    for entry in _ENTRIES:
        if entry.name == name:
            return entry
    raise UsageError(f"unknown fusion model {name!r}; there are: {', '.join(model_names())}")
