"""Tables of the task benchmark in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fusionprep.cohort.truth import ATROPHY, HYPOMETABOLISM
from fusionprep.cohort.truth import BOTH as BEST


def null_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many intervals hold .5, and how far p are from uniform, for each input."""
    from scipy import stats

    lines = [
        "| input | cohorts | mean AUC | intervals that hold .5 | p of KS test |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in [*dict.fromkeys(row["input"] for row in rows), "all"]:
        chosen = [row for row in rows if name in (row["input"], "all")]
        areas = np.array([row["area"] for row in chosen])
        held = np.mean((areas[:, 1] <= 0.5) & (areas[:, 2] >= 0.5))
        # inputs of one cohort are not independent, so their p together are not tested
        same = (
            stats.kstest([row["p"] for row in chosen], "uniform").pvalue if name != "all" else None
        )
        told = "" if same is None else f"{same:.2f}"
        mean = areas[:, 0].mean()
        lines.append(f"| {name} | {len(chosen)} | {mean:.3f} | {held:.0%} | {told} |")
    return "\n".join(lines)


def input_table(found: Mapping[str, Any], single: Sequence[str], both: str) -> str:
    """Areas of all inputs, best first, with what is the best possible where that is known."""
    one, other = single
    lines = [
        f"| input | AUC (95 %) | less {one} | less {other} | less {both} |",
        "|---|---|---|---|---|",
    ]
    if truth := found.get("truth"):
        for name, what in ((ATROPHY, one), (HYPOMETABOLISM, other), (BEST, both)):
            limit, sample = truth["Ceilings"][name]["area"], truth["AreasInThisSample"][name]
            lines.append(f"| *best possible: {what}* | {limit:.3f}, here {sample:.3f} | | | |")
    several = len({row["model"] for row in found["inputs"]}) > 1
    for row in sorted(found["inputs"], key=lambda row: -row["area"][0]):
        name = f"{row['input']}, {row['model']}" if several else row["input"]
        less = " | ".join(_difference(row["less"].get(each)) for each in (*single, both))
        lines.append(f"| {name} | {_interval(row['area'])} | {less} |")
    return "\n".join(lines)


def _interval(numbers: Sequence[float]) -> str:
    value, low, high = numbers
    return f"{value:.3f} ({low:.3f}, {high:.3f})"


def _difference(numbers: Sequence[float] | None) -> str:
    """A paired difference with its interval, bold where that excludes 0."""
    if numbers is None:
        return ""
    value, low, high = numbers
    text = f"{value:+.3f} ({low:+.3f}, {high:+.3f})"
    return f"**{text}**" if low > 0 or high < 0 else text
