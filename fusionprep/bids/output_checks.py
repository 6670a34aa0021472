"""What keeps outputs from being written, found before anything is processed.

A folder in the place of a file, or a file in the place of a folder, would otherwise cost a subject
its results after they were computed.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from fusionprep.bids.names import DATATYPES, figures_folder
from fusionprep.errors import OutputError
from fusionprep.files import UNFINISHED

_FILES = (
    *(".bidsignore", "README.md", "dataset_description.json"),
    *("descriptions.tsv", "descriptions.json", "participants.tsv", "participants.json"),
    *("logs/CITATION.md", "logs/CITATION.bib"),
)


def check_output(output_dir: Path, labels: Iterable[str]) -> None:
    """Make sure that all that a run writes can be written where it belongs.

    Parameters
    ----------
    output_dir
        Output root; it need not exist.
    labels
        Participants, without ``sub-``, that are to be processed.

    Raises
    ------
    OutputError
        With what is in the way.
    """
    output_dir = Path(output_dir)
    if not usable_folder(output_dir, "the output folder "):
        return
    for path in (*(output_dir / name for name in _FILES), *output_dir.glob(f"{UNFINISHED}*")):
        refuse_folder(path)
    described = output_dir / "dataset_description.json"
    if described.exists() and not described.is_file():
        raise OutputError(f"{described} is not a file, so whose outputs these are is not known")
    usable_folder(output_dir / "logs")
    for label in labels:
        refuse_folder(output_dir / f"sub-{label}.html")
        _check_subject(output_dir / f"sub-{label}")


def _check_subject(folder: Path) -> None:
    if not usable_folder(folder):
        return
    sessions = [path for path in sorted(folder.glob("ses-*")) if usable_folder(path)]
    for place in (folder, *sessions):
        for name in (*DATATYPES, figures_folder("").name):
            inner = place / name
            if usable_folder(inner):
                for path in sorted(_folders_with_suffix(inner)):
                    refuse_folder(path)


def _folders_with_suffix(folder: Path) -> Iterator[Path]:
    """Folders that are called like files, such as images and figures are."""
    try:
        with os.scandir(folder) as entries:
            yield from (Path(entry) for entry in entries if "." in entry.name and entry.is_dir())
    except OSError as error:
        raise OutputError(_unusable(folder, error.strerror or str(error))) from error


def usable_folder(path: Path, what: str = "") -> bool:
    """Whether there is such a folder, which then can be written to.

    Parameters
    ----------
    what
        Words before the path in messages.

    Raises
    ------
    OutputError
        When something else is in its place, or it cannot be written to.
    """
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not path.is_symlink():
            return False
        raise OutputError(
            _unusable(path, "it is a link to a folder that is not there", what)
        ) from None
    except OSError as error:
        raise OutputError(_unusable(path, error.strerror or str(error), what)) from error
    if not stat.S_ISDIR(mode):
        raise OutputError(_unusable(path, "it is not a folder", what))
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(_unusable(path, "it is read-only for this user", what))
    return True


def _unusable(path: Path, reason: str, what: str = "") -> str:
    return f"cannot write to {what}{path}: {reason}; correct that, or choose another output folder"


def refuse_folder(path: Path) -> None:
    """Make sure that a file can be written.

    Raises
    ------
    OutputError
        When there is a folder in its place.
    """
    # a link to a folder is replaced, as any link is
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise OutputError(_unusable(path, error.strerror or str(error))) from error
    if stat.S_ISDIR(mode):
        raise OutputError(f"{path} is a folder where a file is to be written; move it away")
