"""Scaling of each modality to [0, 1]: explicit, recorded, and invertible between its limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionprep.errors import DataError, UsageError
from fusionprep.modalities import CT, Modality
from fusionprep.tracers import OTHER, find_tracer

CT_WINDOWS = {
    "brain": (0.0, 80.0),
    "bone": (-500.0, 1500.0),
    "wide": CT.window,
}
"""Hounsfield units shown as black and white; the wide one is that of fused images."""

PET_PERCENTILES = {
    "glucose": 99.0,
    "amyloid": 99.0,
    "tau": 98.0,
    "dopamine": 99.9,
    "other": 99.5,
}
"""Percentile of the brain that becomes white; :func:`pet_scaling` says why."""


CONSTANT = 0.05
"""Share of all voxels above which one value is taken for background."""


@dataclass(frozen=True)
class Scaling:
    """Linear map of intensities to [0, 1], clipped.

    Attributes
    ----------
    method
        How the limits were found, in words.
    low, high
        Intensities that become 0 and 1, in the image's units.
    """

    method: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise DataError(
                f"cannot scale intensities from {self.low:g} to {self.high:g} ({self.method}): "
                "the image is constant or empty inside the mask"
            )

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Scale to float32 in [0, 1]; what is not a number becomes 0."""
        scaled = np.subtract(array, self.low, dtype=np.float32)
        scaled *= np.float32(1 / (self.high - self.low))
        np.clip(scaled, 0, 1, out=scaled)
        np.copyto(scaled, 0, where=np.isnan(scaled))
        return scaled

    def invert(self, array: np.ndarray) -> np.ndarray:
        """Back from [0, 1] to the image's units, float32; what was clipped stays at the limits."""
        return np.asarray(array, np.float32) * np.float32(self.high - self.low) + np.float32(
            self.low
        )

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Scaling":
        """From what :meth:`to_dict` gives."""
        return cls(fields["Method"], fields["Low"], fields["High"])

    def to_dict(self) -> dict[str, str | float]:
        """For the sidecar: ``Method``, ``Low`` and ``High``."""
        return {"Method": self.method, "Low": self.low, "High": self.high}


def constant_background(values: np.ndarray) -> float | None:
    """The value that fills the background; None where none is as frequent as :data:`CONSTANT`."""
    levels, counts = np.unique(values, return_counts=True)
    most = int(counts.argmax())
    return float(levels[most]) if counts[most] > CONSTANT * values.size else None


def mri_scaling(array: np.ndarray, mask: np.ndarray) -> Scaling:
    """Scaling of an MRI by the 0.5th and 99.5th percentile inside the brain mask.

    MRI has no unit. Vessels and remnants of fat exceed white matter several times, and a few voxels
    of background may lie in the mask; half a percent on either side keeps both from deciding.

    Raises
    ------
    DataError
        When the mask holds no finite voxel, or the image is constant there.
    """
    low, high = np.percentile(_inside(array, mask), (0.5, 99.5))
    return Scaling("percentiles 0.5 and 99.5 inside the mask", float(low), float(high))


def probability_scaling(array: np.ndarray) -> Scaling:
    """The identity, for a map of probabilities.

    Raises
    ------
    DataError
        When a value is not a probability.
    """
    low, high = float(np.nanmin(array)), float(np.nanmax(array))
    # Interpolation and stored integers leave rounding errors.
    if low < -1e-3 or high > 1 + 1e-3:
        raise DataError(
            "the anatomical image must hold probabilities of gray matter (0 to 1), not values from"
            f" {low:g} to {high:g}; give the GM probseg in place of the MRI"
        )
    return Scaling("probability, not scaled", 0.0, 1.0)


def anatomical_scaling(array: np.ndarray, mask: np.ndarray, kind: str) -> Scaling:
    """Scaling of the image that a fusion model is given with the functional one.

    Parameters
    ----------
    kind
        ``image``, scaled by :func:`mri_scaling`, or ``gm_probseg``, left as it is.

    Raises
    ------
    DataError
        When the image cannot be scaled, or holds no probabilities.
    """
    return mri_scaling(array, mask) if kind == "image" else probability_scaling(array)


def pet_scaling(array: np.ndarray, mask: np.ndarray, tracer: str | None = None) -> Scaling:
    """Scaling of a PET or SPECT image from 0 (no uptake) to a percentile inside the brain mask.

    Black means no uptake for every tracer, so that shades can be compared; the percentile for white
    depends on where the tracer binds:

    * glucose metabolism (FDG), 99: gray matter is about half of the brain, so one percent saturates
      only its hottest parts (visual cortex, striatum); typical gray matter comes out at about 0.7,
      white matter, to which a scanner's resolution adds neighbouring cortex, at 0.3 to 0.5.
    * amyloid (PiB, florbetapir, ...), 99: white matter retains all of them without specific
      binding; in a positive scan most of the cortex is as bright or brighter, so the bright
      share is large and a little of it may saturate.
    * tau (flortaucipir, MK-6240, ...), 98: off-target binding in choroid plexus, basal ganglia or
      meninges is small and hot; it must not push cortical uptake to the bottom of the scale.
    * dopamine system (DOPA, raclopride, ...), 99.9: the striatum, one to two percent of the brain,
      is the signal; a lower percentile would cut through it.
    * others, or no tracer given: 99.5.

    Parameters
    ----------
    tracer
        As in ``trc-`` or ``TracerName``, e.g. ``18FFDG`` or ``[18F]AV-1451``.

    Raises
    ------
    DataError
        When the mask holds no finite voxel, or no uptake.
    """
    kind = tracer_class(tracer)
    percentile = PET_PERCENTILES[kind]
    high = float(np.percentile(_inside(array, mask), percentile))
    method = f"0 to percentile {percentile:g} inside the mask (tracer class: {kind})"
    return Scaling(method, 0.0, high)


def tracer_class(tracer: str | None) -> str:
    """``glucose``, ``amyloid``, ``tau``, ``dopamine`` or ``other``."""
    found = find_tracer(tracer)
    return found.kind if found is not None else OTHER


def ct_scaling(window: str) -> Scaling:
    """Scaling of a CT by a window in Hounsfield units: ``brain``, ``bone`` or ``wide``.

    Raises
    ------
    UsageError
        When the window is unknown.
    """
    levels = CT_WINDOWS.get(window)
    if levels is None:
        raise UsageError(f"unknown CT window {window!r}; there are: {', '.join(CT_WINDOWS)}")
    return Scaling(f"{window} window in Hounsfield units", *levels)


def functional_scaling(
    array: np.ndarray, mask: np.ndarray, modality: Modality, tracer: str | None = None
) -> Scaling:
    """Scaling of the image that is fused with the MRI.

    Parameters
    ----------
    modality
        One of tracers is scaled by :func:`pet_scaling`, a CT by the wide window.

    Raises
    ------
    DataError
        When the image cannot be scaled.
    """
    return ct_scaling("wide") if modality.hounsfield else pet_scaling(array, mask, tracer)


def _inside(array: np.ndarray, mask: np.ndarray) -> np.ndarray:
    values = array[mask > 0]
    values = values[np.isfinite(values)]
    if not values.size:
        raise DataError("the image has no finite voxel inside the mask")
    return values
