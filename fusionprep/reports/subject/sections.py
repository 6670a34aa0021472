"""The sections of the subject report: nireports' reportlets from the names of figures.

nireports would have pybids index the figures in a database and ask it for each reportlet, which
takes longer than all the rest of the page.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from fusionprep.bids import names

if TYPE_CHECKING:
    from nireports.assembler.reportlet import Reportlet


@dataclass(frozen=True)
class Figure:
    """A figure or text block.

    Attributes
    ----------
    entities
        With ``suffix`` and ``extension``; indexes without leading zeros.
    """

    path: Path
    entities: dict[str, str]

    @classmethod
    def at(cls, path: Path) -> "Figure":
        """By its name."""
        entities, suffix = names.parse_name(path.name)
        if "run" in entities:
            entities["run"] = entities["run"].lstrip("0") or "0"
        return cls(path, {**entities, "suffix": suffix, "extension": path.suffix})


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    name: str
    reportlets: "list[Reportlet]"


class Figures:
    """Figures in the order of their names, asked as nireports asks pybids' index.

    Parameters
    ----------
    paths
        Files of one folder.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.all = [Figure.at(path) for path in sorted(paths, key=lambda path: _natural(path.name))]

    def get(self, **wanted: str | Sequence[str] | None) -> list[Figure]:
        """Those whose entities have the value or one of the values; None: that have it not."""
        return [
            figure
            for figure in self.all
            if all(_fits(figure.entities.get(name), value) for name, value in wanted.items())
        ]


def sections(
    told: Sequence[Mapping[str, Any]], figures: Figures, output_dir: Path
) -> list[Section]:
    """The sections that have something to show.

    Parameters
    ----------
    told
        See :func:`fusionprep.reports.subject.spec.report_spec`.
    output_dir
        Where the page will be.
    """
    from nireports.assembler.reportlet import Reportlet

    found = []
    for section in told:
        reportlets = []
        for group in _groups(section["ordering"], figures):
            title = _title(group, section["ordering"])
            for item in section["reportlets"]:
                config = {**item, "bids": {**item["bids"], **group}}
                reportlet = Reportlet(figures, config=config, out_dir=output_dir)
                if not reportlet.is_empty():
                    reportlet.title, title = title, Markup("")
                    reportlets.append(reportlet)
        if reportlets:
            found.append(Section(section["name"], reportlets))
    return found


def _groups(ordering: Mapping[str, str], figures: Figures) -> list[dict[str, str | None]]:
    """The values that figures have together, of those entities that any figure has."""
    used = [name for name in ordering if any(name in figure.entities for figure in figures.all)]
    values = {tuple(figure.entities.get(name) for name in used) for figure in figures.all}
    in_order = sorted(values, key=lambda group: [_natural(value or "") for value in group])
    return [dict(zip(used, group, strict=True)) for group in in_order] or [{}]


def _title(group: Mapping[str, str | None], ordering: Mapping[str, str]) -> Markup:
    return Markup(", ").join(
        Markup('{} <span class="bids-entity">{}</span>').format(ordering[name], value)
        for name, value in group.items()
        if value is not None
    )


def _fits(value: str | None, wanted: str | Sequence[str] | None) -> bool:
    return value == wanted if wanted is None or isinstance(wanted, str) else value in wanted


def _natural(text: str) -> list[int | str]:
    """Sorts run-2 before run-10."""
    parts = re.split(r"([0-9]+)", text)
    return [int(part) if part.isdecimal() else part.lower() for part in parts]
