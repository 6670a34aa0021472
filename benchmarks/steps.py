"""What the steps of runs took: a table of ``logs/<run>/steps.jsonl``, a column for each run."""

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_app.step_record import MAIN, STEPS, StepUsage, read_steps


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="+", help="output folder of fusionapp")
    parser.add_argument("--each", action="store_true", help="a row for each step, not each kind")
    parser.add_argument("--least", type=float, default=0.0, help="leave out rows below, CPU s")
    arguments = parser.parse_args(argv)
    runs = [recorded_steps(out) for out in arguments.out]
    if empty := [str(out) for out, steps in zip(arguments.out, runs, strict=True) if not steps]:
        raise SystemExit(f"no steps are recorded in {', '.join(empty)}")
    columns = [cpu_seconds(steps, each=arguments.each) for steps in runs]
    print(table([out.name for out in arguments.out], columns, arguments.least))
    return 0


def recorded_steps(out: Path) -> list[StepUsage]:
    """Steps of all runs in an output folder; none where no run has left a record."""
    return [step for path in sorted(out.glob(f"logs/*/{STEPS}")) for step in read_steps(path)]


def cpu_seconds(steps: Sequence[StepUsage], *, each: bool = False) -> dict[str, float]:
    """CPU seconds by the kind of step, or by its name."""
    found: defaultdict[str, float] = defaultdict(float)
    for step in steps:
        kind = f"{step.step} ({step.interface})" if each else step.interface
        found["main process" if step.step == MAIN else kind] += step.cpu_s
    return dict(found)


def table(names: Sequence[str], columns: Sequence[Mapping[str, float]], least: float = 0.0) -> str:
    """A Markdown table of CPU seconds, the most expensive rows of the first column first."""
    rows = sorted({row for column in columns for row in column}, key=lambda row: _key(row, columns))
    lines = [f"| CPU s | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for row in rows:
        values = [column.get(row, 0.0) for column in columns]
        if max(values) >= least:
            lines.append(f"| {row} | {' | '.join(f'{value:.2f}' for value in values)} |")
    sums = [sum(column.values()) for column in columns]
    return "\n".join([*lines, f"| all | {' | '.join(f'{value:.2f}' for value in sums)} |"])


def _key(row: str, columns: Sequence[Mapping[str, float]]) -> tuple[float, ...]:
    return tuple(-column.get(row, 0.0) for column in columns)


if __name__ == "__main__":
    sys.exit(main())
