"""A cohort on one machine: when reports are there, what a cut leaves, the main process's memory.

Tiny subjects are processed once without disturbance and once more until the job is killed. With
`--other` the undisturbed run is repeated with another checkout of the code, for the ratio of times.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
from tables import add_option, record

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults.tiny import write_tiny_dataset  # noqa: E402

OPTIONS = (
    "--sloppy", "--fusion-model", "average", "--output-spaces", "T1w", "--skip-bids-validation",
)  # fmt: skip
SECONDS_BETWEEN_LOOKS = 0.25
LONGEST_RUN_S = 7200


def main() -> None:
    arguments = _parse()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    bids = work / "bids"
    if not bids.exists():
        write_tiny_dataset(bids, arguments.subjects)
    results: dict[str, dict[str, float]] = {}
    for nprocs in arguments.nprocs:
        whole = run(ROOT, bids, work / f"whole-{nprocs}", nprocs)
        results[f"--nprocs {nprocs}"] = figures = summary(whole)
        if arguments.other is not None:
            other = summary(run(arguments.other, bids, work / f"other-{nprocs}", nprocs))
            figures["wall ratio to the other"] = whole["wall_s"] / other["wall_s"]
            figures["CPU ratio to the other"] = whole["cpu_s"] / other["cpu_s"]
            results[f"--nprocs {nprocs}, other"] = other
        for share in arguments.cut:
            out = work / f"cut-{nprocs}-{share:g}"
            cut = run(ROOT, bids, out, nprocs, kill_after=share * whole["wall_s"])
            done = len(cut["reports"]) / arguments.subjects
            figures[f"subjects done, killed at {share:.0%} of the time"] = done
    print(table(results))
    record("cohort", {"costs": table(results)}, arguments.record)
    (work / "cohort.json").write_text(json.dumps(results, indent=2))


def table(results: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table, one column for each run."""
    names = dict.fromkeys(name for figures in results.values() for name in figures)
    lines = [f"| | {' | '.join(results)} |", f"|---|{'---:|' * len(results)}"]
    for name in names:
        cells = [f"{each[name]:.3g}" if name in each else "" for each in results.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(whole: Mapping[str, object]) -> dict[str, float]:
    """Figures of an undisturbed run."""
    wall, reports = float(whole["wall_s"]), sorted(whole["reports"].values())
    memory = whole["main_mb"]
    quarter = len(memory) // 4
    return {
        "wall_s": wall,
        "cpu_s": float(whole["cpu_s"]),
        "first report at share of the time": reports[0] / wall,
        "main process, largest MB in the second quarter": max(memory[quarter : 2 * quarter]),
        "main process, largest MB in the last quarter": max(memory[3 * quarter :]),
    }


def run(
    tree: Path, bids: Path, out: Path, nprocs: int, kill_after: float | None = None
) -> dict[str, object]:
    """Run the App of a checkout; times of the reports, and the main process's memory over time."""
    for folder in (out, out.with_name(f"{out.name}-work")):
        shutil.rmtree(folder, ignore_errors=True)
    command = [
        sys.executable, "-m", "bids_app.run", str(bids), str(out), "participant",
        "-w", f"{out}-work", "--nprocs", str(nprocs), *OPTIONS,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    reports: dict[str, float] = {}
    memory: list[float] = []
    before = os.times()
    start = time.monotonic()
    with out.with_name(f"{out.name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=tree
        )
        watched = psutil.Process(process.pid)
        while process.poll() is None and time.monotonic() - start < LONGEST_RUN_S:
            elapsed = time.monotonic() - start
            for path in out.glob("sub-*.html"):
                reports.setdefault(path.name, elapsed)
            try:
                memory.append(watched.memory_full_info().uss / 1e6)
            except psutil.Error:
                break
            if kill_after is not None and elapsed > kill_after:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)
        process.wait()
    wall = time.monotonic() - start
    after = os.times()
    if kill_after is None and process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    for path in out.glob("sub-*.html"):
        reports.setdefault(path.name, wall)
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return {"wall_s": wall, "cpu_s": cpu, "reports": reports, "main_mb": memory}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="folder for the dataset and the results")
    parser.add_argument("--subjects", type=int, default=12)
    parser.add_argument("--nprocs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cut", type=float, nargs="*", default=[0.5], help="share of the time")
    parser.add_argument("--other", type=Path, help="checkout of the code to compare with")
    add_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
