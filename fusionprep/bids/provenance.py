"""Where a derivative dataset comes from: its container, its raw dataset, its authors."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOUNTS = Path("/proc/self/mountinfo")
TAG_VARIABLE = "FUSIONPREP_CONTAINER_TAG"
LINK_VARIABLE = "FUSIONPREP_RAW_LINK"
_IN_CONTAINER = "IS_CONTAINER"
_MOUNT_POINT = 4
_DOI = re.compile(r"(?:doi:|https?://(?:dx\.)?doi\.org/)?(10\.\S+/\S+)", re.IGNORECASE)


def container() -> dict[str, str] | None:
    """What the container image's environment says about itself and its engine.

    An image does not know by which name it was started, so that without the variable there is no
    tag.
    """
    if not os.environ.get(_IN_CONTAINER):
        return None
    if os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER"):
        engine = "apptainer"
    else:
        engine = "podman" if os.environ.get("container") == "podman" else "docker"  # noqa: SIM112
    tag = os.environ.get(TAG_VARIABLE)
    return {"Type": engine, **({"Tag": tag} if tag else {})}


def raw_link(
    bids_dir: Path, output_dir: Path, raw: Mapping[str, Any], *, mounts: Path = MOUNTS
) -> str | None:
    """Where the raw dataset is, for ``DatasetLinks``; None where nobody outside would find it.

    As :func:`dataset_link`, unless the environment says it.
    """
    return os.environ.get(LINK_VARIABLE) or dataset_link(bids_dir, output_dir, raw, mounts=mounts)


def dataset_link(
    folder: Path, output_dir: Path, description: Mapping[str, Any], *, mounts: Path = MOUNTS
) -> str | None:
    """Where a dataset is, for ``DatasetLinks``; None where nobody outside would find it.

    In a container the two folders are mounted side by side, wherever they are outside: a relative
    path is of use only where one mount holds both.

    Parameters
    ----------
    description
        Of the dataset, whose DOI serves where there is no path.
    mounts
        Linux's table of mounts.
    """
    points = _mount_points(mounts) if os.environ.get(_IN_CONTAINER) else []
    if _mount_of(folder, points) == _mount_of(output_dir, points):
        return os.path.relpath(folder, output_dir)
    doi = description.get("DatasetDOI")
    match = _DOI.fullmatch(doi.strip()) if isinstance(doi, str) else None
    return f"doi:{match[1]}" if match else None


def _mount_points(mounts: Path) -> list[Path]:
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        # no Linux, where a path is taken as it is
        return []
    fields = [line.split(" ") for line in lines]
    return [Path(_unescaped(each[_MOUNT_POINT])) for each in fields if len(each) > _MOUNT_POINT]


def _unescaped(text: str) -> str:
    """Linux writes blanks in this table as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _mount_of(folder: Path, points: list[Path]) -> Path | None:
    above = [point for point in points if folder.is_relative_to(point)]
    return max(above, key=lambda point: len(point.parts), default=None)


def authors(raw: Mapping[str, Any]) -> list[str]:
    """Of the derivatives: those of the raw dataset and of this program, each once."""
    listed = raw.get("Authors")
    named = (
        [name.strip() for name in listed if isinstance(name, str)]
        if isinstance(listed, list)
        else []
    )
    of_raw = [name for name in named if name] or ["The authors of the raw dataset"]
    return list(dict.fromkeys([*of_raw, "The fusionprep developers"]))
