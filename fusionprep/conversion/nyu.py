"""PET/MR such as that of NYU's CAI2R: a folder for each person, with DICOM series or NIfTI files.

What could be verified of that data is little: that scans are of a hybrid PET/MR, and that there is
a folder for each person. Its names of files and series could not be seen; so nothing here relies on
one, and whatever is not told by headers or names has to be told by options.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fusionprep.conversion.dataset import Origin, Subject, add_subject, plain_label
from fusionprep.conversion.dicom import DICOMRequest, convert_dicom
from fusionprep.conversion.dicom_kinds import Kind, kind_of_name
from fusionprep.conversion.pair import scan_of_file
from fusionprep.conversion.pet_fields import PETGiven
from fusionprep.conversion.requests import Outcome
from fusionprep.conversion.sources import read_source, stem_of
from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.modalities import APP_MODALITIES, T1W, Modality

SKIP = "skip"
"""What ``--files`` calls a file that is left out."""

ORIGIN = Origin(
    "nyu-petmr",
    "Images are of a hybrid PET/MR scanner: MRI and PET of a person were measured in one session,"
    " and lie in one world as far as the person lay still. Names, identifiers, dates, times of day"
    " and institutions were not copied.",
)


@dataclass(frozen=True)
class PETMRRequest:
    """What to make of folders of a hybrid scanner.

    Attributes
    ----------
    source
        Holds a folder for each person.
    out
        Root of the dataset.
    series
        Numbers of DICOM series to names of modalities, or ``skip``.
    files
        Patterns of NIfTI files, relative to a person's folder, to the same.
    given
        What is known of the PET, which comes before what headers say.
    overwrite
        Replace what is there.
    authors
        Of the dataset, where it is made.
    """

    source: Path
    out: Path
    series: Mapping[int, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    given: PETGiven = field(default_factory=PETGiven)
    overwrite: bool = False
    authors: tuple[str, ...] = ()


def convert_petmr(request: PETMRRequest) -> list[Outcome]:
    """Write each folder of a person as a subject, named after the folder.

    Raises
    ------
    DataError, NoInputError, UsageError, OutputError
        When files cannot be read, it is unclear which to take, or nothing can be written.
    """
    people = _people(request.source)
    if len(people) > 1 and request.given.of_one_scan:
        raise UsageError(
            f"{request.source} holds {len(people)} people, but --dose and times are of one scan:"
            " convert one after the other"
        )
    chosen = {label: _files(folder, request.files) for label, folder in people.items()}
    outcomes = []
    for label, files in chosen.items():
        if files is None:
            outcomes += convert_dicom(_as_dicom(request, people[label], label), ORIGIN, part=True)
        else:
            outcomes.append(_converted(label, files, request))
    return outcomes


def _people(source: Path) -> dict[str, Path]:
    if not source.is_dir():
        raise NoInputError(f"{source} is not a folder")
    folders = sorted(path for path in source.iterdir() if path.is_dir() and path.name[0] != ".")
    if not folders:
        raise NoInputError(f"{source} holds no folder of a person")
    people: dict[str, Path] = {}
    for folder in folders:
        label = plain_label(folder.name)
        if not label or label in people:
            other = f" as {people[label].name} has" if label else ""
            raise DataError(f"the folder {folder} has no label of its own{other}; rename it")
        people[label] = folder
    return people


def _as_dicom(request: PETMRRequest, folder: Path, label: str) -> DICOMRequest:
    return DICOMRequest(
        folder,
        request.out,
        label,
        request.series,
        request.given,
        overwrite=request.overwrite,
        authors=request.authors,
    )


@dataclass(frozen=True)
class _Files:
    """Files of a person that become images, and what is said of the others."""

    images: Mapping[Modality, Path]
    notes: tuple[str, ...]


def _files(folder: Path, told: Mapping[str, str]) -> _Files | None:
    """The NIfTI files to take; None where there is none."""
    paths = [path for path in sorted(folder.rglob("*")) if stem_of(path) and path.is_file()]
    if not paths:
        return None
    names = {path: path.relative_to(folder) for path in paths}
    kinds = {path: _kind(name, told) for path, name in names.items()}
    notes = [
        f"left out: {names[path]}: {kind.left_out or 'not recognised; --files names it'}"
        for path, kind in kinds.items()
        if kind.modality is None
    ]
    images = {}
    for modality in APP_MODALITIES:
        found = [path for path, kind in kinds.items() if kind.modality is modality]
        if len(found) > 1:
            listed = ", ".join(str(names[path]) for path in found)
            raise DataError(
                f"{folder} has {len(found)} files that may be the {modality.label}: {listed}. Leave"
                f" out the others with --files PATTERN={SKIP}"
            )
        if found:
            images[modality] = found[0]
            notes.append(f"{modality.label}: {names[found[0]]}")
    if T1W not in images:
        raise DataError(
            f"{folder}: no file is taken for a {T1W.label}; name it with --files"
            f" PATTERN={T1W.name} ({'; '.join(notes)})"
        )
    return _Files(images, tuple(notes))


def _kind(name: Path, told: Mapping[str, str]) -> Kind:
    """What a file is by the first pattern it matches, else by its name."""
    for pattern, kind in told.items():
        if name.match(pattern):
            named = next((one for one in APP_MODALITIES if one.name == kind), None)
            return Kind(named) if named else Kind(left_out="as --files says")
    return kind_of_name(stem_of(name) or "")


def _converted(label: str, files: _Files, request: PETMRRequest) -> Outcome:
    notes, scans = list(files.notes), []
    for modality, path in files.images.items():
        given = request.given if modality.tracer else PETGiven()
        scan, more = scan_of_file(read_source(path), modality, given)
        scans.append(scan)
        notes += more
    subject = Subject(label, scans)
    origin = ORIGIN.by(request.authors)
    add_subject(request.out, subject, origin, overwrite=request.overwrite)
    return Outcome(request.out / subject.folder, notes)
