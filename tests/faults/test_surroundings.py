"""What a process finds around it: streams, variables, folders, encodings, settings, limits.

Runs that process nothing, each in a process of its own since most of this cannot be undone in one.
"""

import os
import resource
import signal
from collections.abc import Callable

import pytest

from tests.faults.attacks import Attack, Scene, in_table
from tests.faults.processes import Launch, attempt_apart, stands_whole

PLAN = ("--dry-run",)
TEXT = ("--boilerplate-only",)
TOLD = (*TEXT, "--participant-label", "01", "99")
"""Standard error is told that sub-99 is not there; it ends with 18."""

FULL = "/dev/full"
NOT_UTF8 = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
HOSTILE_SETTINGS = """[execution]
crashdump_dir = /nowhere
hash_method = nope
poll_sleep_duration = soon
stop_on_first_rerun = true
[logging]
workflow_level = NOPE
log_to_file = true
[monitoring]
enabled = maybe
"""


def _launch(options=PLAN, **arguments) -> Callable[[Scene], Launch]:
    return lambda _: Launch(options, **arguments)


def _env(*options: str, **variables: str | None) -> Callable[[Scene], Launch]:
    return _launch(options or PLAN, env=variables)


def _closed(*numbers: int) -> Callable[[Scene], Launch]:
    return _launch(TOLD, before=lambda: [os.close(number) for number in numbers])


def _into(stream: str, path: str, options=PLAN) -> Callable[[Scene], Launch]:
    return lambda _: Launch(options, streams={stream: os.open(path, os.O_WRONLY)})


def _broken_pipe(stream: str, options) -> Callable[[Scene], Launch]:
    def prepare(scene: Scene) -> Launch:
        reading, writing = os.pipe()
        os.close(reading)
        return Launch(options, streams={stream: writing})

    return prepare


def _settings(content: bytes, place: str) -> Callable[[Scene], Launch]:
    """Nipype's settings, in the home or in the current folder."""

    def prepare(scene: Scene) -> Launch:
        home = scene.bids.parent / "home"
        path = home / ".nipype" / "nipype.cfg" if place == "home" else home / "nipype.cfg"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        return Launch(TEXT, env={"HOME": str(home)}, cwd=home)

    return prepare


def _limit(what: int, most: int, options=PLAN) -> Callable[[Scene], Launch]:
    # at the soft limit the kernel sends a signal, at the hard one it kills
    return _launch(options, before=lambda: resource.setrlimit(what, (most, most + 1)))


def _current_folder(name: str) -> Callable[[Scene], Launch]:
    def prepare(scene: Scene) -> Launch:
        folder = scene.bids.parent / name
        folder.mkdir()
        return Launch(TEXT, cwd=folder)

    return prepare


def _deleted_folder(scene: Scene) -> Launch:
    folder = scene.bids.parent / "gone"
    folder.mkdir()
    return Launch(PLAN, before=lambda: (os.chdir(folder), folder.rmdir()))


def _ignoring(number: int) -> Callable[[Scene], Launch]:
    return _launch(before=lambda: signal.signal(number, signal.SIG_IGN))


def _blocking_all() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


ATTACKS = {
    "streams-no-stdin": Attack("standard input closed", _closed(0), (18,), "sub-99"),
    "streams-no-stdout": Attack("standard output closed", _closed(1), (18,), "sub-99"),
    "streams-no-stderr": Attack("standard error closed", _closed(2), (18,)),
    "streams-none": Attack("all standard streams closed", _closed(0, 1, 2), (18,)),
    "streams-stdout-full": Attack(
        "standard output on a full disk", _into("stdout", FULL), (74,), "No space left"
    ),
    "streams-stderr-full": Attack(
        "standard error on a full disk", _into("stderr", FULL, TOLD), (18,)
    ),
    "streams-usage-full": Attack(
        "a usage error told to a full disk", _into("stderr", FULL, ("--nprocs", "0")), (64,)
    ),
    "streams-stderr-pipe": Attack(
        "nobody reads standard error", _broken_pipe("stderr", TOLD), (18,)
    ),
    "streams-stdout-pipe": Attack(
        "nobody reads standard output", _broken_pipe("stdout", PLAN), (141,)
    ),
    "home-none": Attack("no HOME", _env(HOME=None)),
    "home-empty": Attack("HOME is empty", _env(HOME="")),
    "home-file": Attack("HOME is a device", _env(HOME="/dev/null")),
    "home-nowhere": Attack("HOME cannot be made", _env(HOME="/proc/nowhere")),
    "tmp-nowhere": Attack("TMPDIR does not exist", _env(TMPDIR="/nowhere")),
    "tmp-file": Attack("TMPDIR is a device", _env(TMPDIR="/dev/null")),
    "tmp-unwritable": Attack("TMPDIR cannot be written", _env(TMPDIR="/proc")),
    "path-empty": Attack("PATH is empty", _env(PATH="")),
    "path-none": Attack("no PATH", _env(PATH=None)),
    "locale-posix": Attack("a POSIX locale", _env(LC_ALL="POSIX", LANG="C")),
    "locale-not-utf8": Attack("names of files taken for ASCII", _env(**NOT_UTF8)),
    "locale-unknown": Attack("a locale that is not there", _env(LC_ALL="xx_YY.nonsense")),
    "locale-ascii-output": Attack("output in ASCII", _env(PYTHONIOENCODING="ascii")),
    "locale-utf16-output": Attack("output in UTF-16", _env(PYTHONIOENCODING="utf-16")),
    "timezone-unknown": Attack("a time zone that is not there", _env(TZ="Nowhere/At_all")),
    "terminal-odd": Attack("a nonsensical terminal", _env(TERM="?", COLUMNS="abc", LINES="-1")),
    "terminal-narrow": Attack("a terminal of one column", _env("--help", COLUMNS="1")),
    "python-warnings": Attack("warnings are errors", _env(PYTHONWARNINGS="error")),
    "python-no-docs": Attack("Python without docstrings", _env(PYTHONOPTIMIZE="2")),
    "threads-negative": Attack("-1 threads", _env(OMP_NUM_THREADS="-1")),
    "threads-word": Attack("abc threads", _env(OMP_NUM_THREADS="abc", MKL_NUM_THREADS="abc")),
    "threads-empty": Attack("threads not said", _env(OMP_NUM_THREADS="", MKL_NUM_THREADS="")),
    "backend-unknown": Attack("a backend Matplotlib lacks", _env(*TEXT, MPLBACKEND="nope")),
    "folder-deleted": Attack("the current folder is deleted", _deleted_folder, (64,), "cd"),
    "folder-name": Attack("a current folder with % and a line break", _current_folder("9%\nx")),
    "settings-home": Attack(
        "settings of Nipype that mean nothing", _settings(HOSTILE_SETTINGS.encode(), "home")
    ),
    "settings-bytes": Attack("settings of Nipype of any bytes", _settings(b"\0\xff[", "home")),
    "settings-here": Attack("broken settings of Nipype here", _settings(b"nonsense", "here")),
    "umask-none": Attack("files for everybody", _launch(TEXT, before=lambda: os.umask(0))),
    "umask-all": Attack("files for nobody", _launch(TEXT, before=lambda: os.umask(0o777))),
    "limit-files": Attack("32 open files", _limit(resource.RLIMIT_NOFILE, 32)),
    "limit-processes": Attack("no further process", _limit(resource.RLIMIT_NPROC, 0)),
    "limit-file-size": Attack(
        "files of at most 1 kB", _limit(resource.RLIMIT_FSIZE, 1000, TEXT), (73,), "File too large"
    ),
    "limit-cpu": Attack(
        "one second of processor time", _limit(resource.RLIMIT_CPU, 1), (0, -signal.SIGXCPU)
    ),
    "signals-child-ignored": Attack("ends of processes ignored", _ignoring(signal.SIGCHLD)),
    "signals-hangup-ignored": Attack("started with nohup", _ignoring(signal.SIGHUP)),
    "signals-blocked": Attack("all signals blocked", _launch(before=_blocking_all)),
}

NAMES = {
    "name-letters": "Köpfe 頭",
    "name-percent": "50% done",
    "name-interpolation": "%(home)s",
    "name-line-break": "one\ntwo",
    "name-shell": "a $HOME; 'b' \"c\" *[d]",
    "name-braces": "{x}",
    "name-dash": "-rf",
    "name-tilde": "~",
}
IN_SETTINGS = ("name-percent", "name-interpolation")
"""Names that Nipype has in its settings, which a plan does not need."""

REFUSED = ("name-line-break",)
"""Names that would break what the run says in two."""

FOLDERS = {
    name: Attack(
        f"folders called {folder!r}, names taken for ASCII",
        _launch(TEXT if name in IN_SETTINGS else PLAN, env=NOT_UTF8),
        (64,) if name in REFUSED else (0,),
    )
    for name, folder in NAMES.items()
}


@in_table(ATTACKS)
def test_surroundings_are_stood(attack, scene):
    launch = attack.prepare(scene)
    try:
        run = attempt_apart(scene, launch)
    finally:
        for stream in launch.streams.values():
            os.close(stream)
    stands_whole(run, attack)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_folders_are_stood(name, scene):
    folder = scene.bids.parent / NAMES[name]
    folder.mkdir()
    moved = Scene(scene.bids.rename(folder / "bids"), folder / "out", folder / "work")
    run = attempt_apart(moved, FOLDERS[name].prepare(moved))
    stands_whole(run, FOLDERS[name])
