"""What steps take of the machine, as the kernel counts it."""

import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from fusionprep.machine import BYTES_OF_GB

_PROC = Path("/proc/self")
_FORGET_PEAK = "5"


@dataclass(frozen=True)
class Usage:
    """What a process took between two moments.

    Attributes
    ----------
    cpu_s
        User and system time.
    wall_s
        Time on the clock.
    peak_gb
        Most memory the process held meanwhile (resident set, libraries included), or a program that
        it started; None where the system does not tell.
    """

    cpu_s: float
    wall_s: float
    peak_gb: float | None


class Meter:
    """Measures this process from one reading to the next, so that nothing is left out.

    Parameters
    ----------
    with_children
        Whether processes count that this one has started and waited for. Then the kernel also
        forgets the largest memory at each reading: ``ru_maxrss`` of this process is then that since
        the last one.
    """

    def __init__(self, *, with_children: bool) -> None:
        self._with_children = with_children
        # from the start of the process on
        self._cpu_s = 0.0
        self._began = time.monotonic()
        self._largest_child_kb = 0

    def reading(self) -> Usage:
        """What was taken since the last reading; CPU time at first since the process's start."""
        own = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s, now, peak_kb = own.ru_utime + own.ru_stime, time.monotonic(), _peak_kb()
        if self._with_children:
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu_s += children.ru_utime + children.ru_stime
            # the kernel keeps the largest child alone: smaller ones after it do not show
            if peak_kb is not None and children.ru_maxrss > self._largest_child_kb:
                peak_kb = max(peak_kb, children.ru_maxrss)
            self._largest_child_kb = children.ru_maxrss
            _forget_peak()
        peak_gb = None if peak_kb is None else peak_kb * 1024 / BYTES_OF_GB
        usage = Usage(cpu_s - self._cpu_s, now - self._began, peak_gb)
        self._cpu_s, self._began = cpu_s, now
        return usage


def _peak_kb() -> int | None:
    try:
        status = (_PROC / "status").read_text()
    except OSError:
        # not Linux
        return None
    told = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(told[1]) if told else None


def _forget_peak() -> None:
    try:
        (_PROC / "clear_refs").write_text(_FORGET_PEAK)
    except OSError:
        # not Linux, or a sandbox: peaks are then those since the start of the process
        return
