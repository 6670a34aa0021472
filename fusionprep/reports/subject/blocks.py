"""Text blocks of the subject report: HTML in which every word from data is escaped."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup, escape

from fusionprep.bids import names
from fusionprep.bids.types import ImageFile
from fusionprep.reports.records import (
    Scan,
    SubjectRecord,
    finite,
    fused_title,
    notes_of,
    taken_from,
    worst,
)
from fusionprep.reports.subject.pet_text import frame_facts, quantity_facts, region_remarks

_ABSOLUTE_PATH = re.compile(r"(?<![\w.:/<>-])/(?:[^\s'\"<>:,;()\[\]/]+/)+([^\s'\"<>:,;()\[\]/]*)")
_VERDICT_TEXT = {"pass": "pass", "review": "please review", "fail": "fail"}
_SCAN_METADATA = {
    "TracerName": "Tracer",
    "TracerRadionuclide": "Radionuclide",
    "Manufacturer": "Manufacturer",
    "ManufacturersModelName": "Scanner",
    "ReconMethodName": "Reconstruction",
    "Units": "Units",
}

BRAIN_HU = (0.0, 100.0)
"""Where the median of the brain lies in any CT in Hounsfield units, also with contrast agent."""


def without_paths(text: str) -> str:
    """Shorten absolute paths to the file's name: a report reveals nothing about the machine."""
    return _ABSOLUTE_PATH.sub(lambda match: f"…/{match[1]}", text)


def badge(verdict: Any) -> Markup:
    """A verdict as a coloured label; any other value as plain text."""
    if not isinstance(verdict, str) or verdict not in _VERDICT_TEXT:
        return Markup('<span class="badge none">{}</span>').format(show(verdict, "not scored"))
    return Markup('<span class="badge {}">{}</span>').format(verdict, _VERDICT_TEXT[verdict])


def show(value: Any, missing: str = "not recorded", unit: str = "", digits: int = 3) -> Markup:
    """A value of a sidecar for reading: numbers rounded, lists joined, absent values named."""
    if value is None or value == "":
        return Markup('<span class="missing">{}</span>').format(missing)
    number = finite(value)
    if number is not None:
        whole = number.is_integer() or abs(number) >= 10**digits
        text = f"{number:.0f}" if whole else f"{number:.{digits}g}"
    elif isinstance(value, list):
        text = ", ".join(str(item) for item in value)
    else:
        text = without_paths(str(value))
    return escape(f"{text} {unit}".rstrip())


def table(rows: Iterable[tuple[str, Any]]) -> Markup:
    """Names and values in two columns."""
    body = Markup("\n").join(
        Markup("<tr><th scope='row'>{}</th><td>{}</td></tr>").format(name, value)
        for name, value in rows
    )
    return Markup('<table class="facts">{}</table>\n').format(body)


def grid(headers: Sequence[str], rows: Iterable[Sequence[Any]], *, name: str) -> Markup:
    """A table with a head; it scrolls by itself, also by keyboard, where the page is narrow.

    Parameters
    ----------
    headers, rows
        Cells of the head and of the body.
    name
        What the table holds, read out when it gets the focus.
    """

    def line(cells: Sequence[Any], tag: str) -> Markup:
        cell = Markup(f"<{tag} scope='col'>{{}}</{tag}>" if tag == "th" else "<td>{}</td>")
        return Markup("<tr>{}</tr>").format(Markup("").join(cell.format(item) for item in cells))

    body = Markup("\n").join(line(row, "td") for row in rows)
    return Markup(
        '<div class="wide" tabindex="0" role="group" aria-label="{}"><table class="grid">'
        "<thead>{}</thead><tbody>{}</tbody></table></div>\n"
    ).format(name, line(headers, "th"), body)


def summary_block(record: SubjectRecord, spaces: Sequence[str], failures: int) -> Markup:
    """What was found, made and judged for a subject, and how many errors there were."""
    scans = record.scans()
    models = dict.fromkeys(fused_title(item) for scan in scans for item in scan.fused)
    rows: list[tuple[str, Any]] = [
        ("Participant", f"sub-{record.label}"),
        ("Worst verdict", badge(overall_verdict(record))),
        ("Sessions", show(list(record.sessions) or None, "none")),
        ("T1w images", show([_name(item) for item in record.anatomies()] or None, "none finished")),
        ("Output spaces", show(list(spaces) or None, "none finished")),
        ("Fusion models", show(list(models) or None, "none finished")),
    ]
    if record.unknown:
        rows.append(("Left out, made by another version", show(list(record.unknown))))
    alert = Markup("")
    if failures:
        count = "1 error" if failures == 1 else f"{failures} errors"
        alert = Markup('<p class="alert">{} — see <a href="#errors">Errors</a>.</p>').format(count)
    return alert + table(rows) + _verdicts(record, scans)


def _verdicts(record: SubjectRecord, scans: Sequence[Scan]) -> Markup:
    """One line for each registration of the subject."""
    lines = [
        ("Tissues of the T1w", _session(item), item, "", "Plausibility")
        for item in record.anatomies()
        if item.get("Plausibility") is not None
    ]
    lines += [
        ("T1w to " + item.entities["space"], _session(item), item, "", "Registration")
        for item in record.t1ws()
        if "space" in item.entities
    ]
    lines += [
        (
            *(f"{scan.modality.label} to T1w", scan.label, scan.native),
            *(_pairing(scan.native), "Registration"),
        )
        for scan in scans
        if scan.native is not None
    ]
    if not lines:
        return Markup('<p class="missing">No registration was finished.</p>\n')
    return grid(
        ("What", "Image", "Verdict", "Why", "Pairing"),
        [
            (
                what,
                label,
                badge(item.get(field, "Verdict")),
                show(item.get(field, "VerdictReason"), ""),
                pairing,
            )
            for what, label, item, pairing, field in lines
        ],
        name="Verdicts",
    )


def _pairing(native: ImageFile) -> str:
    reason, gap = native.get("Pairing", "Reason"), finite(native.get("Pairing", "DayGap"))
    text = without_paths(str(reason)) if reason else "not recorded"
    return text if gap is None else f"{text} ({gap:.0f} days apart)"


def _session(item: ImageFile) -> str:
    return f"ses-{item.entities['ses']}" if "ses" in item.entities else "T1w"


def _name(item: ImageFile) -> str:
    return item.path.name.removesuffix(names.IMAGE)


def anatomical_block(record: SubjectRecord, anatomy: ImageFile) -> Markup:
    """Volumes of one T1w and how its brain mask was made."""
    mask = record.beside(anatomy, names.MASK, desc=names.BRAIN, space=None)
    dseg = record.beside(anatomy, names.DSEG, space=None)
    rows: list[tuple[str, Any]] = [
        ("T1w", _name(anatomy)),
        ("Bias correction", show(anatomy.get("BiasCorrection"))),
    ]
    if anatomy.get("NoiseEstimate") is not None:
        noise = finite(anatomy.get("NoiseEstimate", "OfContrast"))
        rows.append(("Noise, of the contrast of gray and white matter", show(noise)))
        done = "yes" if anatomy.get("Denoised") is True else "no"
        rows.append(("Denoised", show(f"{done}: {anatomy.get('DenoisingReason') or ''}")))
    in_templates = [item for item in record.t1ws(ses=anatomy.session) if "space" in item.entities]
    notes = [note for item in (anatomy, *in_templates) for note in _notes(item)]
    if notes:
        rows.append(("What was changed", " ".join(dict.fromkeys(notes))))
    if mask is not None:
        volume = finite(mask.get("BrainVolumeMillilitres"))
        rows.append(("Brain mask", _made_by(mask) or show(mask.get("Method"))))
        rows.append(("Brain volume", show(volume, unit="mL", digits=4)))
    lesion = record.beside(anatomy, names.MASK, label=names.LESION, desc=None, space=None)
    if lesion is not None:
        volume = finite(lesion.get("LesionVolumeMillilitres"))
        rows.append(("Lesion, left out of models", show(volume, unit="mL", digits=4)))
    if dseg is not None:
        if made_by := _made_by(dseg):
            rows.append(("Tissues", made_by))
        for tissue, name in (("GM", "Gray matter"), ("WM", "White matter"), ("CSF", "CSF")):
            volume = finite(dseg.get("TissueVolumesMillilitres", tissue))
            rows.append((name, show(volume, unit="mL", digits=4)))
    rows += [(f"To {item.space}", _template_scores(item)) for item in in_templates]
    return table(rows)


def _made_by(image: ImageFile) -> Markup:
    """Who made an image before, and how well it agrees with the T1w; empty where we did."""
    software = taken_from(image)
    if not software:
        return Markup("")
    scores = (
        ("Dice with a rough mask of our own", finite(image.get(names.TAKEN_OVER, "Dice"))),
        ("correlation with its T1w", finite(image.get(names.TAKEN_OVER, "Correlation"))),
    )
    told = [f"{name} {value:.3g}" for name, value in scores if value is not None]
    return escape(f"from {software}" + (f" ({', '.join(told)})" if told else ""))


def _template_scores(item: ImageFile) -> Markup:
    taken = Markup("from ") if taken_from(item, "Registration") else Markup("")
    return Markup(
        "{} {}, Dice of brain masks {}, of gray matter {}, largest displacement {} — {}{}"
    ).format(
        badge(item.get("Registration", "Verdict")),
        show(item.get("Registration", "VerdictReason"), ""),
        show(finite(item.get("Registration", "MaskDice"))),
        show(finite(item.get("Registration", "GMDice"))),
        show(finite(item.get("Registration", "DisplacementMillimetres")), unit="mm"),
        taken,
        show(item.get("Registration", "Software"), "software not recorded"),
    )


def scan_block(scan: Scan) -> Markup:
    """Metadata, pairing, scores and assumptions of an image brought to the T1w."""
    native = scan.native
    if native is None:
        return Markup('<p class="missing">{} in T1w space: no sidecar found.</p>').format(
            scan.modality.label
        )
    parts = [
        Markup('<div class="columns"><div><h3>Registration</h3>{}</div>').format(
            _registration(native)
        ),
        Markup("<div><h3>Metadata used</h3>{}</div></div>").format(table(_metadata(scan, native))),
    ]
    assumptions = _assumptions(scan, native)
    if assumptions:
        items = Markup("").join(Markup("<li>{}</li>").format(item) for item in assumptions)
        parts.append(Markup('<h3>What was assumed</h3><ul class="assumed">{}</ul>').format(items))
    return Markup("\n").join(parts)


def _registration(native: ImageFile) -> Markup:
    def score(key: str, unit: str = "") -> Markup:
        return show(finite(native.get("Registration", key)), unit=unit)

    reason = show(native.get("Registration", "VerdictReason"), "")
    rows = [
        (
            "Verdict",
            Markup("{} {}").format(badge(native.get("Registration", "Verdict")), reason),
        ),
        ("T1w", show(native.get("Pairing", "T1w"))),
        ("Why this T1w", show(native.get("Pairing", "Reason"))),
        ("Days between", show(finite(native.get("Pairing", "DayGap")), "unknown")),
        ("Method", show(native.get("Registration", "Method"))),
        ("Software", show(native.get("Registration", "Software"))),
        (
            "Mattes mutual information",
            Markup("{} before, {} after").format(score("MattesMIBefore"), score("MattesMIAfter")),
        ),
        ("Uncertainty", score("UncertaintyMillimetres", "mm")),
        ("Distance from the best alignment", score("OffOptimumMillimetres", "mm")),
        ("Runner-up's share of the information", score("RunnerUp")),
        ("Share of the brain in the field of view", score("BrainCoverage")),
        ("Brain overlap there", score("BrainOverlap")),
        ("Rotation", score("RotationDegrees", "°")),
        ("Translation", score("TranslationMillimetres", "mm")),
    ]
    return table(rows)


def _metadata(scan: Scan, native: ImageFile) -> list[tuple[str, Any]]:
    rows = [
        (name, show(native.get(key)))
        for key, name in _SCAN_METADATA.items()
        if native.get(key) is not None or (scan.modality.tracer and key == "TracerName")
    ]
    if native.get("FrameAveraging") is not None:
        rows.append(("Frames", show(finite(native.get("FrameAveraging", "Frames")))))
        rows.append(("Frame weights", show(native.get("FrameAveraging", "Weights"))))
        seconds = finite(native.get("FrameAveraging", "DurationSeconds"))
        rows.append(("Duration", show(seconds, "unknown", unit="s", digits=5)))
        rows += [(name, show(text)) for name, text in frame_facts(native)]
    rows += [(name, show(text)) for name, text in quantity_facts(scan, native)]
    return rows


def _assumptions(scan: Scan, native: ImageFile) -> list[str]:
    """What the sidecars leave open and how it was dealt with, in sentences."""
    found = []
    if scan.modality.tracer:
        if not native.get("TracerName") and "trc" not in scan.entities:
            found.append("The tracer is not recorded: intensities were scaled without it.")
        if native.get("FrameAveraging", "Weights") == "equal":
            found.append("Frame durations are not recorded: frames were averaged equally.")
        if names.SUV not in scan.variants:
            reason = native.get(names.NOT_COMPUTED[names.SUV]) or "no reason is recorded"
            found.append(f"No SUV was made: {without_paths(str(reason))}.")
        if reason := native.get(names.NOT_COMPUTED[names.SUVR]):
            found.append(f"No SUVR was made: {without_paths(str(reason))}.")
        found += map(without_paths, region_remarks(scan))
    found += _notes(native)
    if stored := native.get("StoredUnits"):
        found.append(f"The {scan.modality.label} as stored: {without_paths(str(stored))}.")
    median = finite(native.get("Quality", "BrainMedianHU"))
    if median is not None and not BRAIN_HU[0] <= median <= BRAIN_HU[1]:
        found.append(
            f"The median of the brain is {median:.0f}, where 20 to 45 is normal in Hounsfield"
            " units: the CT has another unit, so that windows and the volume of bone are wrong."
        )
    if native.get("Pairing") is not None and native.get("Pairing", "DayGap") is None:
        found.append("Days between the scans are unknown: the dataset gives no dates.")
    return found


def _notes(image: ImageFile) -> list[str]:
    """The sidecar's notes as sentences."""
    texts = map(without_paths, notes_of(image))
    return [f"{text[:1].upper()}{text[1:]}." for text in texts if text]


def overall_verdict(record: SubjectRecord) -> str | None:
    """The worst verdict on the tissues of a T1w and on any registration of the subject."""
    return worst(
        item.get(field, "Verdict") for item in record.derivatives for field in names.JUDGED
    )


def methods_block(text: str | None, references: str | None) -> Markup:
    """The methods text as HTML: its headings, paragraphs, lists, emphasis and code."""
    if not text:
        return Markup('<p class="missing">The methods text was not written.</p>')
    parts = [_paragraph(item) for item in re.split(r"\n\s*\n", text.strip())]
    if references:
        parts.append(
            Markup("<details><summary>References (BibTeX)</summary><pre>{}</pre></details>").format(
                without_paths(references)
            )
        )
    return Markup("\n").join(parts)


def _paragraph(block: str) -> Markup:
    block = without_paths(block.strip())
    heading = re.match(r"(#+)\s*(.+)", block)
    if heading:
        rest = block[heading.end() :].strip()
        title = Markup("<h3>{}</h3>").format(heading[2].strip("# "))
        return title + (_paragraph(rest) if rest else Markup(""))
    items = re.findall(r"(?:^|\n)[-*]\s+(.+?)(?=\n[-*]\s|\Z)", block, flags=re.DOTALL)
    if items and re.match(r"[-*]\s", block):
        return Markup("<ul>{}</ul>").format(
            Markup("").join(Markup("<li>{}</li>").format(_inline(item)) for item in items)
        )
    return Markup("<p>{}</p>").format(_inline(block))


def _inline(text: str) -> Markup:
    """Text with the emphasis and the code of its Markdown."""
    marked = str(escape(text))
    for pattern, tag in ((r"`([^`\n]+)`", "code"), (r"(?<!\w)\*(\S[^*\n]*?)\*(?!\w)", "em")):
        marked = re.sub(pattern, rf"<{tag}>\1</{tag}>", marked)
    return Markup(marked)


def about_block(version: str, run_uuid: str, configuration: str | None) -> Markup:
    """Version, run and options."""
    block = table([("fusionprep", version), ("Run", run_uuid)])
    if not configuration:
        return block
    return block + Markup(
        "<details><summary>Options of the run</summary><pre>{}</pre></details>"
    ).format(without_paths(configuration))


def errors_block(errors: Sequence[str], crashes: Sequence[tuple[str, str]]) -> Markup:
    """Messages, and the text of crash files (name, text)."""
    if not errors and not crashes:
        return Markup('<p class="fine">No errors to report.</p>')
    parts = [Markup('<p class="alert">{}</p>').format(without_paths(message)) for message in errors]
    parts += [
        Markup("<details><summary>{}</summary><pre>{}</pre></details>").format(
            name, without_paths(text)
        )
        for name, text in crashes
    ]
    return Markup("\n").join(parts)
