"""The participant level: plan, build, run, report."""

import argparse
import logging
import shutil
import sys
import uuid
from datetime import datetime
from pathlib import Path

from bids_app.exitcodes import ExitCode
from bids_app.failures import Failure, overall_code, read_failures
from bids_app.progress import Progress
from fusionprep.bids.plan import SubjectPlan
from fusionprep.config import Config
from fusionprep.errors import NothingSelectedError, OutputError

PROBLEM_CODES = {"data": ExitCode.DATA, "missing": ExitCode.DATA}


def run_participant(config: Config, actions: argparse.Namespace) -> ExitCode:
    """Process every subject that was asked for and write their reports.

    Raises
    ------
    FusionPrepError
        For whatever keeps the run from starting; the failure of a subject does not raise.
    """
    from fusionprep.bids.layout import check_dataset, open_layout
    from fusionprep.bids.planning import describe_plan, plan_dataset

    check_dataset(config.bids_dir, config.skip_bids_validation)
    _check_resources(config)
    plans = plan_dataset(open_layout(config), config)
    if not plans:
        raise NothingSelectedError(f"no subject of {config.bids_dir} matches; see --dry-run")
    if actions.dry_run:
        print(describe_plan(plans))
        return ExitCode.SUCCESS
    problems = _report_problems(plans)
    run_uuid = f"{datetime.now():%Y%m%d-%H%M%S}_{uuid.uuid4()}"
    _prepare(config, run_uuid, actions)
    if not config.skip_bids_validation and not actions.reports_only:
        _validate_quietly(config.bids_dir)
    failures = problems
    if not actions.reports_only:
        failures = problems + _build_and_run(config, plans, run_uuid, actions)
    if actions.boilerplate_only:
        return overall_code(failures)
    _write_reports(config, plans, failures, run_uuid)
    return _conclude(config, plans, failures)


def _check_resources(config: Config) -> None:
    """Find out now, not after an hour, that a template or the GPU is not there."""
    from fusionprep.image.template import TemplateSpace, load_template
    from fusionprep.models.inference import resolve_device

    for space in config.output_spaces:
        if space != "T1w":
            load_template(TemplateSpace.parse(space))
    if config.device == "cuda":
        resolve_device(config.device)


def _report_problems(plans: list[SubjectPlan]) -> list[Failure]:
    failures = []
    for plan in plans:
        for problem in plan.problems:
            failures.append(
                Failure(f"sub-{plan.label}", problem.message, PROBLEM_CODES[problem.kind])
            )
            print(f"sub-{plan.label}: {problem.message}", file=sys.stderr)
    return failures


def _prepare(config: Config, run_uuid: str, actions: argparse.Namespace) -> None:
    from fusionprep.bids.dataset import other_version, prepare_output

    if (version := other_version(config.output_dir)) is not None:
        print(
            f"warning: {config.output_dir} holds results of fusionprep {version}; results of two"
            " versions may differ",
            file=sys.stderr,
        )
    prepare_output(config)
    logs = config.output_dir / "logs" / run_uuid
    try:
        logs.mkdir(parents=True)
        (logs / "fusionprep.toml").write_text(config.to_toml(), "utf-8")
        if actions.clean_workdir and config.work_dir.exists():
            shutil.rmtree(config.work_dir)
        config.work_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {error.filename}: {error.strerror}") from error


def _validate_quietly(bids_dir: Path) -> None:
    """Say what the official validator finds, where it is installed, and go on."""
    import json
    import subprocess

    beside_python = Path(sys.executable).parent
    executable = shutil.which("bids-validator-deno") or shutil.which(
        "bids-validator-deno", path=str(beside_python)
    )
    if executable is None:
        return
    done = subprocess.run(
        [executable, "--format", "json", str(bids_dir)], capture_output=True, text=True, check=False
    )
    try:
        issues = json.loads(done.stdout)["issues"]["issues"]
    except (ValueError, KeyError, TypeError):
        print("warning: the BIDS validator gave no result", file=sys.stderr)
        return
    errors = {issue["code"] for issue in issues if issue.get("severity") == "error"}
    if errors:
        print(f"the BIDS validator objects to: {', '.join(sorted(errors))}", file=sys.stderr)


def _build_and_run(
    config: Config, plans: list[SubjectPlan], run_uuid: str, actions: argparse.Namespace
) -> list[Failure]:
    from fusionprep.reports.citations import write_citations

    _configure_nipype(config, run_uuid)
    from fusionprep.workflows.base import init_fusionprep_wf

    workflow = init_fusionprep_wf(config, plans)
    logs = config.output_dir / "logs"
    write_citations(workflow.visit_desc(), logs)
    if config.write_graph:
        _draw_graph(workflow, logs / run_uuid)
    if actions.boilerplate_only or not any(plan.pairings for plan in plans):
        return []
    crash_dir = logs / run_uuid
    progress = Progress(_count_steps(workflow))
    try:
        workflow.run(**_plugin(config, progress))
    except RuntimeError:
        # Nipype raises at the end when a node failed; its crash files say which and why
        if not any(crash_dir.glob("crash-*.txt")):
            raise
    finally:
        progress.close()
    return read_failures(crash_dir)


def _configure_nipype(config: Config, run_uuid: str) -> None:
    from nipype import config as nipype_config
    from nipype import logging as nipype_logging

    crash_dir = str(config.output_dir / "logs" / run_uuid)
    level = ("ERROR", "INFO", "DEBUG")[min(config.verbose, 2)]
    nipype_config.update_config({
        "execution": {
            "crashdump_dir": crash_dir,
            "crashfile_format": "txt",
            "stop_on_first_crash": str(config.stop_on_first_crash).lower(),
            "check_version": "false",
            "poll_sleep_duration": "0.1",
            # files are the cache, inputs of failed nodes included
            "remove_unnecessary_outputs": "false",
            "resource_monitor": str(config.resource_monitor).lower(),
        },
        "logging": {
            "workflow_level": level, "interface_level": level, "utils_level": level,
            "log_to_file": "false",
        },
        "monitoring": {"enabled": str(config.resource_monitor).lower(), "summary_append": "true"},
    })  # fmt: skip
    nipype_logging.update_logging(nipype_config)
    if config.verbose == 0:
        # one line per failure comes at the end; the traceback is in the crash file
        for name in ("nipype.workflow", "nipype.interface", "nipype.utils"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _plugin(config: Config, progress: Progress) -> dict:
    if config.plugin_file is not None:
        import yaml

        settings = yaml.safe_load(config.plugin_file.read_text("utf-8"))
        settings.setdefault("plugin_args", {})["status_callback"] = progress
        return settings
    arguments = {
        "n_procs": config.nprocs,
        "raise_insufficient": False,
        "status_callback": progress,
    }
    if config.mem_gb is not None:
        arguments["memory_gb"] = config.mem_gb
    if config.device == "cuda" or (config.device == "auto" and shutil.which("nvidia-smi")):
        # a forked process cannot use CUDA if its parent has touched it
        arguments["mp_context"] = "forkserver"
    from bids_app.plugin import Workers

    return {"plugin": Workers(arguments)}


def _count_steps(workflow) -> int:
    from nipype.interfaces.utility import IdentityInterface

    nodes = (workflow.get_node(name) for name in workflow.list_node_names())
    return sum(not isinstance(node.interface, IdentityInterface) for node in nodes)


def _draw_graph(workflow, folder: Path) -> None:
    dot = folder / "workflow.dot"
    workflow.write_graph(str(dot), graph2use="colored", format="svg", simple_form=True)


def _write_reports(
    config: Config, plans: list[SubjectPlan], failures: list[Failure], run_uuid: str
) -> None:
    from fusionprep import __version__
    from fusionprep.bids.dataset import write_participants
    from fusionprep.reports.participant import write_participant_report

    write_participants(config)
    for plan in plans:
        errors = [f.message for f in failures if f.subject == f"sub-{plan.label}"]
        if not errors and not (config.output_dir / f"sub-{plan.label}").is_dir():
            continue
        write_participant_report(
            config.output_dir,
            plan.label,
            run_uuid=run_uuid,
            version=__version__,
            errors=errors,
            crash_dir=config.output_dir / "logs" / run_uuid,
        )


def _conclude(config: Config, plans: list[SubjectPlan], failures: list[Failure]) -> ExitCode:
    failed = {failure.subject for failure in failures}
    for failure in failures:
        if failure.crash_file is not None:
            where = failure.crash_file.relative_to(config.output_dir)
            print(f"{failure.subject}: {failure.message} (details: {where})", file=sys.stderr)
    done = [plan.label for plan in plans if f"sub-{plan.label}" not in failed]
    print(f"{len(done)} of {len(plans)} subjects finished without errors")
    for plan in plans:
        report = config.output_dir / f"sub-{plan.label}.html"
        if report.exists():
            print(report)
    return overall_code(failures)
