"""DICOM files of one or more people as a dataset."""

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fusionprep.conversion.dataset import Origin, Subject, add_subject, label_of, plain_label
from fusionprep.conversion.dicom_files import PRIVATE, Header, Series, find_series
from fusionprep.conversion.dicom_kinds import Chosen, check_told, choose
from fusionprep.conversion.dicom_scan import check_slices, scan_of_series
from fusionprep.conversion.pet_fields import PETGiven
from fusionprep.conversion.requests import Outcome
from fusionprep.errors import DataError, UsageError
from fusionprep.modalities import T1W
from fusionprep.plausibility import BODY_WEIGHT

OLDEST = 89
"""Years above which an age alone may tell who it is; older people are of this age."""

_SEXES = ("F", "M", "O")

ORIGIN = Origin(
    "dicom",
    "Images were made of DICOM series by dcm2niix. Names, identifiers, dates, times of day,"
    " institutions, device numbers and comments in the headers were not copied; labels of subjects"
    " are those that were given, or the PatientID without punctuation.",
)


@dataclass(frozen=True)
class DICOMRequest:
    """What to make of a folder of DICOM files.

    Attributes
    ----------
    source
        The folder.
    out
        Root of the dataset.
    subject
        Label, where there is one patient; None takes the PatientID.
    series
        Numbers of series to names of modalities or ``skip``.
    given
        What is known of the PET, which comes before what headers say.
    by_date
        Make a session of each date, called by the days from the first.
    overwrite
        Replace what is there.
    authors
        Of the dataset, where it is made.
    """

    source: Path
    out: Path
    subject: str | None = None
    series: Mapping[int, str] = field(default_factory=dict)
    given: PETGiven = field(default_factory=PETGiven)
    by_date: bool = False
    overwrite: bool = False
    authors: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Visit:
    """Series of one subject, or of one of its sessions, that become images."""

    subject: str
    session: str | None
    chosen: Chosen


def convert_dicom(
    request: DICOMRequest, origin: Origin = ORIGIN, *, part: bool = False
) -> list[Outcome]:
    """Write the people in a folder of DICOM files as subjects of a BIDS dataset.

    What each series is, is decided for all of them before anything is written.

    Parameters
    ----------
    origin
        Describes the dataset.
    part
        Whether there are more folders, which may hold a series that this one does not.

    Raises
    ------
    DataError, NoInputError, UsageError, OutputError
        When files cannot be read, it is unclear which series to take, or nothing can be written.
    """
    everything, others = find_series(request.source)
    if not part:
        check_told(request.series, everything)
    visits = _visits(everything, request)
    outcomes = []
    for visit in visits:
        subject, notes = _converted(visit, request)
        add_subject(request.out, subject, origin.by(request.authors), overwrite=request.overwrite)
        outcomes.append(Outcome(request.out / subject.folder, notes))
    if others:
        outcomes[-1].notes.append(f"not DICOM images: {others} files in {request.source}")
    return outcomes


def _visits(everything: Sequence[Series], request: DICOMRequest) -> list[_Visit]:
    people: dict[str, list[Series]] = {}
    for series in everything:
        people.setdefault(series.patient, []).append(series)
    labels = _labels(people, request)
    visits = [
        _Visit(labels[patient], session, choose(group, request.series, f"sub-{labels[patient]}"))
        for patient, group in people.items()
        for session, group in _sessions(group, request.by_date).items()
    ]
    for label in labels.values():
        own = [visit.chosen for visit in visits if visit.subject == label]
        if not any(T1W in chosen.series for chosen in own):
            listed = "; ".join(note for chosen in own for note in chosen.notes)
            raise DataError(
                f"sub-{label}: no series is taken for a {T1W.label}; name it with --series"
                f" NUMBER={T1W.name} ({listed})"
            )
    for visit in visits:
        for series in visit.chosen.series.values():
            check_slices(series)
    return [visit for visit in visits if visit.chosen.series]


def _labels(people: Mapping[str, list[Series]], request: DICOMRequest) -> dict[str, str]:
    patients = list(people)
    if request.subject is not None:
        if len(patients) > 1:
            raise UsageError(
                f"{request.source} holds {len(patients)} patients; --subject names one: give the"
                " folder of one, or leave it out"
            )
        return {patients[0]: label_of(request.subject, "--subject")}
    if len(patients) > 1 and request.given.of_one_scan:
        raise UsageError(
            f"{request.source} holds {len(patients)} patients, but --dose and times are of one"
            " scan: give the folder of one patient"
        )
    labels = {patient: _label_by_id(people[patient][0], request.source) for patient in people}
    for patient, label in labels.items():
        same = [other for other in people if labels[other] == label]
        if len(same) > 1:
            raise DataError(
                f"PatientIDs {' and '.join(same)} would both be sub-{label}; convert one after the"
                f" other, with --subject, not {patient}"
            )
    return labels


def _label_by_id(series: Series, source: Path) -> str:
    """The PatientID without punctuation, unless it tells the name."""
    label = plain_label(str(series.first.get("PatientID") or ""))
    if not label:
        raise UsageError(f"a patient in {source} has no PatientID; give --subject")
    name = str(series.first.get("PatientName") or "")
    # a pseudonym, such as ABC017, often stands for both
    pseudonym = plain_label(name) == label and any(sign.isdigit() for sign in label)
    words = re.findall(r"(?<![a-z0-9])[a-z]{3,}(?![a-z0-9])", name.lower())
    if not pseudonym and any(word in label.lower() for word in words):
        raise UsageError(
            f"a PatientID in {source} holds the patient's name, so that it is not used as a label:"
            " convert one patient after the other, with --subject"
        )
    return label


def _sessions(group: Sequence[Series], by_date: bool) -> dict[str | None, list[Series]]:
    """Series by session, which are called as in OASIS-3: ``d0000``, ``d0365``."""
    if not by_date:
        return {None: list(group)}
    days = [(_day(series), series) for series in group]
    first = min(day for day, _ in days)
    found: dict[str | None, list[Series]] = {}
    for day, series in sorted(days, key=lambda pair: pair[0]):
        found.setdefault(f"d{day - first:04d}", []).append(series)
    return found


def _day(series: Series) -> int:
    text = str(series.first.get("StudyDate") or series.first.get("SeriesDate") or "")
    try:
        return datetime.date(int(text[:4]), int(text[4:6]), int(text[6:8])).toordinal()
    except ValueError:
        raise DataError(
            f"series {series.label} has no date; leave out --sessions-by-date"
        ) from None


def _converted(visit: _Visit, request: DICOMRequest) -> tuple[Subject, list[str]]:
    """Images and sidecars of a visit, and what is to be said of them."""
    notes = list(visit.chosen.notes)
    scans, headers = [], []
    for modality, series in visit.chosen.series.items():
        notes.append(f"{modality.label}: series {series.label}")
        scan, more = scan_of_series(series, modality, request.given)
        scans.append(scan)
        notes += more
        headers.append(series.first)
    private = [name for name in PRIVATE if any(name in header for header in headers)]
    notes.append(f"in the headers, and not copied: {', '.join(private)}")
    person = _person(headers)
    return Subject(visit.subject, scans, visit.session, person), notes


def _person(headers: Sequence[Header]) -> dict[str, str]:
    """Cells of ``participants.tsv`` that headers tell."""
    found: dict[str, str] = {}
    for header in headers:
        age = str(header.get("PatientAge") or "")
        if age[-1:] == "Y" and age[:-1].isdigit():
            found.setdefault("age", str(min(int(age[:-1]), OLDEST)))
        if header.get("PatientSex") in _SEXES:
            found.setdefault("sex", str(header["PatientSex"]))
        weight, height = header.get("PatientWeight"), header.get("PatientSize")
        if isinstance(weight, float) and weight in BODY_WEIGHT:
            found.setdefault("weight", f"{weight:g}")
        if isinstance(height, float) and height > 0:
            found.setdefault("height", f"{height:g}")
    return found
