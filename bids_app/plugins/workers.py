"""Processes that run steps: one that is killed takes no other with it."""

import contextlib
import ctypes
import logging
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from traceback import format_exception
from types import FrameType

from nipype import config as nipype_config
from nipype.pipeline.engine import Node
from threadpoolctl import threadpool_limits

from bids_app.plugins.usage import Meter, Usage

SECONDS_TO_END = 5.0
LOGGERS = ("nipype.workflow", "nipype.interface", "nipype.utils")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Outcome:
    """How a step ended.

    Attributes
    ----------
    traceback
        Why it failed; empty where it did not.
    death
        What ended its process, e.g. ``SIGKILL``; empty where the process lives.
    usage
        What it took; None where its process has ended.
    """

    traceback: Sequence[str] = ()
    death: str = ""
    usage: Usage | None = None


@dataclass(frozen=True)
class Settings:
    """What a worker is to be like.

    Attributes
    ----------
    folder
        Where it works between steps.
    n_threads
        Threads of numerical libraries, which a forked process inherits from its parent.
    levels
        Of each of Nipype's loggers: a process that is not forked does not have them.
    resource_monitor
        Likewise, whether steps record their memory and CPU use.
    """

    folder: str
    n_threads: int
    levels: tuple[int, ...]
    resource_monitor: bool

    @classmethod
    def of_this_process(cls, folder: str, n_threads: int) -> "Settings":
        """Settings like Nipype's in this process."""
        levels = tuple(logging.getLogger(name).level for name in LOGGERS)
        return cls(folder, n_threads, levels, nipype_config.resource_monitor)


class Worker:
    """A process that runs one step at a time."""

    def __init__(self, context: BaseContext, settings: Settings) -> None:
        self._connection, theirs = context.Pipe()
        # by `mp_context` the class differs, not what it does
        self._process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=serve, args=(theirs, os.getpid(), settings), daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def connection(self) -> Connection:
        """Ready to be read when a step has ended, or the process has."""
        return self._connection

    def start(self, node: Node) -> None:
        """Have a step run; its end is told by :meth:`outcome`."""
        # of a process that was killed while it was idle, the outcome tells
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._connection.send_bytes(pickle.dumps(node))

    def outcome(self) -> Outcome:
        """How the step ended; waits for it."""
        try:
            traceback, usage = self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            return Outcome(death=_cause(self._process.exitcode))
        if traceback and traceback[-1].startswith("KeyboardInterrupt"):
            return Outcome(death="an interrupt")
        return Outcome(traceback, usage=usage)

    def ask_to_end(self, *, busy: bool) -> None:
        """Have the process end, once the step it may be at has cleaned up behind itself."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._connection.send_bytes(b"")
        if busy and self._process.is_alive():
            os.kill(self.pid, signal.SIGINT)

    def end(self, seconds: float) -> None:
        """Wait for the end of the process, and kill it after a while."""
        self._process.join(max(0.0, seconds))
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._connection.close()


def first_done(workers: Sequence[Worker], seconds: float) -> list[Worker]:
    """The workers whose step has ended; waits until there is one, or for a few seconds."""
    ready = wait([worker.connection for worker in workers], seconds)
    return [worker for worker in workers if worker.connection in ready]


def end_all(busy: Sequence[Worker], idle: Sequence[Worker]) -> None:
    """End workers; those that do not clean up in time are killed."""
    for worker in (*busy, *idle):
        worker.ask_to_end(busy=worker in busy)
    limit = time.monotonic() + SECONDS_TO_END
    for worker in (*busy, *idle):
        worker.end(limit - time.monotonic())


def serve(connection: Connection, parent: int, settings: Settings) -> None:
    """What a worker does: run the steps it is sent, and say why each failed or that it did not."""
    meter = Meter(with_children=True)
    _end_with(parent)
    _prepare(settings)
    while True:
        try:
            step = connection.recv_bytes()
        except (EOFError, ConnectionResetError):
            return
        if not step:
            return
        traceback = _run(step)
        try:
            connection.send((traceback, meter.reading()))
        except (BrokenPipeError, ConnectionResetError):
            return


def _end_with(parent: int) -> None:
    """Have this process end when its parent does, even if that is killed."""
    if sys.platform == "linux":
        # the kernel does it at once, whatever a step is busy with
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    own_parent = os.getppid()
    # a server of forks stands between; it ends with the main process
    if own_parent == 1 != parent:
        os._exit(1)
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(own_parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _prepare(settings: Settings) -> None:
    # Ctrl-C and the end of a session reach every process of a terminal; the main one passes it on
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # a forked worker has its parent's handler
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for name, level in zip(LOGGERS, settings.levels, strict=True):
        logging.getLogger(name).setLevel(level)
    nipype_config.resource_monitor = settings.resource_monitor
    threadpool_limits(settings.n_threads)
    os.chdir(settings.folder)


def _run(step: bytes) -> list[str]:
    try:
        with _interruptible():
            pickle.loads(step).run()
    except BaseException:
        # Nipype's own version loads the failed step's results here, which may not exist
        return format_exception(*sys.exc_info())
    return []


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let an interrupted step remove the file it is writing."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def once(_number: int, _frame: FrameType | None) -> None:
        # Ctrl-C reaches a worker twice, from the terminal and from the main process
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, once) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"
