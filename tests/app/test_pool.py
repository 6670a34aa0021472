"""How many steps run side by side: by processors and by memory, idle workers counted."""

import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bids_app.plugins.pool import WORKER_GB, Pool
from bids_app.plugins.workers import Settings, _run

SHARED = 0.1
"""Of each process, in GB: pages that it shares with others."""


class Memory:
    """Memory of processes in GB as the test has it: this one's, and each worker's."""

    def __init__(self, main: float = 0.5) -> None:
        self.main = main
        self.workers: dict[int, float] = {}
        self.asked = 0

    def __call__(self, pid: int) -> float:
        self.asked += 1
        return self.main if pid == os.getpid() else self.workers.get(pid, WORKER_GB)


@pytest.fixture
def new_pool(tmp_path) -> Iterator:
    pools = []

    def new(n_procs: int, memory_gb: float, memory: Memory | None = None) -> Pool:
        settings = Settings.of_this_process(str(tmp_path), 1)
        memory = memory or Memory()
        ways = {"memory_of": memory, "most_of": lambda pid: memory(pid) + SHARED}
        pools.append(Pool(n_procs, memory_gb, settings, **ways))
        return pools[-1]

    yield new
    for pool in pools:
        pool.stop()


def take(pool: Pool, *claims: float) -> int:
    """How many steps of these claims the pool lets run side by side."""
    return sum(pool.worker_for(1, claim) is not None for claim in claims)


def release(pool: Pool) -> None:
    """Have all steps end."""
    for worker in pool.busy:
        worker.start(None)
    while pool.busy:
        pool.wait(5.0)


def test_as_many_steps_as_processors(new_pool):
    pool = new_pool(2, 100.0)
    assert take(pool, 0.1, 0.1, 0.1) == 2
    assert not pool.has_processors


def test_a_step_of_several_threads_takes_as_many_processors(new_pool):
    pool = new_pool(3, 100.0)
    assert pool.worker_for(2, 0.1) is not None
    assert pool.worker_for(2, 0.1) is None
    assert pool.worker_for(1, 0.1) is not None


def test_the_main_process_and_workers_count(new_pool):
    """Of 3.3 GB the main process has 0.5: two steps of 1 GB in workers of 0.3 leave 0.2."""
    assert take(new_pool(16, 3.3), 1.0, 1.0, 0.1) == 2
    assert take(new_pool(16, 3.3, Memory(main=1.5)), 1.0, 1.0) == 1


def test_a_step_that_takes_more_than_it_claimed_counts_with_what_it_takes(new_pool):
    memory = Memory()
    pool = new_pool(16, 3.3, memory)
    memory.workers[pool.worker_for(1, 1.0).pid] = 2.4
    assert pool.worker_for(1, 0.5) is None


def test_a_step_that_claims_more_than_there_is_runs_with_nothing_beside_it(new_pool):
    pool = new_pool(4, 2.0)
    assert pool.worker_for(1, 50.0) is not None
    assert pool.worker_for(1, 0.1) is None


def test_an_idle_worker_is_used_again(new_pool):
    pool = new_pool(4, 100.0)
    first = pool.worker_for(1, 0.1)
    release(pool)
    assert pool.worker_for(1, 0.1) is first


def test_idle_workers_make_room(new_pool):
    """Three have grown to 1 GB each; of 4 GB a step of 2 can have what two of them leave."""
    memory = Memory()
    pool = new_pool(3, 4.0, memory)
    workers = [pool.worker_for(1, 0.1) for _ in range(3)]
    memory.workers.update({worker.pid: 1.0 for worker in workers})
    release(pool)
    worker = pool.worker_for(1, 2.0)
    assert worker in workers
    alive = [other for other in workers if Path(f"/proc/{other.pid}").exists()]
    assert alive == [worker]


def test_the_kernel_is_asked_for_parts_of_pages_only_where_memory_is_short(tmp_path):
    exact, whole = Memory(), Memory()
    settings = Settings.of_this_process(str(tmp_path), 1)
    pool = Pool(2, 8.0, settings, memory_of=exact, most_of=whole)
    try:
        assert take(pool, 1.0, 1.0) == 2
        assert exact.asked == 0
        release(pool)
        assert take(pool, 7.0) == 1
        assert exact.asked > 0
    finally:
        pool.stop()


class _TidiesUp:
    """A step that is interrupted, and once more while it removes what it has begun."""

    def run(self) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)


def test_a_step_that_is_interrupted_twice_ends_once():
    """Ctrl-C reaches workers from the terminal and from the main process."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    told = _run(pickle.dumps(_TidiesUp()))
    assert told[-1].startswith("KeyboardInterrupt")
    assert sum("Traceback" in line for line in told) == 1
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
