"""Which run uses a work directory, and whether it is still alive."""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fusionprep.errors import UnreadableFileError
from fusionprep.reading import read_json_object

SECONDS_OF_LIFE = 180.0
"""How long a run that cannot be looked at counts as alive after its last sign of life."""

_PLACE = ("host", "boot", "namespace")


@dataclass(frozen=True)
class Holder:
    """A run that uses a work directory.

    Attributes
    ----------
    run
        Its name.
    told
        What it wrote of itself, see :func:`this_process`; empty where that is damaged.
    age
        Seconds since its last sign of life.
    """

    run: str
    told: dict[str, Any]
    age: float

    @property
    def alive(self) -> bool:
        """Whether it still runs; of another machine or container, whether it did a moment ago."""
        seen = self._seen()
        # a time to come is that of a clock that was wrong; a run that lives corrects it
        return abs(self.age) <= SECONDS_OF_LIFE if seen is None else seen

    @property
    def description(self) -> str:
        """Who it is, for messages."""
        pid, host, since = (self.told.get(key, "?") for key in ("pid", "host", "since"))
        text = f"process {pid} on {host} since {since} (run {self.run})"
        if self._seen() is None:
            minutes = SECONDS_OF_LIFE / 60
            text += (
                f", which counts as dead {minutes:.0f} minutes after its last sign of life"
                f" ({max(self.age, 0):.0f} s ago)"
            )
        return text

    def _seen(self) -> bool | None:
        """Whether its process is there; None where processes of that place cannot be looked at."""
        here = _place()
        if None in here.values() or any(self.told.get(key) != here[key] for key in _PLACE):
            return None
        pid = self.told.get("pid")
        return _is_running(pid, self.told.get("ticks")) if isinstance(pid, int) else None


def this_process(run_uuid: str) -> dict[str, Any]:
    """What a run writes of itself.

    Returns
    -------
    dict
        ``run``, ``pid``, ``since`` (UTC), ``host``; ``boot`` and ``namespace``, by which a process
        id means one process; ``ticks``, when that started, since ids are used again. None where
        the system does not say.
    """
    since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    own = {"run": run_uuid, "pid": os.getpid(), "since": since, "ticks": _ticks(os.getpid())}
    return own | _place()


def read_holder(pulse: Path, now: float) -> Holder | None:
    """The run whose sign of life a file is; None where there is none.

    Parameters
    ----------
    now
        By the clock that gives files their times.
    """
    if not pulse.is_file():
        return None
    try:
        # a file that was opened has the attributes that its server knows
        with pulse.open("rb") as file:
            changed = os.fstat(file.fileno()).st_mtime
        told = read_json_object(pulse)
    except FileNotFoundError:
        return None
    except UnreadableFileError as error:
        if error.absent:
            return None
        told = {}
    name = pulse.stem.removeprefix(".running-")
    return Holder(name, told, now - changed)


def _place() -> dict[str, Any]:
    """Where a process id means one process; an item is None where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
        # processes of another namespace are shown where /proc is not that of this one
        own = Path("/proc/self").readlink().name == str(os.getpid())
    except OSError:
        return {"host": socket.gethostname(), "boot": None, "namespace": None}
    return {"host": socket.gethostname(), "boot": boot, "namespace": namespace if own else None}


def _is_running(pid: int, ticks: Any) -> bool | None:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        # it is somebody else's, whose processes may be hidden from /proc
        if _ticks(pid) is None:
            return None
    return _ticks(pid) == ticks


def _ticks(pid: int) -> int | None:
    """When a process started; None where it has ended, or cannot be looked at."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        state, started = fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
    return None if state in "ZX" else started
