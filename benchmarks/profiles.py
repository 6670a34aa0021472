"""What the guard compares: figures of a run with those that are stored, by limits for each kind."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Figures = Mapping[str, Mapping[str, float]]
"""Kind of figure, see :data:`LIMITS`, to name to value."""


@dataclass(frozen=True)
class Limit:
    """How much worse a figure may get.

    Attributes
    ----------
    title
        Of the kind, with its unit.
    factor, floor
        Worse is a figure above `factor` times the stored one plus `floor`; of figures that are
        better when higher, one below the stored one by so much.
    form
        Format of values.
    higher_is_better
        Whether the figure is a score.
    """

    title: str
    factor: float
    floor: float
    form: str
    higher_is_better: bool = False

    def is_worse(self, before: float, now: float) -> bool:
        """Whether a figure is worse than it may be; what is not a number is."""
        if self.higher_is_better:
            return not now >= before - (self.factor - 1) * abs(before) - self.floor
        return not now <= self.factor * before + self.floor

    def is_better(self, before: float, now: float) -> bool:
        """Whether a figure got so much better that the stored one should follow."""
        return self.is_worse(now, before)


LIMITS = {
    "cpu": Limit("CPU time, references", 1.6, 0.1, ".2f"),
    "whole": Limit("CPU time of all, references", 1.3, 0.0, ".2f"),
    "memory": Limit("peak memory, GB", 1.25, 0.1, ".2f"),
    "mm": Limit("error, mm", 1.25, 0.01, ".2f"),
    "overlap": Limit("1 − Dice", 1.1, 0.002, ".4f"),
    "lower": Limit("fusion metric, lower is better", 1.05, 0.002, ".3f"),
    "higher": Limit("fusion metric", 1.05, 0.005, ".3f", higher_is_better=True),
}
"""By kind. The spread of repeated runs that they were set by is in ``benchmarks/README.md``."""

SMALLEST_STEP = 0.3
"""References of CPU time; steps that take less are judged by their sum."""
SMALL_STEPS = "smaller steps together"
SMALLEST_MEMORY_GB = 0.3
"""Steps that hold less are not judged."""


@dataclass(frozen=True)
class Row:
    """One figure before and now; None where there is none."""

    kind: str
    name: str
    before: float | None
    now: float | None

    @property
    def ratio(self) -> float | None:
        """Now over before."""
        return self.now / self.before if self.before and self.now is not None else None

    @property
    def verdict(self) -> str:
        """``worse``, ``better``, ``gone``, ``new`` or empty."""
        if self.before is None:
            return "new"
        if self.now is None:
            return "gone"
        limit = LIMITS[self.kind]
        if limit.is_worse(self.before, self.now):
            return "worse"
        return "better" if limit.is_better(self.before, self.now) else ""


def compare(stored: Figures, measured: Figures) -> list[Row]:
    """Each figure before and now, in the order of the stored ones.

    A step's CPU time that is in one of the two alone is neither better nor worse: the time of all
    shows what it costs. A figure of accuracy or memory must not go.
    """
    rows = []
    for kind in LIMITS:
        before, now = dict(stored.get(kind, {})), dict(measured.get(kind, {}))
        if kind == "cpu":
            large = _largest(before, now, SMALLEST_STEP)
            before, now = _gathered(before, large), _gathered(now, large)
        if kind == "memory":
            large = _largest(before, now, SMALLEST_MEMORY_GB)
            before, now = ({k: v for k, v in each.items() if k in large} for each in (before, now))
        names = dict.fromkeys([*before, *now])
        rows += [Row(kind, name, before.get(name), now.get(name)) for name in names]
    return rows


def _largest(before: Mapping[str, float], now: Mapping[str, float], least: float) -> set[str]:
    return {
        name for name in {*before, *now} if max(before.get(name, 0.0), now.get(name, 0.0)) >= least
    }


def _gathered(steps: Mapping[str, float], large: Collection[str]) -> dict[str, float]:
    kept = {name: value for name, value in steps.items() if name in large}
    return kept | {SMALL_STEPS: sum(steps[name] for name in steps if name not in large)}


def failures(rows: Sequence[Row]) -> list[Row]:
    """Rows that must not pass: worse ones, and figures of accuracy that are no more measured."""
    steps = ("cpu", "memory")
    return [
        row
        for row in rows
        if row.verdict == "worse" or (row.verdict == "gone" and row.kind not in steps)
    ]


def table(rows: Sequence[Row], *, everything: bool = True) -> str:
    """A Markdown table; with `everything` false of what has changed alone."""
    lines = ["| step or figure | before | now | ratio | |", "|---|---:|---:|---:|---|"]
    last = ""
    for row in rows:
        if not (everything or row.verdict):
            continue
        limit = LIMITS[row.kind]
        if row.kind != last:
            lines.append(f"| **{limit.title}** | | | | |")
        last = row.kind
        cells = [
            "" if value is None else format(value, form)
            for value, form in ((row.before, limit.form), (row.now, limit.form), (row.ratio, ".2f"))
        ]
        lines.append(f"| {row.name} | {' | '.join(cells)} | {row.verdict} |")
    return "\n".join(lines)


def best(runs: Sequence[Figures]) -> dict[str, dict[str, float]]:
    """Figures of repeated runs: the least cost, the worst accuracy.

    Other work on the machine makes a run dearer, never cheaper; accuracy should not differ at all.
    """
    found: dict[str, dict[str, float]] = {}
    for kind, limit in LIMITS.items():
        least = kind in ("cpu", "whole", "memory") or limit.higher_is_better
        pick = min if least else max
        names = dict.fromkeys(name for run in runs for name in run.get(kind, {}))
        found[kind] = {
            name: pick(run[kind][name] for run in runs if name in run.get(kind, {}))
            for name in names
        }
    return found


def differing(runs: Sequence[Figures], most: int = 3) -> list[str]:
    """The large steps whose CPU time differs most between repeated runs; none of a single one."""
    if len(runs) < 2:
        return []
    steps = [dict(run["cpu"]) for run in runs]
    large = [name for name in steps[0] if all(run.get(name, 0) >= SMALLEST_STEP for run in steps)]

    def ratio(name: str) -> float:
        return max(run[name] for run in steps) / min(run[name] for run in steps)

    return sorted(large, key=ratio, reverse=True)[:most]


def read_profile(path: Path) -> dict[str, Any]:
    """The stored profile; empty where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_profile(path: Path, profile: Mapping[str, Any]) -> None:
    """Store a profile, with as many digits as mean something."""
    rounded = json.loads(json.dumps(profile), parse_float=lambda text: round(float(text), 4))
    text = json.dumps(rounded, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
