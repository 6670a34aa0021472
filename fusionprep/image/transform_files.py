"""Transform files that hold the same bytes whenever they are written."""

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from fusionprep.errors import UsageError

if TYPE_CHECKING:
    import SimpleITK as sitk

TRANSFORMS = (".txt", ".tfm", ".mat", ".h5")
"""Endings by which ITK chooses how a transform is written."""

_SIGNATURE = b"OHDR\x02"
_TIMES_STORED = 0x20
_PHASE_CHANGE_STORED = 0x10
_TIMES = 16
_MASK = 0xFFFFFFFF


def check_transform_name(path: Path) -> None:
    """Find out before any work whether ITK knows the ending of a transform file.

    Raises
    ------
    UsageError
        When it does not.
    """
    if path.suffix not in TRANSFORMS:
        raise UsageError(f"{path} must end in {', '.join(TRANSFORMS)}, as ITK names transforms")


def write_transform(transform: "sitk.Transform", path: Path) -> None:
    """Write an ITK transform; in an HDF5 file, without the times at which its parts were made.

    Parameters
    ----------
    path
        Ending in one of :data:`TRANSFORMS`.
    """
    import SimpleITK as sitk

    sitk.WriteTransform(transform, str(path))
    if path.suffix == ".h5":
        path.write_bytes(without_times(path.read_bytes()))


def without_times(content: bytes) -> bytes:
    """An HDF5 file with 1 January 1970 as the time of every object in it.

    Times are in object headers of version 2, which end with a checksum; what looks like a header
    among the data does not have the right one.

    References
    ----------
    HDF5 File Format Specification Version 3.0, IV.A.1.b.
    """
    changed = bytearray(content)
    start = content.find(_SIGNATURE)
    while start >= 0:
        _clear_header(changed, start)
        start = content.find(_SIGNATURE, start + 1)
    return bytes(changed)


def _clear_header(content: bytearray, start: int) -> None:
    flags = content[start + 5] if start + 5 < len(content) else 0
    if not flags & _TIMES_STORED:
        return
    times = start + 6
    size_at = times + _TIMES + (4 if flags & _PHASE_CHANGE_STORED else 0)
    width = 1 << (flags & 3)
    messages = int.from_bytes(content[size_at : size_at + width], "little")
    end = size_at + width + messages
    stored = bytes(content[end : end + 4])
    if len(stored) < 4 or stored != _checksum(bytes(content[start:end])):
        return
    content[times : times + _TIMES] = bytes(_TIMES)
    content[end : end + 4] = _checksum(bytes(content[start:end]))


def _checksum(content: bytes) -> bytes:
    """Jenkins' lookup3 (2006), ``hashlittle`` from 0, as HDF5 checks its metadata."""
    a = b = c = (0xDEADBEEF + len(content)) & _MASK
    blocks = max(0, (len(content) - 1) // 12)
    for block in range(blocks):
        words = struct.unpack_from("<3I", content, 12 * block)
        a, b, c = ((value + word) & _MASK for value, word in zip((a, b, c), words, strict=True))
        a, b, c = _mixed(a, b, c)
    rest = content[12 * blocks :]
    if rest:
        words = struct.unpack("<3I", rest.ljust(12, b"\0"))
        a, b, c = ((value + word) & _MASK for value, word in zip((a, b, c), words, strict=True))
        c = _finished(a, b, c)
    return struct.pack("<I", c)


def _turned(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & _MASK) ^ _turned(c, bits)
        c = (c + b) & _MASK
        a, b, c = b, c, a
    return a, b, c


def _finished(a: int, b: int, c: int) -> int:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turned(b, bits)) & _MASK
        a, b, c = b, c, a
    return b
