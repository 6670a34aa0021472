"""Talking to a batch system: its programs, its queue, and what its output says."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_app.progress import describe_node
from fusionprep.errors import UsageError
from fusionprep.signals import ENDING

# to submit, to ask, to cancel
PROGRAMS: Mapping[str, tuple[str, str, str]] = {
    "SLURM": ("sbatch", "squeue", "scancel"),
    "SLURMGraph": ("sbatch", "squeue", "scancel"),
    "PBS": ("qsub", "qstat", "qdel"),
    "SGE": ("qsub", "qstat", "qdel"),
    "LSF": ("bsub", "bjobs", "bkill"),
    "OAR": ("oarsub", "oarstat", "oardel"),
    "Condor": ("condor_qsub", "condor_q", "condor_rm"),
}
# option for the job's name, its file of output, and where the answer has the job's number
SUBMISSION: Mapping[str, tuple[str, str, str]] = {
    "SLURM": ("-J", "slurm-%j.out", r"Submitted batch job (\d+)"),
    "SLURMGraph": ("-J", "slurm-%j.out", r"Submitted batch job (\d+)"),
    "PBS": ("-N", "", r"^\s*(\d[\w\[\]]*)"),
    "SGE": ("-N", "", r"Your job (\d+)"),
}
# longest name that PBS accepts
LETTERS_OF_A_NAME = 15
REASONS = (
    ("DUE TO TIME LIMIT", "its time limit"),
    ("oom-kill", "lack of memory"),
    ("memory limit", "lack of memory"),
    ("CANCELLED", "scancel"),
)
JOBS_IN_A_CALL = 500


@dataclass(frozen=True)
class Pace:
    """How a batch system is asked.

    Attributes
    ----------
    seconds
        Between two looks at the queue, which serves others too.
    patience
        Seconds in which a network file system shows the results of a job that has ended.
    """

    seconds: float = 2.0
    patience: float = 60.0


class SlurmQueue:
    """The user's jobs that have not ended.

    Parameters
    ----------
    seconds
        How long an answer is good for.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._states: dict[int, str] | None = None
        self._asked = float("-inf")
        self._told = False

    def forget(self) -> None:
        """Ask again next time."""
        self._asked = float("-inf")

    def states(self) -> dict[int, str] | None:
        """State (``PD``, ``R``, …) by job; None where Slurm does not answer."""
        if time.monotonic() - self._asked >= self._seconds:
            self._states = self._ask()
            self._asked = time.monotonic()
        return self._states

    def _ask(self) -> dict[int, str] | None:
        done = subprocess.run(
            ["squeue", "--me", "--noheader", "--format=%i %t"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            if not self._told:
                print(
                    f"warning: no answer from Slurm, waiting: {first_line(done.stderr, 'squeue')}",
                    file=sys.stderr,
                )
            self._told = True
            return None
        self._told = False
        rows = (line.split() for line in done.stdout.splitlines())
        return {int(row[0]): row[1] for row in rows if len(row) == 2 and row[0].isdigit()}


def submit(
    system: str,
    script: Path,
    name: str,
    arguments: Sequence[str],
    *,
    tries: int = 2,
    seconds: float = 2.0,
) -> str:
    """Submit a job of one of :data:`SUBMISSION`.

    Parameters
    ----------
    arguments
        The user's; they precede those given here.
    tries, seconds
        How often to try again after a refusal, and how long to wait before.

    Returns
    -------
    str
        The job's number.

    Raises
    ------
    UsageError
        With what the program says, when it refuses the job.
    """
    program = PROGRAMS[system][0]
    option, output, number = SUBMISSION[system]
    if system == "PBS":
        name = name[:LETTERS_OF_A_NAME]
    command = [program, "-o", str(script.parent / output), option, name]
    if not output:
        # a folder; Slurm puts errors where the output is
        command += ["-e", str(script.parent)]
    command += [*arguments, str(script)]
    for left in range(tries, -1, -1):
        # in a session of its own, Ctrl-C does not reach it between the submission and the answer
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, start_new_session=True
        )
        if (match := re.search(number, done.stdout)) is not None:
            return match[1]
        if left:
            time.sleep(seconds)
    raise refusal(first_line(done.stderr, program))


def job_name(fullname: str) -> str:
    """Subject and step, to know a job by in the queue.

    Examples
    --------
    >>> job_name("fusionprep_wf.sub_01_wf.anatomical_wf.conform")
    'sub-01_conform'
    """
    words = describe_node(fullname)
    return "_".join((words[0], *words[1:][-1:])).replace(" ", "_")


def refusal(words: str) -> UsageError:
    """The error of a batch system that refuses a job."""
    return UsageError(
        f"the batch system refuses the job: {words.rstrip('.')}; correct the arguments in the"
        " plugin file or wait, and run again with the same work directory"
    )


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let signals wait, so that no job is submitted and then forgotten."""
    came: list[int] = []
    # blocking them does not help: another thread, of a numerical library, would take them
    before = {
        number: signal.signal(number, lambda number, _: came.append(number)) for number in ENDING
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for waiting in came:
            signal.raise_signal(waiting)


def cancel(system: str, jobs: Sequence[Any]) -> None:
    """Cancel jobs; those that have ended meanwhile are not an error."""
    for start in range(0, len(jobs), JOBS_IN_A_CALL):
        command = [PROGRAMS[system][2], *map(str, jobs[start : start + JOBS_IN_A_CALL])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 and (text := done.stderr.strip()):
            print(f"warning: {first_line(text, command[0])}", file=sys.stderr)


def first_line(text: str, program: str) -> str:
    """What a program says about its error, out of a longer text."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith(f"{program}:")]
    return (own or lines or [f"{program} failed and said nothing"])[0]


def cause_of_end(output: Path) -> str | None:
    """Why the batch system ended a job, where its output says so."""
    text = "".join(_last_lines(output)).lower()
    return next((cause for words, cause in REASONS if words.lower() in text), None)


def reason(step: str, job: Any, output: Path) -> list[str]:
    """A traceback for a job that the batch system ended; its last line is for the user.

    Parameters
    ----------
    output
        What the job printed, where there is such a file.
    """
    cause = cause_of_end(output)
    guess = f"by {cause}" if cause else "without a result (time limit, memory, or a broken node)"
    advice = "start it again" if cause == "scancel" else "ask for more in the plugin file, then run"
    return [
        *(f"    {line}" for line in _last_lines(output)),
        f"fusionprep.errors.FusionPrepError: {step.replace('_', ' ')}: the batch system ended job"
        f" {job} {guess}; {advice} with the same work directory\n",
    ]


def _last_lines(output: Path) -> list[str]:
    if not output.is_file():
        return []
    return [f"{line}\n" for line in output.read_text("utf-8", "replace").splitlines()[-20:]]
