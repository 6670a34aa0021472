"""Tables of regions: their columns, what each holds, and the row of a region."""

from collections.abc import Mapping

import numpy as np

from fusionprep.image.region_values import RegionValue

MISSING = "n/a"

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "index": {"Description": "Label of the region in the atlas on the T1w grid"},
    "name": {"Description": "Name of the region"},
    "volume-mm3": {"Description": "Volume of the region on the T1w grid", "Units": "mm^3"},
    "voxels": {"Description": "Voxels of the region on the T1w grid"},
    "coverage": {"Description": "Share of them in the field of view of the PET, 0 to 1"},
    "mean": {"Description": "Mean of the static PET"},
    "sd": {"Description": "Standard deviation of the static PET over the voxels of the region"},
    "suv": {"Description": "Mean standardised uptake value", "Units": "g/mL"},
    "suvr": {"Description": "Mean standardised uptake value ratio", "Units": "arbitrary"},
    "absent": {"Description": "Why there is no value"},
}


def number(value: float | None) -> str:
    """A cell of a table."""
    return MISSING if value is None or not np.isfinite(value) else f"{value:.6g}"


def region_row(
    value: RegionValue,
    name: str,
    volume_mm3: float,
    *,
    suv_factor: float | None = None,
    suvr_factor: float | None = None,
) -> dict[str, str]:
    """The row of a region, a cell for each of :data:`COLUMNS`.

    Parameters
    ----------
    suv_factor, suvr_factor
        Turn the mean into SUV and SUVR; None where there is none.
    """

    def times(factor: float | None) -> str:
        if factor is None or value.mean is None:
            return MISSING
        return number(value.mean * factor)

    return {
        "index": str(value.index),
        "name": name,
        "volume-mm3": number(volume_mm3),
        "voxels": str(value.voxels),
        "coverage": number(value.coverage),
        "mean": number(value.mean),
        "sd": number(value.sd),
        "suv": times(suv_factor),
        "suvr": times(suvr_factor),
        "absent": value.absent or MISSING,
    }
