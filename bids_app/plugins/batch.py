"""Nipype's plugins for batch systems, made to say what happened and to leave no job behind."""

import getpass
import os
import re
import shlex
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.pipeline import plugins
from nipype.pipeline.engine import Node

from bids_app.plugins.commands import (
    PROGRAMS,
    SUBMISSION,
    Pace,
    SlurmQueue,
    cancel,
    cause_of_end,
    first_line,
    job_name,
    reason,
    refusal,
    submit,
    undisturbed,
)
from bids_app.plugins.slurm_graph import GraphJobs
from fusionprep.errors import UsageError

if TYPE_CHECKING:
    # what every plugin has that BatchJobs is mixed into
    from nipype.pipeline.plugins.base import DistributedPluginBase as _Plugin
else:
    _Plugin = object

UNSAFE = re.compile(r"[^\w@%+=:,./-]")


def check_plugin(name: str, work_dir: Path) -> None:
    """Find out before anything is written that a batch system's plugin cannot run here.

    Raises
    ------
    UsageError
        When a program of the batch system is not on the PATH, or Nipype's job scripts would not
        find their way to the work directory.
    """
    if name not in PROGRAMS:
        return
    missing = [program for program in PROGRAMS[name] if shutil.which(program) is None]
    if missing:
        raise UsageError(
            f"the plugin {name} needs {' and '.join(missing)}, not on the PATH of this machine;"
            " run where jobs are submitted, or choose another plugin"
        )
    if found := UNSAFE.search(str(work_dir)):
        raise UsageError(
            f"the work directory {work_dir} has {found[0]!r} in its path, which the plugin {name}"
            " cannot handle; choose another with -w"
        )


def new_plugin(name: str, plugin_args: Mapping[str, Any], pace: Pace) -> "BatchJobs | GraphJobs":
    """Nipype's plugin of one of :data:`~bids_app.plugins.commands.PROGRAMS`, mended.

    Parameters
    ----------
    plugin_args
        The user's, and ``status_callback``.
    """
    if "LOGNAME" not in os.environ:
        # Nipype names jobs after it; in a container or a service it is often not set
        os.environ["LOGNAME"] = _user()
    if name == "SLURMGraph":
        return GraphJobs(plugin_args, pace)
    own = {"SLURM": SlurmJobs}.get(name, BatchJobs)
    kind = type(f"{name}Plugin", (own, getattr(plugins, f"{name}Plugin")), {"system": name})
    return kind(plugin_args, pace)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"UID{os.getuid()}"


class BatchJobs(_Plugin):
    """Mixed in before one of Nipype's plugins that submit a job for each node that is ready.

    Attributes
    ----------
    system
        Nipype's name of the plugin.
    signals
        Signals that came; one is enough to end the run.
    """

    system: str

    def __init__(self, plugin_args: Mapping[str, Any], pace: Pace) -> None:
        self.signals: list[int] = []
        self._pace = pace
        self._progress = plugin_args["status_callback"]
        self._gone: dict[Any, float] = {}
        self._scripts: dict[Any, Path] = {}
        super().__init__(plugin_args={**plugin_args, "status_callback": self._pass_on})

    def run(self, graph: Any, config: Mapping[str, Any], updatehash: bool = False) -> None:
        """Run the graph; called by Nipype."""
        # Nipype's own would ask ten times a second for each job
        execution = {**config["execution"], "poll_sleep_duration": self._pace.seconds}
        super().run(graph, {**config, "execution": execution}, updatehash=updatehash)

    def stop(self) -> None:
        """Take jobs that are queued or running from the batch system."""
        cancel(self.system, list(self._pending))

    def _pass_on(self, node: Node, status: str) -> None:
        # Nipype says start before it looks whether the results are there already
        if status != "start":
            self._progress(node, status)

    def _send_procs_to_workers(self, updatehash: bool = False, graph: Any = None) -> None:
        if self.signals:
            raise KeyboardInterrupt(self.signals[0])
        super()._send_procs_to_workers(updatehash=updatehash, graph=graph)

    def _submit_job(self, node: Node, updatehash: bool = False) -> Any:
        self._progress(node, "start")
        with undisturbed():
            return super()._submit_job(node, updatehash=updatehash)

    def _submit_batchtask(self, scriptfile: str, node: Node) -> Any:
        if self.system not in SUBMISSION:
            taskid = self._submit_as_nipype_does(scriptfile, node)
        else:
            # Nipype's own takes any answer for success
            options = (getattr(self, "_sbatch_args", None), self._qsub_args)
            taskid = submit(
                self.system, Path(scriptfile), job_name(node.fullname),
                shlex.split(next((given for given in options if given), "")),
                tries=self._max_tries, seconds=self._retry_timeout,
            )  # fmt: skip
            taskid = taskid if self.system == "PBS" else int(taskid)
            self._pending[taskid] = node.output_dir()
        self._scripts[taskid] = Path(scriptfile)
        return taskid

    def _submit_as_nipype_does(self, scriptfile: str, node: Node) -> Any:
        try:
            return super()._submit_batchtask(scriptfile, node)
        except (RuntimeError, AttributeError, LookupError, ValueError) as error:
            raise refusal(first_line(str(error), PROGRAMS[self.system][0])) from error

    def _get_result(self, taskid: Any) -> dict[str, Any] | None:
        if self._is_pending(taskid):
            return None
        if any(Path(self._pending[taskid]).glob("result_*.pklz")):
            return super()._get_result(taskid)
        output = self._scripts[taskid].with_name(f"slurm-{taskid}.out")
        # a network file system shows other machines' files late
        gone = self._gone.setdefault(taskid, time.monotonic())
        if time.monotonic() - gone < self._pace.patience and cause_of_end(output) is None:
            return None
        # Nipype's own gives a string, to which its crash report cannot add
        lines = reason(Path(self._pending[taskid]).name, taskid, output)
        return {"result": None, "traceback": lines}


class SlurmJobs(BatchJobs):
    """Asks for all jobs at once: one call per job would burden the cluster's controller."""

    def __init__(self, plugin_args: Mapping[str, Any], pace: Pace) -> None:
        super().__init__(plugin_args, pace)
        self._queue = SlurmQueue(pace.seconds)

    def _submit_batchtask(self, scriptfile: str, node: Node) -> int:
        taskid = super()._submit_batchtask(scriptfile, node)
        self._queue.forget()
        return taskid

    def _is_pending(self, taskid: int) -> bool:
        states = self._queue.states()
        return states is None or taskid in states
