"""The files of a scored reader study: page, table and JSON."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fusionprep._version import __version__
from fusionprep.errors import OutputError
from fusionprep.files import json_text, table_text, write_text
from fusionprep.reader_study.answers import MISSING, read_answers, read_key
from fusionprep.reader_study.measures import patients
from fusionprep.reader_study.score_page import html
from fusionprep.reader_study.scoring import Scores, score

TABLE_COLUMNS = (
    "measure", "condition", "compared_with", "reader", "value", "low", "high", "chance",
)  # fmt: skip

ALL_READERS = "all"


def score_files(
    key_path: Path, answer_paths: Sequence[Path], out: Path, radius: float | None = None
) -> list[str]:
    """Score answers and write ``scores.html``, ``.tsv`` and ``.json``.

    Returns
    -------
    list of str
        What to print.

    Raises
    ------
    UsageError, NoInputError, DataError
        When key or answers cannot be used.
    OutputError
        When nothing can be written.
    """
    key = read_key(key_path)
    scores = score(key, read_answers(answer_paths, key), radius)
    texts = {
        "scores.html": html(scores),
        "scores.tsv": _table(scores),
        "scores.json": json_text(_record(scores)),
    }
    try:
        for name, text in texts.items():
            write_text(out / name, text)
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error}") from error
    return [*_lines(scores), scores.holds_for(), f"summary: {out / 'scores.html'}"]


def figures(scores: Scores) -> Iterator[tuple[str | float | None, ...]]:
    """Every figure, in the order of :data:`TABLE_COLUMNS`; None for what does not apply."""
    names = scores.key.conditions
    for scored in scores.scored:
        name, chance = scored.measure.name, scored.measure.chance
        for condition, found in zip(names, scored.conditions, strict=True):
            yield name, condition, None, ALL_READERS, found.value, found.low, found.high, chance
        for condition, values in zip(names, scored.readers, strict=True):
            for reader, value in zip(scores.readers, values, strict=True):
                yield name, condition, None, reader, float(value), None, None, chance
        kind = "ratio" if scored.measure.logarithmic else "difference"
        for each in scored.differences:
            pair, found = (names[each.first], names[each.second]), each.estimate
            yield f"{name}_{kind}", *pair, ALL_READERS, found.value, found.low, found.high, None
    for agreement in scores.agreement:
        name = agreement.name
        for condition, found in zip(names, agreement.conditions, strict=True):
            yield name, condition, None, ALL_READERS, found.value, found.low, found.high, None


def _cell(value: str | float | None) -> str:
    if isinstance(value, str):
        return value
    return MISSING if value is None or not math.isfinite(value) else f"{value:.6g}"


def _table(scores: Scores) -> str:
    rows = [dict(zip(TABLE_COLUMNS, map(_cell, figure), strict=True)) for figure in figures(scores)]
    return table_text(TABLE_COLUMNS, rows)


def _record(scores: Scores) -> dict[str, Any]:
    told = scores.key.told
    return {
        "Study": scores.key.study,
        "GeneratedBy": f"fusionprep {__version__}",
        "Readers": list(scores.readers),
        "Tasks": told["Tasks"],
        "Conditions": told["Conditions"],
        "Lesions": told["Lesions"],
        "Units": told["Units"],
        "Radius": scores.radius,
        "Images": len({image.case for image in scores.key.images.values()}),
        "Patients": patients(scores.key),
        "IntervalsHoldFor": scores.holds_for(),
        "Measures": [dict(zip(TABLE_COLUMNS, each, strict=True)) for each in figures(scores)],
        "LocalisationROC": dict(zip(scores.key.conditions, scores.curves, strict=False)),
    }


def _lines(scores: Scores) -> list[str]:
    """The main measure of each task, to be printed."""
    lines = []
    for scored in scores.scored:
        if scored.measure.name in ("proportion_correct", "lroc_area"):
            lines.append(f"{scored.measure.title} (chance: {scored.measure.chance:.2f})")
            for title, found in zip(scores.titles, scored.conditions, strict=True):
                lines.append(f"  {title}: {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]")
    return lines
