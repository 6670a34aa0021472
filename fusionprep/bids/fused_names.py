"""What images fused by a model are called, and their figures."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fusionprep.bids.names import BIDS
from fusionprep.bids.types import ImageFile
from fusionprep.modalities import APP_FUSED, CONTRASTS, PET, T1W, Modality
from fusionprep.models.entry import COLOUR_ENDING, ModelEntry
from fusionprep.models.registry import get_model, model_names

FUSED, THUMBNAIL, PLANES = "fused", "thumb", "planes"
"""What labels of fused images and of their figures begin with."""


@dataclass(frozen=True)
class FusedDesc:
    """The label ``desc-`` of a fused image.

    Attributes
    ----------
    model
        Label of the fusion model.
    modality
        What was fused with an anatomical image, and ...
    contrast
        ... that image, or the one that its gray matter is of.
    colour
        Whether the image is in colour.

    Examples
    --------
    >>> from fusionprep.modalities import CT, FLAIR
    >>> str(FusedDesc("Average", CT, FLAIR))
    'fusedCTFLAIRAverage'
    >>> FusedDesc.parse("fusedFLAIRAverageColor").contrast.label
    'FLAIR'
    >>> FusedDesc.parse("fusedNobodyKnows") is None
    True
    """

    model: str
    modality: Modality = PET
    contrast: Modality = T1W
    colour: bool = False

    def __str__(self) -> str:
        return self.figure(FUSED)

    def figure(self, kind: str) -> str:
        """The label of a figure of it, e.g. with :data:`THUMBNAIL`."""
        names = BIDS[self.modality]
        modality = "" if names.fused_suffix == names.suffix else self.modality.label
        contrast = "" if self.contrast == T1W else self.contrast.label
        ending = COLOUR_ENDING if self.colour else ""
        return f"{kind}{modality}{contrast}{self.model}{ending}"

    @property
    def title(self) -> str:
        """The model, and the anatomical image where that was not the T1w."""
        return self.model + ("" if self.contrast == T1W else f" with {self.contrast.label}")

    @classmethod
    def for_model(cls, entry: ModelEntry, modality: Modality, contrast: Modality) -> "FusedDesc":
        """The label of what a model makes; a model of the gray matter takes no other contrast."""
        return cls(entry.label, modality, contrast if entry.takes_image else T1W)

    @classmethod
    def parse(cls, label: str, kind: str = FUSED) -> "FusedDesc | None":
        """Read a label, by default of a fused image; None unless put together from known words."""
        return _fused_descs().get(label.removeprefix(kind)) if label.startswith(kind) else None


@functools.cache
def _fused_descs() -> Mapping[str, FusedDesc]:
    """Every label without what it begins with; the registry's labels keep them apart."""
    models = [get_model(name).label for name in model_names()]
    every = itertools.product(models, APP_FUSED, CONTRASTS, (False, True))
    return {desc.figure(""): desc for desc in itertools.starmap(FusedDesc, every)}


def describe_fused(entry: ModelEntry, desc: FusedDesc) -> str:
    """What an image with that label is, in a few words."""
    if desc.colour:
        return f"{desc.contrast.label} and {desc.modality.label} in colour, beside {entry.label}"
    anatomy = desc.contrast.label if entry.takes_image else entry.anatomy
    return f"{anatomy} and {desc.modality.label} fused by {entry.label}"


def fused_descriptions(
    entries: Iterable[ModelEntry], modalities: Sequence[Modality], contrast: Modality
) -> Iterator[tuple[str, str]]:
    """Label and description of every fused image that models make of modalities."""
    for entry, modality in itertools.product(entries, modalities):
        if entry.fuses(modality):
            desc = FusedDesc.for_model(entry, modality, contrast)
            colours = (False, True) if modality.tracer else (False,)
            for label in (replace(desc, colour=colour) for colour in colours):
                yield str(label), describe_fused(entry, label)


def modality_of(image: ImageFile) -> Modality | None:
    """The modality of a derivative, or of what was fused; None for others, such as masks."""
    if desc := FusedDesc.parse(image.entities.get("desc", "")):
        return desc.modality
    return next((m for m, names in BIDS.items() if names.suffix == image.suffix), None)
