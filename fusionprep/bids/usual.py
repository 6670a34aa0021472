"""Whether a scan and its reference region are those that are usual for the tracer."""

from fusionprep.bids.types import FrameTiming
from fusionprep.suvr_regions import ReferenceRegion
from fusionprep.tracers import Tracer

# Scans begin when the scanner does, not to the second.
_TOLERANCE_MINUTES = 1.0


def window_note(tracer: Tracer | None, timing: FrameTiming, injection: float | None) -> str:
    """What is to be said of frames before the tracer's usual window; empty where all is usual.

    Parameters
    ----------
    tracer
        None where it is unknown.
    timing
        Of the frames.
    injection
        Seconds after time zero; None where unknown: then nothing is said.
    """
    if tracer is None or tracer.window is None or timing.starts is None or injection is None:
        return ""
    first = (timing.starts[0] - injection) / 60
    low, high = tracer.window
    if first >= low - _TOLERANCE_MINUTES:
        return ""
    averaged = len(timing.starts) > 1 or timing.averaged > 1
    begin = f"{first:.0f} min after injection" if first > -0.5 else "before the injection"
    return (
        f"{'frames begin' if averaged else 'the scan begins'} {begin}, before the usual window of"
        f" {tracer.name}, {low:g} to {high:g} min ({tracer.window_source}):"
        f" {'all are averaged, and ' if averaged else ''}SUVR is not that of the window"
    )


def nuclide_doubt(tracer: Tracer | None, nuclide: str | None) -> str:
    """What is to be said of a nuclide that a tracer is not made with; empty where it may be."""
    if tracer is None or not tracer.nuclide or nuclide in (None, tracer.nuclide):
        return ""
    return f"the radionuclide is given as {nuclide}, and {tracer.name} is made with another"


def start_conflict(timing: FrameTiming, scan_start: float | None) -> str:
    """How frames contradict the start of the scan, both after time zero; empty where they do not.

    Parameters
    ----------
    scan_start
        Seconds after time zero; None where unknown.
    """
    if timing.starts is None or scan_start is None:
        return ""
    if timing.starts[0] > scan_start - 60 * _TOLERANCE_MINUTES:
        return ""
    return (
        f"the first frame starts at {timing.starts[0]:g} s, before ScanStart at {scan_start:g} s:"
        " when it was measured is not known"
    )


def region_note(tracer: Tracer | None, region: ReferenceRegion | None) -> str:
    """What is to be said of an unusual reference region; empty where it is usual or not known.

    Parameters
    ----------
    region
        None for a mask of the user's own.
    """
    if tracer is None or region is None or not tracer.regions or region.name in tracer.regions:
        return ""
    return (
        f"the reference region {region.name} is not one that is used for {tracer.name}, which are"
        f" {' and '.join(tracer.regions)} ({tracer.regions_source}); choose with --suvr-region"
    )
