"""The benchmark's pages: Markdown and HTML with the same tables."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np

from fusionprep.evaluation.comparison import (
    DatasetSummary,
    lesions_file,
    montage_file,
    patient_count,
)
from fusionprep.evaluation.lesions import (
    AMPLITUDE,
    MARGIN,
    READER_NOISE,
    SURROUND,
    WINDOW_AMPLITUDE,
    conditions,
)
from fusionprep.evaluation.metrics import RANKED, Metric, get_metric
from fusionprep.evaluation.ranking import RESAMPLES, Estimate
from fusionprep.evaluation.reader_checks import DARK, SHOWN
from fusionprep.evaluation.reading import SEEN, SHOWN_SIZE
from fusionprep.evaluation.scoring import CHECKS, FLICKER, GUARDS, TIME, Method
from fusionprep.evaluation.visibility import EDGE_LOST, EDGE_SCALES, WHITE
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

READER = "What a reader can see"
CHECKS_TITLE = "What a reader expects"
READER_TEXTS = {
    "all lesions": "visibility of the lesions in the fused image as a share of that in their "
    "source alone; of the source and size that come off worst",
    "dominated": "the same of lesions where the other source is brighter, which is where a fused "
    "image loses them",
    "gain": "change of the fused image per change of the source, likewise of the worst; it stays "
    "low where lesions stand out only because everything around them was cancelled",
    "opposite": "visibility of lesions that are bright in one source and dark in the other, as a "
    "share of that in the source which shows them better",
    f"cancelled {EDGE_SCALES[0]:g}, {EDGE_SCALES[1]:g}": "share of the brain's strongest edges, at "
    f"these scales, that keep less than {EDGE_LOST:.0%} of their gradient; 0 is best",
    "white": f"share of the brain at {WHITE:.0%} of white or more, where nothing can be seen",
    "identity": "how far F(A, A) is from A and F(B, B) from B, in gray levels, 99th percentile; "
    "0 is best, here and in the next three",
    "anatomical_alone": "the same of F(A, 0) and A",
    "functional_alone": "the same of F(0, B) and B",
    "outside": "largest change in the head, in gray levels, when a white square is drawn outside",
    "anatomical_kept": f"mean of the fused over mean of the anatomical image where that is "
    f"{SHOWN:g} or more and the functional one at most {DARK:g} of white; 1 is best",
    "functional_kept": "the same of the functional image: uptake, or bone, where the anatomical "
    "one is dark",
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

    @property
    def ranked(self) -> bool:
        """Whether a figure in it has a rank."""
        return any(cell.rank for line in self.lines for cell in line.cells)


def markdown_page(summaries: Sequence[DatasetSummary]) -> str:
    """The summary as GitHub Markdown."""
    parts = ["# Fusion benchmark", *_reading()]
    for summary in summaries:
        parts += [f"## {summary.name}", sample_text(summary)]
        for table in tables(summary):
            parts += [f"### {table.title}", _markdown_table(table)]
        parts.append(f"![Sources and fused images]({quote(montage_file(summary.name))})")
        if summary.scores.lesions:
            parts += [f"![Planted lesions]({quote(lesions_file(summary.name))})", lesions_text()]
    if any(any(summary.seen) for summary in summaries):
        parts += [f"## {READER}", reader_text(summaries), _markdown_texts(READER_TEXTS)]
    parts += ["## Metrics", _markdown_metrics(_metrics(summaries)), "## Guards"]
    parts.append(_markdown_texts(GUARD_TEXTS))
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
                "lesions": lesions_file(summary.name) if summary.scores.lesions else "",
            }
            for summary in summaries
        ],
        reading=_reading(),
        metrics=_metrics(summaries),
        ranked=RANKED,
        guards=GUARD_TEXTS,
        reader=READER,
        reader_text=reader_text(summaries),
        reader_terms=READER_TEXTS if any(any(summary.seen) for summary in summaries) else {},
        lesions_text=lesions_text(),
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


def reader_text(summaries: Sequence[DatasetSummary]) -> str:
    """How lesions were planted and looked for."""
    sizes = []
    for summary in summaries:
        pair_set = summary.scores.pair_set
        planted = conditions(pair_set.modality)
        in_each = [
            f"{_listed([f'{c.size:g}' for c in planted if c.index == index])} in {folder}"
            for index, folder in enumerate((pair_set.anatomical_folder, pair_set.functional_folder))
        ]
        sizes.append(f"{summary.name}: {', '.join(in_each)}")
    return (
        "Gaussian lesions, bright and dark in turn, are planted in one source at a time, and the "
        f"pair is fused again. Their height is {AMPLITUDE:.0%} of the local mean, in a CT "
        f"{WINDOW_AMPLITUDE:.0%} of the window; their standard deviations are, in pixels of slices "
        f"and millimetres of volumes, {'; '.join(sizes)}. The reader sees what stands out at the "
        f"lesion's scale from surroundings {SURROUND:g} times as wide, against the deviation of "
        f"the same over the brain, {MARGIN:g} pixels or mm inside its edge, and noise of "
        f"{READER_NOISE:.1%} of the gray range. The brain is what the functional image shows of "
        "it. None of this is ranked. Images made elsewhere cannot be fused again; they have no "
        "figures here."
    )


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def lesions_text() -> str:
    """What the pictures of planted lesions show."""
    return (
        f"The same pair with lesions of size {SHOWN_SIZE:g}, ringed in their source and nowhere "
        "else: what can be seen of them in the fused images?"
    )


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
    checks = [name for name in CHECKS if name in summary.estimates]
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
        _reader_table(summary),
        _table(summary, CHECKS_TITLE, checks, checks),
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


def _reader_table(summary: DatasetSummary) -> Table:
    """Without a column where nothing is known."""
    if not any(summary.seen):
        return Table(READER, [], [])
    lines = []
    for row in summary.order():
        seen = summary.seen[row]
        found = [None if seen is None else read(seen) for read in SEEN.values()]
        cells = [
            Cell(_NONE) if each is None else Cell(_number(each.mean), _interval(each))
            for each in found
        ]
        lines.append(Line(summary.methods[row], cells))
    return Table(READER, list(SEEN), lines)


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


def _markdown_texts(texts: Mapping[str, str]) -> str:
    return "\n".join(f"- **{name}**: {text}" for name, text in texts.items())


def _markdown_metrics(metrics: Sequence[Metric]) -> str:
    rows = [["metric", "what", "better", "convention", "source"], ["---"] * 5]
    rows += [[m.name, m.title, m.better, m.convention, m.source] for m in metrics]
    return _markdown_rows([[cell.replace("|", r"\|") for cell in row] for row in rows])
