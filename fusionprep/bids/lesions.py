"""Lesion masks of a T1w: in the raw dataset beside it, else among derivatives."""

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path

from fusionprep.bids.dataset import made_by
from fusionprep.bids.headers import check_header
from fusionprep.bids.layout import EXTENSIONS
from fusionprep.bids.names import parse_name
from fusionprep.bids.types import ImageFile
from fusionprep.bids.unread import some
from fusionprep.config import Config
from fusionprep.spaces import NATIVE

SUFFIXES = ("roi", "mask")
"""Of files that mark a lesion."""

# `label-lesion`, `desc-lesion`, and what datasets made of them: `desc-T1lesion`, `label-lesions`
_LESION = re.compile("lesions?$", re.IGNORECASE)
# what says which mask it is, not which T1w it was drawn on
_OF_THE_MASK = ("label", "desc", "seg", "hemi", "space")
_NO_SPACE = ("orig", "individual", NATIVE)


def with_lesions(t1w: ImageFile, config: Config) -> ImageFile:
    """A T1w with the masks of its lesion, where there are any and they are not to be ignored.

    Raises
    ------
    DataError
        When the header of one cannot be used.
    """
    if not config.processing.with_lesions:
        return t1w
    lesions = find_lesions(t1w, config.bids_dir, config.selection.derivatives.values())
    if not lesions:
        return t1w
    for lesion in lesions:
        check_header(lesion.path, kind="lesion mask")
    names = some([lesion.path.name for lesion in lesions])
    note = f"what {names} marks is a lesion, left out of models"
    return dataclasses.replace(t1w, lesions=lesions, notes=(*t1w.notes, note))


def find_lesions(
    t1w: ImageFile, bids_dir: Path, derivatives: Iterable[Path] = ()
) -> tuple[ImageFile, ...]:
    """The masks that mark what is a lesion in a T1w, sorted; together they are the lesion.

    A name tells it by ``label-lesion`` or ``desc-lesion`` and the suffix ``roi`` or ``mask``, as in
    ``sub-01_label-lesion_roi``, ``sub-01_T1w_label-lesion_roi`` or ``sub-01_desc-lesion_mask``. It
    belongs to the T1w when no entity of its name is another in the T1w's, and its space is the
    T1w's own. What lies in the folder of the T1w comes first, then what is in `derivatives`, else
    in the first folder of the dataset's ``derivatives`` that has any; outputs of this program do
    not count.
    """
    if found := _in_folder(t1w.path.parent, t1w):
        return found
    below = t1w.path.parent.relative_to(bids_dir)
    for folder in (*derivatives, *_listed(bids_dir / "derivatives")):
        found = _in_folder(folder / below, t1w)
        if found and made_by(folder).get("Name") != "fusionprep":
            return found
    return ()


def _in_folder(folder: Path, t1w: ImageFile) -> tuple[ImageFile, ...]:
    return tuple(
        ImageFile(path, *parse_name(path.name))
        for path in _listed(folder)
        if _marks(path.name, t1w)
    )


def _listed(folder: Path) -> list[Path]:
    """What a folder holds, sorted; nothing where there is no such folder, or it is closed."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _marks(name: str, t1w: ImageFile) -> bool:
    """Whether a file marks a lesion of a T1w, by its name."""
    if not name.endswith(tuple(EXTENSIONS)):
        return False
    entities, suffix = parse_name(name)
    words = [entities.get(key, "") for key in ("label", "desc")]
    if suffix not in SUFFIXES or not any(map(_LESION.search, words)):
        return False
    # as in sub-01_T1w_label-lesion_roi, the name of the image with more behind it
    parts = [part for part in name.split(".", 1)[0].split("_")[:-1] if "-" not in part]
    if any(part != t1w.suffix for part in parts):
        return False
    space = t1w.entities.get("space")
    if entities.get("space") not in ((space,) if space else (None, *_NO_SPACE)):
        return False
    return all(
        t1w.entities.get(key) == value for key, value in entities.items() if key not in _OF_THE_MASK
    )
