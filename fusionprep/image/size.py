"""How much memory an image needs and how much a file may hold, by its header alone."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fusionprep.errors import DataError
from fusionprep.machine import memory_gb

BYTES_OF_VOXEL = 4
"""Everything is computed in float32."""

SURPLUS = 1 << 20
"""Bytes that may follow the voxels: padding, and notes of some converters."""

LARGEST_START = 1 << 28
"""Bytes before the voxels that are taken for extensions of the header."""

_DEFLATE_RATIO = 1032  # of zeros, the most that gzip can do
_CHUNK = 1 << 20
_FIRST_BYTES = 176


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, `size` or fewer; none at the end."""
        ...


def size_problem(shape: Sequence[int], allowed_gb: float) -> str:
    """Why voxels cannot be held in memory: the predicate of a sentence, empty where they can.

    Parameters
    ----------
    shape
        Of what is in memory at once.
    allowed_gb
        What there is, in GB (1e9 bytes).
    """
    needed = math.prod(int(length) for length in shape) * BYTES_OF_VOXEL / 1e9
    if needed <= allowed_gb:
        return ""
    sides = " x ".join(str(length) for length in shape)
    return (
        f"needs {needed:.3g} GB of memory for its {sides} voxels, and {allowed_gb:.3g} GB are there"
    )


def check_size(path: str | Path, shape: Sequence[int]) -> None:
    """Refuse an image that cannot be held in the memory that this process may use.

    Raises
    ------
    DataError
        With what is needed and what is there.
    """
    if problem := size_problem(shape, memory_gb()):
        raise DataError(
            f"{path} {problem}; correct its header, convert it again or use a machine with more"
            " memory"
        )


def start_problem(start: bytes) -> str:
    """What is wrong with where the voxels of a NIfTI file begin; empty where nothing is.

    nibabel reads everything before them when it opens a file.

    Parameters
    ----------
    start
        The first 176 bytes or more of the header.
    """
    import numpy as np

    if len(start) < _FIRST_BYTES:
        return ""
    for order in "<>":
        size = int(np.frombuffer(start, f"{order}i4", 1)[0])
        if size == 348:
            offset = float(np.frombuffer(start, f"{order}f4", 1, 108)[0])
        elif size == 540:
            offset = float(np.frombuffer(start, f"{order}i8", 1, 168)[0])
        else:
            continue
        if not -1 < offset <= LARGEST_START:
            return f"its voxels would begin at byte {offset:.4g}: convert it again"
    return ""


def is_possible(expected: int, packed: int) -> bool:
    """Whether gzip can pack the bytes expected, header and voxels, into those of the file."""
    return expected <= _DEFLATE_RATIO * packed + _CHUNK


def unpacked_size(stream: Readable, expected: int) -> int:
    """Bytes of a stream, read no further than a little beyond what is expected.

    Returns
    -------
    int
        At most a little more than `expected` and :data:`SURPLUS`.
    """
    size = 0
    while size <= expected + SURPLUS and (block := stream.read(_CHUNK)):
        size += len(block)
    return size


def surplus_problem(size: int, expected: int) -> str:
    """What is wrong with a file that goes on after its voxels; empty where nothing is."""
    if size <= expected + SURPLUS:
        return ""
    return f"holds more than its header says ({expected} bytes)"
