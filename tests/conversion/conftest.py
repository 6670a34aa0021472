"""Heads to convert, and what every converted dataset must stand."""

from pathlib import Path

import pytest

from fusionprep.cli import main
from tests.app.runs import run_app
from tests.faults.tiny import write_tiny_dataset
from tests.validator import issues


@pytest.fixture(scope="session")
def heads(tmp_path_factory) -> Path:
    """A dataset of two heads at 6 mm, one with a static PET and one with a dynamic; to be read."""
    bids = tmp_path_factory.mktemp("heads") / "bids"
    write_tiny_dataset(bids, 2)
    return bids


@pytest.fixture
def convert(capsys):
    """Runs ``fusionprep bids``: its exit code, what it printed, and what it complained of."""

    def run(*words) -> tuple[int, str, str]:
        code = main(["bids", *(str(word) for word in words)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def problems(dataset: Path) -> list[tuple[str, str]]:
    """Code and field of what the validator has to say, beside what is only recommended."""
    return sorted(
        (issue["code"], issue.get("subCode", ""))
        for issue in issues(dataset)
        if not issue["code"].endswith(("_KEY_RECOMMENDED", "_AUTHORS"))
    )


def dry_run(dataset: Path, out: Path, *options: str) -> str:
    """What the App says it would do."""
    run = run_app(dataset, out, "--dry-run", *options)
    assert run.code == 0, run.stderr
    return run.stdout


def run_through(dataset: Path, out: Path, *options: str) -> None:
    """Run the App, whose outputs the validator has nothing to say of."""
    run = run_app(dataset, out, *options)
    assert run.code == 0, run.stderr
    assert issues(out) == []
