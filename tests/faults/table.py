"""All attacks by id: ``python -m tests.faults.table`` prints them as a table in Markdown."""

import importlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tests.app.test_bad_input import DAMAGED

ELSEWHERE = {
    "disk-out-small": (
        "outputs on a disk of 3 MB", 74,
        "test_command_line.test_a_full_output_disk_leaves_only_whole_files",
    ),
    "disk-work-small": (
        "work on disks of 100 kB and 3 MB", 74,
        "test_command_line.test_a_full_work_disk_ends_with_a_line",
    ),
    "disk-work-grows": (
        "work on a disk that has room again", 0,
        "test_command_line.test_a_run_goes_on_when_the_work_disk_has_room_again",
    ),
    "disk-out-ro": (
        "outputs on a read-only disk", 73,
        "test_command_line.test_an_output_that_is_read_only",
    ),
    "signal-early": (
        "SIGTERM before the workflow runs", 143,
        "test_command_line.test_a_signal_before_the_workflow_runs_is_an_interruption",
    ),
    "user-unknown": (
        "a user without account or HOME", 0,
        "test_command_line.test_a_user_without_account_or_home_is_served",
    ),
    "reader-leaves": (
        "standard output is not read to its end", 141,
        "test_command_line.test_a_reader_that_leaves_ends_the_command_without_a_word",
    ),
}  # fmt: skip
"""Attacks that are tests of their own in ``tests/app``: what they are, how they end, and where."""

HEADER = "| id | attack | ends with |\n|---|---|---|"


def modules() -> Iterator[ModuleType]:
    """The test modules of this folder."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        yield importlib.import_module(f"{__package__}.{path.stem}")


def attacks_of(module: ModuleType) -> list[tuple[str, object]]:
    """The attacks in all tables that a module defines, by id, which begins with its area."""
    area = module.__name__.rpartition(".test_")[2].replace("_", "-")
    return [
        (f"{area}.{key}", value)
        for name, table in vars(module).items()
        if name.isupper() and isinstance(table, dict)
        for key, value in table.items()
        if hasattr(value, "what")
    ]


def main() -> None:
    count = 0
    for module in modules():
        attacks = attacks_of(module)
        if not attacks:
            continue
        count += len(attacks)
        print(f"\n## {(module.__doc__ or '').splitlines()[0]}\n\n{HEADER}")
        for name, attack in attacks:
            codes = " or ".join(map(_ending, getattr(attack, "codes", (0,))))
            print(_row(name, attack.what, codes))
    print(f"\n## In tests/app\n\n{HEADER}")
    for name, (what, code, _) in ELSEWHERE.items():
        print(_row(name, what, str(code)))
    for label, (kind, _, message) in DAMAGED.items():
        print(_row(f"image-{label}", f"{kind}: {message}", "65"))
    print(f"\n{count + len(ELSEWHERE) + len(DAMAGED)} attacks")


def _row(*cells: str) -> str:
    """Cells without what breaks a row: line breaks, bars, bytes that are not text."""
    text = (re.sub(r"\s+", " ", cell.replace("\\", "").replace("|", "/")) for cell in cells)
    return f"| {' | '.join(text)} |".encode("utf-8", "replace").decode()


def _ending(code: int) -> str:
    return str(code) if code >= 0 else signal.Signals(-code).name


if __name__ == "__main__":
    main()
