"""A cohort on one machine: when reports are there, what a cut leaves, the main process's memory.

Tiny subjects are processed once without disturbance and once more until the job is killed. With
`--other` the undisturbed run is repeated with another checkout of the code, for the ratio of times.
With `--ceiling` subjects of the demo are processed by one run with two processes and by two runs
with one process side by side, in turn: what two processors can do at most.
"""

import argparse
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from tables import add_option, record

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from fusionprep.demo.dataset import write_demo_dataset  # noqa: E402
from tests.faults.tiny import write_tiny_dataset  # noqa: E402

OPTIONS = (
    "--sloppy", "--fusion-model", "average", "--output-spaces", "T1w", "--skip-bids-validation",
)  # fmt: skip
SECONDS_BETWEEN_LOOKS = 0.25
LONGEST_RUN_S = 7200


def main() -> None:
    arguments = _parse()
    work: Path = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    name, measure = ("ceiling", ceiling) if arguments.ceiling else ("costs", processed)
    results = measure(work, arguments)
    print(table(results))
    record("cohort", {name: table(results)}, arguments.record)
    (work / f"cohort-{name}.json").write_text(json.dumps(results, indent=2))


def processed(work: Path, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Figures of undisturbed and of killed runs, by the number of processes."""
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
    return results


def ceiling(work: Path, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Figures of one run with two processes, and of two runs with one and half of the subjects.

    They take turns, each first in every other pair, so that a slow minute of the machine concerns
    both. Of each kind the fastest counts.
    """
    labels = [f"{number:02d}" for number in range(1, arguments.subjects + 1)]
    bids, options = work / "demo", ("--skip-bids-validation",)
    if arguments.tiny:
        bids, options = work / "bids", OPTIONS
    if not bids.exists():
        if arguments.tiny:
            write_tiny_dataset(bids, arguments.subjects)
        else:
            write_demo_dataset(bids, subjects=labels)
    # of demo subjects every other one has a dynamic PET: each half has as many of both
    halves = [labels[0::4] + labels[1::4], labels[2::4] + labels[3::4]]
    runs: dict[str, list[dict[str, float]]] = {"one run": [], "two runs side by side": []}
    for repeat in range(arguments.repeats):
        kinds = {"one run": [(2, labels)], "two runs side by side": [(1, half) for half in halves]}
        for kind in list(kinds) if repeat % 2 == 0 else reversed(kinds):
            runs[kind].append(_at_once(bids, work / kind.replace(" ", "-"), kinds[kind], options))
    results = {kind: min(found, key=lambda run: run["wall_s"]) for kind, found in runs.items()}
    one, two = (results[kind]["wall_s"] for kind in runs)
    results["share of the ceiling"] = {
        "of the fastest, %": 100 * two / one,
        **{
            f"of pair {number}, %": 100 * other["wall_s"] / own["wall_s"]
            for number, (own, other) in enumerate(zip(*runs.values(), strict=True), 1)
        },
    }
    return results


def _at_once(
    bids: Path, out: Path, runs: Sequence[tuple[int, Sequence[str]]], options: Sequence[str]
) -> dict[str, float]:
    """Start runs together; when the last has ended, and what the processors did meanwhile.

    Processors of which a run has the use and does not make it are idle: before the first report,
    from then on, and after the last but one, when a single subject is left.
    """
    before, start = os.times(), time.monotonic()
    processes = []
    for number, (nprocs, labels) in enumerate(runs):
        arguments = [*options, "--participant-label", *labels]
        processes.append(
            Started(ROOT, bids, out.with_name(f"{out.name}-{number}"), nprocs, arguments)
        )
    looks: list[tuple[float, float, int]] = []
    while sum(run.look(memory=False) for run in processes):
        cpu = sum(run.cpu_s for run in processes)
        reports = sum(len(run.reports) for run in processes)
        looks.append((time.monotonic() - start, cpu, reports))
        # looking at processes takes time, too
        time.sleep(4 * SECONDS_BETWEEN_LOOKS)
    wall, after = time.monotonic() - start, os.times()
    for run in processes:
        run.check()
    total = sum(len(labels) for _, labels in runs)
    idle = dict.fromkeys(("before the first report", "between", "with one subject left"), 0.0)
    for (since, cpu, _), (until, more, reports) in itertools.pairwise(looks):
        part = 0 if reports == 0 else 2 if reports >= total - 1 else 1
        idle[list(idle)[part]] += 2 * (until - since) - (more - cpu)
    used = after.children_user + after.children_system - before.children_user
    used -= before.children_system
    return {
        "wall_s": wall,
        "cpu_s": used,
        "share of two processors": used / (2 * wall),
        "CPU s of main processes": sum(run.main_cpu_s for run in processes),
        **{f"idle processor s, {name}": seconds for name, seconds in idle.items()},
    }


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


class Started:
    """A run of the App of a checkout.

    Attributes
    ----------
    reports
        Names of subject reports, and seconds until each was there.
    main_mb
        Memory of the main process over time.
    cpu_s, main_cpu_s
        CPU time as last seen, of all of its processes and of the main one.
    """

    def __init__(
        self, tree: Path, bids: Path, out: Path, nprocs: int, arguments: Sequence[str]
    ) -> None:
        for folder in (out, out.with_name(f"{out.name}-work")):
            shutil.rmtree(folder, ignore_errors=True)
        command = [
            sys.executable, "-m", "bids_app.run", str(bids), str(out), "participant",
            "-w", f"{out}-work", "--nprocs", str(nprocs), *arguments,
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        self.reports: dict[str, float] = {}
        self.main_mb: list[float] = []
        self.cpu_s = self.main_cpu_s = 0.0
        self.start = time.monotonic()
        self._out = out
        self._ended: dict[int, float] = {}
        with out.with_name(f"{out.name}.log").open("wb") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=tree
            )
        self._watched = psutil.Process(self.process.pid)

    def look(self, *, memory: bool = True) -> bool:
        """Note what there is to see; False once the run has ended."""
        running = self.process.poll() is None
        elapsed = time.monotonic() - self.start
        for path in self._out.glob("sub-*.html"):
            self.reports.setdefault(path.name, elapsed)
        if elapsed > LONGEST_RUN_S:
            self.process.kill()
        with contextlib.suppress(psutil.Error):
            if memory:
                self.main_mb.append(self._watched.memory_full_info().uss / 1e6)
            self.main_cpu_s = sum(self._watched.cpu_times()[:2])
            for process in (self._watched, *self._watched.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    self._ended[process.pid] = sum(process.cpu_times()[:2])
        self.cpu_s = sum(self._ended.values())
        return running

    def check(self) -> None:
        """Wait for the end.

        Raises
        ------
        subprocess.CalledProcessError
            When it failed.
        """
        if self.process.wait():
            raise subprocess.CalledProcessError(self.process.returncode, self.process.args)


def run(
    tree: Path, bids: Path, out: Path, nprocs: int, kill_after: float | None = None
) -> dict[str, object]:
    """Run the App of a checkout; times of the reports, and the main process's memory over time."""
    before = os.times()
    started = Started(tree, bids, out, nprocs, OPTIONS)
    while started.look():
        if kill_after is not None and time.monotonic() - started.start > kill_after:
            started.process.send_signal(signal.SIGKILL)
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    started.process.wait()
    started.look()
    wall = time.monotonic() - started.start
    after = os.times()
    if kill_after is None:
        started.check()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return {"wall_s": wall, "cpu_s": cpu, "reports": started.reports, "main_mb": started.main_mb}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="folder for the dataset and the results")
    parser.add_argument("--subjects", type=int, help="default 12, with --ceiling 8")
    parser.add_argument("--nprocs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cut", type=float, nargs="*", default=[0.5], help="share of the time")
    parser.add_argument("--other", type=Path, help="checkout of the code to compare with")
    add_option(parser)
    parser.add_argument("--ceiling", action="store_true", help="compare with two runs at once")
    parser.add_argument("--tiny", action="store_true", help="tiny subjects for --ceiling, too")
    parser.add_argument("--repeats", type=int, default=2, help="pairs of --ceiling, default 2")
    arguments = parser.parse_args()
    arguments.subjects = arguments.subjects or (8 if arguments.ceiling else 12)
    return arguments


if __name__ == "__main__":
    main()
