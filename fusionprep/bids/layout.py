"""A raw dataset as pybids indexes it, and the subjects in it."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fusionprep.config import Selection
from fusionprep.errors import (
    NoInputError,
    NotBIDSError,
    OutputError,
    UnreadableFileError,
    UsageError,
)
from fusionprep.files import same_file
from fusionprep.reading import read_bytes, read_json, unfetched

if TYPE_CHECKING:
    from bids import BIDSLayout

PYBIDS_CONFIGS = ("bids", "derivatives")
"""Names of pybids' lists of entities."""

EXTENSIONS = [".nii", ".nii.gz"]
_IGNORED_AT_ROOT = ("code", "stimuli", "sourcedata", "derivatives", "models")
_IGNORED_DATATYPES = (
    "func", "dwi", "dti", "swi", "fmap", "perf", "eeg", "ieeg", "meg", "beh", "micr", "motion",
    "mrs", "nirs",
)  # fmt: skip
LABEL_PREFIXES = {
    "session": "ses-",
    "acquisition": "acq-",
    "ceagent": "ce-",
    "tracer": "trc-",
    "reconstruction": "rec-",
    "run": "run-",
    "space": "space-",
}
_MISLEADING_IN_ROOT = (*LABEL_PREFIXES, "subject", "desc", "part")


def check_dataset(bids_dir: Path, skip_validation: bool = False) -> None:
    """Check that a folder is a BIDS dataset: its ``dataset_description.json`` says so.

    Parameters
    ----------
    bids_dir
        The folder named by the user.
    skip_validation
        Accept a missing, unreadable or incomplete description (but not a list in its place).

    Raises
    ------
    NoInputError
        When the folder does not exist.
    NotBIDSError
        When the description is missing, unreadable or lacks Name or BIDSVersion.
    """
    if not bids_dir.is_dir():
        raise NoInputError(f"the dataset folder does not exist: {bids_dir}")
    try:
        next(bids_dir.iterdir(), None)
    except OSError as error:
        raise NoInputError(
            f"cannot read the dataset folder {bids_dir}: {error.strerror}"
        ) from error
    path = bids_dir / "dataset_description.json"
    try:
        description = read_json(path)
    except UnreadableFileError as error:
        if skip_validation and (error.absent or _pybids_ignores(path)):
            return
        if error.absent:
            raise NotBIDSError(
                f"not a BIDS dataset, it has no dataset_description.json: {bids_dir}; "
                "name the dataset's root or use --skip-bids-validation"
            ) from error
        raise NotBIDSError(f"cannot read {path}: {error.reason}; correct it") from error
    # pybids cannot open such a dataset at all, so that skipping the check does not help.
    if not isinstance(description, dict):
        raise NotBIDSError(f"{path} is not a JSON object; correct it")
    made_by = description.get("GeneratedBy", [])
    if not isinstance(made_by, list) or not all(isinstance(item, dict) for item in made_by):
        raise NotBIDSError(f"GeneratedBy in {path} is not a list of objects; correct it")
    missing = [key for key in ("Name", "BIDSVersion") if not description.get(key)]
    if missing and not skip_validation:
        raise NotBIDSError(f"{path} lacks {' and '.join(missing)}; add it")


def _pybids_ignores(path: Path) -> bool:
    """Whether pybids, too, goes on without a description that it cannot read."""
    try:
        json.loads(read_bytes(path).decode())
    except (UnicodeDecodeError, json.JSONDecodeError):
        return True
    except (UnreadableFileError, ValueError, RecursionError):
        pass
    return False


def open_layout(bids_dir: Path, selection: Selection) -> BIDSLayout:
    """Index the dataset, or open the index kept in ``selection.bids_database_dir``.

    File names only are indexed; sidecars are read per image (see :mod:`fusionprep.bids.sidecars`).
    A kept index always covers all subjects, so that it serves later runs on others; it is not
    updated when files are added: delete it then.

    Raises
    ------
    UsageError
        When the kept index belongs to another dataset or is damaged, or the dataset's own path
        looks like a BIDS entity.
    OutputError
        When the index cannot be written.
    """
    if selection.bids_database_dir is None:
        layout = _index(bids_dir, None, selection.participant_label)
    else:
        layout = _open_kept_index(bids_dir, selection.bids_database_dir)
    _check_root_path(layout)
    return layout


def _index(bids_dir: Path, database: Path | None, participants: tuple[str, ...] = ()) -> BIDSLayout:
    from bids import BIDSLayout

    from fusionprep.bids.indexer import ImageIndexer

    ignore = [
        re.compile(rf"^/(?:{'|'.join(_IGNORED_AT_ROOT)})(?:/|$)"),
        re.compile(r"/\."),
        re.compile(rf"/(?:{'|'.join(_IGNORED_DATATYPES)})(?:/|$)"),
    ]
    if participants:
        kept = "|".join(re.escape(plain_label(label, "sub-")) for label in participants)
        ignore.append(re.compile(rf"^/sub-(?!(?:{kept})(?:/|$))"))
    return BIDSLayout(
        bids_dir,
        validate=False,
        config=list(PYBIDS_CONFIGS),
        database_path=database,
        indexer=ImageIndexer(EXTENSIONS, ignore),
    )


def _open_kept_index(bids_dir: Path, folder: Path) -> BIDSLayout:
    from bids import BIDSLayout
    from sqlalchemy.exc import SQLAlchemyError

    database = folder / "layout_index.sqlite"
    if not database.exists():
        _write_index(bids_dir, folder, database)
    if problem := unfetched(database):
        raise UsageError(f"the index {database} {problem}; delete it")
    try:
        layout = BIDSLayout(database_path=folder, validate=False)
    except (SQLAlchemyError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the index {database} is damaged or from another pybids version; delete it"
        ) from error
    if not same_file(Path(layout.root), bids_dir):
        raise UsageError(
            f"the index {database} belongs to the dataset {layout.root}, not {bids_dir}; "
            "give another --bids-database-dir"
        )
    return layout


def _write_index(bids_dir: Path, folder: Path, database: Path) -> None:
    # pybids creates the file before it walks the dataset: built in place, an index left by a
    # killed run would look complete and hold nothing.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".indexing-", dir=folder))
    except OSError as error:
        raise OutputError(f"cannot write the index to {folder}: {error.strerror}") from error
    try:
        manager = _index(bids_dir, scratch).connection_manager
        manager.session.close()
        manager.engine.dispose()
        _publish(scratch / database.name, database)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _publish(index: Path, database: Path) -> None:
    """Give a finished index its name, unless another run was first and may be reading its own."""
    try:
        database.hardlink_to(index)
    except FileExistsError:
        return
    except OSError:
        # a file system without links: the file there is as good, and others may be reading it
        index.replace(database)


def _check_root_path(layout: BIDSLayout) -> None:
    # pybids matches entities anywhere in the absolute path and takes the first match, so a
    # dataset below `…/sub-01/` would have one subject.
    root = layout.root.rstrip("/") + "/"
    for name, entity in layout.get_entities().items():
        if name in _MISLEADING_IN_ROOT:
            match = entity.regex.search(root)
            if match:
                raise UsageError(
                    f"the path of the dataset contains {match[0].strip('/_')!r}, which reads as a "
                    f"BIDS {name}: {layout.root}; move the dataset or link to it from elsewhere"
                )


def find_subjects(layout: BIDSLayout, selection: Selection) -> tuple[str, ...]:
    """Labels of the subjects to process, without ``sub-``, sorted.

    Participant labels asked for that the dataset does not have are left out; see
    :func:`unknown_subjects`.
    """
    present = _subjects_present(Path(layout.root))
    if not selection.participant_label:
        return present
    asked = {plain_label(label, "sub-") for label in selection.participant_label}
    return tuple(label for label in present if label in asked)


def unknown_subjects(layout: BIDSLayout, selection: Selection) -> tuple[str, ...]:
    """Participant labels asked for, without ``sub-``, that the dataset does not have."""
    present = set(_subjects_present(Path(layout.root)))
    asked = {plain_label(label, "sub-"): None for label in selection.participant_label}
    return tuple(label for label in asked if label not in present)


def _subjects_present(root: Path) -> tuple[str, ...]:
    # Folders, not indexed files: a subject with nothing usable must still be reported.
    folders = (path for path in root.glob("sub-*") if path.is_dir())
    return tuple(sorted(path.name.removeprefix("sub-") for path in folders))


def plain_label(label: str, prefix: str) -> str:
    """A label as users write it, without the prefix of its entity."""
    return label.strip().removeprefix(prefix)
