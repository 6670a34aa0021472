"""The device to compute on, and how processes share a GPU."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fusionprep.choices import Device, choices
from fusionprep.errors import UsageError

SLICES_ON_CPU = 4
"""How many slices a model holds in memory at once on a CPU, unless told otherwise."""

FAST_FLOAT16 = (7, 0)
"""Compute capability (Volta) from which GPUs have units for float16; some before it are slower with
it than without."""


def resolve_device(device: Device) -> str:
    """The device to compute on: ``auto`` takes CUDA where it is present.

    Raises
    ------
    UsageError
        When CUDA is asked for but absent, or the device is unknown.
    """
    import torch

    if device not in choices(Device):
        raise UsageError(f"unknown device {device!r}; there are: {', '.join(choices(Device))}")
    if device == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise UsageError("no CUDA device was found; use --device cpu, or expose the GPU")
    return "cpu"


def free_bytes() -> int:
    """Memory of the GPU that this process could still take."""
    import torch

    free, _ = torch.cuda.mem_get_info()
    # what PyTorch keeps for later counts as taken
    return free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()


def has_fast_float16() -> bool:
    """Whether the GPU computes faster in float16 than in float32."""
    import torch

    return torch.cuda.get_device_capability() >= FAST_FLOAT16


@contextmanager
def gpu_turn(device: str, folder: Path | None = None) -> Iterator[None]:
    """Have the GPU to oneself among the user's processes on this machine, and leave it empty.

    Each process sees how much memory is free, and could not count on it if another did so at the
    same time. Nothing is waited for on a CPU.

    Parameters
    ----------
    device
        What :func:`resolve_device` returns.
    folder
        Of the file by which processes agree, which is left there; None stands for that of temporary
        files. Where it cannot be written, nothing is waited for either, and a warning says so.
    """
    if device == "cpu":
        yield
        return
    import torch

    with _lock(folder or Path(tempfile.gettempdir())):
        try:
            yield
        finally:
            torch.cuda.empty_cache()


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """A lock of the user, which ends with the process that has it."""
    import fcntl

    # as many as there are choices of GPUs: a job on another GPU need not wait
    seen = "".join(filter(str.isalnum, os.environ.get("CUDA_VISIBLE_DEVICES", "")))[:64]
    path = folder / f"fusionprep-gpu{seen}-{os.getuid()}.lock"
    with ExitStack() as stack:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
            stack.callback(os.close, file)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            warnings.warn(f"processes do not take turns on the GPU: {error}", stacklevel=4)
        yield
