"""What each step of a run took: ``logs/<run>/steps.jsonl``.

One JSON object on each line, written as a step ends:

``subject``
    E.g. ``sub-01``.
``step``
    Name within the subject, e.g. ``anatomical.brain``; :data:`MAIN` for what the main process took
    between the reports of two subjects: reading the dataset, building and hashing steps, reports.
``interface``
    Class of what is run, e.g. ``ExtractBrain``; empty for the main process.
``cpu_s``, ``wall_s``
    Seconds of user and system time, and on the clock; those of a step include the worker's own
    from the end of the step before.
``peak_gb``
    Most memory (1e9 bytes) that the worker held, libraries included; null where the system does not
    tell.
``failed``
    Whether the step raised an error.

A step whose process was killed leaves no line, nor does one whose results were there. Runs by a
plugin of Nipype's, as on a cluster, leave no file.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bids_app.plugins.usage import Meter, Usage

STEPS = "steps.jsonl"
MAIN = "main"
_DIGITS = 4


@dataclass(frozen=True)
class StepUsage:
    """One line of the record; see the module."""

    subject: str
    step: str
    interface: str
    cpu_s: float
    wall_s: float
    peak_gb: float | None
    failed: bool = False


class StepRecord:
    """Writes the record of a run.

    Parameters
    ----------
    folder
        The run's, below ``logs/``.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / STEPS
        self._meter = Meter(with_children=False)
        self._failed = False

    def step(self, fullname: str, interface: str, usage: Usage, *, failed: bool) -> None:
        """Write down a step by the full name of its node."""
        subject, *names = [name.removesuffix("_wf") for name in fullname.split(".")[1:]]
        label = subject.replace("sub_", "sub-", 1)
        self._write(StepUsage(label, ".".join(names), interface, *_rounded(usage), failed))

    def main_process(self, label: str) -> None:
        """Write down what this process took up to the report of a subject."""
        usage = _rounded(self._meter.reading())
        self._write(StepUsage(f"sub-{label}", MAIN, "", *usage))

    def _write(self, line: StepUsage) -> None:
        if self._failed:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(line)) + "\n")
        except OSError as error:
            # results do not depend on it
            self._failed = True
            print(f"warning: cannot record steps: {error}", file=sys.stderr)


def read_steps(path: Path) -> Iterator[StepUsage]:
    """The lines of a record, in the order in which steps ended.

    Raises
    ------
    OSError, ValueError
        When the file cannot be read, or a line is not of a record.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield StepUsage(**json.loads(line))
            except (TypeError, ValueError) as error:
                raise ValueError(f"line {number} of {path}: {error}") from error


def _rounded(usage: Usage) -> tuple[float, float, float | None]:
    peak = None if usage.peak_gb is None else round(usage.peak_gb, _DIGITS)
    return round(usage.cpu_s, _DIGITS), round(usage.wall_s, _DIGITS), peak
