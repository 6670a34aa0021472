"""Two images, of one MRI and of one PET or CT, as a dataset of one subject."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionprep.bids.names import IMAGE
from fusionprep.bids.raw_files import SIDECAR, RawImage
from fusionprep.conversion.dataset import Origin, Scan, Subject, add_subject, label_of, plain_label
from fusionprep.conversion.known_fields import kept_fields
from fusionprep.conversion.pet_fields import (
    HINTS,
    TIMES,
    PETGiven,
    complete,
    times_from_injection,
)
from fusionprep.errors import NoInputError, UsageError
from fusionprep.image.io import read_stored
from fusionprep.modalities import PET, T1W, Modality
from fusionprep.plausibility import BODY_WEIGHT
from fusionprep.reading import read_json_object

NIFTI = (IMAGE, ".nii")

ORIGIN = Origin(
    "pair",
    "Each subject was made of two NIfTI files, whose voxels and positions are as they were.",
)


@dataclass(frozen=True)
class Target:
    """Where a subject goes, and what is known of the person.

    Attributes
    ----------
    out
        Root of the dataset.
    subject, session
        Labels.
    weight
        Body weight, kg.
    overwrite
        Replace what is there.
    authors
        Of the dataset, where it is made.
    """

    out: Path
    subject: str
    session: str | None = None
    weight: float | None = None
    overwrite: bool = False
    authors: tuple[str, ...] = ()

    def person(self) -> dict[str, str]:
        """Cells of ``participants.tsv``.

        Raises
        ------
        UsageError
            When the weight cannot be.
        """
        if self.weight is None:
            return {}
        if problem := BODY_WEIGHT.problem(self.weight):
            raise UsageError(f"--weight: {problem}")
        return {"weight": f"{self.weight:g}"}


@dataclass(frozen=True)
class Outcome:
    """What was written, and what is to be said of it."""

    folder: Path
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """An image with what its own sidecar says."""

    path: Path
    image: RawImage
    metadata: Mapping[str, Any]


def convert_pair(
    anatomical: Path, functional: Path, target: Target, given: PETGiven, modality: Modality = PET
) -> Outcome:
    """Write two NIfTI files as a subject of a BIDS dataset.

    Parameters
    ----------
    anatomical
        T1-weighted MRI.
    functional
        PET or CT; neither need lie on the grid of the other.
    given
        What is known of a PET, which comes before what its own sidecar says.
    modality
        Of the second file.

    Raises
    ------
    DataError, NoInputError, UsageError, OutputError
        When a file cannot be read, an option cannot be, or nothing can be written.
    """
    t1w, other = read_source(anatomical), read_source(functional)
    fields, dropped = kept_fields(t1w.metadata, T1W)
    notes = _told_dropped(anatomical, dropped)
    scan, more = functional_scan(other, modality, given)
    subject = Subject(
        label_of(target.subject, "--subject"),
        (Scan(T1W, t1w.image, {"Modality": "MR"} | fields), scan),
        target.session and label_of(target.session, "--session"),
        target.person(),
    )
    add_subject(target.out, subject, ORIGIN.by(target.authors), overwrite=target.overwrite)
    return Outcome(target.out / subject.folder, [*notes, *more])


def read_source(path: Path) -> Source:
    """Read a NIfTI file and the JSON file beside it, if there is one.

    Raises
    ------
    NoInputError
        When there is no such file.
    DataError
        When it cannot be read.
    """
    if not path.exists():
        raise NoInputError(f"{path} does not exist")
    stem = next((path.name.removesuffix(end) for end in NIFTI if path.name.endswith(end)), None)
    if stem is None:
        raise UsageError(f"{path} is not a NIfTI file ({' or '.join(NIFTI)})")
    voxels, affine, scale = read_stored(path)
    beside = path.with_name(f"{stem}{SIDECAR}")
    metadata = read_json_object(beside) if beside.is_file() else {}
    return Source(path, RawImage(voxels, affine, *scale), metadata)


def functional_scan(source: Source, modality: Modality, given: PETGiven) -> tuple[Scan, list[str]]:
    """The scan of an image of PET or CT, and what is to be said of it."""
    fields, dropped = kept_fields(source.metadata, modality)
    notes = _told_dropped(source.path, dropped)
    if not modality.tracer:
        if given != PETGiven():
            raise UsageError(
                f"options of a PET were given, but the second image is {modality.label}"
            )
        return Scan(modality, source.image, {"Modality": modality.label} | fields), notes
    n_frames = source.image.n_frames
    known = {name: value for name, value in fields.items() if name not in TIMES}
    told = given.fields()
    if given.starts is None:
        told |= times_from_injection(fields, n_frames, source.path)
    sidecar, unknown = complete(known | told, n_frames, source.path)
    tracer = plain_label(given.tracer or str(fields.get("TracerName") or ""))
    if not tracer:
        raise UsageError(f"the tracer of {source.path} is not known; give it with --tracer")
    return Scan(modality, source.image, sidecar, {"trc": tracer}), [*notes, *told_unknown(unknown)]


def told_unknown(unknown: list[str]) -> list[str]:
    """What BIDS wants of a PET and nobody knows, in a sentence."""
    if not unknown:
        return []
    options = ", ".join(dict.fromkeys(HINTS[name] for name in unknown))
    return [
        f"not known of the PET, so not in its sidecar, which BIDS asks for them:"
        f" {', '.join(unknown)} (options: {options})"
    ]


def _told_dropped(path: Path, dropped: list[str]) -> list[str]:
    return [f"not copied from the sidecar of {path.name}: {', '.join(dropped)}"] * bool(dropped)
