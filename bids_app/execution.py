"""Running the workflow: Nipype's settings, its plugin, and an orderly end."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_app.exitcodes import ExitCode
from bids_app.failures import Failure, read_failures
from bids_app.progress import Progress
from bids_app.signals import interruptions
from fusionprep.bids.types import SubjectPlan
from fusionprep.config import Config
from fusionprep.errors import DataError, FusionPrepError, UsageError

if TYPE_CHECKING:
    from nipype.pipeline.engine import Workflow

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


def build_and_run(
    config: Config, plans: list[SubjectPlan], run_uuid: str, *, boilerplate_only: bool
) -> list[Failure]:
    """Build the workflow, write its methods text, run it, and say which steps failed.

    Parameters
    ----------
    run_uuid
        Names the folder of crash files below ``logs/``.
    boilerplate_only
        Write the methods text and run nothing.
    """
    from fusionprep.reports.citations import write_citations

    logs = config.output_dir / "logs"
    crash_dir = logs / run_uuid
    _configure_nipype(config, crash_dir)
    workflow, unbuilt = _build(config, plans)
    for folder in (logs, crash_dir):
        write_citations(methods_text(workflow), folder)
    if config.execution.write_graph:
        _draw_graph(workflow, crash_dir)
    if boilerplate_only or not workflow.list_node_names():
        return unbuilt
    _run(workflow, config, crash_dir)
    return unbuilt + read_failures(crash_dir, [plan.label for plan in plans])


def _build(config: Config, plans: list[SubjectPlan]) -> tuple[Any, list[Failure]]:
    """The workflow, and the subjects whose metadata do not allow building theirs."""
    from fusionprep.workflows.base import init_fusionprep_wf, init_subject_wf

    workflow, failures = init_fusionprep_wf(config, []), []
    for plan in plans:
        if plan.pairings:
            try:
                workflow.add_nodes([init_subject_wf(config, plan)])
            except DataError as error:
                failures.append(Failure(f"sub-{plan.label}", str(error), ExitCode.DATA))
    return workflow, failures


def methods_text(workflow: "Workflow") -> str:
    """The descriptions of a workflow and those below it, each once for all subjects."""
    return "".join(dict.fromkeys(_descriptions(workflow)))


def _descriptions(workflow: "Workflow") -> Iterator[str]:
    from nipype.pipeline.engine import Workflow
    from nipype.pipeline.engine.utils import topological_sort

    yield getattr(workflow, "__desc__", None) or ""
    for node in topological_sort(workflow._graph)[0]:
        if isinstance(node, Workflow):
            yield from _descriptions(node)


def _run(workflow: "Workflow", config: Config, crash_dir: Path) -> None:
    progress = Progress(_count_steps(workflow))
    settings = _plugin(config, progress)
    own = None if isinstance(settings["plugin"], str) else settings["plugin"]
    with interruptions() as signals:
        if own is not None:
            own.signals = signals
        try:
            workflow.run(**settings)
        except Exception as error:
            # Nipype raises at the end when a node failed; its crash files say which and why
            told = not isinstance(error, OSError | FusionPrepError)
            if not signals and not (told and any(crash_dir.glob("crash-*"))):
                raise
        finally:
            if own is not None:
                own.stop()
            progress.close()
    if signals:
        raise KeyboardInterrupt(signals[0])


def _configure_nipype(config: Config, crash_dir: Path) -> None:
    from bids_app.surroundings import import_nipype

    import_nipype()
    from nipype import config as nipype_config
    from nipype import logging as nipype_logging

    from bids_app.plugins.local import LOGGERS

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


def read_plugin_file(path: Path) -> dict[str, Any]:
    """A Nipype plugin's name and ``plugin_args`` from a YAML file.

    Raises
    ------
    UsageError
        When the file cannot be read or names no plugin that runs the whole workflow.
    """
    import yaml

    from bids_app.plugins.batch import NAMES

    try:
        settings = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"cannot read the plugin file {path}: {reason}") from error
    name = settings.get("plugin") if isinstance(settings, Mapping) else None
    if name not in NAMES:
        raise UsageError(
            f"the plugin file {path} must hold plugin: NAME, one of {', '.join(NAMES)}"
        )
    arguments = settings.get("plugin_args") or {}
    if not isinstance(arguments, Mapping) or set(settings) - {"plugin", "plugin_args"}:
        raise UsageError(
            f"the plugin file {path} may hold plugin and plugin_args (names and values), no more"
        )
    return {"plugin": name, "plugin_args": dict(arguments)}


def _plugin(config: Config, progress: Progress) -> dict[str, Any]:
    """What to give to the workflow's ``run``."""
    from bids_app.plugins.batch import new_plugin
    from bids_app.plugins.commands import PROGRAMS, Pace
    from bids_app.plugins.local import Workers

    arguments: dict[str, Any] = {
        "n_procs": config.execution.nprocs,
        "n_threads": config.execution.omp_nthreads,
        "raise_insufficient": False,
    }
    if config.execution.mem_gb is not None:
        arguments["memory_gb"] = config.execution.mem_gb
    if config.fusion.device == "cuda" or (
        config.fusion.device == "auto" and shutil.which("nvidia-smi")
    ):
        # a forked process cannot use CUDA if its parent has touched it
        arguments["mp_context"] = "forkserver"
    arguments["status_callback"] = progress
    if config.execution.plugin_file is None:
        return {"plugin": Workers(arguments)}
    settings = read_plugin_file(config.execution.plugin_file)
    if settings["plugin"] == "MultiProc":
        return {"plugin": Workers(arguments | settings["plugin_args"])}
    own = settings["plugin_args"] | {"status_callback": progress}
    if settings["plugin"] in PROGRAMS:
        return {"plugin": new_plugin(settings["plugin"], own, Pace())}
    return settings | {"plugin_args": own}


def _count_steps(workflow: "Workflow") -> int:
    from nipype.interfaces.utility import IdentityInterface

    nodes = (workflow.get_node(name) for name in workflow.list_node_names())
    return sum(not isinstance(node.interface, IdentityInterface) for node in nodes)


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
