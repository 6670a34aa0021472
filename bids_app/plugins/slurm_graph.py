"""Nipype's SLURMGraph, which submits all jobs at once, made to wait for them."""

import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nipype.pipeline.engine import Node
from nipype.pipeline.plugins import SLURMGraphPlugin
from nipype.pipeline.plugins.tools import report_crash

from bids_app.plugins.commands import (
    Pace,
    SlurmQueue,
    cancel,
    cause_of_end,
    job_name,
    reason,
    submit,
    undisturbed,
)

NODE = re.compile(r"^Node: (\S+)", re.MULTILINE)


class GraphJobs(SLURMGraphPlugin):
    """SLURMGraph whose run ends when its last job has ended.

    Nipype's own returns once the jobs are submitted, goes on submitting when Slurm refuses one,
    and leaves jobs that wait for a failed one in the queue forever.

    Attributes
    ----------
    signals
        Signals that came; one is enough to end the run.
    """

    def __init__(self, plugin_args: Mapping[str, Any], pace: Pace) -> None:
        own = dict(plugin_args)
        self.signals: list[int] = []
        self._pace = pace
        self._progress = own.pop("status_callback")
        # as with every other plugin, existing results are used
        own.setdefault("dont_resubmit_completed_jobs", True)
        own.setdefault("sbatch_args", "")
        self._max_tries, self._retry_timeout = 2, 2.0
        super().__init__(plugin_args=own)
        self._queue = SlurmQueue(0.0)
        # by place in the graph's order; jobs that have not ended
        self._jobs: dict[int, int] = {}
        self._started: set[int] = set()
        self._failed: set[int] = set()
        self._gone: dict[int, float] = {}

    def stop(self) -> None:
        """Take jobs that are queued or running from Slurm."""
        cancel("SLURMGraph", list(self._jobs.values()))

    def _submit_graph(
        self, pyfiles: list[str], dependencies: dict[int, list[int]], nodes: list[Node]
    ) -> None:
        for index, node in enumerate(nodes):
            if self.signals:
                raise KeyboardInterrupt(self.signals[0])
            before = dependencies[index]
            awaited = [self._jobs[i] for i in before if i in self._jobs]
            if self._dont_resubmit_completed_jobs and not awaited and is_done(node):
                self._progress(node, "end")
            else:
                with undisturbed():
                    self._jobs[index] = self._submit(Path(pyfiles[index]), node, awaited)
        self._scripts = [Path(name) for name in pyfiles]
        self._wait(nodes, dependencies)
        if self._failed:
            raise RuntimeError(f"{len(self._failed)} steps failed or were not run")

    def _submit(self, pyfile: Path, node: Node, awaited: Sequence[int]) -> int:
        template, sbatch_args = self._get_args(node, ["template", "sbatch_args"])
        script = pyfile.with_name(f"batchscript_{pyfile.stem}.sh")
        call = shlex.join([sys.executable, str(pyfile)])
        script.write_text(f"{template.rstrip()}\n{call}\n", "utf-8")
        arguments = shlex.split(sbatch_args)
        if awaited:
            arguments.append(f"--dependency=afterok:{':'.join(map(str, awaited))}")
        return int(submit(
            "SLURMGraph", script, job_name(node.fullname), arguments,
            tries=self._max_tries, seconds=self._retry_timeout,
        ))  # fmt: skip

    def _wait(self, nodes: list[Node], dependencies: dict[int, list[int]]) -> None:
        while self._jobs:
            if self.signals:
                raise KeyboardInterrupt(self.signals[0])
            time.sleep(self._pace.seconds)
            states = self._queue.states()
            if states is None:
                continue
            for index in sorted(self._jobs):
                self._look(index, nodes[index], dependencies[index], states)
            self._drop_hopeless(dependencies)

    def _look(
        self, index: int, node: Node, before: Sequence[int], states: Mapping[int, str]
    ) -> None:
        state = states.get(self._jobs[index])
        if state is not None:
            if state != "PD":
                self._start(index, node)
            return
        if any(i in self._jobs for i in before) or self._failed.intersection(before):
            return
        if is_done(node):
            self._start(index, node)
            self._progress(node, "end")
        elif not self._has_failed(index, node):
            return
        del self._jobs[index]

    def _start(self, index: int, node: Node) -> None:
        if index not in self._started:
            self._started.add(index)
            self._progress(node, "start")

    def _has_failed(self, index: int, node: Node) -> bool:
        """Whether a job that left no result has done so for good; makes sure of a crash file."""
        folder = Path(node.config["execution"]["crashdump_dir"])
        crashes = (path.read_text("utf-8", "replace") for path in folder.glob("crash-*.txt"))
        if not any((match := NODE.search(text)) and match[1] == node.fullname for text in crashes):
            job = self._jobs[index]
            output = self._scripts[index].with_name(f"slurm-{job}.out")
            # a network file system shows other machines' files late
            gone = self._gone.setdefault(index, time.monotonic())
            if time.monotonic() - gone < self._pace.patience and cause_of_end(output) is None:
                return False
            report_crash(node, traceback=reason(node.name, job, output))
        self._failed.add(index)
        self._progress(node, "exception")
        if self._config["execution"]["stop_on_first_crash"] == "true":
            raise RuntimeError(f"{node.fullname} failed")
        return True

    def _drop_hopeless(self, dependencies: dict[int, list[int]]) -> None:
        """Cancel jobs that wait for one that failed: Slurm may keep them forever."""
        hopeless = []
        for index in sorted(self._jobs):
            if self._failed.intersection(dependencies[index]):
                self._failed.add(index)
                hopeless.append(self._jobs.pop(index))
        cancel("SLURMGraph", hopeless)


def is_done(node: Node) -> bool:
    """Whether a node's results exist and are those of its present inputs."""
    try:
        cached, updated = node.is_cached()
        return cached and updated and not node.interface.always_run
    except Exception:
        # inputs that are missing or cannot be set: the job will say so, with its traceback
        return False
