"""When the frames of a PET image begin and how long they are, in the dialects people have."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusionprep.bids.frame_checks import check_times, derived_durations
from fusionprep.bids.sidecars import FRAME_TABLE
from fusionprep.bids.types import FrameTiming
from fusionprep.errors import DataError

_SECONDS = {
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0,
    "ms": 1e-3, "msec": 1e-3, "milliseconds": 1e-3,
    "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0, "m": 60.0,
}  # fmt: skip
_UNKNOWN = ("", "n/a", "na", "nan", "none", "unknown")
_LISTS = "FrameTimesStart and FrameDuration"

_Times = tuple[float, ...] | None


def frame_timing(
    metadata: Mapping[str, Any], n_frames: int, path: Path | None = None
) -> FrameTiming:
    """Frame starts and durations of a PET image.

    Read from PET-BIDS (``FrameTimesStart``, ``FrameDuration``; seconds), else the older
    ``Time.FrameTimes`` (OASIS-3; its ``Labels`` and ``Units`` are honoured), else a table beside
    the image with columns for start, duration or end (``Duration``, ``frame_start``, ``End [min]``;
    seconds unless the name gives another unit). Durations missing beside starts follow from them;
    the last frame is then taken to be as long as the one before. A 3-D image beside the times of
    several frames is taken for the mean over all of them.

    Parameters
    ----------
    metadata
        Of :func:`fusionprep.bids.sidecars.read_metadata`, which brings in the table.
    n_frames
        Frames of the image; 1 for a 3-D image.
    path
        The image, named in errors.

    Raises
    ------
    DataError
        When a list has another length than the image has frames, or holds something that is not a
        time; when frames overlap, or are longer than any is; when a table that is needed has no
        header.
    """
    where = str(path) if path is not None else "the PET image"
    starts, durations, source, notes = _listed_times(metadata, n_frames, where)
    if starts is None and durations is None:
        starts, durations = _nested_times(metadata, n_frames, where)
        source = "Time.FrameTimes"
    if starts is None and durations is None:
        starts, durations, source = _table_times(metadata, n_frames, where)
    if starts is None and durations is None:
        return FrameTiming(None, None, f"{source}, equal weights", tuple(notes))
    if durations is None and starts is not None and len(starts) > 1:
        durations = derived_durations(starts)
        source = f"{source}, durations from the starts"
    if n_frames == 1 and durations == (0.0,):
        durations = None
        notes.append("the frame's duration is given as 0 s, and taken for unknown")
    checked = check_times(starts, durations, f"{source} of {where}")
    notes += checked.notes
    listed = len(checked.durations or starts or ())
    if n_frames == 1 and listed > 1:
        notes.append(
            f"the image has one frame and its times are of {listed}: it is taken for the mean over"
            " all of them"
        )
        return FrameTiming(
            starts and starts[:1],
            checked.durations and (sum(checked.durations),),
            source,
            tuple(notes),
            checked.doubts,
            listed,
        )
    return FrameTiming(starts, checked.durations, source, tuple(notes), checked.doubts)


def _listed_times(
    metadata: Mapping[str, Any], n_frames: int, where: str
) -> tuple[_Times, _Times, str, list[str]]:
    """Starts, durations, source and notes of PET-BIDS."""
    starts = _listed(metadata.get("FrameTimesStart"))
    durations = _listed(metadata.get("FrameDuration"))
    notes: list[str] = []
    if n_frames > 1 and durations and len(durations) == 1 and starts and len(starts) == n_frames:
        rising = _numbers(starts, n_frames, "FrameTimesStart", where, "sidecar")
        length = _numbers(durations, 1, "FrameDuration", where, "sidecar")[0]
        if all(math.isclose(step, length, rel_tol=0.02) for step in derived_durations(rising)):
            durations = durations * n_frames
            notes.append("FrameDuration is one number, and taken for the duration of every frame")
    count = n_frames
    if n_frames == 1:
        # A mean over frames may lie beside the sidecar of its scan.
        count = len(starts or durations or "1")
        if starts and durations and len(starts) != len(durations):
            raise DataError(
                f"{where} has 1 frame, FrameTimesStart lists {len(starts)} and FrameDuration"
                f" {len(durations)}; correct the sidecar"
            )
    return (
        starts and _numbers(starts, count, "FrameTimesStart", where, "sidecar"),
        durations and _numbers(durations, count, "FrameDuration", where, "sidecar"),
        _LISTS,
        notes,
    )


def _listed(value: Any) -> tuple[Any, ...] | None:
    """What stands there as a list; None where it says that nothing is known."""
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if all(item is None or str(item).strip().lower() in _UNKNOWN for item in values):
        return None
    return tuple(values)


def _numbers(
    values: Sequence[Any], n_frames: int, name: str, where: str, holder: str
) -> tuple[float, ...]:
    try:
        times = tuple(_number(item) for item in values)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name} of {where} is not a list of numbers; correct the {holder}"
        ) from error
    if not all(math.isfinite(time) for time in times):
        raise DataError(f"{name} of {where} is not finite; correct the {holder}")
    if len(times) != n_frames:
        raise DataError(
            f"{where} has {n_frames} frame{'s' * (n_frames != 1)} but {name} lists {len(times)}; "
            f"correct the {holder} or the image"
        )
    return times


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError(value)
    return float(value)


def _nested_times(metadata: Mapping[str, Any], n_frames: int, where: str) -> tuple[_Times, _Times]:
    time = metadata.get("Time")
    table = time.get("FrameTimes") if isinstance(time, Mapping) else None
    if not isinstance(table, Mapping) or not table.get("Values") or not table.get("Labels"):
        return None, None
    name, rows, units = "Time.FrameTimes.Values", table["Values"], table.get("Units") or []
    columns = []
    for index, label in enumerate(table["Labels"]):
        try:
            cells = [row[index] for row in rows]
        except (TypeError, IndexError, KeyError) as error:
            raise DataError(
                f"{name} of {where} does not match its Labels; correct the sidecar"
            ) from error
        columns.append((str(label), units[index] if index < len(units) else "s", cells))
    n_lines = n_frames if n_frames > 1 else len(rows)
    times = {
        kind: _scaled(cells, unit, n_lines, name, where, "sidecar")
        for kind, (unit, cells) in _kinds_of(columns).items()
    }
    return _starts_and_durations(times)


def _table_times(
    metadata: Mapping[str, Any], n_frames: int, where: str
) -> tuple[_Times, _Times, str]:
    """Starts, durations and source from the table of frames beside the image."""
    table = metadata.get(FRAME_TABLE)
    if not table:
        return None, None, "no frame times given"
    path, rows = table["Path"], table["Rows"]
    name = Path(path).name
    columns = [(label, _unit_in(label), [row[label] for row in rows]) for label in rows[0]]
    if n_frames > 1 and all(_is_number(label) for label, _, _ in columns):
        raise DataError(
            f"the table of frames has no line of column names: {path}; "
            "add one, such as start and duration"
        )
    n_lines = n_frames if n_frames > 1 else len(rows)
    times = {
        kind: _scaled(cells, unit, n_lines, name, where, "table")
        for kind, (unit, cells) in _kinds_of(columns).items()
    }
    starts, durations = _starts_and_durations(times)
    if starts is None and durations is None:
        return None, None, f"no frame times given ({name} has no column for start or duration)"
    return starts, durations, f"frame times from {name}"


def _kinds_of(
    columns: Sequence[tuple[str, Any, list[Any]]],
) -> dict[str, tuple[Any, list[Any]]]:
    """Unit and cells of the first column each that holds start, duration and end."""
    found: dict[str, tuple[Any, list[Any]]] = {}
    for label, unit, cells in columns:
        kind = next((k for k in ("dur", "start", "end") if k in label.lower()), None)
        if kind is not None:
            found.setdefault(kind, (unit, cells))
    return found


def _starts_and_durations(
    times: Mapping[str, tuple[float, ...]],
) -> tuple[_Times, _Times]:
    starts, durations = times.get("start"), times.get("dur")
    if durations is None and starts is not None and "end" in times:
        durations = tuple(e - s for s, e in zip(starts, times["end"], strict=True))
    return starts, durations


def _scaled(
    cells: list[Any], unit: Any, n_frames: int, name: str, where: str, holder: str
) -> tuple[float, ...]:
    """The cells of a column in seconds."""
    times = _numbers(cells, n_frames, name, where, holder)
    try:
        scale = _SECONDS[str(unit).strip().lower()]
    except KeyError as error:
        raise DataError(
            f"unknown unit of frame times {unit!r} in the {holder} of {where}; use s, ms or min"
        ) from error
    return tuple(value * scale for value in times)


def _unit_in(label: str) -> str:
    """The unit in a column's name: in brackets or its last word; seconds where there is none."""
    if bracketed := re.search(r"[\[(]([^\])]*)[\])]", label):
        return bracketed[1]
    last = re.split(r"[\s_]+", label.strip().lower())[-1]
    return last if last in _SECONDS else "s"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
