"""Runs subjects on this machine, each to its end before the next as far as processors allow."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from traceback import format_exception
from typing import Any

import networkx as nx
from nipype.pipeline.engine import Node, Workflow
from nipype.pipeline.plugins.tools import report_crash
from traits.api import TraitNotificationError
from traits.trait_notifiers import pop_exception_handler, push_exception_handler

from bids_app.plugins.pool import Pool
from bids_app.plugins.workers import Outcome, Worker
from bids_app.progress import Progress
from bids_app.step_record import StepRecord

SECONDS_BETWEEN_LOOKS = 1.0
ADVICE = (
    "run again with the same work directory and more memory (--mem, or the limit of the container"
    " or job)"
)


class _Nothing:
    """A plugin that runs nothing: Nipype hands over the expanded graph, each node made ready."""

    plugin_args: Any = None

    def run(self, graph: nx.DiGraph, config: Any, updatehash: bool = False) -> None:
        """Called by Nipype."""


def expand(workflow: Workflow) -> nx.DiGraph:
    """The steps of a workflow, made ready to run, with an edge to each from what it needs."""
    graph = workflow.run(plugin=_Nothing())
    _remove_handlers()
    return graph


def _remove_handlers() -> None:
    """Take all but one of Nipype's handlers of exceptions from the stack of traits.

    Nipype pushes one for each set of inputs or outputs that it makes, hundreds for a subject, and
    never takes one back.
    """
    with contextlib.suppress(TraitNotificationError):
        while True:
            pop_exception_handler()
    push_exception_handler(reraise_exceptions=True)


class SubjectSteps:
    """The steps of one subject: which can run, wait for others, run, and have ended.

    Parameters
    ----------
    graph
        See :func:`expand`.

    Attributes
    ----------
    ready
        Steps that can run, those first that most others wait for one after the other: what is left
        over at the end of a cohort could not fill all processors.
    without_results
        Those of them that no earlier run has left results of.
    """

    def __init__(self, graph: nx.DiGraph) -> None:
        self.graph = graph
        self.without_results: set[Node] = set()
        order = list(nx.topological_sort(graph))
        steps_after: dict[Node, int] = {}
        for node in reversed(order):
            after = (steps_after[following] + 1 for following in graph.successors(node))
            steps_after[node] = max(after, default=0)
        self._order = {node: (-steps_after[node], place) for place, node in enumerate(order)}
        self._awaits = {node: set(graph.predecessors(node)) for node in order}
        self._unfinished = set(order)
        self.ready = [node for node in order if not self._awaits[node]]
        self.ready.sort(key=self._order.__getitem__)

    @property
    def ended(self) -> bool:
        return not self._unfinished

    def start(self, node: Node) -> None:
        """A step that was ready is being run."""
        self.ready.remove(node)

    def end(self, node: Node) -> None:
        """A step has its results."""
        self._unfinished.discard(node)
        for following in self.graph.successors(node):
            self._awaits[following].discard(node)
            if not self._awaits[following] and following in self._unfinished:
                self.ready.append(following)
        self.ready.sort(key=self._order.__getitem__)

    def fail(self, node: Node) -> set[Node]:
        """A step has failed; those that need it, which will not run."""
        following = nx.descendants(self.graph, node) & self._unfinished
        self._unfinished -= {node, *following}
        return following


@dataclass(frozen=True)
class Subject:
    """Someone to be processed.

    Attributes
    ----------
    build
        Makes the graph of steps (:func:`expand`); None where that has failed.
    finish
        Called when all steps have ended; None stands for no steps.
    """

    build: Callable[[], nx.DiGraph | None]
    finish: Callable[[SubjectSteps | None], None]


@dataclass
class _Step:
    """A step that is to run; after the death of its worker once more, with no other beside it."""

    steps: SubjectSteps
    node: Node
    alone: bool = False


class LocalRun:
    """Subjects in order; a later one is taken up only where earlier ones leave room.

    Parameters
    ----------
    subjects
        In the order in which they are to be finished.
    pool
        Of workers; the caller ends them.
    progress
        Is told of what begins and ends.
    record
        Is told what each step took; None keeps no record.
    stop_on_first_crash
        End once a step has failed.
    signals
        Signals that came; one is enough to end the run.
    """

    def __init__(
        self,
        subjects: Iterator[Subject],
        pool: Pool,
        progress: Progress,
        *,
        record: StepRecord | None = None,
        stop_on_first_crash: bool = False,
        signals: Sequence[int] = (),
    ) -> None:
        self._subjects = subjects
        self._pool = pool
        self._progress = progress
        self._record = record
        self._stop_on_first_crash = stop_on_first_crash
        self._signals = signals
        self._open: list[tuple[Subject, SubjectSteps]] = []
        self._running: dict[Worker, _Step] = {}
        self._again: deque[_Step] = deque()
        self._crashed = False

    def run(self) -> None:
        """Run all steps of all subjects.

        Raises
        ------
        KeyboardInterrupt
            When a signal came.
        """
        while not self._crashed:
            if self._signals:
                raise KeyboardInterrupt(self._signals[0])
            self._start_what_fits()
            self._finish()
            if not self._running and not self._open:
                return
            for worker, outcome in self._pool.wait(SECONDS_BETWEEN_LOOKS).items():
                self._take(self._running.pop(worker), outcome)
        for subject, steps in self._open:
            subject.finish(steps)

    def _start_what_fits(self) -> None:
        """Start steps, earlier subjects' first; none overtakes one that waits for memory."""
        while not self._crashed and (step := self._next()) is not None:
            if not step.alone and self._has_results(step):
                continue
            worker = self._pool.worker_for(step.node.n_procs, step.node.mem_gb)
            if worker is None:
                return
            if step.alone:
                self._again.popleft()
            else:
                step.steps.start(step.node)
            self._running[worker] = step
            self._progress(step.node, "start")
            worker.start(step.node)

    def _next(self) -> _Step | None:
        if self._again:
            return None if self._running else self._again[0]
        if any(step.alone for step in self._running.values()) or not self._pool.has_processors:
            return None
        while True:
            for _, steps in self._open:
                if steps.ready:
                    return _Step(steps, steps.ready[0])
            subject = next(self._subjects, None)
            if subject is None:
                return None
            self._take_up(subject)

    def _take_up(self, subject: Subject) -> None:
        graph = subject.build()
        if graph is None:
            subject.finish(None)
            return
        self._progress.expect(node.fullname for node in graph)
        self._open.append((subject, SubjectSteps(graph)))

    def _has_results(self, step: _Step) -> bool:
        """Whether a step needs no worker: its results are there, or its inputs cannot be set."""
        steps, node = step.steps, step.node
        if node in steps.without_results:
            return False
        try:
            cached, updated = node.is_cached()
        except Exception as error:
            steps.start(node)
            self._fail(step, format_exception(error))
            return True
        if not (cached and updated) or node.interface.always_run:
            steps.without_results.add(node)
            return False
        steps.start(node)
        steps.end(node)
        self._progress(node, "end")
        return True

    def _take(self, step: _Step, outcome: Outcome) -> None:
        if self._record is not None and outcome.usage is not None:
            kind = type(step.node.interface).__name__
            failed = bool(outcome.traceback)
            self._record.step(step.node.fullname, kind, outcome.usage, failed=failed)
        if outcome.death and not step.alone:
            # most often memory, which others may have taken
            self._again.append(_Step(step.steps, step.node, alone=True))
        elif outcome.death:
            self._fail(step, [_last_words(outcome.death)])
        elif outcome.traceback:
            self._fail(step, outcome.traceback)
        else:
            step.steps.end(step.node)
            self._progress(step.node, "end")

    def _fail(self, step: _Step, traceback: Sequence[str]) -> None:
        report_crash(step.node, traceback=list(traceback))
        dropped = step.steps.fail(step.node)
        self._progress(step.node, "exception")
        self._progress.skip(node.fullname for node in dropped)
        self._crashed |= self._stop_on_first_crash

    def _finish(self) -> None:
        for subject, steps in [pair for pair in self._open if pair[1].ended]:
            self._open.remove((subject, steps))
            subject.finish(steps)


def _last_words(death: str) -> str:
    if death == "SIGKILL":
        return (
            "MemoryError: killed twice, the second time with nothing beside it, most likely for"
            f" lack of memory; {ADVICE}\n"
        )
    return f"ChildProcessError: its process ended twice ({death}); {ADVICE}\n"
