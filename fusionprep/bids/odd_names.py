"""File names that BIDS does not know, in part or at all."""

import re
from collections.abc import Mapping
from pathlib import Path

from fusionprep.errors import one_line

_ENTITIES = frozenset((
    "sub", "tpl", "cohort", "ses", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc",
    "stain", "rec", "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi",
    "space", "split", "recording", "chunk", "atlas", "seg", "scale", "res", "den", "label", "from",
    "to", "mode", "desc",
))  # fmt: skip
_SESSION = re.compile(
    r"(?:ses|sess|session|visit|vis|timepoint|tp|wave)-([a-z0-9+]+)", re.IGNORECASE
)
# Of 255 that file systems allow; names of derivatives and of files being written are longer.
_LONGEST_NAME = 150


def unusable(name: str) -> str:
    r"""Why a file or folder cannot be used under its name, as a predicate; empty where it can.

    Examples
    --------
    >>> unusable("sub-01_acq-\udcff_T1w.nii.gz"), unusable("a::b"), unusable("sub-01_T1w.nii.gz")
    ('is not UTF-8', "holds '::'", '')
    """
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "is not UTF-8"
    if one_line(name) != name:
        return "holds characters that cannot be shown"
    # to pybids an address on the network
    return "holds '::'" if "::" in name else ""


def too_long(name: str) -> bool:
    """Whether the name of an image leaves no room for those of its derivatives."""
    return len(name.encode()) > _LONGEST_NAME


def read_odd_parts(path: Path, entities: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What the parts of a file name tell that BIDS does not know.

    Parameters
    ----------
    path
        Of an image.
    entities
        That BIDS has in its path.

    Returns
    -------
    found
        The session, where a part names one (``sess-d0129``) and the path names none.
    notes
        What was read as what, and what was not, a phrase each.

    Examples
    --------
    >>> read_odd_parts(Path("sub-01_sess-d0129_T1w.nii.gz"), {"sub": "01"})
    ({'ses': 'd0129'}, ['the part sess-d0129 of its name is read as ses-d0129'])
    >>> read_odd_parts(Path("sub-01_size-2_T1w.nii.gz"), {"sub": "01"})
    ({}, ['the part size-2 of its name is unknown to BIDS and is not read'])
    """
    found: dict[str, str] = {}
    notes = []
    for part in path.name.split(".", 1)[0].split("_")[:-1]:
        if part.partition("-")[0] in _ENTITIES and "-" in part:
            continue
        match = _SESSION.fullmatch(part)
        if match is not None and match[1] == {**entities, **found}.get("ses"):
            continue
        if match is not None and "ses" not in {**entities, **found}:
            found["ses"] = match[1]
            notes.append(f"the part {part} of its name is read as ses-{match[1]}")
        else:
            notes.append(f"the part {part} of its name is unknown to BIDS and is not read")
    return found, notes
