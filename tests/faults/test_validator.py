"""The BIDS validator as a guest: whatever a program of its name does, the run goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bids_app import validator
from bids_app.validator import PROGRAM, validate

GOOD = '{"issues": {"issues": [{"code": "A", "severity": "error"}]}}'


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Put a program on the PATH, validate, and return what was said."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def run(script: str | bytes, *, seconds: float = 20.0, mode: int = 0o755) -> str:
        program = folder / PROGRAM
        program.write_bytes(script if isinstance(script, bytes) else script.encode())
        program.chmod(mode)
        validate(tmp_path, seconds=seconds)
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") <= 1
        return said.err

    return run


def _prints(text: str, code: int = 0) -> str:
    return f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n"


def _issues(*issues: str) -> str:
    return f'{{"issues": {{"issues": [{", ".join(issues)}]}}}}'


NO_JSON = "gave no result: its output is not the JSON expected"
NO_ISSUES = "gave no result: its output does not list issues"
SAYS = {
    "validator-good": (_prints(GOOD), "objects to: A\n"),
    "validator-error-code": (_prints(GOOD, 16), "objects to: A\n"),
    "validator-clean": (_prints(_issues()), ""),
    "validator-warnings": (_prints(_issues('{"code": "W", "severity": "warning"}')), ""),
    "validator-nothing": ("#!/bin/sh\n", NO_JSON),
    "validator-fails": ("#!/bin/sh\nexit 1\n", NO_JSON),
    "validator-killed": ("#!/bin/sh\nkill -9 $$\n", NO_JSON),
    "validator-words": (_prints("All is well!"), NO_JSON),
    "validator-cut-off": (_prints(GOOD[:30]), NO_JSON),
    "validator-binary": ("#!/bin/sh\nhead -c 9999 /dev/urandom\n", NO_JSON),
    "validator-null": (_prints("null"), NO_JSON),
    "validator-list": (_prints("[1]"), NO_JSON),
    "validator-text": (_prints('"issues"'), NO_JSON),
    "validator-no-issues": (_prints("{}"), NO_JSON),
    "validator-issues-null": (_prints('{"issues": null}'), NO_JSON),
    "validator-issues-number": (_prints('{"issues": {"issues": 5}}'), NO_ISSUES),
    "validator-issues-object": (_prints('{"issues": {"issues": {"a": 1}}}'), NO_ISSUES),
    "validator-issues-words": (_prints('{"issues": {"issues": ["a", null]}}'), NO_ISSUES),
    "validator-deep": ("#!/bin/sh\nhead -c 500000 /dev/zero | tr '\\0' '['\n", NO_JSON),
    "validator-digits": (
        "#!/bin/sh\nprintf '{\"issues\": '; head -c 6000 /dev/zero | tr '\\0' '1'; echo '}'\n",
        NO_JSON,
    ),
    "validator-no-code": (_prints(_issues('{"severity": "error"}')), "objects to: an error\n"),
    "validator-code-number": (
        _prints(_issues('{"severity": "error", "code": 5}', '{"severity": "error", "code": "B"}')),
        "objects to: B, an error\n",
    ),
    "validator-code-list": (
        _prints(_issues('{"severity": "error", "code": ["A"]}')),
        "objects to: an error\n",
    ),
    "validator-severity": (_prints(_issues('{"severity": ["error"], "code": "A"}')), ""),
    "validator-escapes": (
        _prints(_issues('{"severity": "error", "code": "\\u001b[2J\\nA"}')),
        "objects to: \\x1b[2J\\nA\n",
    ),
    "validator-many": (
        _prints(_issues(*(f'{{"severity": "error", "code": "C{n:03d}"}}' for n in range(99)))),
        "C019 and 79 more\n",
    ),
    "validator-no-program": (b"\x00\x01\x02", "gave no result: "),
    "validator-no-interpreter": ("#!/no/such/shell\n", "gave no result: "),
    "validator-stderr": ("#!/bin/sh\nhead -c 9999999 /dev/zero >&2\n" + _prints(GOOD), ": A\n"),
    "validator-asks": ("#!/bin/sh\nread answer\n" + _prints(GOOD), "objects to: A\n"),
}


@pytest.mark.parametrize("name", SAYS)
def test_whatever_it_says(told, name):
    script, says = SAYS[name]
    said = told(script)
    assert says in said
    assert bool(said) == bool(says)


def test_one_that_is_not_executable_is_none(told, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert told(_prints(GOOD), mode=0o644) == ""


def test_a_folder_of_its_name_is_none(tmp_path, monkeypatch, capsys):
    (tmp_path / PROGRAM).mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    validate(tmp_path)
    assert capsys.readouterr().err == ""


def _gone(path: Path) -> bool:
    """Whether the process whose number is in a file has ended."""
    number = int(path.read_text())
    for _ in range(50):
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    "script",
    [
        "sleep 600",
        "trap '' TERM INT HUP; sleep 600 & wait; sleep 600",
        "exec >&-; sleep 600",
        "while :; do echo x; sleep 0.01; done",
        "while :; do :; done",
    ],
)
def test_one_that_hangs_is_ended_with_its_children(told, tmp_path, script):
    pids = f"echo $$ > {tmp_path}/own; sleep 600 & echo $! > {tmp_path}/child; "
    begun = time.monotonic()
    said = told(f"#!/bin/sh\n{pids}{script}\n", seconds=1.0)
    assert time.monotonic() - begun < 10
    assert "gave no result: it was stopped after 1 s" in said
    assert _gone(tmp_path / "own")
    assert _gone(tmp_path / "child")


def test_a_child_that_stays_does_not_hold_up_the_result(told, tmp_path):
    begun = time.monotonic()
    script = _prints(GOOD).replace(
        "#!/bin/sh\n", f"#!/bin/sh\nsleep 600 & echo $! > {tmp_path}/c\n"
    )
    assert "objects to: A" in told(script)
    assert time.monotonic() - begun < 10
    assert _gone(tmp_path / "c")


def test_a_child_that_leaves_the_group_does_not_either(told, tmp_path):
    script = f"#!/bin/sh\nsetsid sleep 5 & echo $! > {tmp_path}/c\n" + _prints(GOOD)
    begun = time.monotonic()
    assert "objects to: A" in told(script)
    assert time.monotonic() - begun < 4


def test_gigabytes_are_not_kept(told, monkeypatch):
    monkeypatch.setattr(validator, "LARGEST_OUTPUT", 2**20)
    assert "it printed more than 1 MB" in told("#!/bin/sh\ncat /dev/zero\n")


def test_a_long_wait_is_said(told, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(validator, "SECONDS_BEFORE_A_WORD", 0.2)
    program = tmp_path / "bin" / PROGRAM
    program.write_text("#!/bin/sh\nsleep 1\n" + _prints(_issues()))
    program.chmod(0o755)
    validate(tmp_path)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "10 minutes at most; --skip-bids-validation leaves it out" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_none_behind(told, tmp_path, number):
    told(f"#!/bin/sh\necho $$ > {tmp_path}/own.tmp; mv {tmp_path}/own.tmp {tmp_path}/own\n")
    (tmp_path / "own").unlink()
    program = tmp_path / "bin" / PROGRAM
    program.write_text(program.read_text() + "exec sleep 600\n")
    code = (
        "import sys; from pathlib import Path; from fusionprep.signals import endings;"
        " from bids_app.validator import validate\n"
        "with endings(KeyboardInterrupt): validate(Path(sys.argv[1]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (tmp_path / "own").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    process.wait(timeout=20)
    assert _gone(tmp_path / "own")
