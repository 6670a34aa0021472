"""A dataset for each attack."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bids.skeleton import PET_SIDECAR, pet, t1w, write_dataset
from tests.faults.attacks import Scene
from tests.faults.processes import Launch, derivatives, process_apart
from tests.faults.tiny import write_tiny_dataset


@pytest.fixture
def scene(tmp_path) -> Scene:
    """Two subjects of names and sidecars, whose images hold zeros."""
    bids = tmp_path / "bids"
    images = [image(subject=label) for label in ("01", "02") for image in (t1w, pet)]
    write_dataset(bids, *images, sidecar=PET_SIDECAR)
    return Scene(bids, tmp_path / "out", tmp_path / "work")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """One tiny subject; not to be changed."""
    bids = tmp_path_factory.mktemp("tiny") / "bids"
    write_tiny_dataset(bids, 1)
    return bids


@pytest.fixture(scope="session")
def undisturbed(tiny, tmp_path_factory) -> dict[str, bytes]:
    """What a run on it leaves that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run = process_apart(Scene(tiny, folder / "out", folder / "work"), Launch())
    assert run.code == 0, run.stderr
    return derivatives(run.output_dir)


@pytest.fixture
def unguarded() -> Iterator[None]:
    """Signals as in a terminal; what runs in the background may have inherited to ignore them."""
    ours = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in ours.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
