"""Sidecars of an image, read for one image at a time: JSON by inheritance, a table of frames.

pybids reads every sidecar of a dataset while it indexes, so one broken file stops the whole run.
Here a broken sidecar only concerns the images it applies to.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionprep.bids.names import BIDS
from fusionprep.errors import DataError, UnreadableFileError
from fusionprep.modalities import PET
from fusionprep.reading import read_json_object, read_table, unfetched

FRAME_TABLE = "_FrameTable"
"""Key of a PET's table of frames in its metadata: an object with the table's ``Path`` and
``Rows``. The underscore keeps it apart from the fields of sidecars, and it is never written to one.
"""


def read_metadata(
    image_path: Path, bids_dir: Path, listed: dict[Path, list[Path]] | None = None
) -> dict[str, Any]:
    """Merge the sidecars that apply to an image.

    The rows of a table that lies beside a PET image under its name (``…_pet.tsv``, as in OASIS-3)
    are kept as they are under :data:`FRAME_TABLE`: whether they give the times of the frames is
    checked when these are needed (:func:`fusionprep.bids.timing.frame_timing`).

    A sidecar applies when it lies in a folder between the root of the dataset and the image, has
    the image's suffix, and names no entity that the image does not have with the same value. The
    nearer sidecar wins, key by key (BIDS 1.10, "The Inheritance Principle").

    Parameters
    ----------
    image_path
        The image, inside bids_dir.
    bids_dir
        Root of the dataset.
    listed
        The JSON files of folders seen before, added to as folders are read. Shared by the images of
        a dataset, it saves listing the root again for each, which takes minutes in a large cohort.

    Returns
    -------
    dict
        The merged metadata; empty where there is no sidecar and no table.

    Raises
    ------
    DataError
        When a sidecar that applies or the table is not readable, or a sidecar is not a JSON
        object.
    """
    metadata: dict[str, Any] = {}
    for sidecar in _applicable_sidecars(image_path, bids_dir, {} if listed is None else listed):
        metadata.update(_read_object(sidecar))
    # a key of ours, whatever a sidecar has under it
    metadata.pop(FRAME_TABLE, None)
    if rows := _frame_rows(image_path):
        metadata[FRAME_TABLE] = {"Path": str(_table_path(image_path)), "Rows": rows}
    return metadata


def _table_path(image_path: Path) -> Path:
    return image_path.with_name(image_path.name.split(".", maxsplit=1)[0] + ".tsv")


def _frame_rows(image_path: Path) -> list[dict[str, str]]:
    if _name_parts(image_path)[1] != BIDS[PET].suffix:
        return []
    path = _table_path(image_path)
    if problem := unfetched(path):
        raise DataError(f"the table of frames {problem}: {path}")
    try:
        rows = read_table(path)
    except UnreadableFileError as error:
        raise DataError(
            f"cannot read the table {path}: {error.reason}; correct or remove it"
        ) from error
    if any(not name.isprintable() for row in rows[:1] for name in row):
        raise DataError(f"the table of frames is not text: {path}; correct or remove it")
    return rows


def _applicable_sidecars(
    image_path: Path, bids_dir: Path, listed: dict[Path, list[Path]]
) -> list[Path]:
    """The sidecars that apply to an image, from the most general to the nearest."""
    entities, suffix = _name_parts(image_path)
    found: list[Path] = []
    for folder in _folders(image_path, bids_dir):
        here = []
        if folder not in listed:
            listed[folder] = list(folder.glob("*.json"))
        for candidate in listed[folder]:
            candidate_entities, candidate_suffix = _name_parts(candidate)
            if candidate_suffix == suffix and candidate_entities <= entities:
                here.append((len(candidate_entities), candidate.name, candidate))
        found.extend(path for _, _, path in sorted(here))
    return found


def _folders(image_path: Path, bids_dir: Path) -> list[Path]:
    relative = image_path.parent.relative_to(bids_dir)
    return [bids_dir.joinpath(*relative.parts[:depth]) for depth in range(len(relative.parts) + 1)]


def _name_parts(path: Path) -> tuple[frozenset[str], str]:
    # The suffix is compared in lower case because distributed copies write both `ct` and `CT`.
    *entities, suffix = path.name.split(".", maxsplit=1)[0].split("_")
    return frozenset(entities), suffix.lower()


def _read_object(path: Path) -> dict[str, Any]:
    if problem := unfetched(path):
        raise DataError(f"the sidecar {problem}: {path}")
    try:
        return read_json_object(path)
    except UnreadableFileError as error:
        raise DataError(
            f"cannot read the sidecar {path}: {error.reason}; correct or remove it"
        ) from error


# Raw fields that processing makes untrue, or that describe frames which no longer exist.
STALE_FIELDS = frozenset(
    {
        FRAME_TABLE,
        "FrameTimesStart",
        "FrameDuration",
        "Time",
        "Units",
        "DecayCorrectionFactor",
        "DecayFactor",
        "FrameReferenceTime",
        "ScatterFraction",
        "PromptRate",
        "RandomRate",
        "SinglesRate",
        "SkullStripped",
        "ImageOrientation",
        "ImageOrientationText",
        "ImageOrientationPatientDICOM",
        "IntendedFor",
        "SpatialReference",
        "Resolution",
        "Sources",
        "RawSources",
        "Description",
        "ConversionSoftware",
        "ConversionSoftwareVersion",
    }
)


def still_true(metadata: Mapping[str, object]) -> dict[str, object]:
    """The fields of a raw sidecar that hold for a static image made from it."""
    return {name: value for name, value in metadata.items() if name not in STALE_FIELDS}
