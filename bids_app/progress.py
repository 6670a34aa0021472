"""Showing how far the run has got."""

import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

# Steps too short to mention.
SILENT = re.compile(r"^(ds_|plot_|chain|computed|suvr?_|resample)")
SECONDS_OF_A_MINUTE = 60


class Progress:
    """Follows Nipype's status calls: a bar on a terminal, a line per step elsewhere.

    Parameters
    ----------
    n_subjects
        How many subjects the run has.
    stream
        Where to show it.

    Attributes
    ----------
    executed, cached
        Steps that ran, and steps whose earlier results were taken.
    finished
        Subjects all of whose steps have their results.
    """

    def __init__(self, n_subjects: int, stream: TextIO | None = None) -> None:
        self.n_subjects = n_subjects
        self.executed = 0
        self.finished = 0
        self._ended = 0
        self._expected: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        # both in subjects; taking results from the work directory does not count as work
        self._to_come, self._work = float(n_subjects), 0.0
        self._failed: set[str] = set()
        self._started: set[str] = set()
        self._begin = time.monotonic()
        # looked up now: where it is closed or broken, the command has put another in its place
        self._stream = stream = stream or sys.stderr
        self._bar = None
        if stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=n_subjects, file=stream, dynamic_ncols=True,
                bar_format="{percentage:3.0f}%|{bar}| {desc}",
            )  # fmt: skip

    @property
    def cached(self) -> int:
        return self._ended - self.executed

    @property
    def failed(self) -> int:
        """Subjects of which a step has failed."""
        return len(self._failed)

    def expect(self, fullnames: Iterable[str]) -> None:
        """Steps of one or more subjects are to come."""
        for name in fullnames:
            self._expected[_subject(name)] += 1
            self._left[_subject(name)] += 1

    def skip(self, fullnames: Iterable[str]) -> None:
        """Steps will not run after all."""
        for name in fullnames:
            self._leave(_subject(name))

    def _leave(self, subject: str) -> None:
        self._left[subject] -= 1
        self._to_come -= 1 / self._expected[subject]
        if not self._left[subject] and subject not in self._failed:
            self.finished += 1

    def __call__(self, node: Any, status: str) -> None:
        """Take Nipype's report that a node had a `start`, an `end` or an `exception`."""
        name = node.fullname
        if status == "start":
            self._started.add(name)
            self._tell(name)
            return
        subject = _subject(name)
        self._ended += 1
        if status == "exception":
            self._failed.add(subject)
        self._leave(subject)
        # a node whose inputs do not fit fails without having started
        if status == "exception" or name in self._started:
            self._started.discard(name)
            self.executed += 1
            self._work += 1 / self._expected[subject]
        if self._bar is not None:
            self._bar.n = self.n_subjects - self._to_come
            self._bar.refresh()

    def _tell(self, fullname: str) -> None:
        subject, *steps = describe_node(fullname)
        if SILENT.match(fullname.rsplit(".", 1)[-1]):
            return
        step = f"{subject}: {' '.join(steps)}"
        if self._bar is not None:
            self._bar.set_description_str(f"{self._state()} | {step}")
            return
        minutes = (time.monotonic() - self._begin) / SECONDS_OF_A_MINUTE
        print(f"[{minutes:5.1f} min, {self._state()}] {step}", file=self._stream, flush=True)

    def _state(self) -> str:
        """Subjects that are done, and the time that others will take as far as can be told."""
        state = f"{self.finished} of {self.n_subjects} subjects done"
        if self.failed:
            state += f", {self.failed} failed"
        if self._work >= 1:
            seconds = (time.monotonic() - self._begin) / self._work * self._to_come
            state += f", about {max(1, round(seconds / SECONDS_OF_A_MINUTE))} min left"
        return state

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Make room for other lines."""
        if self._bar is not None:
            self._bar.clear()
        yield
        if self._bar is not None:
            self._bar.refresh()

    def close(self) -> None:
        """End the bar and say what ran."""
        if self._bar is not None:
            self._bar.close()
        print(
            f"{self.executed} steps ran, {self.cached} were taken from the work directory",
            file=self._stream,
            flush=True,
        )


def _subject(fullname: str) -> str:
    return describe_node(fullname)[0]


def describe_node(fullname: str) -> list[str]:
    """Words for a node's name, the subject first.

    Examples
    --------
    >>> describe_node("fusionprep_wf.sub_01_wf.pet_trc_18FFDG_wf.coregistration_wf.register")
    ['sub-01', 'pet trc-18FFDG', 'coregistration', 'register']
    """
    names = [name.removesuffix("_wf") for name in fullname.split(".")[1:]]
    if not names:
        return [fullname]
    subject = names[0].replace("sub_", "sub-", 1)
    words = [re.sub(r"_(ses|trc|rec|run|acq|task)_", r" \1-", name) for name in names[1:]]
    return [subject, *(word.replace("_", " ") for word in words)]
