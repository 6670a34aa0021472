"""Times of a PET scan in seconds from its time zero, also where they are times of day."""

import re
from collections.abc import Mapping
from typing import Any

from fusionprep.bids.types import FrameTiming
from fusionprep.bids.units import is_given, number_and_unit

_DAY = 86400.0
_CLOCK = re.compile(r"(?:\d{4}-?\d\d-?\d\d[T ])?(\d\d?):(\d\d)(?::(\d\d(?:\.\d+)?))?Z?")


def scan_time(
    metadata: Mapping[str, Any], key: str, timing: FrameTiming
) -> tuple[float | None, str, str]:
    """The time in a field, relative to the time zero of the scan's frames.

    PET-BIDS wants seconds after ``TimeZero``. A time of day is understood where ``TimeZero`` is
    one, or else where ``ScanStart`` is one, which is then the start of the first frame.

    Parameters
    ----------
    metadata
        Merged sidecar.
    key
        E.g. ``"InjectionStart"``.
    timing
        Of the frames.

    Returns
    -------
    seconds
        None where the field does not say.
    problem
        Why not, quoting the field; empty otherwise.
    note
        How a time of day was understood; empty for a number.
    """
    value = metadata.get(key)
    if not is_given(value):
        return None, f"{key} is not given", ""
    clock = day_time(value)
    if clock is None:
        read = number_and_unit(value)
        if read is not None and read[1] in ("", "s", "sec", "seconds"):
            return read[0], "", ""
        return None, f"{key} is {value!r}, not a time in seconds", ""
    for zero_key in ("TimeZero", "ScanStart"):
        zero = day_time(metadata.get(zero_key))
        if zero is not None and zero_key != key:
            # a scan that begins before midnight may end after it
            after = (clock - zero + _DAY / 2) % _DAY - _DAY / 2
            if zero_key == "ScanStart" and timing.starts is not None:
                after += timing.starts[0]
            told = f"{key} {value} is taken for {after:g} s by {zero_key} {metadata[zero_key]}"
            return after, "", told
    told = f"{key} is {value!r}, a time of day, and neither TimeZero nor ScanStart is one"
    return None, told, ""


def day_time(value: Any) -> float | None:
    """Seconds since midnight of text such as ``10:30:00``; None for anything else."""
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    hours, minutes, seconds = int(match[1]), int(match[2]), float(match[3] or 0)
    if hours > 23 or minutes > 59 or seconds >= 60:
        return None
    return hours * 3600 + minutes * 60 + seconds
