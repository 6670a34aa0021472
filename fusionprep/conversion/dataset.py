"""A BIDS dataset that subjects are added to, one by one and each as a whole."""

import re
import shutil
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fusionprep._version import __version__
from fusionprep.bids.names import BIDS, file_name
from fusionprep.bids.raw_files import TRUTH_DIR, RawImage, write, write_image, write_json
from fusionprep.bids.subject_tables import PARTICIPANTS
from fusionprep.errors import OutputError, UsageError
from fusionprep.files import UNFINISHED, table_text
from fusionprep.modalities import APP_MODALITIES, Modality
from fusionprep.reading import read_json_object, read_table, read_text

BIDS_VERSION = "1.10.0"
DESCRIPTION = "dataset_description.json"
IGNORED = ".bidsignore"
NOT_GIVEN = "n/a"

PERSON_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "age": {"Description": "Age at the scan; 89 stands for all ages from 89 on", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male", "O": "other"}},
    "weight": {"Description": "Body weight on the day of the scan", "Units": "kg"},
    "height": {"Description": "Body height", "Units": "m"},
}
"""Columns of ``participants.tsv`` that converters fill, and what is said of them."""

README_START = """# Dataset converted by fusionprep

The images and sidecars here were made by `fusionprep bids` from files of another kind. A field of a
sidecar that is not there, or is `n/a`, was not known. Times of PET are seconds from the injection
where that is known, else from the start of the scan; `TimeZero` is 00:00:00 for either, since times
of day are not copied. Faces are not removed.
"""


@dataclass(frozen=True)
class Scan:
    """One image of a subject.

    Attributes
    ----------
    modality
        One that the App looks for.
    image
        Its voxels as they will be stored.
    metadata
        Of its sidecar.
    entities
        Beside those of the subject, e.g. ``{"trc": "18FFDG"}``.
    """

    modality: Modality
    image: RawImage
    metadata: Mapping[str, Any]
    entities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """What is written of one subject, or of one session.

    Attributes
    ----------
    label
        Letters and digits.
    scans
        Its images.
    session
        Label; None for a dataset without sessions.
    person
        Cells of ``participants.tsv`` by column, of :data:`PERSON_COLUMNS`.
    truth
        Files for ``sourcedata/truth/sub-<label>`` by name, of what was simulated.
    """

    label: str
    scans: Sequence[Scan]
    session: str | None = None
    person: Mapping[str, str] = field(default_factory=dict)
    truth: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def entities(self) -> dict[str, str]:
        return {"sub": self.label} | ({"ses": self.session} if self.session else {})

    @property
    def folder(self) -> Path:
        return Path(*(f"{name}-{label}" for name, label in self.entities.items()))

    def stem(self, scan: Scan) -> Path:
        """Path of a scan in the dataset, without extension."""
        names = BIDS[scan.modality]
        name = file_name(names.suffix, {**self.entities, **scan.entities})
        return self.folder / names.datatype / name


@dataclass(frozen=True)
class Origin:
    """Where a dataset comes from, in the words of its description.

    Attributes
    ----------
    command
        Of ``fusionprep bids``.
    about
        A paragraph of the README.
    fields
        Of ``dataset_description.json``, beside those that every dataset has.
    """

    command: str
    about: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def by(self, authors: Sequence[str]) -> "Origin":
        """The same with the authors of the dataset, where any are named."""
        return replace(self, fields={**self.fields, "Authors": [*authors]}) if authors else self


def label_of(text: str, option: str) -> str:
    """A label of BIDS, as a user gives it: letters and digits, perhaps with its prefix.

    Raises
    ------
    UsageError
        When it holds anything else.

    Examples
    --------
    >>> label_of("sub-A01", "--subject")
    'A01'
    """
    label = re.sub("^(?:sub|ses|trc)-", "", text)
    if re.fullmatch("[A-Za-z0-9]+", label) is None:
        plain = plain_label(label)
        hint = f", e.g. {plain}" if plain else ""
        raise UsageError(f"{option} {text!r} may hold letters and digits only{hint}")
    return label


def plain_label(text: str) -> str:
    """The letters and digits of a text; empty where it has none.

    Examples
    --------
    >>> plain_label("[18F]FDG")
    '18FFDG'
    """
    return re.sub("[^A-Za-z0-9]", "", text)


def add_subject(out: Path, subject: Subject, origin: Origin, *, overwrite: bool = False) -> None:
    """Write a subject to a dataset, which is made where there is none.

    Parameters
    ----------
    out
        Root of the dataset: new, empty, or a BIDS dataset already. Its description and README stay
        as they are.
    subject
        Appears as a whole, or not at all.
    overwrite
        Replace the subject (with sessions, the session) that is there already.

    Raises
    ------
    OutputError
        When there is something else at ``out``, the subject is there already, or nothing can be
        written.
    """
    _check_dataset(out)
    target = out / subject.folder
    _check_target(target, subject, overwrite)
    try:
        out.mkdir(parents=True, exist_ok=True)
        written = Path(tempfile.mkdtemp(dir=out, prefix=UNFINISHED))
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror}") from error
    try:
        for scan in subject.scans:
            write_image(written / subject.stem(scan), scan.image, scan.metadata)
        _write_tables(out, subject, origin)
        _move(written / subject.folder, target, written / "replaced")
        _add_row(out, subject)
    finally:
        shutil.rmtree(written, ignore_errors=True)
    for name, content in subject.truth.items():
        write(out / TRUTH_DIR / f"sub-{subject.label}" / name, content)


def _check_dataset(out: Path) -> None:
    try:
        foreign = out.exists() and (
            not out.is_dir() or (any(out.iterdir()) and not (out / DESCRIPTION).is_file())
        )
    except OSError as error:
        raise OutputError(f"cannot read {out}: {error.strerror}") from error
    if foreign:
        raise OutputError(
            f"{out} is neither empty nor a BIDS dataset, since it has no {DESCRIPTION}; name a new"
            " folder"
        )


def _check_target(target: Path, subject: Subject, overwrite: bool) -> None:
    if not target.exists():
        beside = target.parent
        if subject.session and beside.is_dir() and _datatypes_in(beside):
            raise OutputError(f"{beside} has images outside sessions; leave out --session")
        return
    if not subject.session and any(target.glob("ses-*")):
        raise OutputError(f"{target} has sessions; name another with --session")
    if not overwrite:
        raise OutputError(
            f"{target} is there already; give another label, or --overwrite to replace it"
        )


def _datatypes_in(folder: Path) -> list[str]:
    return [names.datatype for names in BIDS.values() if (folder / names.datatype).is_dir()]


def _move(new: Path, target: Path, old: Path) -> None:
    """Put a folder in its place; what was there goes to ``old``, and back where that fails."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(old)
        new.rename(target)
    except OSError as error:
        if old.exists():
            old.rename(target)
        raise OutputError(f"cannot write {target}: {error.strerror}") from error


def _write_tables(out: Path, subject: Subject, origin: Origin) -> None:
    """What a dataset has beside its images, each where it is missing."""
    if not (out / DESCRIPTION).exists():
        write_json(out / DESCRIPTION, _description(origin))
    if not any(out.glob("README*")):
        write(out / "README.md", f"{README_START}\n{textwrap.fill(origin.about, 100)}\n".encode())
    _ignore(out, [BIDS[scan.modality].datatype for scan in subject.scans])


def _description(origin: Origin) -> dict[str, Any]:
    made = {
        "Name": "fusionprep",
        "Version": __version__,
        "Description": f"fusionprep bids {origin.command}",
    }
    return {
        "Name": f"Converted by fusionprep bids {origin.command}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "GeneratedBy": [made],
        **origin.fields,
    }


def _ignore(out: Path, datatypes: Sequence[str]) -> None:
    """List folders that are not in BIDS."""
    path = out / IGNORED
    lines = read_text(path).splitlines() if path.exists() else []
    unknown = [name for name in dict.fromkeys(datatypes) if name in _UNKNOWN_TO_BIDS]
    if missing := [name for name in unknown if name not in lines]:
        write(path, "".join(f"{line}\n" for line in (*lines, *missing)).encode())


_UNKNOWN_TO_BIDS = tuple(
    BIDS[modality].datatype for modality in APP_MODALITIES if modality.hounsfield
)


def _add_row(out: Path, subject: Subject) -> None:
    """The subject's row of the table; a cell that is there stays unless there is a new one."""
    path = out / PARTICIPANTS
    rows = read_table(path)
    columns = ["participant_id", *(name for row in rows[:1] for name in row), *subject.person]
    columns = list(dict.fromkeys(columns))
    name = f"sub-{subject.label}"
    own = next((row for row in rows if row["participant_id"] == name), None)
    if own is None:
        rows.append(own := {"participant_id": name})
    own.update(subject.person)
    filled = [{column: row.get(column) or NOT_GIVEN for column in columns} for row in rows]
    write(path, table_text(columns, filled).encode())
    described = path.with_suffix(".json")
    known = read_json_object(described) if described.exists() else {}
    told = {name: PERSON_COLUMNS[name] for name in subject.person if name not in known}
    if told:
        write_json(described, known | told)
