"""What sidecars say about a PET image, in the dialects people have: tracer, frames, units."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusionprep.bids.sidecars import FRAME_TABLE
from fusionprep.bids.types import FrameTiming, ImageFile
from fusionprep.errors import DataError

# Only a known tracer in `acq-` can be told from a scan mode (`acq-static`).
_TRACERS = (
    "fdg|pib|av45|av1451|av133|fbb|fbp|fmm|ftp|flt|fet|fes|fdopa|dopa|dtbz|dasb|pk11195|"
    "pbr28|pbr111|dpa714|er176|mk6240|pi2620|ro948|gtp1|t807|thk5351|ucbj|synvest|nav4694|"
    "rac|raclopride|fallypride|ply|flb457|sch23390|way100635|cimbi36|fmz|flumazenil|pe2i|"
    "cft|h2o|water|met|methionine|choline|psma|dotatoc|dotatate|florbetapir|florbetaben|"
    "flutemetamol|flortaucipir"
)
_ISOTOPE_PREFIX = r"(?:11C|13N|15O|18F|64Cu|68Ga|89Zr|124I)"
_TRACER_PATTERN = re.compile(
    rf"{_ISOTOPE_PREFIX}\w+|{_ISOTOPE_PREFIX}?(?:{_TRACERS})", re.IGNORECASE
)
_ELEMENTS = {
    "carbon": "C",
    "nitrogen": "N",
    "oxygen": "O",
    "fluorine": "F",
    "copper": "Cu",
    "gallium": "Ga",
    "zirconium": "Zr",
    "iodine": "I",
}
_SECONDS = {
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0,
    "ms": 1e-3, "msec": 1e-3, "milliseconds": 1e-3,
    "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0, "m": 60.0,
}  # fmt: skip
# Lower case and without spaces, after which `mu` and `u` can no longer be told apart.
_UNITS = {
    "bq/ml": ("Bq/mL", 1.0), "bqml": ("Bq/mL", 1.0), "bq/cc": ("Bq/mL", 1.0),
    "bq/cm3": ("Bq/mL", 1.0), "becquerel/ml": ("Bq/mL", 1.0), "kbq/ml": ("Bq/mL", 1e3),
    "kbqml": ("Bq/mL", 1e3), "kbq/cc": ("Bq/mL", 1e3), "mbq/ml": ("Bq/mL", 1e6),
    "mbqml": ("Bq/mL", 1e6), "nci/ml": ("Bq/mL", 37.0), "nci/cc": ("Bq/mL", 37.0),
    "uci/ml": ("Bq/mL", 37e3), "uci/cc": ("Bq/mL", 37e3),
    "cnts": ("CNTS", 1.0), "counts": ("CNTS", 1.0), "count": ("CNTS", 1.0),
    "propcnts": ("PROPCNTS", 1.0), "propcounts": ("PROPCNTS", 1.0),
    "g/ml": ("g/mL", 1.0), "gml": ("g/mL", 1.0), "suv": ("g/mL", 1.0), "suvbw": ("g/mL", 1.0),
}  # fmt: skip


def text_value(metadata: Mapping[str, Any], *keys: str) -> str | None:
    """The text at a key path of nested objects; None if absent, blank or ``n/a``."""
    value: Any = metadata
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    text = value.strip() if isinstance(value, str) else ""
    return None if text.lower() in ("", "n/a", "na", "none", "unknown") else text


def number_value(metadata: Mapping[str, Any], key: str) -> float | None:
    """The finite number at a key, also when written as text; None if there is none."""
    value: Any = metadata.get(key)
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def tracer_label(image: ImageFile) -> str | None:
    """The tracer as a BIDS label: letters and digits, e.g. ``"18FFDG"`` or ``"FDG"``.

    Taken from ``trc-``, else from ``acq-`` where it names a known tracer (OASIS-3, older Clinica),
    else from the sidecar, else from whatever ``acq-`` says. None if nothing says.
    """
    if tracer := _alphanumeric(image.entities.get("trc")):
        return tracer
    acquisition = _alphanumeric(image.entities.get("acq"))
    if acquisition and _TRACER_PATTERN.fullmatch(acquisition):
        return acquisition
    return _alphanumeric(_sidecar_tracer(image.metadata)) or acquisition


def tracer_name(image: ImageFile) -> str | None:
    """The tracer as the sidecar writes it, e.g. ``"[18F]FDG"``, else its label."""
    return _sidecar_tracer(image.metadata) or tracer_label(image)


def _sidecar_tracer(metadata: Mapping[str, Any]) -> str | None:
    name = (
        text_value(metadata, "TracerName")
        or text_value(metadata, "Radiopharmaceutical")
        or text_value(metadata, "Tracer", "Name")
    )
    # DICOM's code meanings read "FDG -- fluorodeoxyglucose".
    return name.split(" -- ")[0].strip() if name else None


def _alphanumeric(text: str | None) -> str | None:
    return re.sub(r"[^A-Za-z0-9]", "", text or "") or None


def radionuclide(image: ImageFile) -> str | None:
    """The radionuclide as PET-BIDS writes it, e.g. ``"F18"``, from sidecar or tracer label."""
    named = text_value(image.metadata, "TracerRadionuclide") or text_value(
        image.metadata, "Tracer", "Isotope"
    )
    if named:
        return normalised_radionuclide(named)
    prefix = re.match(_ISOTOPE_PREFIX, tracer_label(image) or "")
    return normalised_radionuclide(prefix[0]) if prefix else None


def normalised_radionuclide(text: str) -> str:
    """Element symbol and mass number: ``"F18"`` from ``18F``, ``F-18``, ``Fluorine-18``.

    Text of another form comes back without punctuation.
    """
    plain = re.sub(r"[^A-Za-z0-9]", "", text)
    match = re.fullmatch(r"(\d*)([A-Za-z]+)(\d*)", plain)
    if not match or not (match[1] or match[3]):
        return plain
    element = _ELEMENTS.get(match[2].lower(), match[2].capitalize())
    return f"{element}{match[1] or match[3]}"


def frame_timing(
    metadata: Mapping[str, Any], n_frames: int, path: Path | None = None
) -> FrameTiming:
    """Frame starts and durations of a PET image.

    Read from PET-BIDS (``FrameTimesStart``, ``FrameDuration``; seconds), else the older
    ``Time.FrameTimes`` (OASIS-3; its ``Labels`` and ``Units`` are honoured), else a table beside
    the image with columns for start, duration or end (``Duration``, ``frame_start``, ``End [min]``;
    seconds unless the name gives another unit). Durations missing beside starts follow from them;
    the last frame is then taken to be as long as the one before.

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
        time; when a table that is needed has no header.
    """
    where = str(path) if path is not None else "the PET image"
    starts = _times(metadata.get("FrameTimesStart"), n_frames, "FrameTimesStart", where)
    durations = _times(metadata.get("FrameDuration"), n_frames, "FrameDuration", where)
    source = "FrameTimesStart and FrameDuration"
    if starts is None and durations is None:
        starts, durations = _nested_times(metadata, n_frames, where)
        source = "Time.FrameTimes"
    if starts is None and durations is None:
        starts, durations, source = _table_times(metadata, n_frames, where)
    if starts is None and durations is None:
        return FrameTiming(None, None, f"{source}, equal weights")
    if durations is None and starts is not None and n_frames > 1:
        steps = [after - before for before, after in itertools.pairwise(starts)]
        durations = (*steps, steps[-1])
        source = f"{source}, durations from the starts"
    if durations is not None and (min(durations) < 0 or sum(durations) == 0):
        raise DataError(f"frame durations must be positive: {list(durations)} in {where}")
    return FrameTiming(starts, durations, source)


def _times(
    value: Any, n_frames: int, name: str, where: str, holder: str = "sidecar"
) -> tuple[float, ...] | None:
    if value is None or value == []:
        return None
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return _numbers(values, n_frames, name, where, holder)


def _numbers(
    values: Sequence[Any], n_frames: int, name: str, where: str, holder: str
) -> tuple[float, ...]:
    try:
        times = tuple(float(item) for item in values)
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


def _nested_times(
    metadata: Mapping[str, Any], n_frames: int, where: str
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
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
    times = {
        kind: _scaled(cells, unit, n_frames, name, where, "sidecar")
        for kind, (unit, cells) in _kinds_of(columns).items()
    }
    return _starts_and_durations(times)


def _table_times(
    metadata: Mapping[str, Any], n_frames: int, where: str
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None, str]:
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
    # A static image beside the frames it was made from covers all of them.
    n_lines = n_frames if n_frames > 1 else len(rows)
    times = {
        kind: _scaled(cells, unit, n_lines, name, where, "table")
        for kind, (unit, cells) in _kinds_of(columns).items()
    }
    starts, durations = _starts_and_durations(times)
    if starts is None and durations is None:
        return None, None, f"no frame times given ({name} has no column for start or duration)"
    if n_frames == 1:
        starts = starts and starts[:1]
        durations = durations and (sum(durations),)
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
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
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


def units_factor(metadata: Mapping[str, Any]) -> tuple[str, float]:
    """Units of the image after multiplication, and the factor that brings its values there.

    Returns
    -------
    units
        ``"Bq/mL"`` for any activity concentration, ``"CNTS"``, ``"PROPCNTS"``, ``"g/mL"`` for an
        image in SUV, else ``"arbitrary"``.
    factor
        E.g. 1000 for an image in kBq/mL; 1 where the units are not activity concentration.
    """
    written = re.sub(r"[\s^]", "", text_value(metadata, "Units") or "").lower()
    return _UNITS.get(written.replace("µ", "u").replace("μ", "u"), ("arbitrary", 1.0))
