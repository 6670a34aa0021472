"""Nipype's MultiProc, made to end when a worker fails outside of its node."""

import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from traceback import format_exception
from typing import Any

from nipype.pipeline.engine import Node
from nipype.pipeline.plugins.multiproc import MultiProcPlugin


def run_node(node: Node, updatehash: bool, taskid: int) -> dict[str, Any]:
    """Run a node in a worker; whatever fails comes back as a traceback."""
    try:
        return {"result": node.run(updatehash=updatehash), "traceback": None, "taskid": taskid}
    except BaseException:
        # Nipype's own version loads the failed node's results here, which may not exist
        return {"result": None, "traceback": format_exception(*sys.exc_info()), "taskid": taskid}


class Workers(MultiProcPlugin):
    """MultiProc that never waits for a task whose worker is gone.

    Nipype's own waits forever when a worker is killed (out of memory) or when a node cannot be set
    up, since the result it polls for never comes.
    """

    def _submit_job(self, node: Node, updatehash: bool = False) -> int:
        self._taskid += 1
        try:
            future = self.pool.submit(run_node, node, updatehash, self._taskid)
        except BrokenProcessPool as error:
            future = Future()
            future.set_exception(error)
        self._task_obj[self._taskid] = future
        future.add_done_callback(partial(self._take_result, self._taskid))
        return self._taskid

    def _take_result(self, taskid: int, future: Future) -> None:
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
