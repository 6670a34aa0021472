"""The report of a subject, made of figures and sidecars."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup, escape

from fusionprep.bids import fused_names, names
from fusionprep.config_file import CONFIG_FILE, read_logged
from fusionprep.errors import DataError, UnreadableFileError
from fusionprep.files import write_text
from fusionprep.pages import page_template
from fusionprep.reading import read_text
from fusionprep.reports.records import Scan, SubjectRecord, read_subject, taken_from
from fusionprep.reports.subject import blocks, scores
from fusionprep.reports.subject.pet_text import region_caption
from fusionprep.reports.subject.sections import Figures, sections
from fusionprep.reports.subject.spec import report_spec
from fusionprep.reports.subject.viewer import write_viewer
from fusionprep.spaces import NATIVE

CITATION_FILES = ("CITATION.md", "CITATION.bib")
_SAFE_NAME = re.compile(r"[A-Za-z0-9_.+-]+")


def write_participant_report(
    output_dir: Path,
    subject: str,
    *,
    run_uuid: str,
    version: str,
    errors: Sequence[str] = (),
    crash_dir: Path | None = None,
) -> Path:
    """Write ``sub-<label>.html`` from what the output root holds on a subject.

    Works for a subject that failed before anything was written: the report then holds the errors.

    Parameters
    ----------
    output_dir
        Output root; figures are taken from ``sub-<label>/figures``, where the report's text blocks
        are written too.
    subject
        Participant label without ``sub-``.
    run_uuid, version
        The run and the version of fusionprep, for the section *About*; the options come from
        ``logs/<run_uuid>/fusionprep.toml`` where it exists.
    errors
        Messages for the section *Errors*.
    crash_dir
        Where ``crash-*.txt`` are; ``logs/<run_uuid>`` of the output root by default. Crashes that
        name another subject are left out.

    Returns
    -------
    pathlib.Path
        The report.
    """
    output_dir = Path(output_dir).absolute()
    logs = output_dir / "logs" / run_uuid
    figures = output_dir / names.figures_folder(f"sub-{subject}")
    record = read_subject(output_dir, subject)
    unsafe = [path.name for path in figures.glob("*") if not _is_safe(path)]
    messages = [*errors, *record.problems]
    messages += [f"Left out because its name is not a BIDS name: {name}" for name in unsafe]
    crashes = _crashes(logs if crash_dir is None else Path(crash_dir), subject)
    untold = [text for _, text in crashes if not _is_told(text, messages)]
    told = (read_logged(logs) or {}).get("models")
    models = [str(name) for name in told] if isinstance(told, list) else []
    viewer, problem = _viewer(output_dir, record, models)
    messages += [problem] if problem else []
    methods = (_read(logs / name) or _read(logs.parent / name) for name in CITATION_FILES)
    of_subject = {
        **({names.VIEWER: viewer} if viewer is not None else {}),
        names.METHODS: blocks.methods_block(*methods),
        names.ABOUT: blocks.about_block(version, run_uuid, _read(logs / CONFIG_FILE)),
        names.ERRORS: blocks.errors_block(messages, crashes),
    }
    texts = _texts(record, len(messages) + len(untold))
    texts |= {names.block_name({"sub": subject}, desc): text for desc, text in of_subject.items()}
    _write_texts(figures, texts)
    return _assemble(output_dir, subject, _region_captions(record) | _origins(record))


def _is_safe(path: Path) -> bool:
    return _SAFE_NAME.fullmatch(path.name) is not None


def _viewer(
    output_dir: Path, record: SubjectRecord, models: Sequence[str]
) -> tuple[Markup | None, str | None]:
    """The block of the viewer, and why there is none where an image cannot be read."""
    try:
        return write_viewer(output_dir, record, models), None
    except DataError as error:
        problem = f"No interactive viewer: {error}"
        return Markup('<p class="missing">{}</p>').format(blocks.without_paths(problem)), problem


def _texts(record: SubjectRecord, failures: int) -> dict[str, Markup]:
    """Text blocks by file name without extension."""
    own = {"sub": record.label}
    spaces = dict.fromkeys(item.space for scan in record.scans() for item in scan.fused)
    summary = blocks.summary_block(record, list(spaces), failures)
    texts = {names.block_name(own, names.SUMMARY): summary}
    for anatomy in record.anatomies():
        session = {"ses": anatomy.session} if anatomy.session else {}
        name = names.block_name({**own, **session}, names.ANATOMICAL)
        texts[name] = blocks.anatomical_block(record, anatomy) + scores.quality_table(anatomy)
    for scan in record.scans():
        name = names.block_name({**own, **scan.entities}, names.SUMMARY, scan.modality)
        texts[name] = _scan_text(scan)
    return texts


def _scan_text(scan: Scan) -> Markup:
    parts = [blocks.scan_block(scan)]
    if scan.native is not None:
        parts.append(scores.quality_table(scan.native, scan.variants.get(names.SUVR)))
    return Markup("\n").join([*parts, scores.fused_block(scan)])


def _write_texts(figures: Path, texts: dict[str, Markup]) -> None:
    figures.mkdir(parents=True, exist_ok=True)
    # The block of an image that no longer exists would otherwise return in the report.
    for stale in figures.glob("*.html"):
        stale.unlink(missing_ok=True)
    for name, text in texts.items():
        write_text(figures / f"{name}.html", str(text))


def _region_captions(record: SubjectRecord) -> dict[str, str]:
    """Captions of the figures of reference regions, by file name without extension."""
    return {
        names.block_name(
            {"sub": record.label, **scan.entities}, names.SUVR, scan.modality
        ): region_caption(scan)
        for scan in record.scans()
        if scan.modality.tracer
    }


def _origins(record: SubjectRecord) -> dict[str, str]:
    """Captions of figures of what was made before, by file name without extension."""
    own, made_by = {"sub": record.label}, {}
    for image in record.derivatives:
        session = {"ses": image.session} if image.session else {}
        entities = {**own, **session}
        if image.suffix == names.DSEG and "seg" not in image.entities and taken_from(image):
            mask = record.beside(image, names.MASK, desc=names.BRAIN, space=None)
            masked = taken_from(mask)
            caption = f"Tissues from {taken_from(image)}"
            caption += f", brain mask from {masked}" if masked else ""
            made_by[names.block_name(entities, names.TISSUE)] = caption
        elif image.entities.get("desc") == names.BRAIN and taken_from(image):
            caption = f"Brain mask from {taken_from(image)}"
            made_by.setdefault(names.block_name(entities, names.TISSUE), caption)
    for t1w in record.t1ws():
        software = taken_from(t1w, "Registration")
        if software and "space" in t1w.entities:
            entities = {**t1w.entities, "desc": names.NORM}
            entities.pop("res", None)
            name = names.file_name(t1w.suffix, entities)
            made_by[name] = f"Transform from {software}"
    for scan in record.scans():
        if software := taken_from(scan.native, "Registration"):
            name = names.block_name({**own, **scan.entities}, names.COREG, scan.modality)
            made_by[name] = f"Transform from {software}"
    return made_by


def _assemble(output_dir: Path, subject: str, region_captions: Mapping[str, str]) -> Path:
    folder = output_dir / names.figures_folder(f"sub-{subject}")
    # nireports puts a file's name into HTML as it is; of text blocks it shows none.
    shown = [path for path in folder.glob("*") if path.suffix == ".html" or _is_safe(path)]
    found = sections(report_spec(folder), Figures(shown), output_dir)
    for section in found:
        for reportlet in section.reportlets:
            reportlet.components = [
                _component(content, reportlet.subtitle, _caption(content, region_captions))
                for content, _ in reportlet.components
            ]
    target = output_dir / f"sub-{subject}.html"
    page = page_template("report-participant.tpl")
    write_text(target, page.render(title=f"sub-{subject} · fusionprep", sections=found))
    return target


def _component(content: str, subtitle: str | None, caption: str) -> tuple[Markup, str]:
    """A reportlet's HTML, with words in place of a picture that is not seen, and its caption."""
    words = escape(" ".join(filter(None, [subtitle, caption])))
    for plain, told in (
        ("<img ", f'<img loading="lazy" alt="{words}" '),
        ("<object ", f'<object aria-label="{words}" '),
    ):
        content = content.replace(plain, told)
    return Markup(content), caption


def _caption(content: str, region_captions: Mapping[str, str]) -> str:
    """Model and space of a fused mosaic, or what is known of a figure of a reference region."""
    found = re.search(r'(?:src|data)="[^"]*/([^"/]+)\.(png|jpg|svg)"', content)
    if found is None:
        return ""
    if found[2] == "svg":
        return region_captions.get(found[1], "")
    entities, _ = names.parse_name(found[1])
    desc = fused_names.FusedDesc.parse(entities.get("desc", ""))
    return "" if desc is None else f"{desc.title} in the space {entities.get('space', NATIVE)}"


def _crashes(folder: Path, subject: str) -> list[tuple[str, str]]:
    """Name and text of the crash files of a subject, and of those that name no subject."""
    found = []
    for path in sorted(folder.glob("crash-*.txt")):
        text = _read(path) or ""
        named = re.search(r"^Node: (.*)$", text, flags=re.MULTILINE)
        owner = re.search(r"(?:^|\.)sub_(\w+?)_wf(?:\.|$)", named[1]) if named else None
        # A workflow's name cannot hold the plus sign that a label may.
        if owner is None or owner[1] == subject.replace("+", "_"):
            found.append((named[1] if named else path.name, text))
    return found


def _is_told(crash: str, messages: Sequence[str]) -> bool:
    """Whether a message reports a crash already, so that one error does not count twice."""
    last = crash.strip().rsplit("\n", 1)[-1].strip()
    return any(message in crash or last in message for message in messages)


def _read(path: Path) -> str | None:
    """A text for the report; None where there is none, and why where it cannot be read."""
    try:
        return read_text(path, errors="replace")
    except UnreadableFileError as error:
        return None if error.absent else str(error)
