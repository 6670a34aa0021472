"""What a subject report says of the frames and the reference region of a PET, as plain text."""

from collections.abc import Mapping

from fusionprep.bids import names
from fusionprep.bids.types import ImageFile
from fusionprep.reports.records import Scan, finite, minutes_of


def frame_facts(native: ImageFile) -> list[tuple[str, str]]:
    """Names and values of which frames were averaged, and why."""
    facts = []
    if told := _runs(native):
        facts.append(("Combined runs", told))
    if (minutes := minutes_of(native)) is not None:
        facts.append(("Minutes after injection", "{:.4g} to {:.4g}".format(*minutes)))
    if reason := native.get("FrameSelection", "Reason"):
        facts.append(("Why these frames", str(reason)))
    moved, error = (
        finite(native.get("MotionCorrection", f"{key}Millimetres"))
        for key in ("LargestMovement", "MovementStandardError")
    )
    if moved is not None and error is not None:
        applied = native.get("MotionCorrection", "Applied") is True
        told = "corrected" if applied else "not corrected"
        distance = f"up to {moved:.1f} mm (standard error {error:.1f} mm), {told}"
        facts.append(("Motion between frames", distance))
    if (reached := _joined(native.get("Smoothing", "ResolutionFWHM"))) is not None:
        facts.append(("Resolution after smoothing", f"{reached} mm"))
    if (kernel := _joined(native.get("Smoothing", "KernelFWHM"))) is not None:
        facts.append(("Smoothed by", f"{kernel} mm FWHM"))
    return facts


def quantity_facts(scan: Scan, native: ImageFile) -> list[tuple[str, str]]:
    """Names and values of what was injected, and of what SUV and SUVR were made with."""
    facts = []
    dose = native.get("InjectedRadioactivity")
    if dose is not None:
        unit = native.get("InjectedRadioactivityUnits") or "(unit not recorded)"
        number = finite(dose)
        facts.append(
            ("Injected radioactivity", f"{dose if number is None else _short(number)} {unit}")
        )
    if told := _suv(scan.variants.get(names.SUV), str(native.get("TracerName") or "")):
        facts.append(("SUV", told))
    if told := _suvr(scan.variants.get(names.SUVR), str(native.get("Units") or "")):
        facts.append(("SUVR", told))
    return facts


def _suv(suv: ImageFile | None, tracer: str) -> str:
    """The dose and the weight that SUV was made with, as a clinician says them."""
    if suv is None:
        return ""
    injected, decayed, weight = (
        finite(suv.get("SUV", key))
        for key in ("InjectedDoseBecquerel", "DecayedDoseBecquerel", "BodyWeightKilogram")
    )
    told = []
    if injected is not None:
        told.append(f"{_short(injected / 1e6)} MBq {tracer}".rstrip())
    if decayed is not None and decayed != injected:
        told.append(f"{_short(decayed / 1e6)} MBq at the time that decay is corrected to")
    if weight is not None:
        told.append(f"{_short(weight)} kg")
    return ", ".join(told)


def _suvr(suvr: ImageFile | None, units: str) -> str:
    """The mean that SUVR was made with, and where it was taken."""
    region = suvr.get("SUVR", "Region") if suvr is not None else None
    if suvr is None or region is None:
        return ""
    mean, reason = finite(suvr.get("SUVR", "Reference")), suvr.get("SUVR", "RegionReason")
    told = f"refers to {region}"
    told += "" if mean is None else f", mean {f'{mean:.5g} {units}'.rstrip()}"
    return f"{told}; {reason}" if reason else told


def _short(number: float) -> str:
    return f"{number:.4g}"


def _runs(native: ImageFile) -> str:
    """The runs that a scan was made of: when each was, and how far the head had moved."""
    runs = native.get("CombinedRuns")
    told = []
    for run in runs if isinstance(runs, list) else []:
        starts, lengths = (_numbers(run.get(key)) for key in ("FrameTimesStart", "FrameDuration"))
        if not starts or not lengths:
            continue
        text = f"{starts[0] / 60:.4g} to {(starts[-1] + lengths[-1]) / 60:.4g} min"
        if (moved := finite(run.get("MovedMillimetres"))) is not None:
            brought = "brought back" if run.get("Realigned") else "left as it was"
            text += f" (head moved by {moved:.1f} mm at most, {brought})"
        told.append(text)
    return "; ".join(told)


def _joined(widths: object) -> str | None:
    return " x ".join(f"{width:.3g}" for width in _numbers(widths)) or None


def _numbers(values: object) -> list[float]:
    numbers = [finite(value) for value in values] if isinstance(values, list) else []
    return [number for number in numbers if number is not None]


def region_caption(scan: Scan) -> str:
    """What the figure of a PET's reference region shows; empty without SUVR."""
    suvr = scan.variants.get(names.SUVR)
    values = suvr.get("SUVR") if suvr is not None else None
    if not isinstance(values, Mapping):
        return ""
    mean, voxels = (finite(values.get(key)) for key in ("Reference", "Voxels"))
    numbers = [
        "mean uptake not recorded" if mean is None else f"mean uptake {mean:.5g}",
        str((scan.native and scan.native.get("Units")) or ""),
        "" if voxels is None else f"in {voxels:.0f} voxels",
    ]
    return f"Reference region {values.get('Region')}: {' '.join(filter(None, numbers))}"


def region_remarks(scan: Scan) -> list[str]:
    """What makes the mean of a PET's reference region less than certain, in sentences."""
    suvr = scan.variants.get(names.SUVR)
    if suvr is None:
        return []
    remarks = []
    used, whole = (finite(suvr.get("SUVR", key)) for key in ("Voxels", "RegionVoxels"))
    if used and whole and used < 0.95 * whole:
        remarks.append(
            f"Only {used / whole:.0%} of the reference region lies in the PET's field of view."
        )
    if doubt := suvr.get("SUVR", "RegionDoubt"):
        remarks.append(
            f"The reference region may not lie where it should, and SUVR be wrong: {doubt}."
        )
    return remarks
