"""How much memory every kind of step takes, beside what it claims. Linux only.

Each step runs in a process forked for it alone, as an idle worker would begin it.
"""

import argparse
import gc
import json
import multiprocessing
import os
import re
import resource
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tables import add_option, record

os.environ |= {"NO_ET": "1", "NIPYPE_NO_ET": "1"}


@dataclass(frozen=True)
class Used:
    """Memory of one step, in GB.

    Attributes
    ----------
    peak
        The most beyond an idle worker, programs it starts included.
    kept
        What the process holds when it is done, mostly libraries.
    """

    step: str
    kind: str
    claim: float
    peak: float
    kept: float
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subject step by step, print a table, write ``OUT/steps.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bids", type=Path, help="dataset; --participant-label among options")
    parser.add_argument("out", type=Path, help="folder for outputs, which must not exist")
    add_option(parser)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="of fusionapp")
    arguments = parser.parse_args(argv)
    if arguments.out.exists():
        raise SystemExit(f"{arguments.out} exists; name a new folder")

    from nipype import logging

    from bids_app.parser import parse
    from fusionprep.bids.layout import open_layout
    from fusionprep.bids.plan import plan_dataset
    from fusionprep.workflows.base import init_fusionprep_wf

    for name in ("workflow", "interface", "utils"):
        logging.getLogger(f"nipype.{name}").setLevel("ERROR")
    folders = [str(arguments.bids), str(arguments.out / "out"), "participant"]
    config, _ = parse([*folders, "-w", str(arguments.out / "work"), *arguments.options])
    plans = plan_dataset(open_layout(config.bids_dir, config.selection), config)
    config.output_dir.mkdir(parents=True)
    workflow = init_fusionprep_wf(config, plans)
    print(f"main process: {resident(os.getpid()):.3f} GB")
    used = run_apart(workflow)
    (arguments.out / "steps.json").write_text(json.dumps([asdict(one) for one in used], indent=1))
    print(table(used))
    dataset = re.sub(r"\W", "_", arguments.bids.resolve().name)
    record("step_memory", {f"steps_{dataset}": table(used)}, arguments.record)
    return 0


def run_apart(workflow: Any) -> list[Used]:
    """Run every step of a workflow in a process of its own, one after the other."""
    from nipype.interfaces.utility import IdentityInterface
    from nipype.pipeline.engine.utils import topological_sort
    from nipype.pipeline.plugins.base import PluginBase

    used: list[Used] = []

    class Apart(PluginBase):
        def run(self, graph: Any, *_: Any, **__: Any) -> None:
            for node in topological_sort(graph)[0]:
                if not isinstance(node.interface, IdentityInterface):
                    used.append(measured(node))

    workflow.run(plugin=Apart())
    return used


def measured(node: Any) -> Used:
    """Run a step in a forked process and look at its memory as it goes."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(node, theirs))
    process.start()
    theirs.close()
    before = ours.recv()
    peak, done = [0.0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, done))
    watcher.start()
    start = time.monotonic()
    ours.send("go")
    try:
        own_peak, after = ours.recv()
    except EOFError:
        raise SystemExit(f"{node.fullname} failed; see its crash file") from None
    seconds = time.monotonic() - start
    done.set()
    watcher.join()
    process.join()
    most = max(own_peak, peak[0] - before)
    kind = type(node.interface).__name__
    return Used(node.fullname, kind, node.mem_gb, most, after - before, seconds)


def _run(node: Any, pipe: Connection) -> None:
    pipe.send(private(os.getpid()))
    pipe.recv()
    before = resident(os.getpid())
    node.run()
    gc.collect()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    pipe.send((most - before, private(os.getpid())))


def _watch(pid: int, peak: list[float], done: threading.Event) -> None:
    while not done.wait(0.02):
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            peak[0] = max(peak[0], sum(private(int(one)) for one in (pid, *children)))
        except OSError:
            # a program has just ended
            continue


def private(pid: int) -> float:
    """Memory of a process that it shares with no other, GB."""
    return sum(_field(pid, name) for name in ("Private_Clean", "Private_Dirty"))


def resident(pid: int) -> float:
    """Memory of a process, shared pages included, GB."""
    return _field(pid, "Rss")


def _field(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e9
    return 0.0


def table(used: Sequence[Used]) -> str:
    """A Markdown table of the largest step of each kind, the hungriest first."""
    largest: dict[str, Used] = {}
    for one in sorted(used, key=lambda one: one.peak):
        largest[one.kind] = one
    lines = ["| step | takes, GB | claims | keeps |", "|---|---:|---:|---:|"]
    for one in reversed(largest.values()):
        over = " (too little)" * (one.peak > one.claim)
        lines.append(f"| {one.kind} | {one.peak:.2f} | {one.claim:.2f}{over} | {one.kept:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
