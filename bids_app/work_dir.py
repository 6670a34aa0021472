"""The work directory: whose it is, whether it can be written, and whether it will last.

Nipype keeps pickles there and loads them again: whoever can write there can run code as the user.
"""

import errno
import os
import stat
import sys
import tempfile
from pathlib import Path

from fusionprep.errors import OutputError, UsageError
from fusionprep.machine import ROOT, file_system, in_container

PRIVATE = 0o700
_IN_MEMORY = ("tmpfs", "ramfs")
_ENOUGH_TO_TELL = 4096


def open_work_dir(folder: Path, *, trusted: bool, named: bool, root: Path = ROOT) -> None:
    """Create the work directory, or check that the one there may be used; say if it will not last.

    Parameters
    ----------
    folder
        Absolute path.
    trusted
        Accept a folder that belongs to somebody else.
    named
        Whether the user chose it.
    root
        Where ``/proc`` is.

    Raises
    ------
    OutputError
        When nothing can be written there.
    UsageError
        When it belongs to somebody else.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=PRIVATE)
        except FileExistsError:
            if not folder.is_dir():
                raise
        own = _owner_of_new_files(folder)
        if not trusted:
            _check_owner(folder, own)
    except OSError as error:
        number = errno.ENOTDIR if isinstance(error, FileExistsError) else error.errno
        reason = os.strerror(number) if number else str(error)
        raise OutputError(
            f"cannot write to the work directory {folder}: {reason};"
            " choose another with -w, free space or correct its permissions"
        ) from error
    for line in (_open_to_others(folder) * (not trusted), _transience(folder, named, root)):
        if line:
            print(f"warning: {line}", file=sys.stderr)


def _owner_of_new_files(folder: Path) -> int:
    """Who a file that this process writes to a folder belongs to, which shows that it can write.

    On network drives and in user namespaces that is not the user's own number.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_ENOUGH_TO_TELL))
        file.flush()
        return os.fstat(file.fileno()).st_uid


def _check_owner(folder: Path, own: int) -> None:
    for place in (folder, *sorted(folder.glob("fusionprep_*_wf"))):
        owner = place.stat().st_uid
        # root can run code as anybody in any case
        if owner not in (own, 0):
            raise UsageError(
                f"the work directory {place} belongs to {_user(owner)}, not to {_user(own)} as"
                " whom this runs, and whoever can write there can run code as you: choose another"
                " with -w, run as its owner, or say that you trust it with --trust-workdir"
            )


def _user(number: int) -> str:
    import pwd

    try:
        return f"{pwd.getpwuid(number).pw_name} (user {number})"
    except KeyError:
        return f"user {number}"


def _open_to_others(folder: Path) -> str:
    if not folder.stat().st_mode & stat.S_IWOTH:
        return ""
    return (
        f"everybody can write to the work directory {folder}, and so run code as you; choose a"
        " folder of your own, or chmod 700"
    )


def _transience(folder: Path, named: bool, root: Path) -> str:
    """What is lost when a container ends; empty where nothing is."""
    if not in_container(root):
        return ""
    kind, mounted_at = file_system(folder, root)
    in_memory = kind in _IN_MEMORY
    if named:
        return (
            f"the work directory {folder} is in memory ({kind}): it counts towards the limit of"
            " the container and is lost with it; mount a folder for -w"
        ) * in_memory
    where = f"in memory ({kind}) " * in_memory
    return (
        f"without -w, intermediate results go to {folder}, {where}in the container, and are lost"
        " with it; mount a folder and name it with -w to resume an interrupted run"
    ) * (in_memory or mounted_at == ROOT)
