"""NIfTI files with what their own sidecars say."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionprep.bids.names import IMAGE
from fusionprep.bids.raw_files import SIDECAR, RawImage
from fusionprep.errors import NoInputError, UsageError
from fusionprep.image.io import read_stored
from fusionprep.reading import read_json_object

NIFTI = (IMAGE, ".nii")
"""Endings of images that are read."""


@dataclass(frozen=True)
class Source:
    """An image with what its own sidecar says."""

    path: Path
    image: RawImage
    metadata: Mapping[str, Any]


def read_source(path: Path) -> Source:
    """Read a NIfTI file and the JSON file beside it, if there is one.

    Raises
    ------
    NoInputError, UsageError
        When there is no such file, or it is of another kind by its name.
    DataError
        When it cannot be read.
    """
    if not path.exists():
        raise NoInputError(f"{path} does not exist")
    stem = stem_of(path)
    if stem is None:
        raise UsageError(f"{path} is not a NIfTI file ({' or '.join(NIFTI)})")
    voxels, affine, scale = read_stored(path)
    beside = path.with_name(f"{stem}{SIDECAR}")
    metadata = read_json_object(beside) if beside.is_file() else {}
    return Source(path, RawImage(voxels, affine, *scale), metadata)


def stem_of(path: Path) -> str | None:
    """The name of a NIfTI file without its ending; None for another file."""
    return next((path.name.removesuffix(end) for end in NIFTI if path.name.endswith(end)), None)
