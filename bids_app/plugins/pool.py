"""As many workers as processors and memory allow; no more are started than are needed."""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from typing import Any

from bids_app.plugins.workers import Outcome, Settings, Worker, end_all, first_done
from fusionprep.machine import resident_gb

WORKER_GB = 0.3
"""What a worker takes before and after its steps: the libraries they load, measured."""


class Pool:
    """Workers on this machine.

    Parameters
    ----------
    n_procs
        Processors that steps may use side by side.
    memory_gb
        What this process and all workers may use together.
    settings
        Of the workers.
    mp_context
        How processes are started, see :mod:`multiprocessing`; None takes the platform's way.
    memory_of
        Memory of a process in GB by its number; shared pages count in part.
    most_of
        At least that, in a moment: the kernel takes milliseconds to tell the parts, and is asked
        for every step.
    """

    def __init__(
        self,
        n_procs: int,
        memory_gb: float,
        settings: Settings,
        mp_context: str | None = None,
        memory_of: Callable[[int], float] = lambda pid: resident_gb(pid) or 0.0,
        most_of: Callable[[int], float] = lambda pid: resident_gb(pid, shared=True) or 0.0,
    ) -> None:
        self._n_procs = n_procs
        self._memory_gb = memory_gb
        self._settings = settings
        self._context: Any = multiprocessing.get_context(mp_context)
        # 0 of one that has ended, and where the system does not tell
        self._memory_of, self._most_of = memory_of, most_of
        # what the step of each claims: processors, and the memory it and its worker come to
        self._busy: dict[Worker, tuple[int, float]] = {}
        # the last one used last: it has the libraries of its steps
        self._idle: list[Worker] = []

    @property
    def busy(self) -> tuple[Worker, ...]:
        return tuple(self._busy)

    @property
    def has_processors(self) -> bool:
        """Whether a step of one thread could run."""
        return self._threads < self._n_procs

    @property
    def _threads(self) -> int:
        return sum(n_procs for n_procs, _ in self._busy.values())

    def worker_for(self, n_procs: int, memory_gb: float) -> Worker | None:
        """A worker for a step, which is counted as busy from now on; None where it has to wait.

        A step that claims more than there is gets it all: it runs when no other does.
        """
        n_procs = min(n_procs, self._n_procs)
        if self._threads + n_procs > self._n_procs:
            return None
        while (memory_of := self._fitting(memory_gb)) is None:
            # an idle worker keeps its libraries, and often what its largest step had
            if len(self._idle) > 1:
                self._end(self._idle.pop(0))
            elif self._busy:
                return None
            else:
                memory_of = self._memory_of
                break
        worker = self._idle.pop() if self._idle else Worker(self._context, self._settings)
        self._busy[worker] = (n_procs, max(WORKER_GB, memory_of(worker.pid)) + memory_gb)
        return worker

    def _fitting(self, memory_gb: float) -> Callable[[int], float] | None:
        """By which memory of processes a step fits: the exact one only where it has to be."""
        ways = (self._most_of, self._memory_of)
        return next((way for way in ways if self._fits(memory_gb, way)), None)

    def _fits(self, memory_gb: float, memory_of: Callable[[int], float]) -> bool:
        used = memory_of(os.getpid()) + sum(memory_of(worker.pid) for worker in self._idle)
        for worker, (_, claimed) in self._busy.items():
            used += max(claimed, memory_of(worker.pid))
        new = 0.0 if self._idle else WORKER_GB
        return used + new + memory_gb <= self._memory_gb

    def wait(self, seconds: float) -> Mapping[Worker, Outcome]:
        """How steps that have ended did so; waits for one, but not longer than a few seconds."""
        outcomes = {}
        for worker in first_done(self.busy, seconds):
            outcomes[worker] = worker.outcome()
            del self._busy[worker]
            if outcomes[worker].death:
                worker.end(0.0)
            else:
                self._idle.append(worker)
        return outcomes

    def _end(self, worker: Worker) -> None:
        end_all([], [worker])

    def stop(self) -> None:
        """End all workers, busy ones too."""
        end_all(self.busy, self._idle)
        self._busy.clear()
        self._idle.clear()
