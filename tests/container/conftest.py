"""A container engine, and a folder with a dataset as README.md's commands expect it."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from fusionprep.demo.dataset import write_demo_dataset

USER, GROUP = 12345, 54321
"""Of no account, on the host or in the image."""


@pytest.fixture(scope="session")
def image() -> str:
    """Name of the image to be judged; ``make test-image`` builds and names it."""
    name = os.environ.get("FUSIONAPP_IMAGE")
    if not name:
        pytest.skip("no image: make test-image builds one and runs these tests")
    return name


@pytest.fixture(scope="session")
def engine(image) -> Callable[..., subprocess.CompletedProcess]:
    """Calls docker or podman and returns what came of it."""
    name = os.environ.get("CONTAINER_ENGINE", "docker")

    def call(*arguments: object, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [name, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            pytest.fail(f"{name} {arguments[0]}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    return call


@pytest.fixture
def new_container(engine) -> Iterator[Callable[..., str]]:
    """Creates a container, which is removed after the test, and returns its name."""
    made: list[str] = []

    def create(*arguments: object) -> str:
        made.append(engine("create", *arguments).stdout.strip())
        return made[-1]

    yield create
    for container in made:
        engine("rm", "--force", container)


@pytest.fixture(scope="session")
def bids(image, tmp_path_factory) -> Path:
    """One subject of the demo; not to be changed."""
    folder = tmp_path_factory.mktemp("container") / "bids"
    write_demo_dataset(folder, subjects=("01",))
    folder.parent.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def named_docker(image, tmp_path_factory) -> dict[str, str]:
    """An environment where the command ``docker`` is the engine in use."""
    name = os.environ.get("CONTAINER_ENGINE", "docker")
    if name == "docker":
        return dict(os.environ)
    folder = tmp_path_factory.mktemp("bin")
    (folder / "docker").symlink_to(shutil.which(name))
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.fixture
def mounts(bids, tmp_path) -> tuple[Path, Sequence[str]]:
    """New out and work folders anyone may write to, and the options that mount them."""
    for parent in (tmp_path, tmp_path.parent):
        parent.chmod(0o755)
    for name in ("out", "work"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    folders = {"/bids:ro": bids, "/out": tmp_path / "out", "/work": tmp_path / "work"}
    return tmp_path, [
        part for place, folder in folders.items() for part in ("-v", f"{folder}:{place}")
    ]
