"""Files that lie among the images of a subject and are not read."""

import re
from collections import defaultdict
from pathlib import Path

from fusionprep.bids.names import BIDS, DATATYPES, parse_name
from fusionprep.bids.odd_names import unusable
from fusionprep.modalities import PET

_MOST_NAMES = 3
_CONVERT = "convert them to NIfTI"
# By the end of a name in lower case; the first that fits.
_FORMATS = (
    (r"\.mnc2?(?:\.gz)?", "MINC", _CONVERT),
    (r"\.(?:hdr|img)(?:\.gz)?", "pairs of header and image (Analyze or NIfTI)", _CONVERT),
    (r"\.mg[hz]", "images of FreeSurfer (MGH)", _CONVERT),
    (r"\.v", "ECAT", _CONVERT),
    (r"\.(?:nrrd|nhdr|mha|mhd|gipl|tiff?)", "images of another format", _CONVERT),
    (r"\.(?:dcm|ima)(?:\.gz)?", "DICOM", _CONVERT),
    (r"\.(?:par|rec)", "images of Philips (PAR/REC)", _CONVERT),
    (r"\.nii\.(?:zst|bz2|xz|zip|z)", "compressed otherwise than by gzip", "decompress them"),
)
_DATATYPES = [names.datatype for names in BIDS.values()]
# Folders that hold one kind of image, so that another suffix is a mistake or of a derivative.
_OF_ONE_KIND = {datatype for datatype in _DATATYPES if _DATATYPES.count(datatype) == 1}
_READ = (".nii", ".nii.gz")
# Suffixes that are meant as those read, e.g. `T1` for `T1w`.
_MEANT = re.compile(r"t1w?|t2w?|flair|t2flair|(?:mp2?|me?mp)rage|spgr|bravo|pet|ct")
_TABLES = ("blood", "events", "physio", "stim", "channels")


def unread_files(bids_dir: Path, subject: str) -> list[str]:
    """One line for each reason why files of a subject are not read.

    Files of anat, pet and ct are looked at: images of other formats than NIfTI, and suffixes that
    BIDS does not have there. Images of known suffixes are accounted for elsewhere.
    """
    names: dict[str, list[str]] = defaultdict(list)
    for path in _files(bids_dir / f"sub-{subject}"):
        if reason := _reason(path):
            names[reason].append(path.name)
    return [f"not read, {reason}: {some(listed)}" for reason, listed in names.items()]


def unusable_files(bids_dir: Path, subject: str) -> list[str]:
    """One line for each image or folder of a subject that cannot be read under its name or at all.

    These are mistakes, while :func:`unread_files` may be meant so.
    """
    folders, files = _listed(bids_dir / f"sub-{subject}")
    named = [*folders, *(path for path in files if path.name.endswith(_READ))]
    return [
        f"the name of {path} {reason}, so it is not read; rename it"
        for path in sorted(named)
        if (reason := unusable(path.name))
    ] + [
        f"cannot read the folder {path}; correct its permissions"
        for path in sorted(folders)
        if _entries(path) is None
    ]


def some(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in _listed(folder)[1] if not path.name.startswith("."))


def _listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders of a subject where images may be, that of the subject first, and their files."""
    sessions = [folder, *(path for path in folder.glob("ses-*") if _is_folder(path))]
    inside = [path for session in sessions for path in _entries(session) or ()]
    datatypes = [path for path in inside if path.name.lower() in DATATYPES and _is_folder(path)]
    found = [*inside, *(path for datatype in datatypes for path in _entries(datatype) or ())]
    return [*sessions, *datatypes], [path for path in found if not _is_folder(path)]


def _entries(folder: Path) -> list[Path] | None:
    """What a folder holds; None where it may not be read."""
    try:
        return list(folder.iterdir())
    except PermissionError:
        return None
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # a link into a folder that is closed
        return False


def _reason(path: Path) -> str:
    name = path.name.lower()
    for ending, kind, remedy in _FORMATS:
        if re.search(rf"{ending}$", name):
            return f"{kind}, {remedy}"
    of_pet = path.parent.name.lower() == BIDS[PET].datatype
    suffix = parse_name(path.name)[1]
    if name.endswith(_READ):
        if not path.name.endswith(_READ):
            return "an extension in capitals, write it as .nii or .nii.gz"
        known = suffix in {raw for bids in BIDS.values() for raw in bids.raw_suffixes}
        meant = (
            of_pet or path.parent.name.lower() in _OF_ONE_KIND or _MEANT.fullmatch(suffix.lower())
        )
        if not known and meant:
            return f"unknown suffix {suffix}"
    elif of_pet and name.endswith(".tsv") and suffix not in (*BIDS[PET].raw_suffixes, *_TABLES):
        return f"unknown suffix {suffix}"
    return ""
