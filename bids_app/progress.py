"""Showing how far the run has got."""

import re
import sys
import time
from typing import Any, TextIO

# Steps too short to mention.
SILENT = re.compile(r"^(ds_|plot_|chain|computed|suvr?_|resample)")


class Progress:
    """Follows Nipype's status calls: a bar on a terminal, a line per step elsewhere.

    Attributes
    ----------
    executed, cached
        Nodes that ran, and nodes whose earlier results were taken.
    """

    def __init__(self, total: int, stream: TextIO = sys.stderr) -> None:
        self.total = total
        self.executed = 0
        self.finished = 0
        self._started: set[str] = set()
        self._begin = time.monotonic()
        self._stream = stream
        self._bar = None
        if stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, file=stream, unit="step", dynamic_ncols=True)

    @property
    def cached(self) -> int:
        return self.finished - self.executed

    def __call__(self, node: Any, status: str) -> None:
        """Take Nipype's report that a node had a `start`, an `end` or an `exception`."""
        if status == "start":
            self._started.add(node.fullname)
            self._tell(node.fullname)
            return
        self.finished += 1
        # a node whose inputs do not fit fails without having started
        if status == "exception" or node.fullname in self._started:
            self.executed += 1
        if self._bar is not None:
            self._bar.update()

    def _tell(self, fullname: str) -> None:
        subject, *steps = describe_node(fullname)
        if SILENT.match(fullname.rsplit(".", 1)[-1]):
            return
        step = f"{subject}: {' '.join(steps)}"
        if self._bar is not None:
            self._bar.set_description_str(step)
            return
        minutes = (time.monotonic() - self._begin) / 60
        print(
            f"[{minutes:5.1f} min, {self.finished}/{self.total} steps] {step}",
            file=self._stream,
            flush=True,
        )

    def close(self) -> None:
        """End the bar and say what ran."""
        if self._bar is not None:
            self._bar.close()
        print(
            f"{self.executed} steps ran, {self.cached} were taken from the work directory",
            file=self._stream,
            flush=True,
        )


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
