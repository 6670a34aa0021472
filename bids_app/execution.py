"""Running the workflow: Nipype's settings, its plugin, and an orderly end."""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_app.exitcodes import ExitCode
from bids_app.failures import CrashFiles, Failure
from bids_app.progress import Progress
from fusionprep.bids.types import SubjectPlan
from fusionprep.config import Config
from fusionprep.errors import DataError, FusionPrepError
from fusionprep.machine import planned_memory_gb
from fusionprep.signals import InterruptionError, endings

if TYPE_CHECKING:
    from nipype.pipeline.engine import Workflow

    from fusionprep.workflows.methods import Passage

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


Finish = Callable[[SubjectPlan, Sequence[Failure], bool], None]
"""What is done when a subject is done with: with the steps of it that failed, and whether all that
could run has run."""


def build_and_run(
    config: Config,
    plans: Sequence[SubjectPlan],
    run_uuid: str,
    finish: Finish,
    *,
    boilerplate_only: bool,
) -> None:
    """Build the workflows of subjects, write their methods text, and run them.

    Parameters
    ----------
    run_uuid
        Names the folder of crash files below ``logs/``.
    finish
        Called once for every subject, on this machine as soon as it is done.
    boilerplate_only
        Write the methods text and run nothing.
    """
    crash_dir = config.output_dir / "logs" / run_uuid
    _configure_nipype(config, crash_dir)
    cohort = _Cohort(config, plans, crash_dir, finish)
    if config.execution.write_graph:
        _draw_graph(cohort.workflow(plans), crash_dir)
    if boilerplate_only:
        for plan in plans:
            cohort.workflow([plan])
            cohort.finish(plan)
        return
    settings = _plugin(config)
    if settings["plugin"] == "MultiProc":
        _run_here(cohort, config, settings["plugin_args"])
    else:
        _run_whole(cohort, settings)


class _Cohort:
    """The subjects of a run, each of which is built when its turn comes."""

    def __init__(
        self, config: Config, plans: Sequence[SubjectPlan], crash_dir: Path, finish: Finish
    ) -> None:
        self.config = config
        self.plans = plans
        self.crash_dir = crash_dir
        self._finish = finish
        self._crashes = CrashFiles(crash_dir, [plan.label for plan in plans])
        self._unbuilt: dict[str, Failure] = {}
        self._passages: dict[Passage, None] = {}
        self._folders = (crash_dir.parent, crash_dir)
        self.workflow(())

    def workflow(self, plans: Sequence[SubjectPlan]) -> "Workflow":
        """The workflow of some subjects, without those that leave nothing to be done."""
        from fusionprep.workflows.base import init_fusionprep_wf, init_subject_wf

        workflow = init_fusionprep_wf(self.config, [])
        for plan in plans:
            if plan.pairings:
                try:
                    workflow.add_nodes([init_subject_wf(self.config, plan)])
                except DataError as error:
                    failure = Failure(f"sub-{plan.label}", str(error), ExitCode.DATA)
                    self._unbuilt[plan.label] = failure
        self._describe(workflow)
        return workflow

    def _describe(self, workflow: "Workflow") -> None:
        """Write the methods text again where a workflow adds to it."""
        from fusionprep.reports.citations import write_citations
        from fusionprep.workflows.methods import methods_text, passages

        found = dict.fromkeys(passages(workflow))
        if found.keys() <= self._passages.keys():
            return
        self._passages |= found
        for folder in self._folders:
            write_citations(methods_text(self._passages), folder)

    def finish(self, plan: SubjectPlan, *, ended: bool = True) -> None:
        """Say how a subject's steps ended, or that the run has ended before them."""
        failures = self._crashes.of(f"sub-{plan.label}")
        if plan.label in self._unbuilt:
            failures = [self._unbuilt.pop(plan.label), *failures]
        self._finish(plan, failures, ended)


def _run_here(cohort: _Cohort, config: Config, arguments: Mapping[str, Any]) -> None:
    """Run subjects on this machine, one after the other as far as processors allow."""
    from nipype.pipeline.engine.utils import write_workflow_resources

    from bids_app.plugins.local import LocalRun, Subject, expand
    from bids_app.plugins.pool import Pool
    from bids_app.plugins.workers import Settings
    from bids_app.step_record import StepRecord

    record = StepRecord(cohort.crash_dir)
    progress = Progress(len(cohort.plans))
    settings = Settings.of_this_process(str(config.work_dir), arguments["n_threads"])
    pool = Pool(arguments["n_procs"], arguments["memory_gb"], settings, arguments.get("mp_context"))

    def subject(plan: SubjectPlan) -> Subject:
        def build() -> Any:
            workflow = cohort.workflow([plan])
            return expand(workflow) if workflow.list_node_names() else None

        def finish(steps: Any) -> None:
            if steps is not None and config.execution.resource_monitor:
                write_workflow_resources(steps.graph)
            with progress.aside():
                cohort.finish(plan, ended=steps is None or steps.ended)
            record.main_process(plan.label)

        return Subject(build, finish)

    with endings(InterruptionError) as signals:
        run = LocalRun(
            map(subject, cohort.plans), pool, progress, record=record, signals=signals,
            stop_on_first_crash=config.execution.stop_on_first_crash,
        )  # fmt: skip
        try:
            run.run()
        finally:
            pool.stop()
            progress.close()
    if signals:
        raise KeyboardInterrupt(signals[0])


def _run_whole(cohort: _Cohort, settings: dict[str, Any]) -> None:
    """Hand all subjects to a plugin of Nipype's at once."""
    from bids_app.plugins.batch import new_plugin
    from bids_app.plugins.commands import PROGRAMS, Pace

    workflow = cohort.workflow(cohort.plans)
    names = list(_step_names(workflow))
    progress = Progress(len(cohort.plans))
    progress.expect(names)
    arguments = settings["plugin_args"] | {"status_callback": progress}
    own = None
    if settings["plugin"] in PROGRAMS:
        own = new_plugin(settings["plugin"], arguments, Pace())
    with endings(InterruptionError) as signals:
        if own is not None:
            own.signals = signals
        try:
            if names:
                workflow.run(plugin=own or settings["plugin"], plugin_args=arguments)
        except Exception as error:
            # Nipype raises at the end when a node failed; its crash files say which and why
            told = not isinstance(error, OSError | FusionPrepError)
            if not signals and not (told and any(cohort.crash_dir.glob("crash-*"))):
                raise
        finally:
            if own is not None:
                own.stop()
            progress.close()
    if signals:
        raise KeyboardInterrupt(signals[0])
    stopped = cohort.config.execution.stop_on_first_crash and any(cohort.crash_dir.glob("crash-*"))
    for plan in cohort.plans:
        cohort.finish(plan, ended=not stopped)


def _configure_nipype(config: Config, crash_dir: Path) -> None:
    from bids_app.surroundings import import_nipype

    import_nipype()
    from nipype import config as nipype_config
    from nipype import logging as nipype_logging

    from bids_app.plugins.workers import LOGGERS

    # read by libraries that a worker or a cluster's job has still to load
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(config.execution.omp_nthreads)))
    level = ("ERROR", "INFO", "DEBUG")[min(config.execution.verbose, 2)]
    nipype_config.update_config({
        "execution": {
            "crashdump_dir": str(crash_dir),
            "crashfile_format": "txt",
            "stop_on_first_crash": str(config.execution.stop_on_first_crash).lower(),
            "check_version": "false",
            "poll_sleep_duration": "0.1",
            # of the whole workflow and of every step, which nobody reads
            "create_report": "false",
            # files are the cache, inputs of failed nodes included
            "remove_unnecessary_outputs": "false",
        },
        "logging": {
            "workflow_level": level, "interface_level": level, "utils_level": level,
            "log_to_file": "false",
        },
    })  # fmt: skip
    # update_config leaves this section out, and Nipype looks at it only once
    nipype_config.set("monitoring", "summary_file", str(crash_dir / "resource_monitor.json"))
    nipype_config.resource_monitor = config.execution.resource_monitor
    nipype_logging.update_logging(nipype_config)
    if config.execution.verbose == 0:
        # one line per failure comes at the end; the traceback is in the crash file
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _plugin(config: Config) -> dict[str, Any]:
    """The plugin's name and arguments; `MultiProc` is our own way to run on this machine."""
    settings = config.execution.plugin or {"plugin": "MultiProc", "plugin_args": {}}
    if settings["plugin"] != "MultiProc":
        return dict(settings)
    arguments: dict[str, Any] = {
        "n_procs": config.execution.nprocs,
        "n_threads": config.execution.omp_nthreads,
        "memory_gb": config.execution.mem_gb or planned_memory_gb(),
    }
    if config.fusion.device == "cuda" or (
        config.fusion.device == "auto" and shutil.which("nvidia-smi")
    ):
        # a forked process cannot use CUDA if its parent has touched it
        arguments["mp_context"] = "forkserver"
    return {**settings, "plugin_args": arguments | settings["plugin_args"]}


def _step_names(workflow: "Workflow") -> Iterator[str]:
    from nipype.interfaces.utility import IdentityInterface

    for name in workflow.list_node_names():
        if not isinstance(workflow.get_node(name).interface, IdentityInterface):
            yield f"{workflow.name}.{name}"


def _draw_graph(workflow: "Workflow", folder: Path) -> None:
    """Write ``workflow.dot`` and, where Graphviz is installed, a drawing of it."""
    drawn = shutil.which("dot") is not None
    workflow.write_graph(
        str(folder / "workflow.dot"),
        graph2use="colored",
        format="svg" if drawn else "dot",
        simple_form=True,
    )
    if not drawn:
        print(
            "warning: --write-graph needs Graphviz for a drawing and its program dot is not"
            f" installed; the graph is in {folder / 'workflow.dot'}",
            file=sys.stderr,
        )
