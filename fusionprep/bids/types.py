"""What is to be processed: the images found, which T1w each belongs to, and what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Modality = Literal["pet", "ct", "flair", "t2w"]
KINDS = {"t1w": "T1w", "pet": "PET", "ct": "CT", "flair": "FLAIR", "t2w": "T2w"}
"""What people call the images of a query; all but the first are modalities."""


@dataclass(frozen=True)
class ImageFile:
    """An image of the raw dataset.

    Attributes
    ----------
    path
        Absolute path.
    entities
        pybids entity names to values as strings, without prefix (``{"subject": "01", "session":
        "d0129", "tracer": "18FFDG", "run": "01"}``), plus ``suffix``.
    metadata
        The sidecars merged by the BIDS inheritance principle, and a PET's frame table under
        :data:`fusionprep.bids.sidecars.FRAME_TABLE`; empty where there is neither.
    shape, voxel_sizes
        Of the header, without trailing axes of length one; sizes in mm. Empty until it is read.
    """

    path: Path
    entities: Mapping[str, str]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    voxel_sizes: tuple[float, ...] = ()

    @property
    def subject(self) -> str:
        return self.entities["subject"]

    @property
    def session(self) -> str | None:
        return self.entities.get("session")

    @property
    def n_frames(self) -> int:
        return self.shape[3] if len(self.shape) > 3 else 1


@dataclass(frozen=True)
class Pairing:
    """A PET, CT, FLAIR or T2w image and the T1w it is brought to.

    Attributes
    ----------
    reason
        One phrase for people, e.g. ``"same session"``, ``"nearest session"``.
    day_gap
        Days between the two scans; None where the dataset does not tell.
    """

    modality: Modality
    image: ImageFile
    t1w: ImageFile
    reason: str
    day_gap: int | None = None


@dataclass(frozen=True)
class Problem:
    """Something that keeps an image or a whole subject from being processed.

    Attributes
    ----------
    kind
        ``missing`` (no PET, no T1w), ``data`` (a file cannot be used).
    message
        One line: what is wrong, in which file, what to do.
    """

    subject: str
    kind: Literal["missing", "data"]
    message: str


@dataclass(frozen=True)
class FoundImages:
    """The images of a subject that the options of the run keep.

    Attributes
    ----------
    unreadable
        Query name (``t1w``, …) and problem of each image left out for its sidecar.
    notes
        Lines for people about what was left out, and why.
    """

    subject: str
    t1w: tuple[ImageFile, ...] = ()
    pet: tuple[ImageFile, ...] = ()
    ct: tuple[ImageFile, ...] = ()
    flair: tuple[ImageFile, ...] = ()
    t2w: tuple[ImageFile, ...] = ()
    unreadable: tuple[tuple[str, Problem], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SubjectPlan:
    """Everything to be done for one subject, and what cannot be.

    Attributes
    ----------
    notes
        Lines for people about what is unusual but no hindrance, e.g. a missing sidecar.
    """

    label: str
    pairings: tuple[Pairing, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def t1ws(self) -> tuple[ImageFile, ...]:
        """The T1w images used, each once, in the order of first use."""
        return tuple({pairing.t1w.path: pairing.t1w for pairing in self.pairings}.values())
