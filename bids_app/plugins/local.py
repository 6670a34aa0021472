"""Nipype's MultiProc, made to end when a worker fails outside of its node."""

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from traceback import format_exception
from typing import Any

from nipype import config as nipype_config
from nipype.pipeline.engine import Node
from nipype.pipeline.plugins.multiproc import MultiProcPlugin
from threadpoolctl import threadpool_limits

SECONDS_TO_END = 5.0
LOGGERS = ("nipype.workflow", "nipype.interface", "nipype.utils")


def prepare_worker(
    folder: str, levels: Mapping[str, int], resource_monitor: bool, n_threads: int
) -> None:
    """Begin a worker process.

    Parameters
    ----------
    levels
        Level of each of Nipype's loggers: a process that is not forked does not have them.
    resource_monitor
        Likewise, whether nodes record their memory and CPU use.
    n_threads
        Threads of numerical libraries, which a forked process inherits from its parent.
    """
    # Ctrl-C reaches every process of a terminal, an idle one too
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # a forked worker has its parent's handler
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    nipype_config.resource_monitor = resource_monitor
    threadpool_limits(n_threads)
    os.chdir(folder)


def run_node(node: Node, updatehash: bool, taskid: int) -> dict[str, Any]:
    """Run a node in a worker; whatever fails comes back as a traceback."""
    # an interrupted node removes the file it is writing
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return {"result": node.run(updatehash=updatehash), "traceback": None, "taskid": taskid}
    except BaseException:
        # Nipype's own version loads the failed node's results here, which may not exist
        return {"result": None, "traceback": format_exception(*sys.exc_info()), "taskid": taskid}
    finally:
        signal.signal(signal.SIGINT, before)


class Workers(MultiProcPlugin):
    """MultiProc that never waits for a task whose worker is gone.

    Nipype's own waits forever when a worker is killed (out of memory) or when a node cannot be set
    up, since the result it polls for never comes.

    Attributes
    ----------
    signals
        Signals that came; one is enough to end the run.
    """

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        super().__init__(plugin_args)
        self.signals: list[int] = []
        # takes the place of Nipype's, which has started no process yet
        self.pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        levels = {name: logging.getLogger(name).level for name in LOGGERS}
        n_threads = self.plugin_args.get("n_threads", 1)
        return ProcessPoolExecutor(
            max_workers=self.processors,
            initializer=prepare_worker,
            initargs=(self._cwd, levels, nipype_config.resource_monitor, n_threads),
            mp_context=multiprocessing.get_context(self.plugin_args.get("mp_context")),
        )

    def stop(self) -> None:
        """End the workers, busy ones too; does nothing after a run that finished."""
        processes = list((self.pool._processes or {}).values())
        self.pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, signal.SIGINT)
        limit = time.monotonic() + SECONDS_TO_END
        for process in processes:
            process.join(max(0.0, limit - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _send_procs_to_workers(self, updatehash: bool = False, graph: Any = None) -> None:
        if self.signals:
            raise KeyboardInterrupt(self.signals[0])
        super()._send_procs_to_workers(updatehash=updatehash, graph=graph)

    def _submit_job(self, node: Node, updatehash: bool = False) -> int:
        self._taskid += 1
        try:
            future = self.pool.submit(run_node, node, updatehash, self._taskid)
        except BrokenProcessPool:
            # a pool is of no use after one of its processes was killed; other nodes go on
            self.pool = self._new_pool()
            future = self.pool.submit(run_node, node, updatehash, self._taskid)
        self._task_obj[self._taskid] = future
        future.add_done_callback(partial(self._take_result, self._taskid))
        return self._taskid

    def _local_hash_check(self, jobid: int, graph: Any) -> bool:
        """Whether a node needs no worker: its results are there, or its inputs cannot be set."""
        try:
            self.procs[jobid].is_cached()
        except Exception as error:
            # Nipype's own would end the whole run here, other subjects' nodes included
            self._run_errors.append("".join(format_exception(error)))
            self._clean_queue(jobid, graph)
            self.proc_pending[jobid] = False
            return True
        return super()._local_hash_check(jobid, graph)

    def _take_result(self, taskid: int, future: Future) -> None:
        if future.cancelled():
            # the run is ending, and nobody waits for it
            return
        error = future.exception()
        if error is None:
            self._taskresult[taskid] = future.result()
            return
        lines = format_exception(error)
        if isinstance(error, BrokenProcessPool):
            lines.append(
                "MemoryError: a worker was killed, most likely for lack of memory;"
                " lower --nprocs or --mem and run again with the same work directory\n"
            )
        self._taskresult[taskid] = {"result": None, "traceback": lines, "taskid": taskid}
