"""One run at a time for each subject in a work directory.

A run marks its subjects there with ``.running-sub-<label>``, which holds the run's name. Who that
is stands in ``.running-<run>.json``, whose time of change is the run's sign of life: one file to
touch for thousands of subjects. Files that only one process can create hold on NFS too, where
advisory locks need a service that many sites do not run.
"""

import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from bids_app.exitcodes import ExitCode
from bids_app.failures import Failure
from bids_app.holders import Holder, read_holder, this_process
from fusionprep.errors import OutputError
from fusionprep.files import create_once, json_text, taking_turns, write_text

SECONDS_OF_A_BEAT = 15.0
SECONDS_BETWEEN_LOOKS = 0.5
_MARK = ".running-"
_CLEANING = ".cleaning"
_LONGEST_NAME = 100


class Claims:
    """The subjects of a work directory that a run has to itself.

    Attributes
    ----------
    failures
        One for each subject that was asked for and belongs to another run.
    """

    def __init__(self, work_dir: Path, run_uuid: str) -> None:
        self.failures: list[Failure] = []
        self._folder = work_dir
        self._run = run_uuid
        self._pulse = self._pulse_of(run_uuid)
        self._marks: dict[str, Path] = {}
        self._process = os.getpid()

    @property
    def labels(self) -> list[str]:
        """Subjects that this run has to itself, without ``sub-``."""
        return list(self._marks)

    def holds(self, label: str) -> bool:
        """Whether a subject is still this run's: one that showed no life for long may lose it."""
        return label in self._marks and _name_in(self._marks[label]) == self._run

    def loss_of(self, label: str) -> Failure | None:
        """The failure of a subject that another run has taken over; None while it is this run's."""
        if self.holds(label):
            return None
        subject = f"sub-{label}"
        return Failure(
            subject,
            f"{subject} is no longer this run's in the work directory {self._folder}: it showed no"
            " life for long, and another run took the subject over and reports on it",
            ExitCode.CANNOT_CREATE,
        )

    def touch(self) -> None:
        """Show that this run is alive."""
        # a file server that is away for a moment is back at the next beat
        with suppress(OSError):
            os.utime(self._pulse)

    def release(self, label: str) -> None:
        """Give a subject back that is done with."""
        if self.holds(label):
            self._marks[label].unlink(missing_ok=True)
        self._marks.pop(label, None)

    def begin(self) -> None:
        """Show this run to others, and wait while one of them empties the work directory."""
        write_text(self._pulse, json_text(this_process(self._run)))
        while self._other(self._folder / _CLEANING) is not None:
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def clean(self) -> None:
        """Delete earlier results, while no other run is there and none can begin.

        Raises
        ------
        OutputError
            When another run uses the work directory.
        """
        mark = self._folder / _CLEANING
        other = self._take(mark)
        try:
            pulses = (path for path in self._folder.glob(f"{_MARK}*.json") if path != self._pulse)
            other = other or next(filter(None, map(self._alive, pulses)), None)
            if other is not None:
                raise OutputError(
                    f"--clean-workdir would delete what another run uses: {other.description} works"
                    f" in {self._folder}; wait for its end, or choose another with -w"
                )
            # the folder may hold other things, or be a mount point
            for folder in self._folder.glob("fusionprep_*_wf"):
                shutil.rmtree(folder)
        finally:
            if _name_in(mark) == self._run:
                mark.unlink(missing_ok=True)

    def claim(self, labels: Iterable[str]) -> None:
        """Take those subjects that no other run has.

        Raises
        ------
        OutputError
            When others have all of them.
        """
        others: dict[str, Holder] = {}
        for label in dict.fromkeys(labels):
            mark = self._folder / f"{_MARK}sub-{label}"
            # noted first, because a signal may come at any moment; only what is ours is removed
            self._marks[label] = mark
            if (other := self._take(mark)) is not None:
                del self._marks[label]
                others[label] = other
        self.failures = [
            Failure(f"sub-{label}", self._line(f"sub-{label} is", other), ExitCode.CANNOT_CREATE)
            for label, other in others.items()
        ]
        if others and not self._marks:
            first, more = next(iter(others)), len(others) - 1
            whom = f"sub-{first} and {more} more are" if more else f"sub-{first} is"
            raise OutputError(self._line(whom, others[first]))

    def end(self) -> None:
        """Give everything back."""
        if os.getpid() != self._process:
            return
        # whatever cannot be removed now is that of a dead run to the next one
        with suppress(OSError):
            for label in self.labels:
                self.release(label)
            self._pulse.unlink(missing_ok=True)

    def _take(self, mark: Path) -> Holder | None:
        """Create a mark, in place of that of a run that is no more; else whose it is."""
        # of two that find a dead run's mark, the second would remove the first one's
        with taking_turns(mark):
            if (other := self._other(mark)) is not None:
                return other
            if (name := _name_in(mark)) == self._run:
                return None
            if name:
                self._pulse_of(name).unlink(missing_ok=True)
            mark.unlink(missing_ok=True)
            if not create_once(mark, self._run):
                raise OutputError(f"{mark} cannot be created; remove what is there")
        return None

    def _other(self, mark: Path) -> Holder | None:
        """The other run that has a mark, and is alive."""
        name = _name_in(mark)
        return None if name in ("", self._run) else self._alive(self._pulse_of(name))

    def _alive(self, pulse: Path) -> Holder | None:
        holder = read_holder(pulse, self._now())
        return holder if holder is not None and holder.alive else None

    def _pulse_of(self, run: str) -> Path:
        return self._folder / f"{_MARK}{run}.json"

    def _now(self) -> float:
        """The time by the clock of the file server, which need not be that of this machine."""
        with TemporaryFile(dir=self._folder) as file:
            file.write(b"\n")
            file.flush()
            return os.fstat(file.fileno()).st_mtime

    def _line(self, whom: str, other: Holder) -> str:
        return (
            f"{whom} being processed in the work directory {self._folder} by"
            f" {other.description}; wait for its end, or choose another work directory with -w"
        )


@contextmanager
def claimed(
    work_dir: Path, labels: Iterable[str], run_uuid: str, *, clean: bool = False
) -> Iterator[Claims]:
    """Have subjects of a work directory to oneself until the end of the block.

    Parameters
    ----------
    work_dir
        Is created.
    labels
        Participant labels without ``sub-``.
    run_uuid
        Name of this run, unlike that of any other.
    clean
        Delete earlier results first.

    Raises
    ------
    OutputError
        When other runs have all of the subjects, or use the work directory that is to be cleaned,
        or nothing can be written there.
    """
    claims = Claims(work_dir, run_uuid)
    try:
        try:
            work_dir.mkdir(parents=True, exist_ok=True)
            claims.begin()
            if clean:
                claims.clean()
            claims.claim(labels)
        except OSError as error:
            place = error.filename or work_dir
            raise OutputError(
                f"cannot write to the work directory: {place}: {error.strerror};"
                " choose another with -w or correct its permissions"
            ) from error
        with _beating(claims):
            yield claims
    finally:
        claims.end()


@contextmanager
def _beating(claims: Claims) -> Iterator[None]:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(SECONDS_OF_A_BEAT):
            claims.touch()

    thread = threading.Thread(target=beat, name="sign of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _name_in(mark: Path) -> str:
    """The run that a mark names; empty where there is no mark, or what is there is none."""
    try:
        if not mark.is_file():
            return ""
        with mark.open("rb") as file:
            name = file.read(_LONGEST_NAME + 1).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""
    return name if len(name) <= _LONGEST_NAME and name.isprintable() and "/" not in name else ""
