"""The group level: tables and a report from the derivatives alone."""

import os
import sys
from pathlib import Path

from bids_app.exitcodes import ExitCode
from bids_app.failures import read_failures
from fusionprep.config import Config
from fusionprep.errors import OutputError


def run_group(config: Config) -> ExitCode:
    """Write ``group_fusion.{tsv,json,html}`` and say where they are.

    Raises
    ------
    NoInputError
        When the output folder holds no derivatives of the participant level, or there is no such
        file of ratings.
    DataError
        When the ratings cannot be used.
    OutputError
        When the output folder cannot be written.
    """
    from fusionprep.reports.group.report import write_group_report

    if config.output_dir.is_dir() and not os.access(config.output_dir, os.W_OK):
        raise OutputError(
            f"cannot write to the output folder {config.output_dir}; correct its permissions"
        )
    summary = write_group_report(
        config.output_dir,
        ratings_file=config.ratings_file,
        crashes=_crashes(config.output_dir),
    )
    for warning in summary.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{summary.n_participants} participants, {summary.n_rows} fused images")
    for path in (summary.tsv, summary.html):
        print(path)
    return ExitCode.SUCCESS


def _crashes(output_dir: Path) -> dict[str, list[str]]:
    """Errors of the last run in which a participant crashed, by label."""
    found: dict[str, list[str]] = {}
    labels = [path.name.removeprefix("sub-") for path in output_dir.glob("sub-*") if path.is_dir()]
    for folder in sorted(path for path in output_dir.glob("logs/*") if path.is_dir()):
        of_run: dict[str, list[str]] = {}
        for failure in read_failures(folder, labels):
            of_run.setdefault(failure.subject.removeprefix("sub-"), []).append(failure.message)
        found |= of_run
    return found
