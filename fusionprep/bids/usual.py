"""Whether a scan and its reference region are those that are usual for the tracer."""

from typing import NamedTuple

from fusionprep.bids.types import FrameTiming
from fusionprep.config import Processing
from fusionprep.spaces import PACKAGED_TEMPLATE
from fusionprep.suvr_regions import WHOLE_BRAIN, ReferenceRegion, find_region
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
        Of the frames that are averaged.
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
        f" {'they are averaged, and ' if averaged else ''}SUVR is not that of the window"
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


class RegionChoice(NamedTuple):
    """A reference region of SUVR, why that one, and what is to be said of it.

    ``region`` is None for a mask of the user's own.
    """

    region: ReferenceRegion | None
    reason: str
    note: str = ""


def choose_region(processing: Processing, tracer: Tracer | None) -> RegionChoice:
    """The reference region that the user has chosen, or else the one usual for a tracer.

    The whole brain stands in where none is usual, and for a region of the atlas where the run does
    not register to the atlas' template.

    Parameters
    ----------
    processing
        With SUVR.
    tracer
        None where it is unknown.
    """
    if not processing.region_by_tracer:
        note = region_note(tracer, processing.region)
        return RegionChoice(processing.region, "chosen with --suvr-region", note)
    if tracer is None:
        return RegionChoice(WHOLE_BRAIN, "the tracer is not known")
    usual = find_region(tracer.regions[0]) if tracer.regions else None
    if usual is None:
        return RegionChoice(WHOLE_BRAIN, f"no region that is usual for {tracer.name} is known")
    if usual.of_atlas and not processing.with_atlas:
        missing = (
            f"{usual.name}, which is usual for {tracer.name}, is from an atlas in"
            f" {PACKAGED_TEMPLATE}, which is not among --output-spaces"
        )
        return RegionChoice(WHOLE_BRAIN, missing, f"the reference region is the brain: {missing}")
    return RegionChoice(usual, f"usual for {tracer.name} ({tracer.regions_source})")


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
