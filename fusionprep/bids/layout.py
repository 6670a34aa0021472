"""What a raw dataset holds: indexed by pybids, filtered by the options of the run."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionprep.bids.metadata import tracer_label
from fusionprep.bids.plan import ImageFile, Problem
from fusionprep.bids.sidecars import read_metadata
from fusionprep.config import Config
from fusionprep.errors import DataError, NoInputError, NotBIDSError, OutputError, UsageError

if TYPE_CHECKING:
    from bids import BIDSLayout

_SUFFIXES = {"t1w": ["T1w"], "pet": ["pet"], "ct": ["ct", "CT", "Ct"], "flair": ["FLAIR"]}
_IGNORED_AT_ROOT = ("code", "stimuli", "sourcedata", "derivatives", "models")
_IGNORED_DATATYPES = (
    "func", "dwi", "dti", "swi", "fmap", "perf", "eeg", "ieeg", "meg", "beh", "micr", "motion",
    "mrs", "nirs",
)  # fmt: skip
_BIDS_KEYS = {
    "ses": "session",
    "acq": "acquisition",
    "ce": "ceagent",
    "trc": "tracer",
    "rec": "reconstruction",
    "dir": "direction",
}
_LABEL_PREFIXES = {
    "session": "ses-",
    "acquisition": "acq-",
    "ceagent": "ce-",
    "tracer": "trc-",
    "reconstruction": "rec-",
    "run": "run-",
    "space": "space-",
}
_NOT_ENTITIES = ("extension", "scans", "fmap")


@dataclass(frozen=True)
class FoundImages:
    """The images of a subject that pass the filters.

    Attributes
    ----------
    unreadable
        Query name (``t1w``, …) and problem of each image left out for its sidecar.
    """

    subject: str
    t1w: tuple[ImageFile, ...] = ()
    pet: tuple[ImageFile, ...] = ()
    ct: tuple[ImageFile, ...] = ()
    flair: tuple[ImageFile, ...] = ()
    unreadable: tuple[tuple[str, Problem], ...] = ()


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
    path = bids_dir / "dataset_description.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        if skip_validation:
            return
        raise NotBIDSError(
            f"not a BIDS dataset, it has no dataset_description.json: {bids_dir}; "
            "name the dataset's root or use --skip-bids-validation"
        ) from error
    except (OSError, ValueError) as error:
        if skip_validation:
            return
        raise NotBIDSError(f"cannot read {path}: {error}; correct it") from error
    # pybids cannot open such a dataset at all, so that skipping the check does not help.
    if not isinstance(description, dict):
        raise NotBIDSError(f"{path} is not a JSON object; correct it")
    missing = [key for key in ("Name", "BIDSVersion") if not description.get(key)]
    if missing and not skip_validation:
        raise NotBIDSError(f"{path} lacks {' and '.join(missing)}; add it")


def open_layout(config: Config) -> BIDSLayout:
    """Index the dataset, or open the index kept in ``config.bids_database_dir``.

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
    if config.bids_database_dir is None:
        layout = _index(config, None, config.participant_label)
    else:
        layout = _open_kept_index(config, config.bids_database_dir)
    _check_root_path(layout)
    return layout


def _index(config: Config, database: Path | None, participants: tuple[str, ...] = ()) -> BIDSLayout:
    from bids import BIDSLayout, BIDSLayoutIndexer

    ignore = [
        re.compile(rf"^/(?:{'|'.join(_IGNORED_AT_ROOT)})(?:/|$)"),
        re.compile(r"/\."),
        re.compile(rf"/(?:{'|'.join(_IGNORED_DATATYPES)})(?:/|$)"),
    ]
    if participants:
        kept = "|".join(re.escape(_plain_label(label, "sub-")) for label in participants)
        ignore.append(re.compile(rf"^/sub-(?!(?:{kept})(?:/|$))"))
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=ignore)
    return BIDSLayout(
        config.bids_dir,
        validate=False,
        config=["bids", "derivatives"],
        database_path=database,
        indexer=indexer,
    )


def _open_kept_index(config: Config, folder: Path) -> BIDSLayout:
    from bids import BIDSLayout
    from sqlalchemy.exc import SQLAlchemyError

    database = folder / "layout_index.sqlite"
    if not database.exists():
        _write_index(config, folder, database)
    try:
        layout = BIDSLayout(database_path=folder, validate=False)
    except (SQLAlchemyError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the index {database} is damaged or of another pybids version; delete it"
        ) from error
    if Path(layout.root).resolve() != config.bids_dir.resolve():
        raise UsageError(
            f"the index {database} belongs to the dataset {layout.root}, not {config.bids_dir}; "
            "give another --bids-database-dir"
        )
    return layout


def _write_index(config: Config, folder: Path, database: Path) -> None:
    # pybids creates the file before it walks the dataset: built in place, an index left by a
    # killed run would look complete and hold nothing.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".indexing-", dir=folder))
    except OSError as error:
        raise OutputError(f"cannot write the index to {folder}: {error.strerror}") from error
    try:
        manager = _index(config, scratch).connection_manager
        manager.session.close()
        manager.engine.dispose()
        (scratch / database.name).replace(database)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _check_root_path(layout: BIDSLayout) -> None:
    # pybids matches entities anywhere in the absolute path and takes the first match, so a
    # dataset below `…/sub-01/` would have one subject.
    root = layout.root.rstrip("/") + "/"
    for name, entity in layout.get_entities().items():
        if name in _LABEL_PREFIXES or name in ("subject", "desc"):
            match = entity.regex.search(root)
            if match:
                raise UsageError(
                    f"the path of the dataset contains {match[0].strip('/_')!r}, which reads as a "
                    f"BIDS {name}: {layout.root}; move the dataset or link to it from elsewhere"
                )


def find_subjects(layout: BIDSLayout, config: Config) -> tuple[str, ...]:
    """Labels of the subjects to process, without ``sub-``, sorted.

    Participant labels of the configuration that the dataset does not have are left out; see
    :func:`unknown_subjects`.
    """
    present = _subjects_present(Path(layout.root))
    if not config.participant_label:
        return present
    asked = {_plain_label(label, "sub-") for label in config.participant_label}
    return tuple(label for label in present if label in asked)


def unknown_subjects(layout: BIDSLayout, config: Config) -> tuple[str, ...]:
    """Participant labels asked for, without ``sub-``, that the dataset does not have."""
    present = set(_subjects_present(Path(layout.root)))
    asked = {_plain_label(label, "sub-"): None for label in config.participant_label}
    return tuple(label for label in asked if label not in present)


def _subjects_present(root: Path) -> tuple[str, ...]:
    # Folders and not indexed files: a subject with nothing usable is still to be reported.
    folders = (path for path in root.glob("sub-*") if path.is_dir())
    return tuple(sorted(path.name.removeprefix("sub-") for path in folders))


def find_images(layout: BIDSLayout, subject: str, config: Config) -> FoundImages:
    """Find the T1w, PET, CT and FLAIR images of a subject that the options of the run keep.

    Session labels restrict PET, CT and FLAIR but not the T1w, which may well come from another
    session (``anat_session`` and the ``t1w`` filter restrict it); tracer, reconstruction and run
    labels restrict PET. A single tracer label becomes the ``tracer`` entity of a PET image whose
    name and sidecar tell none. Files with ``space-`` or ``desc-`` are taken for derivatives and
    left out unless a filter names these entities. A filter overrides the option of the same name.

    Parameters
    ----------
    subject
        Label without ``sub-``.

    Returns
    -------
    FoundImages
        Images in natural order of their paths; an image whose sidecar is unreadable is left out
        and listed as unreadable.

    Raises
    ------
    UsageError
        When a filter names an unknown query or entity.
    """
    if unknown := sorted(set(config.bids_filters) - set(_SUFFIXES)):
        raise UsageError(
            f"unknown query in the BIDS filter: {', '.join(unknown)}; use {', '.join(_SUFFIXES)}"
        )
    images: dict[str, tuple[ImageFile, ...]] = {}
    unreadable: list[tuple[str, Problem]] = []
    for name in _SUFFIXES:
        asked = name == "t1w" or name in config.modalities
        found, problems = _query(layout, subject, name, config) if asked else ([], [])
        images[name] = tuple(found)
        unreadable.extend((name, problem) for problem in problems)
    return FoundImages(subject, **images, unreadable=tuple(unreadable))


def _query(
    layout: BIDSLayout, subject: str, name: str, config: Config
) -> tuple[list[ImageFile], list[Problem]]:
    own = _user_filter(config.bids_filters.get(name, {}))
    try:
        files = layout.get(subject=subject, **{**_default_filter(name, config), **own})
    except ValueError as error:
        raise UsageError(f"the BIDS filter for {name} cannot be used: {error}") from error
    keep_tracers = config.tracer_label if name == "pet" and "tracer" not in own else ()
    images, problems = [], []
    for file in files:
        # A kept index may know the dataset by another path, e.g. through a link.
        path = config.bids_dir / Path(file.path).relative_to(layout.root)
        image = ImageFile(path, _entities(file.entities))
        if image.entities.get("tracer") and not _tracer_kept(image, keep_tracers):
            continue
        try:
            metadata = read_metadata(path, config.bids_dir)
        except DataError as error:
            problems.append(Problem(subject, "data", str(error)))
            continue
        image = ImageFile(image.path, image.entities, metadata)
        if _tracer_kept(image, keep_tracers):
            images.append(_with_tracer(image, keep_tracers))
    return images, problems


def _default_filter(name: str, config: Config) -> dict[str, Any]:
    from bids.layout import Query

    filters: dict[str, Any] = {
        "suffix": _SUFFIXES[name],
        "extension": [".nii", ".nii.gz"],
        "space": Query.NONE,
        "desc": Query.NONE,
    }
    if name in ("t1w", "flair"):
        filters["part"] = [Query.NONE, "mag"]
    if name != "t1w" and config.session_label:
        filters["session"] = [_plain_label(label, "ses-") for label in config.session_label]
    if name == "pet" and config.rec_label:
        filters["reconstruction"] = [_plain_label(label, "rec-") for label in config.rec_label]
    if name == "pet" and config.run_label:
        filters["run"] = [_plain_label(label, "run-") for label in config.run_label]
    return filters


def _user_filter(filters: Mapping[str, Any]) -> dict[str, Any]:
    named = {_BIDS_KEYS.get(key, key): value for key, value in filters.items()}
    return {
        key: [_filter_value(key, item) for item in value]
        if isinstance(value, (list, tuple))
        else _filter_value(key, value)
        for key, value in named.items()
        if key != "subject"
    }


def _filter_value(key: str, value: Any) -> Any:
    from bids.layout import Query

    if value is None or value == "Query.NONE":
        return Query.NONE
    if value in ("*", "Query.ANY"):
        return Query.ANY
    return _plain_label(value, _LABEL_PREFIXES.get(key, "")) if isinstance(value, str) else value


def _plain_label(label: str, prefix: str) -> str:
    return label.strip().removeprefix(prefix)


def _entities(entities: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in entities.items() if name not in _NOT_ENTITIES}


def _tracer_kept(image: ImageFile, labels: tuple[str, ...]) -> bool:
    """Whether the tracer is asked for; an image that names none is, when one is asked for."""
    if not labels:
        return True
    asked = {_plain_label(label, "trc-").lower() for label in labels}
    tracer = tracer_label(image)
    return len(asked) == 1 if tracer is None else tracer.lower() in asked


def _with_tracer(image: ImageFile, labels: tuple[str, ...]) -> ImageFile:
    if not labels or tracer_label(image) is not None:
        return image
    entities = {**image.entities, "tracer": _plain_label(labels[0], "trc-")}
    return ImageFile(image.path, entities, image.metadata)
