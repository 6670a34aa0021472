"""What finding, planning and reporting hand to each other: images, facts, pairings, plans."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fusionprep.errors import one_line
from fusionprep.modalities import Modality
from fusionprep.spaces import NATIVE
from fusionprep.suvr_regions import ReferenceRegion

if TYPE_CHECKING:
    from fusionprep.bids.runs import ScanRun
    from fusionprep.bids.smoothing import Smoothing


@dataclass(frozen=True)
class FrameTiming:
    """Frames of a PET image in seconds; None where the dataset does not say.

    Attributes
    ----------
    starts
        Start of each frame relative to the time zero of the scan.
    durations
        Duration of each frame; None weights all frames equally.
    source
        Where the times were found, in words.
    notes, doubts
        What was corrected or assumed, and what has to be looked at, a phrase each.
    averaged
        How many frames a 3-D image is the mean of by these times.
    """

    starts: tuple[float, ...] | None
    durations: tuple[float, ...] | None
    source: str
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    averaged: int = 1


@dataclass(frozen=True)
class SUVInputs:
    """Everything that turns activity concentration into SUV.

    Attributes
    ----------
    dose
        Injected radioactivity (Bq) at injection.
    reference_dose
        The dose (Bq) decayed to the time that the image's values refer to.
    weight_kg
        Body weight.
    radionuclide
        E.g. ``"F18"``; None where no decay had to be computed.
    """

    dose: float
    reference_dose: float
    weight_kg: float
    radionuclide: str | None

    @property
    def factor(self) -> float:
        """SUV (g/mL) per Bq/mL: body weight in grams over the decayed dose."""
        return 1000.0 * self.weight_kg / self.reference_dose

    def to_dict(self) -> dict[str, float]:
        """For a sidecar."""
        return {
            "Factor": self.factor,
            "InjectedDoseBecquerel": self.dose,
            "DecayedDoseBecquerel": self.reference_dose,
            "BodyWeightKilogram": self.weight_kg,
        }


@dataclass(frozen=True)
class SUVGiven:
    """An image that came in SUV by body weight and stays as it is."""

    factor: float = 1.0

    def to_dict(self) -> dict[str, float | str]:
        """For a sidecar."""
        return {"Factor": self.factor, "Origin": "the image came in SUV"}


@dataclass(frozen=True)
class FrameChoice:
    """Which frames of a PET image its static image is the mean of, and why.

    Attributes
    ----------
    n_frames
        Frames of the image.
    reason
        Why these, a phrase.
    chosen
        Numbers of the frames from 0; None for all of them.
    window
        Minutes after injection that were wanted; None where none were.
    minutes
        Minutes after injection at which the frames taken begin and end; None where that is unknown.
    note
        What is to be said of the choice; empty where all is as everybody expects.
    doubt
        Why the mean is not what was wanted; empty where it is.
    """

    n_frames: int = 1
    reason: str = "the image has a single frame"
    chosen: tuple[int, ...] | None = None
    window: tuple[float, float] | None = None
    minutes: tuple[float, float] | None = None
    note: str = ""
    doubt: str = ""

    @property
    def numbers(self) -> list[int]:
        """The frames taken, counted from 1."""
        chosen = range(self.n_frames) if self.chosen is None else self.chosen
        return [index + 1 for index in chosen]

    def to_dict(self) -> dict[str, Any]:
        """For a sidecar."""
        fields = {"WindowMinutes": self.window, "MinutesAfterInjection": self.minutes}
        return {
            "Frames": self.numbers,
            "FramesOfScan": self.n_frames,
            **{key: [round(x, 3) for x in value] for key, value in fields.items() if value},
            "Reason": self.reason,
        }


@dataclass(frozen=True)
class PointSpread:
    """By how much a PET is blurred.

    Full width at half maximum, mm, from left to right, back to front and feet to head, and who
    says so.
    """

    fwhm: tuple[float, float, float]
    source: str


@dataclass(frozen=True)
class PETFacts:
    """What a dataset says about one PET image, decided once, when its subject is planned.

    Attributes
    ----------
    tracer
        As a BIDS label, e.g. ``"18FFDG"``; None where nothing says.
    tracer_name
        As the sidecar writes it, e.g. ``"[18F]FDG"``, else the label.
    radionuclide
        As PET-BIDS writes it, e.g. ``"F18"``.
    timing
        Of its frames.
    units, factor
        Units of the image after multiplication by the factor.
    suv
        What SUV is computed from; None where it is not.
    no_suv
        Why not; empty otherwise.
    no_suvr
        Why there is no SUVR, whatever the options; empty where there may be.
    notes
        What was corrected or assumed, a phrase each.
    doubts
        What has to be looked at, a phrase each; the verdict is then ``review`` at best.
    frame_factors
        What each frame is multiplied by before frames are averaged, its correction for decay; None
        where frames stay as they are.
    changed
        Fields of the sidecar that this makes other than those of the dataset.
    frames
        What the static image is the mean of.
    region
        Reference region of SUVR; None for a mask of the user's own, or no SUVR.
    region_reason
        Why that one.
    point_spread
        Where partial volume is to be corrected.
    smoothing
        None where it is not to be smoothed.
    """

    tracer: str | None
    tracer_name: str | None
    radionuclide: str | None
    timing: FrameTiming
    units: str
    factor: float
    suv: SUVInputs | SUVGiven | None
    no_suv: str
    no_suvr: str = ""
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    frame_factors: tuple[float, ...] | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)
    frames: FrameChoice = field(default_factory=FrameChoice)
    region: ReferenceRegion | None = None
    region_reason: str = ""
    point_spread: PointSpread | None = None
    smoothing: "Smoothing | None" = None

    def tracer_fields(self) -> dict[str, str]:
        """Fields of sidecars about the tracer, as far as it is known."""
        fields = {"TracerName": self.tracer_name, "TracerRadionuclide": self.radionuclide}
        return {name: value for name, value in fields.items() if value}


@dataclass(frozen=True)
class ImageFile:
    """An image of the raw dataset or of the derivatives.

    Attributes
    ----------
    path
        Absolute path.
    entities
        Entities as they are in its name, without prefix, e.g. ``{"sub": "01", "ses": "d0129",
        "trc": "18FFDG", "run": "01"}``.
    suffix
        E.g. ``"T1w"``, as it is written.
    metadata
        Of a raw image the sidecars merged by the BIDS inheritance principle, and a PET's frame
        table under :data:`fusionprep.bids.sidecars.FRAME_TABLE`; of a derivative its sidecar.
    shape, voxel_sizes
        Of the header, without axes of length one beyond the third; sizes in mm. Empty until it is
        read.
    pet
        Of a PET whose subject has been planned; else None.
    notes
        What its name or its header made to be corrected or assumed, a phrase each.
    runs
        That a scan is combined from.
    lesions
        Of a T1w the masks that mark what is a lesion in it.
    """

    path: Path
    entities: Mapping[str, str]
    suffix: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    voxel_sizes: tuple[float, ...] = ()
    pet: PETFacts | None = None
    notes: tuple[str, ...] = ()
    runs: "tuple[ScanRun, ...]" = ()
    lesions: "tuple[ImageFile, ...]" = ()

    @property
    def subject(self) -> str:
        """Label without ``sub-``."""
        return self.entities["sub"]

    @property
    def session(self) -> str | None:
        """Label without ``ses-``; None outside of sessions."""
        return self.entities.get("ses")

    @property
    def field_of_view(self) -> tuple[float, ...]:
        """Lengths (mm) of the sides of a volume; empty until its header is read."""
        sides = zip(self.shape, self.voxel_sizes, strict=False)
        return tuple(count * size for count, size in sides)

    @property
    def n_frames(self) -> int:
        """How many volumes it holds."""
        return self.shape[3] if len(self.shape) > 3 else 1

    @property
    def space(self) -> str:
        """Space and resolution as one label, e.g. ``MNI152NLin2009aSym_res-1``."""
        space, resolution = self.entities.get("space", NATIVE), self.entities.get("res")
        return f"{space}_res-{resolution}" if resolution else space

    def get(self, *keys: str) -> Any:
        """A value of the sidecar; None where any key on the way is missing."""
        value: Any = self.metadata
        for key in keys:
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value


@dataclass(frozen=True)
class Pairing:
    """An image and the T1w it is brought to.

    Attributes
    ----------
    modality
        Of the image.
    reason
        One phrase for people, e.g. ``"same session"``, ``"nearest session"``.
    day_gap
        Days between the two scans; None where the dataset does not say.
    doubts
        What has to be looked at because of the T1w, a phrase each; the verdict on the registration
        is then ``review`` at best.
    """

    modality: Modality
    image: ImageFile
    t1w: ImageFile
    reason: str
    day_gap: int | None = None
    doubts: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was corrected or assumed about the image, a phrase each."""
        facts = self.image.pet.notes if self.image.pet is not None else ()
        return (*self.image.notes, *facts)


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", one_line(self.message))


@dataclass(frozen=True)
class FoundImages:
    """The images of a subject that the options of the run keep.

    Attributes
    ----------
    images
        By modality; one without images may be absent.
    unreadable
        Modality and problem of each image left out because of its sidecar.
    notes
        Lines for people about what was left out, and why.
    expected
        The same of what options and names are meant to leave out; only a dry run shows them.
    """

    subject: str
    images: Mapping[Modality, tuple[ImageFile, ...]] = field(default_factory=dict)
    unreadable: tuple[tuple[Modality, Problem], ...] = ()
    notes: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()

    def of(self, modality: Modality) -> tuple[ImageFile, ...]:
        """The images of a modality, in natural order of their paths."""
        return self.images.get(modality, ())


@dataclass(frozen=True)
class SubjectPlan:
    """Everything to be done for one subject, and what cannot be.

    Attributes
    ----------
    notes
        Remarks on what is unusual but does not stop processing, e.g. a missing sidecar.
    expected
        Remarks on what the options or the kinds of image in the dataset make so; only a dry run
        shows them.
    """

    label: str
    pairings: tuple[Pairing, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # names of files and values of sidecars are shown in them
        for name in ("notes", "expected"):
            object.__setattr__(self, name, tuple(map(one_line, getattr(self, name))))

    @property
    def t1ws(self) -> tuple[ImageFile, ...]:
        """The T1w images used, each once, in the order of first use."""
        return tuple({pairing.t1w.path: pairing.t1w for pairing in self.pairings}.values())
