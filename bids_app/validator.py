"""The official BIDS validator, a guest: whatever it does, the run goes on."""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fusionprep.errors import one_line

PROGRAM = "bids-validator-deno"
SECONDS = 600.0
"""A dataset of ten thousand files takes a few minutes."""

SECONDS_BEFORE_A_WORD = 10.0
LARGEST_OUTPUT = 2**26
CODES_SHOWN = 20
PR_SET_PDEATHSIG = 1
_SECONDS_BETWEEN = 0.1


class NoResultError(Exception):
    """The validator gave no result; ``str(error)`` says why."""


def validate(bids_dir: Path, *, seconds: float = SECONDS) -> None:
    """Say on stderr what the validator finds, where it is installed, and go on.

    It is waited for: who sees what it objects to may want to stop, which is of use before hours of
    processing, and beside it the memory that the run plans with would not be there.

    Parameters
    ----------
    seconds
        After which it is stopped, with every process of its group.
    """
    executable = _executable()
    if executable is None:
        return
    try:
        codes = error_codes(
            _output([executable, "--format", "json", "--ignoreWarnings", str(bids_dir)], seconds)
        )
    except NoResultError as error:
        print(
            f"warning: the BIDS validator gave no result: {one_line(str(error))}", file=sys.stderr
        )
        return
    if codes:
        more = f" and {len(codes) - CODES_SHOWN} more" if len(codes) > CODES_SHOWN else ""
        print(
            f"the BIDS validator objects to: {', '.join(codes[:CODES_SHOWN])}{more}",
            file=sys.stderr,
        )


def _executable() -> str | None:
    beside_python = Path(sys.executable).parent
    return shutil.which(PROGRAM) or shutil.which(PROGRAM, path=str(beside_python))


def error_codes(output: bytes) -> list[str]:
    """Codes of the errors in the validator's JSON, each once.

    Raises
    ------
    NoResultError
        When it is not what the validator writes.
    """
    try:
        issues = json.loads(output)["issues"]["issues"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise NoResultError("its output is not the JSON expected") from error
    if not isinstance(issues, list) or not all(isinstance(issue, Mapping) for issue in issues):
        raise NoResultError("its output does not list issues")
    return sorted({_code(issue) for issue in issues if issue.get("severity") == "error"})


def _code(issue: Mapping[str, Any]) -> str:
    code = issue.get("code")
    return one_line(code)[: CODES_SHOWN * 4] if isinstance(code, str) and code else "an error"


def _output(command: list[str], seconds: float) -> bytes:
    """What a program prints until it ends; its exit code tells nothing, as errors set it too."""
    try:
        # a group of its own, so that its children can be ended with it
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with_parent(),
        )
    except OSError as error:
        raise NoResultError(f"{command[0]}: {error.strerror}") from error
    try:
        return _read(process, seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _end_with_parent() -> Callable[[], object] | None:
    """What makes a child end when this process is killed; None where the system has no such thing.

    Looked up here, since between fork and exec little is safe.
    """
    set_option = getattr(ctypes.CDLL(None), "prctl", None)
    return None if set_option is None else partial(set_option, PR_SET_PDEATHSIG, signal.SIGKILL)


def _read(process: "subprocess.Popen[bytes]", seconds: float) -> bytes:
    assert process.stdout is not None
    handle, content = process.stdout.fileno(), bytearray()
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    begun, told = time.monotonic(), False
    while (elapsed := time.monotonic() - begun) < seconds:
        if elapsed > SECONDS_BEFORE_A_WORD and not told:
            told = True
            print(
                f"the BIDS validator is waited for, {seconds / 60:.0f} minutes at most;"
                " --skip-bids-validation leaves it out",
                file=sys.stderr,
            )
        # asked before reading: what was printed before the end is then in the pipe
        ended = process.poll() is not None
        ready = waiting.poll(0 if ended else 1000 * _SECONDS_BETWEEN)
        chunk = os.read(handle, 2**20) if ready else b""
        content += chunk
        if len(content) > LARGEST_OUTPUT:
            raise NoResultError(f"it printed more than {LARGEST_OUTPUT // 2**20} MB")
        if not chunk and ended:
            return bytes(content)
        if ready and not chunk:
            # it has closed its output, and goes on
            time.sleep(_SECONDS_BETWEEN)
    raise NoResultError(f"it was stopped after {seconds:.0f} s")
