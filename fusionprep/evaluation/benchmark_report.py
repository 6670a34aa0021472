"""The benchmark's pages: Markdown and HTML with the same tables."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np

from fusionprep.evaluation.benchmark import FLICKER, GUARDS, TIME, Method
from fusionprep.evaluation.comparison import DatasetSummary, montage_file, patient_count
from fusionprep.evaluation.metrics import RANKED, Metric, get_metric
from fusionprep.evaluation.ranking import RESAMPLES, Estimate
from fusionprep.evaluation.volumes import ENOUGH_CONTENT, VOLUME_SLICES
from fusionprep.pages import page_template

_NONE = "–"

GUARD_TEXTS = {
    "bA": "weight of the anatomical image in a standardised regression of the fused image on both "
    "sources inside the head; clearly above 0 when the anatomy is there",
    "bB": "the same for the functional image",
    "pB": "raw slope: gray levels of the fused image per gray level of the functional image; near "
    "0 the uptake is invisible",
    "added_edges": "share of the fused image's gradient energy above both sources' gradients; 0 is "
    "best, sharpening and ringing raise it",
    "background": "mean gray level where both sources are 0; should be 0",
    "bone": "mean of the fused over mean of the functional image where the latter is 200 or more: "
    "bone of a CT, the hottest uptake of a PET",
    "bone_lost": "share of those pixels where the fused image is below half of the functional one",
    FLICKER: "volumes: through-plane inconsistency, 0 for a fusion voxel by voxel; slice-wise "
    "models flicker from slice to slice",
}


@dataclass(frozen=True)
class Cell:
    """A figure of a table.

    Attributes
    ----------
    value
        The mean, ``–`` where there is none.
    interval
        ``low, high``, empty without an interval.
    rank
        Empty where the metric is not ranked.
    best
        Whether no competing method is better.
    """

    value: str
    interval: str = ""
    rank: str = ""
    best: bool = False


@dataclass(frozen=True)
class Line:
    """A row of a table."""

    method: Method
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """One table of a dataset; ``columns`` does not count the method."""

    title: str
    columns: list[str]
    lines: list[Line]


def markdown_page(summaries: Sequence[DatasetSummary]) -> str:
    """The summary as GitHub Markdown."""
    parts = ["# Fusion benchmark", *_reading()]
    for summary in summaries:
        parts += [f"## {summary.name}", sample_text(summary)]
        for table in tables(summary):
            parts += [f"### {table.title}", _markdown_table(table)]
        parts.append(f"![Sources and fused images]({quote(montage_file(summary.name))})")
    parts += ["## Metrics", _markdown_metrics(_metrics(summaries)), "## Guards"]
    parts.append("\n".join(f"- **{name}**: {text}" for name, text in GUARD_TEXTS.items()))
    return "\n\n".join(parts) + "\n"


def html_page(summaries: Sequence[DatasetSummary]) -> str:
    """The summary as one HTML page; the montages lie beside it."""
    return page_template("report-benchmark.tpl").render(
        datasets=[
            {
                "name": summary.name,
                "sample": sample_text(summary),
                "tables": tables(summary),
                "montage": montage_file(summary.name),
            }
            for summary in summaries
        ],
        reading=_reading(),
        metrics=_metrics(summaries),
        ranked=RANKED,
        guards=GUARD_TEXTS,
    )


def _reading() -> list[str]:
    """How to read the tables, in paragraphs."""
    return [
        "Each figure is the mean over the pairs, with its 95 % bootstrap interval "
        f"({RESAMPLES} resamples) in brackets and the rank of the mean in parentheses; equal means "
        "share their ranks. The mean rank is over " + ", ".join(RANKED) + ". The best is in bold.",
        "Probes are fusions nobody wants. They do not compete; the rank shown is the one each "
        "would get. A metric that ranks a probe first can be won without fusing well, and a "
        "method that a probe outranks has shown little: look at the guards and the montage.",
        "Fused images are rounded to 8 bits before they are scored. Of a volume, up to "
        f"{VOLUME_SLICES} axial slices are scored, evenly spaced among those where the mask covers "
        f"at least {ENOUGH_CONTENT:.0%} of its largest extent, and their mean counts. Time is the "
        "median wall time of fusing one slice, after a warm-up.",
    ]


def sample_text(summary: DatasetSummary) -> str:
    """How many pairs of how many patients, and what was drawn for the intervals."""
    scores = summary.scores
    pairs, patients = len(scores.pair_set.pairs), patient_count(scores)
    text = f"{pairs} pair{'' if pairs == 1 else 's'} ({scores.pair_set.anatomical_folder} and "
    text += f"{scores.pair_set.functional_folder})"
    if scores.pair_set.patients() is not None:
        return (
            f"{text} of {patients} patients. Pairs of one patient are not independent, so the "
            "intervals are from resampling patients."
        )
    of_whom = "of unknown patients" if patients is None else "of one patient"
    return (
        f"{text} {of_whom}. Intervals are from resampling pairs; pairs of one patient are not "
        "independent, so they say nothing about other patients and may be too narrow."
    )


def tables(summary: DatasetSummary) -> list[Table]:
    """The tables of one dataset: ranked metrics, guards and cost, further metrics."""
    metrics = summary.metrics()
    ranked = [name for name in RANKED if name in metrics]
    further = [name for name in metrics if name not in ranked]
    flicker = [FLICKER] if np.isfinite(summary.scores.values[FLICKER]).any() else []
    best = _least(summary, summary.mean_ranks)

    def mean_rank(row: int) -> Cell:
        return Cell(_number(summary.mean_ranks[row], 2), best=bool(best[row]))

    def cost(row: int) -> list[Cell]:
        entry = summary.methods[row].entry
        return [
            Cell(_number(summary.estimates[TIME][row].mean, 1)),
            Cell(_NONE if entry is None else f"{entry.parameters():,}"),
        ]

    made = [
        _table(summary, "Ranked metrics", ["mean rank", *ranked], ranked, before=mean_rank),
        _table(
            summary,
            "Guards and cost",
            [*GUARDS, *flicker, "ms per slice", "parameters"],
            [*GUARDS, *flicker],
            after=cost,
        ),
        _table(summary, "Further metrics", further, further),
    ]
    return [table for table in made if table.columns]


def _table(
    summary: DatasetSummary,
    title: str,
    columns: list[str],
    quantities: Sequence[str],
    before: Callable[[int], Cell] | None = None,
    after: Callable[[int], list[Cell]] | None = None,
) -> Table:
    best = {
        name: _least(summary, ranks) for name, ranks in summary.ranks.items() if name in quantities
    }
    lines = []
    for row in summary.order():
        cells = [
            Cell(
                _number(summary.estimates[name][row].mean),
                _interval(summary.estimates[name][row]),
                _number(summary.ranks[name][row], 1).removesuffix(".0") if name in best else "",
                name in best and bool(best[name][row]),
            )
            for name in quantities
        ]
        cells = [*([before(row)] if before else []), *cells, *(after(row) if after else [])]
        lines.append(Line(summary.methods[row], cells))
    return Table(title, columns, lines)


def _least(summary: DatasetSummary, ranks: np.ndarray) -> np.ndarray:
    """Which of the competing methods have the best rank."""
    competes = np.array([method.kind != "probe" for method in summary.methods])
    return competes & (ranks == ranks[competes].min())


def _interval(found: Estimate) -> str:
    if not math.isfinite(found.low):
        return ""
    return f"{_number(found.low)}, {_number(found.high)}"


def _number(value: float, digits: int = 3) -> str:
    if not math.isfinite(value):
        return _NONE
    # Four significant digits are enough where a metric counts in hundreds.
    return f"{value:z.{digits}f}" if abs(value) < 10 or digits < 3 else f"{value:z.4g}"


def _metrics(summaries: Sequence[DatasetSummary]) -> list[Metric]:
    return [get_metric(name) for name in summaries[0].metrics()]


def _markdown_table(table: Table) -> str:
    rows = [["method", *table.columns], ["---", *["---:"] * len(table.columns)]]
    for line in table.lines:
        probe = line.method.kind == "probe"
        name = f"*{line.method.name}*" if probe else line.method.name
        rows.append([name, *map(_markdown_cell, line.cells)])
    return _markdown_rows(rows)


def _markdown_rows(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _markdown_cell(cell: Cell) -> str:
    value = f"**{cell.value}**" if cell.best else cell.value
    interval = f" [{cell.interval}]" if cell.interval else ""
    return f"{value}{interval}{f' ({cell.rank})' if cell.rank else ''}"


def _markdown_metrics(metrics: Sequence[Metric]) -> str:
    rows = [["metric", "what", "better", "convention", "source"], ["---"] * 5]
    rows += [[m.name, m.title, m.better, m.convention, m.source] for m in metrics]
    return _markdown_rows([[cell.replace("|", r"\|") for cell in row] for row in rows])
