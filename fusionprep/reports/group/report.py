"""The group level: a table of all fused images and a page to look through, from the outputs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionprep.bids.output_checks import refuse_folder, usable_folder
from fusionprep.errors import NoInputError
from fusionprep.files import write_text
from fusionprep.reports.group.cohort import FOLDER, write_cohort_images
from fusionprep.reports.group.columns import METRIC_PREFIX, columns
from fusionprep.reports.group.models import compare_models
from fusionprep.reports.group.outliers import (
    Outlier,
    distributions,
    metric_distributions,
    outliers_by_scan,
)
from fusionprep.reports.group.page import Findings, render_page
from fusionprep.reports.group.ratings import Rating, read_ratings
from fusionprep.reports.group.regions import REGIONS, write_region_table
from fusionprep.reports.group.rows import (
    FusedEntry,
    ParticipantEntry,
    cell,
    find_participants,
    read_participant,
)
from fusionprep.reports.group.unfinished import read_recorded

Row = dict[str, str]

INCOMPLETE = "group_incomplete.tsv"


@dataclass(frozen=True)
class GroupSummary:
    """What the group level wrote.

    Attributes
    ----------
    n_participants
        Participants found, complete or not.
    n_rows
        Fused images, over all models and spaces.
    tsv, json, html
        The table, its data dictionary and the page.
    incomplete
        Names of participants without a complete result; ``group_incomplete.tsv`` says why.
    warnings
        One line for each rating that belongs to no scan, and each table that cannot be read.
    regions
        The table of regions; None where none were measured.
    """

    n_participants: int
    n_rows: int
    tsv: Path
    json: Path
    html: Path
    incomplete: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    regions: Path | None = None


def write_group_report(
    output_dir: Path,
    *,
    ratings_file: Path | None = None,
    crashes: Mapping[str, Sequence[str]] | None = None,
) -> GroupSummary:
    """Write ``group_fusion.tsv``, ``.json`` and ``.html``, ``group_figures/`` and the regions.

    All is taken from sidecars and small figures; no volume is read. The table has a row for each
    scalar fused image, ordered by participant; ``n/a`` stands where a value was not recorded.
    Participants without a complete result, be it that a run was cut off before their first output,
    are in ``group_incomplete.tsv`` with the reason. Uptake in regions has a table of its own, see
    :func:`~fusionprep.reports.group.regions.write_region_table`.

    Parameters
    ----------
    output_dir
        Output root of the participant level; nothing else is read.
    ratings_file
        Ratings of scans by people, see :func:`~fusionprep.reports.group.ratings.read_ratings`.
    crashes
        Participant labels to errors of their last run, for those that have no report of them.

    Raises
    ------
    NoInputError
        When the folder holds neither outputs nor a report nor a record of any participant, or there
        are no such ratings.
    DataError
        When the ratings cannot be used.
    OutputError
        When something is in the way of what is to be written.
    """
    output_dir = Path(output_dir)
    targets = {kind: output_dir / f"group_fusion.{kind}" for kind in ("tsv", "json", "html")}
    _check_writable(output_dir, targets.values())
    recorded = read_recorded(output_dir)
    labels = sorted({*find_participants(output_dir), *recorded})
    if not labels:
        raise NoInputError(
            f"no participants in {output_dir}: looked for folders sub-* and reports sub-*.html; "
            "run the participant level first"
        )
    participants = [
        read_participant(output_dir, label, recorded.get(label), (crashes or {}).get(label, ()))
        for label in labels
    ]
    scans = [scan for participant in participants for scan in participant.scans]
    ratings, warnings = ({}, []) if ratings_file is None else read_ratings(ratings_file, scans)
    excluded = {index for index, given in ratings.items() if given.rating == "fail"}
    unused = excluded | {
        index
        for index, scan in enumerate(scans)
        if scan.verdict == "fail" and (index not in ratings or ratings[index].rating != "pass")
    }
    findings = Findings(
        participants=participants,
        scans=scans,
        ratings=ratings,
        excluded=excluded,
        unused=unused,
        distributions=distributions(scans, excluded),
        metric_distributions=metric_distributions(scans, excluded),
        cohort=write_cohort_images(output_dir, scans, unused),
        comparisons=compare_models(scans, unused),
    )
    rows, described = _table(findings)
    contents = {
        "tsv": _tsv(rows, list(described)),
        "json": json.dumps(described, indent=2) + "\n",
        "html": render_page(output_dir, findings, described, len(rows), warnings),
    }
    incomplete = _write_incomplete(output_dir, participants)
    for kind, path in targets.items():
        write_text(path, contents[kind])
    regions, unread = write_region_table(output_dir)
    return GroupSummary(
        len(labels),
        len(rows),
        **targets,
        incomplete=incomplete,
        warnings=(*warnings, *unread),
        regions=regions,
    )


def _write_incomplete(
    output_dir: Path, participants: Iterable[ParticipantEntry]
) -> tuple[str, ...]:
    """Write who has no complete result, and why; their names."""
    rows = [
        {"participant_id": item.name, "reason": cell(item.missing)}
        for item in participants
        if item.missing
    ]
    write_text(output_dir / INCOMPLETE, _tsv(rows, ["participant_id", "reason"]))
    return tuple(row["participant_id"] for row in rows)


def _check_writable(output_dir: Path, targets: Iterable[Path]) -> None:
    if not usable_folder(output_dir, "the output folder "):
        return
    regions = (output_dir / f"{REGIONS}.{kind}" for kind in ("tsv", "json"))
    for path in (*targets, output_dir / INCOMPLETE, *regions):
        refuse_folder(path)
    figures = output_dir / FOLDER
    if usable_folder(figures):
        for path in figures.glob("*.png"):
            refuse_folder(path)


def _table(findings: Findings) -> tuple[list[Row], dict[str, dict[str, Any]]]:
    """Rows, and what their columns mean."""
    scans = findings.scans
    described = columns({name for scan in scans for fused in scan.fused for name in fused.metrics})
    by_scan = outliers_by_scan(findings.distributions, len(scans))
    by_model = outliers_by_scan(findings.metric_distributions, len(scans))
    rows = []
    for index, scan in enumerate(scans):
        common = dict(scan.values) | _rating_values(findings.ratings.get(index))
        common["excluded"] = index in findings.excluded
        for fused in scan.fused:
            own = [item for item in by_scan[index] if _is_of(item, fused)]
            own += [item for item in by_model[index] if item.group == f"{scan.kind}, {fused.title}"]
            values = (
                common
                | dict(fused.values)
                | {
                    "verdict": scan.verdict_with(fused),
                    "outlier": " ".join(dict.fromkeys(item.measure.column for item in own)),
                    **{METRIC_PREFIX + name: value for name, value in fused.metrics.items()},
                }
            )
            rows.append({name: cell(values.get(name)) for name in described})
    return rows, described


def _is_of(outlier: Outlier, fused: FusedEntry) -> bool:
    """Whether an outlier of a scan concerns a fused image: other templates are not its own."""
    return outlier.measure.of != "template" or outlier.group == fused.space


def _rating_values(given: Rating | None) -> dict[str, str | None]:
    return {
        "rating": None if given is None else given.rating,
        "rating_note": None if given is None else given.note,
    }


def _tsv(rows: Sequence[Row], names: Sequence[str]) -> str:
    lines = ["\t".join(names)]
    lines += ["\t".join(row[name] for name in names) for row in rows]
    return "\n".join(lines) + "\n"
