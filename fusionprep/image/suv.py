"""Uptake relative to a reference region."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionprep.errors import DataError


@dataclass(frozen=True)
class ReferenceUptake:
    """Uptake of a reference region.

    Attributes
    ----------
    mean
        In the PET's units.
    voxels
        How many the mean is of: those of the region in the PET's field of view.
    region_voxels
        How many the region has.
    """

    mean: float
    voxels: int
    region_voxels: int


def reference_mean(pet: np.ndarray, region: np.ndarray, name: str) -> ReferenceUptake:
    """Mean uptake of a reference region, by which PET is divided for SUVR.

    Parameters
    ----------
    pet
        (X, Y, Z) in any unit; 0 is outside its field of view and would dilute the mean.
    region
        Same shape, above 0.5 inside.
    name
        What to call the region in the message.

    Raises
    ------
    DataError
        When the mean is not above 0.
    """
    inside = region > 0.5
    values = pet[inside & (pet != 0)]
    mean = float(values.mean(dtype=np.float64)) if values.size else 0.0
    if mean <= 0:
        raise DataError(
            f"mean uptake in the reference region {name} is {mean:.3g}, so SUVR is undefined;"
            " choose another --suvr-region or none"
        )
    return ReferenceUptake(mean, int(values.size), int(inside.sum()))


def region_doubt(registrations: Mapping[str, Mapping[str, Any]]) -> str:
    """Why a reference region may lie elsewhere than it should.

    Parameters
    ----------
    registrations
        The field ``Registration`` of sidecars by what was brought to what, of all on which the
        region's place in the PET rests.

    Returns
    -------
    str
        The verdicts that are not ``pass``, with their reasons; empty where all are.

    Examples
    --------
    >>> region_doubt({"the PET to the T1w": {"Verdict": "fail", "VerdictReason": "no overlap"}})
    'the registration of the PET to the T1w has the verdict fail (no overlap)'
    """
    return "; ".join(
        f"the registration of {name} has the verdict {fields['Verdict']}"
        f" ({fields.get('VerdictReason') or 'no reason is recorded'})"
        for name, fields in registrations.items()
        if fields.get("Verdict") in ("review", "fail")
    )
