"""Whether a large file that a user names can be opened at all: images, weights, checkpoints."""

import stat
from pathlib import Path

from fusionprep.errors import DataError, NoInputError
from fusionprep.reading import kind_of


def check_regular(path: Path, *, largest: int) -> None:
    """Refuse what would not end when it is read, or would fill the memory.

    Parameters
    ----------
    largest
        Bytes that such a file can have.

    Raises
    ------
    NoInputError
        When there is no such file.
    DataError
        When it is a folder, a pipe or a device, is empty or too large, or cannot be looked at.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoInputError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"cannot read {path}: {why}") from error
    if not stat.S_ISREG(found.st_mode):
        kind = kind_of(found.st_mode)
        raise DataError(f"{path} is {kind}, not a file; give the file itself")
    if not found.st_size:
        raise DataError(f"{path} is an empty file; copy it again")
    if found.st_size > largest:
        raise DataError(
            f"{path} has {found.st_size / 1e6:,.0f} MB, more than the {largest / 1e6:,.0f} MB that"
            " such a file can have; is it the right one?"
        )
