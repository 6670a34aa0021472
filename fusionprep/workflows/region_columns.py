"""Sidecar fields of the tables of regions: what their columns hold."""

from collections.abc import Sequence

from fusionprep.bids import names
from fusionprep.bids.region_tables import COLUMNS
from fusionprep.image.partial_volume.regional import SMALLEST_ML
from fusionprep.interfaces.regional_correction import GTM, SMALLEST_COVERAGE, TISSUE, column

GRAY_NEEDED = f"; n/a where less than {SMALLEST_COVERAGE:.0%} of its voxels have a value"


def region_columns(units: str, corrections: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """The columns of a table of regions.

    Parameters
    ----------
    units
        Of the PET.
    corrections
        For partial volume, by what users type.
    """
    in_units = {"mean", "sd"}
    found = {
        name: {**column, **({"Units": units} if name in in_units else {})}
        for name, column in COLUMNS.items()
    }
    return found | _corrected_columns(corrections, units)


def _corrected_columns(methods: Sequence[str], units: str) -> dict[str, dict[str, str]]:
    """Sidecar fields of the columns of corrected values."""
    found = {}
    for method in methods:
        by = f"corrected for partial volume ({names.CORRECTIONS[method]})"
        about = GRAY_NEEDED if method == "mg" else ""
        told = {
            "mean": ("Mean of the static PET", units),
            "suv": ("Mean standardised uptake value", "g/mL"),
            "suvr": (
                "Mean ratio of uptake to the corrected reference",
                "arbitrary",
            ),
        }
        for measure, (text, unit) in told.items():
            description = {"Description": f"{text}, {by}{about}", "Units": unit}
            found[column(measure, method)] = description
        if method == GTM:
            variance = f"Variance by noise of {column('mean', GTM)}, in its units squared"
            found[column("variance", GTM)] = {"Description": variance}
            found[TISSUE] = {
                "Description": f"Tissue of the region whose mean {column('mean', GTM)} is; n/a"
                f" where it has less than {SMALLEST_ML:g} ml of it"
            }
    return found


def corrected_curves(
    methods: Sequence[str], units: str
) -> dict[tuple[str, str], tuple[str, str | None]]:
    """What is written of frames: output and label ``desc-`` to a description and units."""
    if GTM not in methods:
        return {}
    label, by = (
        names.corrected(GTM),
        "corrected for partial volume by the geometric transfer matrix",
    )
    ending = label[0].upper() + label[1:]
    return {
        ("tacs", label): (f"Mean activity of each region and frame, {by}", units),
        ("variance", f"variance{ending}"): (
            f"Variance by noise of each region's mean in each frame, {by}; in {units} squared",
            None,
        ),
        ("suv", f"{names.SUV}{ending}"): (
            f"Mean standardised uptake value of each region and frame, {by}",
            "g/mL",
        ),
        ("suvr", names.corrected_suvr(GTM)): (
            f"Mean of each region divided by that of the reference region in the same frame, {by}",
            "arbitrary",
        ),
    }
