"""What the group table says of the frames and the reference region of a PET."""

from typing import Any

from fusionprep.bids import names
from fusionprep.bids.types import ImageFile
from fusionprep.reports.records import Scan, finite, minutes_of


def pet_values(scan: Scan) -> dict[str, Any]:
    """Columns of the group table; None where nothing is recorded.

    Parameters
    ----------
    scan
        Of any modality.
    """
    native, suvr = scan.native, scan.variants.get(names.SUVR)
    minutes = None if native is None else minutes_of(native)

    def said(*keys: str) -> Any:
        return None if native is None else native.get(*keys)

    return {
        "frames_used": finite(said("FrameAveraging", "Frames")),
        "frames_start": None if minutes is None else minutes[0],
        "frames_end": None if minutes is None else minutes[1],
        "frames_reason": said("FrameSelection", "Reason"),
        **_resolution(native),
        "motion": finite(said("MotionCorrection", "LargestMovementMillimetres")),
        "motion_corrected": said("MotionCorrection", "Applied"),
        **{
            column: None if suvr is None else suvr.get("SUVR", key)
            for column, key in (
                ("suvr_region", "Region"),
                ("suvr_region_reason", "RegionReason"),
                ("suvr_region_doubt", "RegionDoubt"),
            )
        },
    }


def _resolution(native: ImageFile | None) -> dict[str, str | None]:
    """By how much a PET was smoothed, and its resolution after that."""
    fields = {"smoothing_kernel": "KernelFWHM", "resolution": "ResolutionFWHM"}
    found = {} if native is None else {c: native.get("Smoothing", k) for c, k in fields.items()}
    return {column: _joined(found.get(column)) for column in fields}


def _joined(widths: object) -> str | None:
    numbers = [finite(width) for width in widths] if isinstance(widths, list) else []
    told = [f"{number:g}" for number in numbers if number is not None]
    return "x".join(told) or None
