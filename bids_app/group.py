"""The group level: tables and a report from the derivatives alone."""

import sys
from collections.abc import Sequence
from pathlib import Path

from bids_app.exitcodes import ExitCode
from bids_app.failures import read_failures
from fusionprep.config import Config

MOST_NAMES = 10
"""How many incomplete participants the terminal names."""


def run_group(config: Config) -> ExitCode:
    """Write ``group_fusion.{tsv,json,html}`` and ``group_regions`` and say where they are.

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
    from fusionprep.reports.group.report import INCOMPLETE, write_group_report

    summary = write_group_report(
        config.output_dir,
        ratings_file=config.ratings_file,
        crashes=_crashes(config.output_dir),
    )
    for warning in summary.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if summary.incomplete:
        line = _incomplete_line(summary.incomplete, summary.n_participants)
        print(f"warning: {line} (reasons in {INCOMPLETE})", file=sys.stderr)
    print(f"{summary.n_participants} participants, {summary.n_rows} fused images")
    for path in filter(None, (summary.tsv, summary.regions, summary.html)):
        print(path)
    return ExitCode.SUCCESS


def _incomplete_line(names: Sequence[str], n_participants: int) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    verb = "is" if len(names) == 1 else "are"
    return f"{len(names)} of {n_participants} participants {verb} incomplete: {shown}{more}"


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
