"""What the image promises, checked with a container engine (``make test-image``)."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep import __version__
from tests.app.runs import check_readable, files_of, unfinished
from tests.container.conftest import GROUP, USER
from tests.validator import issues

ROOT = Path(__file__).parents[2]
PROGRAM = "/opt/venv/bin/fusionapp"
LARGEST_CPU_IMAGE = 1.9e9
RUN = ("--network", "none", "--tmpfs", "/tmp", "-u", f"{USER}:{GROUP}")
SECONDS_TO_START = 300
SIGTERM_TOLD = str(128 + signal.SIGTERM)
"""As opposed to 137, of a process that was killed."""


def readme_commands() -> str:
    """The commands of README.md that run a container, word for word."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if "docker run" in block and "/bids /out group" in block)
    commands = re.split(r"(?<!\\)\n", block)
    return "\n".join(line for line in commands if not line.startswith("docker build"))


@pytest.fixture(scope="module")
def readme_run(bids, named_docker) -> Path:
    """What README.md's commands leave behind, run beside a folder ``bids``."""
    subprocess.run(
        ["bash", "-euc", readme_commands()], cwd=bids.parent, env=named_docker, check=True
    )
    return bids.parent / "out"


@pytest.fixture(scope="module")
def bare_run(bids, tmp_path_factory) -> Path:
    """The same by the package that is installed here."""
    folder = tmp_path_factory.mktemp("bare")
    start = [sys.executable, "-m", "bids_app.run", str(bids), str(folder / "out")]
    subprocess.run([*start, "participant", "-w", str(folder / "work")], cwd=folder, check=True)
    subprocess.run([*start, "group"], cwd=folder, check=True)
    return folder / "out"


def test_labels_and_settings(engine, image):
    (described,) = json.loads(engine("image", "inspect", image).stdout)
    settings = described["Config"]
    labels = {
        key.removeprefix("org.opencontainers.image."): value
        for key, value in settings["Labels"].items()
    }
    assert labels["title"] == "fusionapp"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == __version__
    assert re.fullmatch("[0-9a-f]{40}|unknown", labels["revision"])
    assert settings["Entrypoint"] == [PROGRAM]
    assert settings["User"] not in ("", "0", "root")
    assert "HOME=/home/fusionprep" in settings["Env"]


def test_size_without_cuda(engine, image):
    ask = "import torch; print(torch.version.cuda or '')"
    cuda = engine("run", "--rm", "--entrypoint", "/opt/venv/bin/python", image, "-c", ask)
    if cuda.stdout.strip():
        pytest.skip(f"the image has CUDA {cuda.stdout.strip()}")
    (described,) = json.loads(engine("image", "inspect", image).stdout)
    assert described["Size"] <= LARGEST_CPU_IMAGE


def test_version_and_descriptor(engine, image):
    run = ("run", "--rm", "--read-only", *RUN, image)
    assert engine(*run, "--version").stdout.strip() == f"fusionapp {__version__}"
    descriptor = (ROOT / "bids_app" / "platforms" / "boutiques.json").read_text("utf-8")
    assert engine(*run, "--bids-exec-spec").stdout == descriptor


def test_readme_commands_make_a_valid_dataset(readme_run):
    assert {"sub-01.html", "group_fusion.html"} <= set(files_of(readme_run))
    assert check_readable(readme_run) > 0
    assert unfinished(readme_run) == []
    assert issues(readme_run) == []
    (made, *_) = json.loads((readme_run / "dataset_description.json").read_text())["GeneratedBy"]
    assert made["Name"] == "fusionprep"
    assert made["Container"]["Type"]


def test_same_results_as_the_bare_install(readme_run, bare_run):
    assert files_of(readme_run) == files_of(bare_run)
    for path in sorted(bare_run.rglob("*.nii.gz")):
        name = str(path.relative_to(bare_run))
        bare, contained = nib.load(path), nib.load(readme_run / name)
        np.testing.assert_array_equal(bare.affine, contained.affine, err_msg=name)
        # on a real subject two voxels of a probability differed by one rounding, 1e-16
        np.testing.assert_allclose(
            numbers(contained), numbers(bare), rtol=1e-6, atol=1e-6, err_msg=name
        )


def numbers(image: nib.Nifti1Image) -> np.ndarray:
    """Voxels; colours as their bytes."""
    voxels = np.asarray(image.dataobj)
    return voxels if voxels.dtype.fields is None else np.ascontiguousarray(voxels).view(np.uint8)


def test_any_user_without_home_in_3_gb(engine, image, mounts, new_container):
    """The root file system can be written to here, and nothing is."""
    folder, volumes = mounts
    options = ("--memory", "3g", "--memory-swap", "3g", "--entrypoint", "env")
    program = ("-u", "HOME", PROGRAM, "/bids", "/out", "participant", "-w", "/work")
    container = new_container(*RUN, *volumes, *options, image, *program)
    engine("start", "--attach", container)
    changed = {line.split()[1] for line in engine("diff", container).stdout.splitlines()}
    # podman gives the user an account
    assert changed <= {"/bids", "/out", "/work", "/tmp", "/etc", "/etc/passwd"}
    assert (folder / "out" / "sub-01.html").exists()
    written = [path for name in ("out", "work") for path in (folder / name).rglob("*")]
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in written} == {(USER, GROUP)}


def test_a_stopped_container_goes_on_later(engine, image, mounts, new_container):
    _, volumes = mounts
    arguments = ("/bids", "/out", "participant", "-w", "/work", "--sloppy")
    run = (*RUN, "--read-only", *volumes, image, *arguments, "--fusion-model", "average")
    container = new_container(*run)
    engine("start", container)
    wait_for(engine, container, "correct bias")
    code = stop(engine, container)
    told = engine("logs", container).stderr
    assert code == SIGTERM_TOLD, told
    assert told.splitlines()[-1].startswith("fusionapp: interrupted")
    again = engine("run", "--rm", *run).stderr
    assert int(re.search(r"(\d+) were taken from the work directory", again)[1]) > 0


def test_a_container_stopped_at_once_ends_by_itself(engine, image, mounts, new_container):
    _, volumes = mounts
    arguments = ("/bids", "/out", "participant", "-w", "/work")
    container = new_container("--read-only", *RUN, *volumes, image, *arguments)
    engine("start", container)
    # Python has to be up: a first process without a handler ignores the signal
    time.sleep(1)
    assert stop(engine, container) == SIGTERM_TOLD


def stop(engine, container: str) -> str:
    """The exit code of a container that has 10 s to end before it is killed."""
    engine("stop", "--time", 10, container)
    return engine("inspect", "--format", "{{.State.ExitCode}}", container).stdout.strip()


def wait_for(engine, container: str, words: str) -> None:
    """Until a container says so."""
    for _ in range(SECONDS_TO_START):
        if words in engine("logs", container).stderr:
            return
        time.sleep(1)
    pytest.fail(f"the container never said {words!r}")
