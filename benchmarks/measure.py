"""CPU time and peak memory of a command with everything it starts. Linux only."""

import ctypes
import dataclasses
import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a command used.

    Attributes
    ----------
    cpu_s
        User plus system seconds of the command and all its descendants.
    wall_s
        Seconds from start to the end of the last descendant.
    peak_pss_mb
        Largest sampled sum, over the process tree, of the proportional set sizes, in MB (1e6).
    peak_rss_mb
        The same with resident set sizes, where shared pages count once per process.
    max_process_rss_mb
        Largest resident set of a single process, from the kernel (not sampled).
    """

    cpu_s: float
    wall_s: float
    peak_pss_mb: float
    peak_rss_mb: float
    max_process_rss_mb: float


def run_measured(
    command: Sequence[str], log: Path, env: Mapping[str, str], *, interval_s: float = 0.5
) -> Usage:
    """Run `command`, its output going to `log`, and measure it.

    Raises
    ------
    subprocess.CalledProcessError
        When the command fails.
    """
    adopt_orphans()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=env)
        peaks, done = [0.0, 0.0], threading.Event()
        sampler = threading.Thread(target=sample_memory, args=(peaks, done, interval_s))
        sampler.start()
        try:
            status, max_rss = wait_for_all(process.pid)
        finally:
            done.set()
            sampler.join()
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Popen must not wait for a process that was reaped above.
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Usage(cpu, wall, peaks[0] / 1e6, peaks[1] / 1e6, max_rss * 1024 / 1e6)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends before them.

    A process pool's fork server is never waited for by the program that started it, so its CPU time
    would be missing from the program's own account.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a child subreaper")


def wait_for_all(pid: int) -> tuple[int, int]:
    """Wait for `pid` and every adopted orphan: the status of `pid`, the largest ru_maxrss (KiB)."""
    status, max_rss = 0, 0
    while True:
        try:
            reaped, code, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return status, max_rss
        max_rss = max(max_rss, usage.ru_maxrss)
        if reaped == pid:
            status = code


def sample_memory(peaks: list[float], done: threading.Event, interval_s: float) -> None:
    """Keep the largest total PSS and RSS, in bytes, of this process's descendants in `peaks`."""
    me = psutil.Process()
    while not done.wait(interval_s):
        totals = [0.0, 0.0]
        for child in me.children(recursive=True):
            try:
                memory = child.memory_full_info()
            except psutil.Error:
                # It ended between being listed and being read.
                continue
            totals = [totals[0] + memory.pss, totals[1] + memory.rss]
        peaks[:] = [max(old, new) for old, new in zip(peaks, totals, strict=True)]
