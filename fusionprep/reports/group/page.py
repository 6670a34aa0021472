"""The page of the group report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fusionprep.bids import fused_names, names
from fusionprep.errors import UnreadableFileError
from fusionprep.modalities import MOVED, T1W
from fusionprep.pages import BUNDLES, embedded, inlined, page_template
from fusionprep.reading import read_table
from fusionprep.reports.group.cohort import CohortImage, colour_scale
from fusionprep.reports.group.columns import RATINGS
from fusionprep.reports.group.models import Comparison
from fusionprep.reports.group.outliers import (
    Distribution,
    Outlier,
    common_outliers,
    outliers_by_scan,
)
from fusionprep.reports.group.plots import Owner, plot_distributions
from fusionprep.reports.group.ratings import Rating
from fusionprep.reports.group.rows import IDENTITY, ParticipantEntry, ScanEntry, cell, rank_of_kind
from fusionprep.reports.records import VERDICTS

FIRST = 24
"""Scans to look at first; the others are in the table."""

STATIC = 200
"""Scans, and participants, that the page holds as elements; scripts make those of others when they
are looked at, as a browser takes long for the elements of thousands."""

_MOST_OUTLIERS = 5
_MOST_COLUMNS = 6
_LONGEST_CELL = 200
_IDENTIFIER = IDENTITY[0]


@dataclass(frozen=True)
class Findings:
    """All that the page shows.

    Attributes
    ----------
    participants, scans
        The cohort; `scans` in the order of the participants.
    ratings
        By index of the scan.
    excluded
        Scans rated ``fail``, which are left out of all distributions.
    unused
        Those, and scans whose registration failed unless a person passed it: no part of cohort
        images and of the comparison of models.
    distributions, metric_distributions
        Of quality, and of fusion metrics by model.
    cohort, comparisons
        Cohort images and comparisons of models.
    """

    participants: Sequence[ParticipantEntry]
    scans: Sequence[ScanEntry]
    ratings: Mapping[int, Rating]
    excluded: set[int]
    unused: set[int]
    distributions: Sequence[Distribution]
    metric_distributions: Sequence[Distribution]
    cohort: Sequence[CohortImage]
    comparisons: Sequence[Comparison]


@dataclass(frozen=True)
class Card:
    """A scan as the page shows it.

    Attributes
    ----------
    index
        Of the scan.
    scan
        The scan.
    rating
        A person's rating of it, or None.
    outliers
        The farthest first.
    thumbnails
        Index and name of the model, and address of the picture.
    """

    index: int
    scan: ScanEntry
    rating: Rating | None
    outliers: Sequence[Outlier]
    thumbnails: Sequence[tuple[int, str, str]]

    @property
    def models(self) -> str:
        """What tells the thumbnails' names apart, by index: ``"0=SelFuse/2=Average"``."""
        return "/".join(f"{i}={_between(path)}" for i, _, path in self.thumbnails)

    @property
    def verdict(self) -> str:
        return self.scan.verdict or "n/a"

    @property
    def farthest(self) -> float:
        return abs(self.outliers[0].z) if self.outliers else 0.0

    @property
    def identity(self) -> str:
        """Its row of ``ratings.tsv``, without the rating."""
        return "\t".join(self.scan.key)


def render_page(
    output_dir: Path,
    findings: Findings,
    described: Mapping[str, Mapping[str, Any]],
    n_rows: int,
    warnings: Sequence[str] = (),
) -> str:
    """The page as HTML; pictures are linked, everything else is inline.

    Parameters
    ----------
    described
        Columns of the table.
    n_rows
        Rows of the table.
    warnings
        Shown at the top.
    """
    titles = _titles(findings.scans)
    cards = _cards(findings, titles)
    facts, fact_columns = _participant_facts(output_dir)
    script = _bundle("group.js")
    return page_template("report-group.tpl", number=_number, embedded=embedded).render(
        shown=len(cards) + len(findings.participants) if script is None else STATIC,
        findings=findings,
        cards=cards,
        sheet=sorted(cards, key=_order_of_sheet),
        first=(to_look_at := _to_look_at(cards))[:FIRST],
        n_first=len(to_look_at),
        most_outliers=_MOST_OUTLIERS,
        titles=titles,
        sections=_sections(findings),
        cohort=sorted(findings.cohort, key=lambda image: _order_of_image(image, titles)),
        reports={item.name: item.report for item in findings.participants if item.report},
        counts={
            verdict: sum(card.verdict == verdict for card in cards)
            for verdict in (*VERDICTS, "n/a")
        },
        groups=_modality_groups(findings.participants),
        modalities=[modality.label for modality in MOVED],
        incomplete=[item for item in findings.participants if item.missing],
        facts=facts,
        fact_columns=fact_columns,
        colour_scale=Markup(colour_scale()),
        columns=described,
        n_rows=n_rows,
        identity="\t".join(IDENTITY),
        ratings=RATINGS,
        warnings=warnings,
        script=script,
        style=_bundle("group.css"),
    )


def _titles(scans: Sequence[ScanEntry]) -> list[str]:
    """All fusion models; the default one first."""
    from fusionprep.models.registry import DEFAULT_MODEL, get_model

    own = get_model(DEFAULT_MODEL).label
    titles = {fused.title for scan in scans for fused in scan.judged}
    return sorted(titles, key=lambda title: (title != own, title))


def _cards(findings: Findings, titles: Sequence[str]) -> list[Card]:
    n_scans = len(findings.scans)
    outliers = outliers_by_scan(findings.distributions, n_scans)
    of_metrics = outliers_by_scan(findings.metric_distributions, n_scans)
    cards = []
    for index, scan in enumerate(findings.scans):
        shared = common_outliers(of_metrics[index], len(scan.judged))
        together = sorted([*outliers[index], *shared], key=lambda item: -abs(item.z))
        thumbnails = sorted(
            (titles.index(fused.title), fused.title, fused.thumbnail)
            for fused in scan.judged
            if fused.thumbnail
        )
        cards.append(Card(index, scan, findings.ratings.get(index), together, thumbnails))
    return cards


def _between(path: str) -> str:
    """What stands for the model in the name of a thumbnail."""
    return names.parse_name(path)[0]["desc"].removeprefix(fused_names.THUMBNAIL)


def _order_of_sheet(card: Card) -> tuple:
    rank = {"fail": 0, "review": 1, "n/a": 2, "pass": 3}
    return rank.get(card.verdict, 2), -card.farthest, card.index


def _order_of_image(image: CohortImage, titles: Sequence[str]) -> tuple:
    return *rank_of_kind(image.kind), titles.index(image.title), image.space


def _to_look_at(cards: Sequence[Card]) -> list[Card]:
    """Scans with a bad verdict or an outlier that nobody has passed or failed, worst first."""
    doubtful = [
        card
        for card in cards
        if (card.outliers or card.verdict in ("fail", "review"))
        and (card.rating is None or card.rating.rating not in ("pass", "fail"))
    ]
    return sorted(
        doubtful,
        key=lambda card: (
            card.verdict != "fail",
            -card.farthest,
            card.verdict != "review",
            card.index,
        ),
    )


def _sections(findings: Findings) -> list[tuple[str, list[tuple[str, Markup]]]]:
    """Distribution plots: title and plot of each measure, by section."""
    reports = {item.name: item.report for item in findings.participants}

    def owner(index: int) -> Owner:
        scan = findings.scans[index]
        session = scan.values["session_id"]
        name = f"{scan.participant} {session}" if session else scan.participant
        return Owner(name, reports[scan.participant])

    by_section: dict[str, dict[str, list[Distribution]]] = {}
    for item in (*findings.distributions, *findings.metric_distributions):
        unit = f" ({item.measure.unit})" if item.measure.unit else ""
        title = _metric_title(item) or f"{item.measure.title}{unit}"
        by_section.setdefault(item.measure.section, {}).setdefault(title, []).append(item)
    return [
        (
            section,
            [(title, plot_distributions(title, rows, owner)) for title, rows in plots.items()],
        )
        for section, plots in by_section.items()
    ]


def _metric_title(item: Distribution) -> str | None:
    """Name, meaning and direction of a fusion metric; None for any other measure."""
    from fusionprep.evaluation.metrics import METRICS

    if item.measure.section != "Fusion metrics":
        return None
    metric = next(metric for metric in METRICS if metric.name == item.measure.title)
    arrow = {"higher": ", higher is better", "lower": ", lower is better"}.get(metric.better, "")
    return f"{metric.name}: {metric.title}{arrow}"


def _modality_groups(participants: Sequence[ParticipantEntry]) -> list[tuple[str, int]]:
    """How many participants have which modalities in T1w space, the commonest first."""
    counts: dict[str, int] = {}
    for item in participants:
        found = [*([T1W.label] if item.anatomies else [])]
        present = {scan.values["modality"] for scan in item.scans}
        found += [modality.label for modality in MOVED if modality.label in present]
        name = ", ".join(found) or "nothing"
        counts[name] = counts.get(name, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _participant_facts(output_dir: Path) -> tuple[dict[str, list[str]], list[str]]:
    """The first columns of ``participants.tsv`` by participant, and their names."""
    try:
        rows = read_table(output_dir / "participants.tsv")
    except UnreadableFileError:
        # these columns only help to read the table of scans
        return {}, []
    if not rows or _IDENTIFIER not in rows[0]:
        return {}, []
    shown = [name for name in rows[0] if name != _IDENTIFIER][:_MOST_COLUMNS]
    facts = {row[_IDENTIFIER]: [_shortened(row[name]) for name in shown] for row in rows}
    return facts, [_shortened(name) for name in shown]


def _shortened(text: str) -> str:
    """A cell's text that does not fill the page."""
    plain = cell(text)
    return plain if len(plain) <= _LONGEST_CELL else f"{plain[:_LONGEST_CELL]}…"


def _number(value: Any, digits: int = 3, *, padded: bool = False) -> str:
    """A number to read, with trailing zeros if `padded`; a dash for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return "–"
    if abs(value) >= 10**digits:
        return f"{value:.0f}"
    return f"{value:#.{digits}g}".rstrip(".") if padded else f"{value:.{digits}g}"


def _bundle(name: str) -> Markup | None:
    """A bundled script or style, for use inside an element; None where it was not built."""
    path = BUNDLES / name
    return inlined(path) if path.is_file() else None
