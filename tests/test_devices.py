import os
import subprocess
import sys
import time

import pytest
import torch

from fusionprep.devices import gpu_turn, resolve_device
from fusionprep.errors import UsageError

TURN = """
import sys, time
from pathlib import Path
from fusionprep.devices import _lock
folder = Path(sys.argv[1])
with _lock(folder):
    place = folder / "busy"
    place.mkdir()
    time.sleep(0.2)
    place.rmdir()
"""


def turn(folder, code=TURN, **variables):
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], env=os.environ | variables)


def test_processes_take_turns_on_a_gpu(tmp_path):
    # who comes while another is there fails at mkdir
    assert [process.wait() for process in [turn(tmp_path) for _ in range(3)]] == [0, 0, 0]


def test_the_turn_of_a_process_that_was_killed_is_over(tmp_path):
    killed = turn(tmp_path, TURN.replace("sleep(0.2)", "sleep(60)"))
    while not (tmp_path / "busy").exists():
        assert killed.poll() is None
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    (tmp_path / "busy").rmdir()
    assert turn(tmp_path).wait() == 0


def test_another_gpu_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with gpu_turn("cuda", tmp_path):
        assert turn(tmp_path, CUDA_VISIBLE_DEVICES="2").wait() == 0


def test_a_cpu_is_not_waited_for(tmp_path):
    with gpu_turn("cuda", tmp_path), gpu_turn("cpu", tmp_path):
        pass
    with gpu_turn("cpu", tmp_path / "absent"):
        pass


@pytest.mark.parametrize("fault", ["absent", "link"])
def test_where_nothing_can_be_locked_that_is_told(fault, tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    folder = tmp_path / "absent" if fault == "absent" else tmp_path
    if fault == "link":
        (tmp_path / f"fusionprep-gpu-{os.getuid()}.lock").symlink_to(tmp_path / "elsewhere")
    done = []
    with pytest.warns(UserWarning, match="do not take turns"), gpu_turn("cuda", folder):
        done.append(True)
    assert done
    assert not (tmp_path / "elsewhere").exists()


def test_devices():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UsageError, match="unknown device"):
        resolve_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none():
    with pytest.raises(UsageError, match="no CUDA device"):
        resolve_device("cuda")
