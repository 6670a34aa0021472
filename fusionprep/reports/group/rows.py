"""What the outputs of all participants say, gathered from sidecars and names of figures alone."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionprep.bids import fused_names, names
from fusionprep.bids.types import ImageFile
from fusionprep.modalities import MOVED
from fusionprep.reports.group.files import figure_of, find_figures, told_errors
from fusionprep.reports.group.pet_values import pet_values
from fusionprep.reports.group.unfinished import Recorded
from fusionprep.reports.records import (
    Scan,
    SubjectRecord,
    finite,
    fused_desc,
    fused_title,
    model_name,
    model_version,
    read_subject,
    taken_from,
    worst,
)
from fusionprep.reports.subject.blocks import without_paths
from fusionprep.spaces import NATIVE

IDENTITY = (
    "participant_id",
    "session_id",
    "modality",
    "tracer",
    "reconstruction",
    "run",
    "task",
    "acquisition",
)
"""Columns that tell one scan from all others."""

MISSING = "n/a"
_REGISTRATION = {
    "mi_before": "MattesMIBefore",
    "mi_after": "MattesMIAfter",
    "brain_overlap": "BrainOverlap",
    "brain_coverage": "BrainCoverage",
    "uncertainty": "UncertaintyMillimetres",
    "off_optimum": "OffOptimumMillimetres",
    "runner_up": "RunnerUp",
    "rotation": "RotationDegrees",
    "translation": "TranslationMillimetres",
}
_T1W_QUALITY = {"t1w_cnr": "CNR", "t1w_cjv": "CJV", "t1w_snr_wm": "SNRWM"}
_SCAN_QUALITY = {
    "gm_wm_ratio": "GMWMRatio",
    "gm_wm_contrast": "GMWMContrast",
    "pet_noise": "Noise",
    "ct_brain_median": "BrainMedianHU",
    "ct_bone_volume": "BoneVolumeMillilitres",
}
"""A scan has those of its modality."""


@dataclass(frozen=True)
class FusedEntry:
    """A scalar fused image.

    Attributes
    ----------
    title
        Fusion model, and the anatomical image where that was not the T1w.
    values
        Its columns of the table, without those of its scan.
    metrics
        Fusion metrics by name.
    thumbnail, planes
        Figures, relative to the output root; None where there is none.
    """

    title: str
    values: Mapping[str, Any]
    metrics: Mapping[str, float]
    thumbnail: str | None
    planes: str | None

    @property
    def space(self) -> str:
        return self.values["space"]


@dataclass(frozen=True)
class ScanEntry:
    """An image brought to the T1w, and all that was fused from it.

    Attributes
    ----------
    values
        Its columns of the table.
    anatomy
        Name of the T1w it was brought to; None where that is not known.
    reason
        Why the registration got its verdict.
    fused
        All models and spaces.
    """

    values: Mapping[str, Any]
    anatomy: str | None
    reason: str
    fused: tuple[FusedEntry, ...]

    @property
    def participant(self) -> str:
        return self.values["participant_id"]

    @property
    def key(self) -> tuple[str, ...]:
        """Values of :data:`IDENTITY` as they are in the table."""
        return tuple(cell(self.values.get(name)) for name in IDENTITY)

    @property
    def kind(self) -> str:
        """Modality and tracer: scans of one kind can be compared."""
        return " ".join(filter(None, (self.values["modality"], _text(self.values["tracer"]))))

    @property
    def image(self) -> str:
        """What the scan is, without participant and session, e.g. ``PET FDG run 2``."""
        named = (
            f"{word}{_text(self.values[name])}"
            for name, word in (
                ("task", "task "),
                ("acquisition", ""),
                ("reconstruction", ""),
                ("run", "run "),
            )
            if self.values[name]
        )
        return " ".join([self.kind, *named])

    @property
    def verdict(self) -> str | None:
        """The worst verdict on it and on the T1w's registrations to templates."""
        return self.verdict_with(*self.fused)

    def verdict_with(self, *fused: FusedEntry) -> str | None:
        """The worst verdict on it, on its T1w, and on the templates of some fused images."""
        own = self.values.get("t1w_verdict"), self.values["registration_verdict"]
        return worst([*own, *(image.values["template_verdict"] for image in fused)])

    @property
    def judged(self) -> tuple[FusedEntry, ...]:
        """One fused image of each model: in T1w space, else in the first one."""
        found: dict[str, FusedEntry] = {}
        for fused in sorted(self.fused, key=lambda item: item.space != NATIVE):
            found.setdefault(fused.title, fused)
        return tuple(found.values())


@dataclass(frozen=True)
class ParticipantEntry:
    """A participant, complete or not.

    Attributes
    ----------
    name
        With prefix.
    report
        File name of the subject report; None where there is none.
    anatomies
        How many T1w images were preprocessed.
    scans
        Everything brought to a T1w.
    problems
        What went wrong, one line each.
    """

    name: str
    report: str | None
    anatomies: int
    scans: tuple[ScanEntry, ...]
    problems: tuple[str, ...] = field(default=())

    @property
    def missing(self) -> str:
        """What is missing or went wrong; empty where all is complete."""
        if self.problems:
            return "; ".join(self.problems)
        if not self.anatomies and not self.scans:
            return "no outputs: the run failed before anything was written"
        if not any(scan.fused for scan in self.scans):
            finished = ", ".join(scan.image for scan in self.scans)
            return f"no fused image; finished: {finished}" if finished else "nothing in T1w space"
        return ""


def rank_of_kind(kind: str) -> tuple[int, str]:
    """Sorts kinds of scans by modality in the order of its table, then by name."""
    labels = [modality.label for modality in MOVED]
    word = kind.split(" ", 1)[0]
    return labels.index(word) if word in labels else len(labels), kind


def find_participants(output_dir: Path) -> list[str]:
    """Labels of all participants with a folder or a report, sorted."""
    folders = {path.name for path in output_dir.glob("sub-*") if path.is_dir()}
    pages = (path for path in output_dir.glob("sub-*.html") if path.is_file())
    reports = {path.name.removesuffix(".html") for path in pages}
    return sorted(name.removeprefix("sub-") for name in folders | reports)


def read_participant(
    output_dir: Path, label: str, recorded: Recorded | None = None, crashes: Iterable[str] = ()
) -> ParticipantEntry:
    """Read the sidecars of a participant, the names of its figures, and its errors.

    Parameters
    ----------
    recorded
        What the records of runs say of it; None where there are none.
    crashes
        Errors of the last run, for a participant without a report that would show them.
    """
    recorded = recorded or Recorded()
    record = read_subject(output_dir, label)
    figures = find_figures(output_dir, label)
    report = output_dir / f"sub-{label}.html"
    told = told_errors(output_dir, label)
    if told is None:
        told = [without_paths(line) for line in crashes]
    if not told:
        told = [without_paths(line) for line in recorded.errors]
    problems = [*told, *record.problems, *filter(None, [recorded.unfinished])]
    if recorded.finished_by and not (output_dir / f"sub-{label}").is_dir():
        problems.append(f"its outputs were removed after run {recorded.finished_by} had finished")
    return ParticipantEntry(
        name=f"sub-{label}",
        report=report.name if report.is_file() else None,
        anatomies=len(record.anatomies()),
        scans=tuple(_scan_entry(output_dir, record, scan, figures) for scan in record.scans()),
        problems=tuple(dict.fromkeys(problems)),
    )


def _scan_entry(
    output_dir: Path, record: SubjectRecord, scan: Scan, figures: Mapping[Any, str]
) -> ScanEntry:
    anatomy = record.anatomy_of(scan)
    native = scan.native
    session = scan.entities.get("ses")
    reason = None if native is None else native.get("Registration", "VerdictReason")
    values = {
        "participant_id": f"sub-{record.label}",
        "session_id": f"ses-{session}" if session else None,
        "modality": scan.modality.label,
        "tracer": scan.entities.get("trc") or _recorded(native, "TracerName"),
        "reconstruction": scan.entities.get("rec"),
        "run": scan.entities.get("run"),
        "task": scan.entities.get("task"),
        "acquisition": scan.entities.get("acq"),
        "t1w": _recorded(native, "Pairing", "T1w"),
        "pairing_reason": _recorded(native, "Pairing", "Reason"),
        "day_gap": finite(_recorded(native, "Pairing", "DayGap")),
        "registration_method": _recorded(native, "Registration", "Method"),
        "registration_verdict": _recorded(native, "Registration", "Verdict"),
        "registration_from": taken_from(native, "Registration"),
        **_numbers(native, "Registration", _REGISTRATION),
        **_anatomy_values(record, anatomy),
        **_quality(scan),
        **pet_values(scan),
    }
    return ScanEntry(
        values=values,
        anatomy=None if anatomy is None else anatomy.path.name,
        reason=_text(reason) or "",
        fused=tuple(
            _fused_entry(output_dir, record, anatomy, fused, figures) for fused in scan.fused
        ),
    )


def _recorded(image: ImageFile | None, *keys: str) -> Any:
    return None if image is None else image.get(*keys)


def _numbers(image: ImageFile | None, group: str, keys: Mapping[str, str]) -> dict[str, Any]:
    return {column: finite(_recorded(image, group, key)) for column, key in keys.items()}


def _anatomy_values(record: SubjectRecord, anatomy: ImageFile | None) -> dict[str, Any]:
    mask = dseg = lesion = None
    if anatomy is not None:
        mask = record.beside(anatomy, names.MASK, desc=names.BRAIN, space=None)
        dseg = record.beside(anatomy, names.DSEG, space=None)
        lesion = record.beside(anatomy, names.MASK, label=names.LESION, desc=None, space=None)
    volumes = {f"{tissue.lower()}_volume": tissue for tissue in ("GM", "WM", "CSF")}
    return {
        **_numbers(anatomy, "Quality", _T1W_QUALITY),
        "t1w_noise": finite(_recorded(anatomy, "NoiseEstimate", "OfContrast")),
        "t1w_denoised": _recorded(anatomy, "Denoised"),
        "brain_volume": finite(_recorded(mask, "BrainVolumeMillilitres")),
        "lesion_volume": finite(_recorded(lesion, "LesionVolumeMillilitres")),
        **_numbers(dseg, "TissueVolumesMillilitres", volumes),
        "t1w_verdict": _recorded(anatomy, "Plausibility", "Verdict"),
        "mask_from": taken_from(mask),
        "tissues_from": taken_from(dseg),
    }


def _quality(scan: Scan) -> dict[str, float | None]:
    reference = finite(_recorded(scan.variants.get(names.SUVR), "SUVR", "Reference"))
    means = _numbers(scan.native, "Quality", {"suvr_gm": "GMMean", "suvr_wm": "WMMean"})
    suvr = {
        name: mean / reference if mean is not None and reference else None
        for name, mean in means.items()
    }
    return {**suvr, **_numbers(scan.native, "Quality", _SCAN_QUALITY)}


def _fused_entry(
    output_dir: Path,
    record: SubjectRecord,
    anatomy: ImageFile | None,
    fused: ImageFile,
    figures: Mapping[Any, str],
) -> FusedEntry:
    template = None
    if anatomy is not None and fused.entities.get("space") != NATIVE:
        wanted = {key: fused.entities.get(key) for key in ("space", "res")}
        template = next(iter(record.t1ws(ses=anatomy.session, **wanted)), None)
    metrics = fused.get("FusionMetrics")
    numbers = metrics.items() if isinstance(metrics, Mapping) else ()
    values = {
        "space": fused.space,
        "model": model_name(fused),
        "model_version": model_version(fused),
        "contrast": fused_desc(fused).contrast.label,
        **_numbers(
            template,
            "Registration",
            {
                "template_mask_dice": "MaskDice",
                "template_gm_dice": "GMDice",
                "template_displacement": "DisplacementMillimetres",
            },
        ),
        "template_verdict": _recorded(template, "Registration", "Verdict"),
        "template_from": taken_from(template, "Registration"),
        "run_time": finite(fused.get("FusionModel", "RunTimeSeconds")),
        "software": fused.get("FusionModel", "Software"),
        "fused_file": fused.path.relative_to(output_dir).as_posix(),
    }
    return FusedEntry(
        title=fused_title(fused),
        values=values,
        metrics={
            name: value
            for name, item in numbers
            if name != "Slices" and (value := finite(item)) is not None
        },
        thumbnail=figure_of(figures, fused_names.THUMBNAIL, fused),
        planes=figure_of(figures, fused_names.PLANES, fused),
    )


def _text(value: Any) -> str | None:
    """A value of a sidecar on one line; None where nothing is left."""
    if value is None:
        return None
    return re.sub(r"\s+", " ", str(value)).strip() or None


def cell(value: Any) -> str:
    """A value as it stands in the table; white space that would break a row becomes a space."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return _text(value) or MISSING
