"""The participant level: plan, build, run, report."""

import argparse
import sys
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from bids_app.claims import Claims, claimed
from bids_app.exitcodes import ExitCode
from bids_app.failures import Failure, failure_lines, overall_code, read_failures
from bids_app.work_dir import open_work_dir
from fusionprep.bids.run_record import read_courses, record_end, record_start
from fusionprep.bids.types import SubjectPlan
from fusionprep.config import Config
from fusionprep.config_file import CONFIG_FILE, read_logged, to_toml
from fusionprep.errors import NoInputError, NothingSelectedError, OutputError
from fusionprep.files import UNFINISHED, write_text
from fusionprep.machine import memory_gb

SECONDS_OF_A_DAY = 86400


def run_participant(config: Config, actions: argparse.Namespace) -> ExitCode:
    """Process every subject that was asked for and write their reports.

    Raises
    ------
    FusionPrepError
        For whatever keeps the run from starting; the failure of a subject does not raise.
    """
    from fusionprep.bids.layout import check_dataset, open_layout, unknown_subjects
    from fusionprep.bids.plan import describe_plan, plan_dataset

    check_dataset(config.bids_dir, config.selection.skip_bids_validation)
    _check_resources(config)
    layout = open_layout(config.bids_dir, config.selection)
    plans = plan_dataset(layout, config)
    if not plans:
        raise NothingSelectedError(
            f"{config.bids_dir} has no folder sub-*; name the root of a dataset"
        )
    if actions.dry_run:
        print(describe_plan(plans))
        return ExitCode.SUCCESS
    unknown = set(unknown_subjects(layout, config.selection))
    _check_selection(config, plans, unknown)
    failures = _report_problems(plans, unknown)
    # a report on a subject the dataset does not have would make the group level count it
    plans = [plan for plan in plans if plan.label not in unknown]
    if actions.reports_only:
        _check_derivatives(config, plans)
        _report_again(config, plans, failures)
    else:
        plans = _process(config, plans, failures, actions)
    if not actions.boilerplate_only:
        _conclude(config, plans, failures)
    return overall_code(failures)


def _process(
    config: Config, plans: list[SubjectPlan], failures: list[Failure], actions: argparse.Namespace
) -> list[SubjectPlan]:
    """Run the workflows of the subjects that no other run has in this work directory.

    Parameters
    ----------
    failures
        Those that planning has found, to which others are added.

    Returns
    -------
    list of SubjectPlan
        Without the subjects of other runs, which report on them.
    """
    from bids_app.validator import validate
    from fusionprep.bids.dataset import refuse_other_dataset
    from fusionprep.bids.output_checks import check_output

    run_uuid = f"{datetime.now():%Y%m%d-%H%M%S}_{uuid.uuid4()}"
    _tell_what_is_not_fused(config)
    check_output(config.output_dir, [plan.label for plan in plans])
    refuse_other_dataset(config.output_dir)
    # a folder that cannot be written should show before any other is
    open_work_dir(config.work_dir, trusted=actions.trust_workdir, named=actions.own_workdir)
    labels = [] if actions.boilerplate_only else [plan.label for plan in plans]
    with claimed(config.work_dir, labels, run_uuid, clean=actions.clean_workdir) as claims:
        _tell(claims.failures, config.output_dir)
        failures += claims.failures
        of_others = {failure.subject for failure in claims.failures}
        plans = [plan for plan in plans if f"sub-{plan.label}" not in of_others]
        _prepare(config, run_uuid)
        if not actions.boilerplate_only:
            record_start(config.output_dir, run_uuid, claims.labels)
        _remove_unfinished(config, plans)
        if not config.selection.skip_bids_validation:
            validate(config.bids_dir)
        _run(config, plans, failures, run_uuid, None if actions.boilerplate_only else claims)
    return plans


def _run(
    config: Config,
    plans: list[SubjectPlan],
    failures: list[Failure],
    run_uuid: str,
    claims: Claims | None,
) -> None:
    """Run the workflows; each subject has its report as soon as it is done.

    Parameters
    ----------
    failures
        To which those of steps are added.
    claims
        On the subjects; None for the methods text alone.
    """
    from bids_app.execution import build_and_run
    from bids_app.remarks import tell_plans, tell_results
    from fusionprep.bids.dataset import write_participants

    tell_plans(plans)

    def finish(plan: SubjectPlan, of_steps: Sequence[Failure], ended: bool) -> None:
        lost = None if claims is None else claims.loss_of(plan.label)
        told = of_steps if lost is None else [*of_steps, lost]
        _tell(told, config.output_dir)
        failures.extend(told)
        # another run's report must not be written over
        if claims is not None and lost is None:
            tell_results(config, [plan])
            _write_report(config, plan, failures, run_uuid)
            if ended or of_steps:
                _record(config, plan, failures, run_uuid)
            claims.release(plan.label)

    build_and_run(config, plans, run_uuid, finish, boilerplate_only=claims is None)
    if claims is not None:
        # what is wrong with the raw table was told at the start
        write_participants(config)


def _report_again(config: Config, plans: list[SubjectPlan], failures: list[Failure]) -> None:
    """Write the reports of earlier runs again; what failed in those is added to `failures`."""
    from fusionprep.bids.dataset import write_participants

    runs = _last_runs(config, plans)
    failures += _earlier_failures(config, runs)
    if problem := write_participants(config):
        print(f"warning: {problem}", file=sys.stderr)
    for plan in plans:
        _write_report(config, plan, failures, runs[plan.label])


def _tell_what_is_not_fused(config: Config) -> None:
    from fusionprep.models.registry import get_model

    fused = [modality for modality in config.selection.moved if modality.fused]
    for modality in fused:
        names = [name for name in config.fusion.models if not get_model(name).fuses(modality)]
        if names:
            print(f"warning: {modality.label} is not fused by {', '.join(names)}", file=sys.stderr)


def _tell(failures: Sequence[Failure], output_dir: Path) -> None:
    for line in failure_lines(failures, output_dir):
        print(line, file=sys.stderr)


def _last_runs(config: Config, plans: list[SubjectPlan]) -> dict[str, str]:
    """The newest run that each subject was part of, by the record or options each has left."""
    runs = {label: courses[-1].run for label, courses in read_courses(config.output_dir).items()}
    left = {plan.label for plan in plans} - set(runs)
    for path in sorted(config.output_dir.glob(f"logs/*/{CONFIG_FILE}"), reverse=True):
        if not left:
            break
        told = read_logged(path.parent)
        if told is None:
            print(f"warning: {path} is damaged: that run is left out", file=sys.stderr)
            continue
        labels = told.get("participant_label") or left
        found = {label for label in left if isinstance(labels, list | set) and label in labels}
        runs |= dict.fromkeys(found, path.parent.name)
        left -= found
    return {plan.label: runs.get(plan.label, "not recorded") for plan in plans}


def _earlier_failures(config: Config, runs: Mapping[str, str]) -> list[Failure]:
    """What failed in the run each report is about."""
    failures = []
    for run_uuid in dict.fromkeys(runs.values()):
        labels = [label for label, run in runs.items() if run == run_uuid]
        subjects = {f"sub-{label}" for label in labels}
        found = read_failures(config.output_dir / "logs" / run_uuid, labels)
        failures += [failure for failure in found if failure.subject in subjects]
    _tell(failures, config.output_dir)
    return failures


def _check_resources(config: Config) -> None:
    """Find out now, not after an hour, that a template, the GPU or a program is missing."""
    from fusionprep.image.template import check_template

    for template in config.processing.templates:
        check_template(template)
    execution, present = config.execution, memory_gb()
    if execution.plugin_file is None and execution.mem_gb and execution.mem_gb > present:
        print(
            f"warning: --mem {execution.mem_gb:g} is more than the {present:.3g} GB that this"
            " process may use: steps may be killed",
            file=sys.stderr,
        )
    if config.fusion.device == "cuda":
        from fusionprep.devices import resolve_device

        resolve_device(config.fusion.device)
    if config.execution.plugin:
        from bids_app.plugins.batch import check_plugin

        check_plugin(config.execution.plugin["plugin"], config.work_dir)


def _check_selection(config: Config, plans: list[SubjectPlan], unknown: Collection[str]) -> None:
    """Refuse options that leave nothing, before anything is written."""
    if len(unknown) == len(plans):
        folders = ", ".join(f"sub-{plan.label}" for plan in plans)
        raise NothingSelectedError(
            f"{config.bids_dir} has no folder {folders}; correct --participant-label"
        )
    selection = config.selection
    filters = (
        selection.session_label,
        selection.tracer_label,
        selection.rec_label,
        selection.run_label,
        selection.anat_session,
        selection.bids_filters,
    )
    kinds = {problem.kind for plan in plans for problem in plan.problems}
    if any(filters) and kinds == {"missing"} and not any(plan.pairings for plan in plans):
        others = f" and {len(plans) - 1} more like it" if len(plans) > 1 else ""
        raise NothingSelectedError(f"{plans[0].problems[0].message}{others}; see --dry-run")


def _check_derivatives(config: Config, plans: list[SubjectPlan]) -> None:
    from fusionprep.bids.output_checks import check_output

    check_output(config.output_dir, [plan.label for plan in plans])
    if not any((config.output_dir / f"sub-{plan.label}").is_dir() for plan in plans):
        raise NoInputError(
            f"{config.output_dir} has no derivatives to report on; run without --reports-only first"
        )


def _report_problems(plans: list[SubjectPlan], unknown: Collection[str]) -> list[Failure]:
    failures = [
        Failure(
            f"sub-{plan.label}",
            problem.message,
            ExitCode.NOTHING_SELECTED if plan.label in unknown else ExitCode.DATA,
        )
        for plan in plans
        for problem in plan.problems
    ]
    _tell(failures, Path())
    return failures


def _prepare(config: Config, run_uuid: str) -> None:
    from fusionprep.bids.dataset import other_version, prepare_output, unreadable_tables

    for line in unreadable_tables(config.bids_dir):
        print(f"warning: {line}", file=sys.stderr)
    if (version := other_version(config.output_dir)) is not None:
        print(
            f"warning: {config.output_dir} holds results of fusionprep {version}; results of two"
            " versions may differ",
            file=sys.stderr,
        )
    try:
        if mended := prepare_output(config):
            print(f"warning: {mended}", file=sys.stderr)
        logs = config.output_dir / "logs" / run_uuid
        logs.mkdir(parents=True)
        write_text(logs / CONFIG_FILE, to_toml(config))
    except OSError as error:
        raise OutputError(
            f"cannot write {error.filename}: {error.strerror};"
            " choose another folder or correct its permissions"
        ) from error


def _remove_unfinished(config: Config, plans: list[SubjectPlan]) -> None:
    """Remove files that an earlier run was writing when it was killed."""
    for plan in plans:
        for path in (config.output_dir / f"sub-{plan.label}").rglob(f"{UNFINISHED}*"):
            # a younger one may be of another job on the same subject, which may end just now
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > SECONDS_OF_A_DAY:
                    path.unlink()


def _write_report(
    config: Config, plan: SubjectPlan, failures: list[Failure], run_uuid: str
) -> None:
    """Write a subject's report, unless nothing is known of it; its own failure is added."""
    from fusionprep import __version__
    from fusionprep.reports.subject.report import write_participant_report

    subject = f"sub-{plan.label}"
    errors = _messages(subject, failures)
    if not errors and not (config.output_dir / subject).is_dir():
        return
    try:
        write_participant_report(
            config.output_dir, plan.label, run_uuid=run_uuid, version=__version__, errors=errors
        )
    except OSError as error:
        _add_failure(
            config,
            subject,
            f"cannot write the report: {error}; correct that and use --reports-only",
            failures,
        )


def _messages(subject: str, failures: Sequence[Failure]) -> list[str]:
    return [failure.message for failure in failures if failure.subject == subject]


def _add_failure(config: Config, subject: str, message: str, failures: list[Failure]) -> None:
    """Tell that an output could not be written outside of any step, and remember it.

    A disk that is full is told of once for a subject, not for each file that it keeps out.
    """
    if any(f.subject == subject and f.code == ExitCode.IO_ERROR for f in failures):
        return
    own = Failure(subject, message, ExitCode.IO_ERROR)
    _tell([own], config.output_dir)
    failures.append(own)


def _record(config: Config, plan: SubjectPlan, failures: list[Failure], run_uuid: str) -> None:
    """Write down that a subject is done with; what keeps that from being written is added."""
    from fusionprep.bids.dataset import add_participant

    subject = f"sub-{plan.label}"
    errors = _messages(subject, failures)
    try:
        add_participant(config, plan.label)
        record_end(config.output_dir, run_uuid, plan.label, errors)
    except OSError as error:
        _add_failure(
            config,
            subject,
            f"cannot record its end: {error}; correct that and run it again",
            failures,
        )


def _conclude(config: Config, plans: list[SubjectPlan], failures: list[Failure]) -> None:
    failed = {failure.subject for failure in failures}
    done = [plan.label for plan in plans if f"sub-{plan.label}" not in failed]
    if failures and config.execution.stop_on_first_crash:
        print("stopped at the first failure; other subjects may be incomplete")
    else:
        print(f"{len(done)} of {len(plans)} subjects finished without errors")
    for plan in plans:
        report = config.output_dir / f"sub-{plan.label}.html"
        if report.exists():
            print(report)
