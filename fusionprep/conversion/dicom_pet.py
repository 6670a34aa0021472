"""Fields of PET-BIDS from the headers of a DICOM series, none of them assumed.

pypet2bids does the same, but cannot be used as a library here: importing it writes to the user's
home, converting with it reports to a server unless that is switched off, and where the injection is
not known it takes the start of the series for it.
"""

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fusionprep.bids.metadata import normalised_radionuclide
from fusionprep.bids.radionuclides import HALF_LIVES, decay_constant, within_frame
from fusionprep.conversion.dicom_files import Header
from fusionprep.conversion.pet_fields import MIDNIGHT
from fusionprep.plausibility import INJECTED_DOSE, INJECTED_DOSES
from fusionprep.tracers import find_tracer

_UNITS = {
    "BQML": "Bq/mL", "CNTS": "CNTS", "PROPCNTS": "PROPCNTS", "CPS": "CPS", "PROPCPS": "PROPCPS",
    "GML": "g/mL",
}  # fmt: skip
_DAY = 86400.0
_SAME_SECONDS = 60.0


def pet_fields(headers: Sequence[Header]) -> tuple[dict[str, Any], list[str]]:
    """The fields of a sidecar, and what is to be said of them.

    Times are seconds from the injection; where that is not known, from the start of the scan.

    Parameters
    ----------
    headers
        Of all files of the series.
    """
    first = headers[0]
    drug = _item(first, "RadiopharmaceuticalInformationSequence")
    nuclide = _nuclide(drug)
    fields: dict[str, Any] = {
        "Manufacturer": first.get("Manufacturer"),
        "ManufacturersModelName": first.get("ManufacturerModelName"),
        "Units": _UNITS.get(str(first.get("Units")), first.get("Units")),
        "SUVType": first.get("SUVType"),
        "TracerName": tracer_name(first),
        "TracerRadionuclide": nuclide,
        "ReconMethodName": first.get("ReconstructionMethod"),
        "ReconFilterType": _text(first.get("ConvolutionKernel")),
        "AttenuationCorrection": first.get("AttenuationCorrectionMethod"),
        "CorrectedImage": first.get("CorrectedImage"),
        "ImageType": first.get("ImageType"),
        "DoseCalibrationFactor": first.get("DoseCalibrationFactor"),
    }
    dose, note = _dose(drug, nuclide)
    if dose is not None:
        fields |= {"InjectedRadioactivity": dose, "InjectedRadioactivityUnits": "MBq"}
    times, more = _times(headers, drug, nuclide)
    known = {name: value for name, value in (fields | times).items() if value is not None}
    return known, [text for text in (note, *more) if text]


def tracer_name(header: Header) -> str | None:
    """The tracer as a header writes it; None where it does not."""
    drug = _item(header, "RadiopharmaceuticalInformationSequence")
    coded = _item(drug, "RadiopharmaceuticalCodeSequence").get("CodeMeaning")
    names = [str(name) for name in (drug.get("Radiopharmaceutical"), coded) if name]
    # a name that is known comes before one that only says `Solution`
    return next((name for name in names if find_tracer(name)), names[0] if names else None)


def _item(header: Header, name: str) -> Mapping[str, Any]:
    items = header.get(name)
    return items[0] if isinstance(items, list) and items and isinstance(items[0], Mapping) else {}


def _text(value: Any) -> str | None:
    return "\\".join(map(str, value)) if isinstance(value, list) else value


def _nuclide(drug: Mapping[str, Any]) -> str | None:
    meaning = _item(drug, "RadionuclideCodeSequence").get("CodeMeaning")
    return normalised_radionuclide(str(meaning)) if meaning else None


def _dose(drug: Mapping[str, Any], nuclide: str | None) -> tuple[float | None, str]:
    """Injected dose in MBq, which DICOM has in Bq; what is said where it cannot be."""
    dose = drug.get("RadionuclideTotalDose")
    if not isinstance(dose, float) or dose <= 0:
        return None, ""
    limits = INJECTED_DOSES.get(nuclide or "", INJECTED_DOSE)
    problem = limits.problem(dose / 1e6)
    return (None, f"not copied: {problem}") if problem else (dose / 1e6, "")


def _times(
    headers: Sequence[Header], drug: Mapping[str, Any], nuclide: str | None
) -> tuple[dict[str, Any], list[str]]:
    frames = _frames(headers)
    if not frames:
        return {}, ["the times of the frames are not in the headers"]
    starts, lengths, factors = zip(*frames, strict=True)
    injection, note = _injection(drug, starts[0])
    zero = starts[0] if injection is None else injection
    after = [round(start - zero, 3) for start in starts]
    times: dict[str, Any] = {"TimeZero": MIDNIGHT, "ScanStart": after[0], "FrameTimesStart": after}
    if injection is not None:
        times["InjectionStart"] = 0
    if all(length is not None for length in lengths):
        times["FrameDuration"] = list(lengths)
    notes = [note] * bool(note)
    method = str(headers[0].get("DecayCorrection") or "").upper()
    if method:
        times |= {"DecayCorrection": method, "ImageDecayCorrected": method != "NONE"}
        reference = _reference(method, injection is not None, after[0])
        if reference is not None:
            times["ImageDecayCorrectionTime"] = reference
    if method != "NONE" and all(factor is not None for factor in factors):
        times["DecayCorrectionFactor"] = list(factors)
        notes += _check_reference(times, nuclide)
    return times, notes


def _reference(method: str, injected: bool, scan_start: float) -> float | None:
    """Seconds to which decay is corrected (PS3.3 C.8.9.1); None where that is not known."""
    if method == "ADMIN":
        return 0.0 if injected else None
    # a number is asked for even where decay is not corrected
    return scan_start


def _check_reference(times: dict[str, Any], nuclide: str | None) -> list[str]:
    """Find the time that factors of decay correction refer to where it is not the one that is told.

    Factors to the start of each frame are left to the App, which knows them.
    """
    half_life = HALF_LIVES.get(nuclide or "")
    told, lengths = times.get("ImageDecayCorrectionTime"), times.get("FrameDuration")
    if half_life is None or told is None or lengths is None:
        return []
    constant = decay_constant(half_life)
    found = [
        start - math.log(factor / within_frame(constant, length)) / constant
        for start, length, factor in zip(
            times["FrameTimesStart"], lengths, times["DecayCorrectionFactor"], strict=True
        )
        if factor > 0 and length > 0
    ]
    if not found or max(found) - min(found) > _SAME_SECONDS or abs(found[0] - told) < _SAME_SECONDS:
        return []
    return [
        f"decay is corrected to {told:g} s by DecayCorrection {times['DecayCorrection']} and to"
        f" about {found[0]:.0f} s by DecayFactor: fusionapp will compute no SUV"
    ]


def _frames(headers: Sequence[Header]) -> list[tuple[float, float | None, float | None]]:
    """Start, duration (s) and decay factor of each frame, in their order."""
    found: dict[float, tuple[float, float | None, float | None]] = {}
    for header in headers:
        start = _moment(header, "Acquisition")
        if start is None:
            return []
        length = header.get("ActualFrameDuration")
        factor = header.get("DecayFactor")
        seconds = float(length) / 1000 if isinstance(length, int | float) and length > 0 else None
        found.setdefault(start, (start, seconds, factor if isinstance(factor, float) else None))
    # bed positions of one static scan begin one after the other; each is of all its slices
    return [found[start] for start in sorted(found)]


def _injection(drug: Mapping[str, Any], scan_start: float) -> tuple[float | None, str]:
    """Seconds of the injection, on the axis of :func:`_moment`, and why it is not copied."""
    injection = _seconds_of(str(drug.get("RadiopharmaceuticalStartDateTime") or ""))
    clock = _clock(str(drug.get("RadiopharmaceuticalStartTime") or ""))
    if injection is None and clock is not None:
        injection = math.floor(scan_start / _DAY) * _DAY + clock
        # a time of day alone: of the day of the scan, or of the evening before
        injection -= _DAY * (injection > scan_start + _DAY / 2)
    if injection is None or abs(injection - scan_start) < _DAY:
        return injection, ""
    days = (scan_start - injection) / _DAY
    return (
        None,
        f"not copied: the injection, which the headers have {days:.1f} days before the scan",
    )


def _moment(header: Header, what: str) -> float | None:
    """Seconds of a date and a time of a header, since a day long ago."""
    if (stated := _seconds_of(str(header.get(f"{what}DateTime") or ""))) is not None:
        return stated
    day = header.get(f"{what}Date") or header.get("SeriesDate") or header.get("StudyDate")
    clock = header.get(f"{what}Time")
    return _seconds_of(f"{day}{clock}") if day and clock else None


def _seconds_of(text: str) -> float | None:
    """Seconds of DICOM's ``YYYYMMDDHHMMSS.FFFFFF``; a zone is not looked at."""
    match = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(\d{2,6}(?:\.\d+)?)(?:[+-]\d{4})?", text)
    clock = _clock(match[4]) if match else None
    if match is None or clock is None:
        return None
    try:
        day = datetime.date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None
    return day.toordinal() * _DAY + clock


def _clock(text: str) -> float | None:
    """Seconds of the day of DICOM's ``HHMMSS.FFFFFF``, of which only the hours need be there."""
    match = re.fullmatch(r"(\d\d)(\d\d)?(\d\d(?:\.\d+)?)?", text)
    if match is None:
        return None
    return int(match[1]) * 3600 + int(match[2] or 0) * 60 + float(match[3] or 0)
