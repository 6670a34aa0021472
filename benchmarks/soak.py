"""Whether a cohort survives being killed at random: nothing lost, nothing changed, nothing left.

Processes tiny subjects undisturbed, then again in another folder with random kills and resumes, and
compares all images and sidecars byte by byte. A cohort that is done before the minutes are over is
started over; when they are over, the last is finished undisturbed. Prints what happened, writes
``OUT/soak.json``, and exits with 1 when something was lost, changed or left behind. Linux only.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from tables import add_option, record

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.app.runs import CHEAP, check_readable
from tests.faults.attacks import Scene
from tests.faults.processes import Launch, Started, derivatives, started
from tests.faults.tiny import write_tiny_dataset

WORKER = "SIGKILL of a worker"
KILLS = {
    "SIGKILL": signal.SIGKILL,
    WORKER: signal.SIGKILL,
    "SIGTERM": signal.SIGTERM,
    "SIGHUP": signal.SIGHUP,
}
SECONDS_TO_END = 30.0


@dataclass
class Tally:
    """What happened to the cohorts.

    Attributes
    ----------
    complete
        Subjects with a report at each kill of the main process.
    orphans
        Processes that were still there a few seconds after the main one.
    codes
        Exit codes, which are those of orderly ends, of kills, and 0 at the end of each cohort.
    differing, missing
        Derivatives that are not as in the undisturbed run, or that only it has.
    unreadable
        Cohorts with a file that could not be read after a kill.
    """

    kills: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    complete: list[int] = field(default_factory=list)
    runs: int = 0
    cohorts: int = 0
    orphans: int = 0
    late: int = 0
    unreadable: int = 0
    tracebacks: int = 0
    differing: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    reference_s: float = 0.0
    disturbed_s: float = 0.0

    @property
    def sound(self) -> bool:
        wrong = self.orphans + self.late + self.unreadable + self.tracebacks
        return not (wrong or self.differing or self.missing)


def main() -> int:
    options = parse()
    folder = options.out.resolve()
    bids = folder / "bids"
    if not bids.exists():
        write_tiny_dataset(bids, options.subjects)
    launch = Launch((*CHEAP, "--nprocs", str(options.nprocs)))
    tally = Tally()
    reference = fresh(bids, folder / "undisturbed")
    begin = time.monotonic()
    with started(reference, launch) as run:
        code = run.end(seconds=24 * 3600).code
    tally.reference_s = time.monotonic() - begin
    if code:
        print(f"the undisturbed run ended with {code}", file=sys.stderr)
        return 1
    print(f"undisturbed: {tally.reference_s:.0f} s", flush=True)
    chance = random.Random(options.seed)
    limit = time.monotonic() + 60 * options.minutes
    begin = time.monotonic()
    while tally.cohorts == 0 or time.monotonic() < limit:
        scene = fresh(bids, folder / "disturbed")
        torment(scene, launch, tally, chance, limit, options.every)
        compare(reference.out, scene.out, tally)
        tally.cohorts += 1
    tally.disturbed_s = time.monotonic() - begin
    print(table(tally))
    record("soak", {"kills": table(tally)}, options.record)
    (folder / "soak.json").write_text(json.dumps(asdict(tally), indent=2) + "\n", "utf-8")
    return int(not tally.sound)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for the data, both outputs and soak.json")
    parser.add_argument("--subjects", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=20.0, help="how long there are kills")
    parser.add_argument("--every", type=float, default=20.0, help="seconds between kills, the mean")
    parser.add_argument("--nprocs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the kills and their times")
    add_option(parser)
    return parser.parse_args()


def fresh(bids: Path, folder: Path) -> Scene:
    """Empty output and work folders."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return Scene(bids, folder / "out", folder / "work")


def torment(
    scene: Scene, launch: Launch, tally: Tally, chance: random.Random, limit: float, every: float
) -> None:
    """Start, kill and start again until a run is undisturbed to its end."""
    failed = 0
    while failed < 3:
        tally.runs += 1
        with started(scene, launch) as run:
            name = disturb(run, tally, chance, limit, every)
            end(run, name, tally)
        if not name:
            if run.process.returncode == 0:
                return
            # a step whose worker was killed time and again has failed: it is tried again
            failed += 1


def disturb(
    run: Started, tally: Tally, chance: random.Random, limit: float, every: float
) -> str | None:
    """Kill workers, and then the main process; None when it ended before that."""
    while True:
        kill_at = min(time.monotonic() + chance.uniform(0, 2 * every), limit)
        while time.monotonic() < kill_at:
            if run.process.poll() is not None:
                return None
            time.sleep(0.05)
        if kill_at == limit:
            run.process.wait()
            return None
        name = chance.choice(list(KILLS))
        if name == WORKER:
            workers = run.workers()
            if workers:
                count(tally.kills, name)
                with suppress(psutil.NoSuchProcess):
                    chance.choice(workers).kill()
            continue
        if run.process.poll() is not None:
            return None
        count(tally.kills, name)
        tally.complete.append(len(list(run.scene.out.glob("sub-*.html"))))
        run.process.send_signal(KILLS[name])
        return name


def end(run: Started, name: str | None, tally: Tally) -> None:
    """See how a run ends, and what it leaves."""
    begin = time.monotonic()
    code = run.process.wait()
    tally.late += time.monotonic() - begin > SECONDS_TO_END
    count(tally.codes, str(code))
    tally.orphans += len(run.left_behind())
    tally.tracebacks += "Traceback" in run.said()
    try:
        check_readable(run.scene.out)
    except (OSError, ValueError, EOFError) as error:
        print(f"after {name or code}: {error}", file=sys.stderr)
        tally.unreadable += 1


def count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def compare(reference: Path, out: Path, tally: Tally) -> None:
    """Count what is not the same in two output folders."""
    expected, found = derivatives(reference), derivatives(out)
    tally.missing += sorted(expected.keys() - found.keys())
    tally.differing += sorted(name for name in found if found[name] != expected.get(name))


def table(tally: Tally) -> str:
    """A Markdown table of what happened."""
    complete = ", ".join(map(str, tally.complete)) or "-"
    overhead = tally.disturbed_s / (tally.cohorts * tally.reference_s)
    rows = (
        ("kills", ", ".join(f"{count} {name}" for name, count in sorted(tally.kills.items()))),
        ("runs (each but the first of a cohort resumes)", tally.runs),
        ("cohorts finished", tally.cohorts),
        ("exit codes", ", ".join(f"{code} × {count}" for code, count in tally.codes.items())),
        ("subjects with a report at each kill", complete),
        ("processes left behind", tally.orphans),
        (f"ends later than {SECONDS_TO_END:.0f} s", tally.late),
        ("runs with a traceback", tally.tracebacks),
        ("times a file could not be read", tally.unreadable),
        ("missing files", len(tally.missing)),
        ("differing files", len(tally.differing)),
        ("time for a cohort, undisturbed = 1", f"{overhead:.2f}"),
    )
    lines = ["| what | value |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
