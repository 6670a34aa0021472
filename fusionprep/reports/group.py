"""The group level: a table of all fused images and a page to look through, from the outputs."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionprep.errors import NoInputError
from fusionprep.image.io import write_whole
from fusionprep.reports.group_columns import COLUMNS
from fusionprep.reports.records import (
    VERDICTS,
    Derivative,
    Scan,
    SubjectRecord,
    finite,
    model_name,
    model_version,
    read_subject,
    worst,
)

_DATA = Path(__file__).resolve().parents[1] / "data"
_MISSING = "n/a"
_GREY, _WHITE = 1, 2

Row = dict[str, str]


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
    """

    n_participants: int
    n_rows: int
    tsv: Path
    json: Path
    html: Path


def write_group_report(output_dir: Path) -> GroupSummary:
    """Write ``group_fusion.tsv``, ``.json`` and ``.html`` from the participants' outputs.

    The table has a row for each scalar fused image, ordered by participant; ``n/a`` stands where
    a value was not recorded. The page shows failed and doubtful registrations first and names
    participants without a fused image.

    Parameters
    ----------
    output_dir
        Output root of the participant level; nothing else is read.

    Raises
    ------
    NoInputError
        When the folder holds neither outputs nor a report of any participant.
    """
    output_dir = Path(output_dir)
    labels = find_participants(output_dir)
    if not labels:
        raise NoInputError(
            f"no participants in {output_dir}: looked for folders sub-* and reports sub-*.html; "
            "run the participant level first"
        )
    rows: list[Row] = []
    incomplete: dict[str, str] = {}
    for label in labels:
        record = read_subject(output_dir, label)
        found = subject_rows(output_dir, record)
        rows += found
        if not found or record.problems:
            incomplete[label] = _what_is_missing(record)
    targets = {kind: output_dir / f"group_fusion.{kind}" for kind in ("tsv", "json", "html")}
    contents = {
        "tsv": _tsv(rows),
        "json": json.dumps(COLUMNS, indent=2) + "\n",
        "html": _page(output_dir, rows, incomplete, len(labels)),
    }
    for kind, path in targets.items():
        _write(path, contents[kind])
    return GroupSummary(len(labels), len(rows), **targets)


def find_participants(output_dir: Path) -> list[str]:
    """Labels of all participants with a folder or a report, sorted."""
    folders = {path.name for path in output_dir.glob("sub-*") if path.is_dir()}
    reports = {path.name.removesuffix(".html") for path in output_dir.glob("sub-*.html")}
    return sorted(name.removeprefix("sub-") for name in folders | reports)


def subject_rows(output_dir: Path, record: SubjectRecord) -> list[Row]:
    """The rows of one participant: one for each scalar fused image."""
    rows = []
    for scan in record.scans():
        if not scan.fused:
            continue
        common = _scan_values(record, scan)
        for fused in scan.fused:
            values = common | _fused_values(output_dir, record, scan, fused)
            rows.append({name: _cell(values.get(name)) for name in COLUMNS})
    return rows


def _scan_values(record: SubjectRecord, scan: Scan) -> dict[str, Any]:
    """What all fused images of a scan have in common."""
    anatomy = record.anatomy_of(scan)
    mask = dseg = None
    if anatomy is not None:
        mask = record.beside(anatomy, "mask", desc="brain", space=None)
        dseg = record.beside(anatomy, "dseg", space=None)
    native = scan.native

    def recorded(*keys: str) -> Any:
        return None if native is None else native.get(*keys)

    session = scan.entities.get("ses")
    return {
        "participant_id": f"sub-{record.label}",
        "session_id": f"ses-{session}" if session else None,
        "modality": scan.modality,
        "tracer": scan.entities.get("trc") or recorded("TracerName"),
        "reconstruction": scan.entities.get("rec"),
        "run": scan.entities.get("run"),
        "t1w": recorded("Pairing", "T1w"),
        "pairing_reason": recorded("Pairing", "Reason"),
        "day_gap": finite(recorded("Pairing", "DayGap")),
        "registration_method": recorded("Registration", "Method"),
        "mi_before": finite(recorded("Registration", "MattesMIBefore")),
        "mi_after": finite(recorded("Registration", "MattesMIAfter")),
        "brain_overlap": finite(recorded("Registration", "BrainOverlap")),
        "brain_coverage": finite(recorded("Registration", "BrainCoverage")),
        "uncertainty": finite(recorded("Registration", "UncertaintyMillimetres")),
        "off_optimum": finite(recorded("Registration", "OffOptimumMillimetres")),
        "runner_up": finite(recorded("Registration", "RunnerUp")),
        "rotation": finite(recorded("Registration", "RotationDegrees")),
        "translation": finite(recorded("Registration", "TranslationMillimetres")),
        "registration_verdict": recorded("Registration", "Verdict"),
        "brain_volume": None if mask is None else finite(mask.get("BrainVolumeMillilitres")),
        **_tissue_volumes(dseg),
        **_tissue_uptake(scan, dseg),
    }


def _tissue_volumes(dseg: Derivative | None) -> dict[str, float | None]:
    return {
        f"{tissue.lower()}_volume": None
        if dseg is None
        else finite(dseg.get("TissueVolumesMillilitres", tissue))
        for tissue in ("GM", "WM", "CSF")
    }


def _tissue_uptake(scan: Scan, dseg: Derivative | None) -> dict[str, float | None]:
    """Mean PET in grey and white matter, as SUVR where there is an SUVR image."""
    if scan.modality != "PET" or dseg is None:
        return {}
    suvr = scan.variants.get("suvr")
    image = suvr or scan.native
    if image is None:
        return {}
    grey, white = tissue_means(image.image, dseg.image)
    means = {"suvr_gm": grey, "suvr_wm": white} if suvr is not None else {}
    ratio = grey / white if grey is not None and white else None
    return {**means, "gm_wm_ratio": ratio}


def tissue_means(pet: Path, dseg: Path) -> tuple[float | None, float | None]:
    """Mean of a PET image in grey (1) and white matter (2) of a segmentation on the same grid.

    Returns
    -------
    tuple
        In the units of the PET; None for a tissue without voxels, and for both when the grids
        differ.
    """
    import nibabel as nib
    import numpy as np

    segmentation = np.asanyarray(nib.load(dseg).dataobj)
    image = nib.load(pet)
    if image.shape[:3] != segmentation.shape:
        return None, None
    values = np.asarray(image.dataobj, dtype=np.float32)
    means = []
    for tissue in (_GREY, _WHITE):
        inside = values[segmentation == tissue]
        inside = inside[np.isfinite(inside)]
        means.append(float(inside.mean(dtype=np.float64)) if inside.size else None)
    return means[0], means[1]


def _fused_values(
    output_dir: Path, record: SubjectRecord, scan: Scan, fused: Derivative
) -> dict[str, Any]:
    template = None
    anatomy = record.anatomy_of(scan)
    if anatomy is not None and fused.entities.get("space") != "T1w":
        wanted = {key: fused.entities.get(key) for key in ("space", "res")}
        template = record.beside(anatomy, "T1w", desc="preproc", **wanted)

    def score(key: str) -> Any:
        return None if template is None else template.get("Registration", key)

    verdict = None if scan.native is None else scan.native.get("Registration", "Verdict")
    return {
        "space": fused.space,
        "model": model_name(fused),
        "model_version": model_version(fused),
        "template_mask_dice": finite(score("MaskDice")),
        "template_gm_dice": finite(score("GMDice")),
        "template_verdict": score("Verdict"),
        "verdict": worst([verdict, score("Verdict")]),
        "fused_file": fused.image.relative_to(output_dir).as_posix(),
    }


def _what_is_missing(record: SubjectRecord) -> str:
    if record.problems:
        return "; ".join(record.problems)
    if not record.derivatives:
        return "no outputs: the run failed before anything was written"
    scans = ", ".join(scan.label for scan in record.scans())
    return f"no fused image; finished: {scans}" if scans else "no PET or CT in T1w space"


def _cell(value: Any) -> str:
    """A value as it stands in the table; white space that would break a row becomes a space."""
    if value is None or value == "":
        return _MISSING
    if isinstance(value, float):
        return f"{value:.6g}"
    return re.sub(r"\s+", " ", str(value)).strip() or _MISSING


def _tsv(rows: Sequence[Row]) -> str:
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(row[name] for name in COLUMNS) for row in rows]
    return "\n".join(lines) + "\n"


def _page(
    output_dir: Path, rows: Sequence[Row], incomplete: Mapping[str, str], participants: int
) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(_DATA)),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ranks = {verdict: rank for rank, verdict in enumerate(VERDICTS)}
    # A registration nobody scored comes before one that passed.
    ordered = sorted(rows, key=lambda row: ranks.get(row["verdict"], 1.5))
    reports = {path.name for path in output_dir.glob("sub-*.html")}
    names = dict.fromkeys([*(row["participant_id"] for row in rows), *_ids(incomplete)])
    template = environment.get_template("report-group.tpl")
    return template.render(
        rows=ordered,
        incomplete=dict(zip(_ids(incomplete), incomplete.values(), strict=True)),
        links={name: f"{name}.html" for name in names if f"{name}.html" in reports},
        participants=participants,
        counts={verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS},
        columns=COLUMNS,
    )


def _ids(labels: Mapping[str, str]) -> list[str]:
    return [f"sub-{label}" for label in labels]


def _write(path: Path, content: str) -> None:
    write_whole(path, lambda temporary: temporary.write_text(content, encoding="utf-8"))
