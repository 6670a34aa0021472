"""The group level: tables and a report from the derivatives alone."""

import os

from bids_app.exitcodes import ExitCode
from fusionprep.config import Config
from fusionprep.errors import OutputError


def run_group(config: Config) -> ExitCode:
    """Write ``group_fusion.{tsv,json,html}`` and say where they are.

    Raises
    ------
    NoInputError
        When the output folder holds no derivatives of the participant level.
    OutputError
        When the output folder cannot be written.
    """
    from fusionprep.reports.group import write_group_report

    if config.output_dir.is_dir() and not os.access(config.output_dir, os.W_OK):
        raise OutputError(
            f"cannot write to the output folder {config.output_dir}; correct its permissions"
        )
    summary = write_group_report(config.output_dir)
    print(f"{summary.n_participants} participants, {summary.n_rows} fused images")
    for path in (summary.tsv, summary.html):
        print(path)
    return ExitCode.SUCCESS
