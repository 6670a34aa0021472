"""Taking turns on a file that several runs change, also across the machines of a cluster."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fusionprep.image.io import UNFINISHED

SECONDS_TO_WAIT = 30.0
SECONDS_BETWEEN = 0.05


@contextmanager
def taking_turns(path: Path, *, patience: float = SECONDS_TO_WAIT) -> Iterator[None]:
    """Hold the lock on a file while it is read, changed and written.

    The lock is a file that only one process can create, which also holds on NFS, where advisory
    locks need a service that many sites do not run. The same of the package filelock takes a holder
    for dead whose process id is not to be found, as between containers of one machine.

    Parameters
    ----------
    path
        The file to change, whose folder exists; it need not itself.
    patience
        Seconds after which a lock that one other run has held all the time is taken for one of a
        run that was killed.

    Raises
    ------
    OSError
        When nothing can be written to the folder.
    """
    lock = path.with_name(f"{UNFINISHED}{path.name}.lock")
    own = uuid.uuid4().hex
    _acquire(lock, own, patience)
    try:
        yield
    finally:
        if _holder(lock) == own:
            lock.unlink(missing_ok=True)


def _acquire(lock: Path, own: str, patience: float) -> None:
    holder, since = None, time.monotonic()
    while not _create(lock, own):
        present = _holder(lock)
        if present != holder:
            holder, since = present, time.monotonic()
        elif time.monotonic() - since > patience:
            lock.unlink(missing_ok=True)
        else:
            time.sleep(SECONDS_BETWEEN)


def _create(lock: Path, own: str) -> bool:
    try:
        handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "w") as file:
            file.write(own)
    except OSError:
        # the disk is full; nobody would know whose lock this is
        lock.unlink(missing_ok=True)
        raise
    return True


def _holder(lock: Path) -> str | None:
    try:
        return lock.read_text("utf-8")
    except FileNotFoundError:
        return None
