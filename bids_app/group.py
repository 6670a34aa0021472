"""The group level: tables and a report from the derivatives alone."""

from bids_app.exitcodes import ExitCode
from fusionprep.config import Config


def run_group(config: Config) -> ExitCode:
    """Write ``group_fusion.{tsv,json,html}`` and say where they are.

    Raises
    ------
    NoInputError
        When the output folder holds no derivatives of the participant level.
    """
    from fusionprep.reports.group import write_group_report

    summary = write_group_report(config.output_dir)
    print(f"{summary.n_participants} participants, {summary.n_rows} fused images")
    for path in (summary.tsv, summary.html):
        print(path)
    return ExitCode.SUCCESS
