"""What a reader study is made of."""

from dataclasses import dataclass, field
from pathlib import Path

from fusionprep.choices import ReaderTask
from fusionprep.errors import UsageError
from fusionprep.evaluation.lesions import Source
from fusionprep.modalities import PET, Modality
from fusionprep.reader_study.lesions import Kind, Lesion
from fusionprep.reader_study.views import Conditions

FEWEST_IMAGES = 4


@dataclass(frozen=True)
class StudyRequest:
    """What a reader study is made of.

    Attributes
    ----------
    pairs
        Folder with two subfolders of same-named images; None where there are derivatives.
    derivatives
        Output folder of fusionapp; None where there are pairs.
    conditions
        What is compared.
    anatomical, functional
        Names of the subfolders; None looks for the usual ones.
    modality
        Of the derivatives that are shown; that of pairs is told by their folder.
    images
        How many, half of them with a lesion; each is shown in every condition.
    tasks
        What readers are asked.
    sources
        In which of the two images lesions are planted, in turn.
    kind
        Of the lesions.
    seed
        Of all that is random.

    Raises
    ------
    UsageError
        When it contradicts itself.
    """

    pairs: Path | None
    derivatives: Path | None
    conditions: Conditions
    anatomical: str | None = None
    functional: str | None = None
    modality: Modality = PET
    images: int = 40
    tasks: tuple[ReaderTask, ...] = ("choose", "mark")
    sources: tuple[Source, ...] = ("anatomical", "functional")
    kind: Kind = field(default_factory=Kind)
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.pairs is None) == (self.derivatives is None):
            raise UsageError("name either a folder of pairs or one of derivatives")
        if self.images % 2 or self.images < FEWEST_IMAGES:
            raise UsageError(
                f"{self.images} images cannot be shown half with and half without a lesion; "
                f"give an even number of {FEWEST_IMAGES} or more"
            )
        for what, given in (("task", self.tasks), ("source of lesions", self.sources)):
            if not given:
                raise UsageError(f"a reader study needs a {what}")
            if len(set(given)) < len(given):
                raise UsageError(f"a {what} is given twice; leave one out")


@dataclass(frozen=True)
class Case:
    """A scene that readers are shown.

    Attributes
    ----------
    scene
        Its number.
    lesion
        None in half of them.
    """

    scene: int
    lesion: Lesion | None
