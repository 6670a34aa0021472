"""The sidecar of a PET image: what is known, in the words of PET-BIDS, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionprep.bids.clock import scan_time
from fusionprep.bids.metadata import labelled_nuclide
from fusionprep.bids.timing import frame_timing
from fusionprep.conversion.dataset import NOT_GIVEN, plain_label
from fusionprep.errors import DataError, UsageError
from fusionprep.modalities import PET
from fusionprep.plausibility import INJECTED_DOSE, INJECTED_DOSES
from fusionprep.tracers import find_tracer

MIDNIGHT = "00:00:00"
"""``TimeZero`` of every sidecar, since times of day are not copied."""

TIMES = (
    *("TimeZero", "ScanStart", "InjectionStart", "InjectionEnd", "FrameTimesStart"),
    *("FrameDuration", "ImageDecayCorrected", "ImageDecayCorrectionTime", "DecayCorrectionFactor"),
    "InfusionStart",
)
"""Fields that depend on each other, and so are replaced together."""

_TEXT = (
    *("Manufacturer", "ManufacturersModelName", "Units", "TracerName", "TracerRadionuclide"),
    *("InjectedMass", "InjectedMassUnits", "SpecificRadioactivity", "SpecificRadioactivityUnits"),
    *("ModeOfAdministration", "AcquisitionMode", "ReconMethodName", "ReconFilterType"),
    *("AttenuationCorrection", "InjectedRadioactivityUnits"),
)
"""Required fields that may be ``n/a``."""

_LISTS = (
    *("ReconMethodParameterLabels", "ReconMethodParameterUnits", "ReconMethodParameterValues"),
    "ReconFilterSize",
)
"""Required fields that may be an empty list."""

HINTS: Mapping[str, str] = {
    "InjectedRadioactivity": "--dose",
    "InjectionStart": "--frame-starts",
    "FrameTimesStart": "--frame-starts",
    "FrameDuration": "--frame-durations",
    "ImageDecayCorrected": "--decay-corrected",
    "ImageDecayCorrectionTime": "--decay-corrected",
}
"""Required fields that must be known, and the options that tell them."""


@dataclass(frozen=True)
class PETGiven:
    """What a user knows of a PET scan.

    Attributes
    ----------
    tracer
        As people write it, e.g. ``18FFDG``; None where it is not given.
    units
        Of the image, e.g. ``Bq/mL``.
    dose
        Injected, MBq.
    starts
        Of the frames, s after the injection.
    durations
        Of the frames, s.
    decay_corrected
        ``injection`` or ``scan`` (its start), to which decay is corrected, or ``no``.
    manufacturer, scanner
        Of the scanner, which its point spread is looked up by.
    """

    tracer: str | None = None
    units: str | None = None
    dose: float | None = None
    starts: tuple[float, ...] | None = None
    durations: tuple[float, ...] | None = None
    decay_corrected: str | None = None
    manufacturer: str | None = None
    scanner: str | None = None

    @property
    def of_one_scan(self) -> bool:
        """Whether any of it holds for no other scan."""
        return any(value is not None for value in (self.dose, self.starts, self.durations))

    def fields(self) -> dict[str, Any]:
        """The fields of a sidecar that follow.

        Raises
        ------
        UsageError
            When they cannot be.
        """
        found: dict[str, Any] = {
            "Units": self.units,
            "Manufacturer": self.manufacturer,
            "ManufacturersModelName": self.scanner,
            **tracer_fields(self.tracer),
        }
        if self.dose is not None:
            nuclide = found.get("TracerRadionuclide")
            limits = INJECTED_DOSES.get(nuclide or "", INJECTED_DOSE)
            if problem := limits.problem(self.dose):
                raise UsageError(f"--dose: {problem}")
            found |= {"InjectedRadioactivity": self.dose, "InjectedRadioactivityUnits": "MBq"}
        return {key: value for key, value in (found | self._times()).items() if value is not None}

    def _times(self) -> dict[str, Any]:
        if self.starts is None:
            if self.durations is not None or self.decay_corrected is not None:
                raise UsageError(
                    "--frame-durations and --decay-corrected need --frame-starts, in seconds after"
                    " the injection"
                )
            return {}
        corrected = self.decay_corrected and self.decay_corrected != "no"
        reference = 0.0 if self.decay_corrected == "injection" else self.starts[0]
        return {
            "TimeZero": MIDNIGHT,
            "ScanStart": self.starts[0],
            "InjectionStart": 0,
            "FrameTimesStart": list(self.starts),
            "FrameDuration": None if self.durations is None else list(self.durations),
            "ImageDecayCorrected": None if self.decay_corrected is None else bool(corrected),
            # the validator wants a number even where decay is not corrected
            "ImageDecayCorrectionTime": None if self.decay_corrected is None else reference,
        }


def tracer_fields(tracer: str | None) -> dict[str, Any]:
    """Name and radionuclide of a tracer, as far as its name tells.

    Examples
    --------
    >>> tracer_fields("FDG")
    {'TracerName': 'FDG', 'TracerRadionuclide': 'F18'}
    """
    fields = {"TracerName": tracer, "TracerRadionuclide": _nuclide(tracer) if tracer else None}
    return {key: value for key, value in fields.items() if value}


def _nuclide(tracer: str) -> str | None:
    known = find_tracer(tracer)
    return labelled_nuclide(plain_label(tracer)) or (known.nuclide if known else None) or None


def complete(
    own: Mapping[str, Any], given: PETGiven, n_frames: int, source: Path
) -> tuple[dict[str, Any], list[str]]:
    """A sidecar with the required fields that are known or may be n/a; the names of the others.

    Parameters
    ----------
    own
        Fields as far as the image itself tells them.
    given
        What a user knows, which comes first.
    n_frames
        Frames of the image.
    source
        Of the image, for errors.

    Raises
    ------
    DataError
        When the times cannot be those of the image.
    """
    told = given.fields()
    kept = {name: own[name] for name in own if "TimeZero" not in told or name not in TIMES}
    known = kept | told
    sidecar = {
        "Modality": PET.dicom,
        **dict.fromkeys(_TEXT, NOT_GIVEN),
        **{name: [] for name in _LISTS},
        **({} if "TimeZero" in known else _from_scan_start(n_frames)),
        **known,
    }
    frame_timing(sidecar, n_frames, source)
    for name in ("FrameTimesStart", "FrameDuration"):
        listed = sidecar.get(name)
        if isinstance(listed, Sequence) and len(listed) != n_frames:
            raise DataError(
                f"{source} has {n_frames} frames, and {HINTS[name]} or {name} lists {len(listed)}"
            )
    return sidecar, [name for name in HINTS if name not in sidecar]


def told_unknown(unknown: Sequence[str]) -> list[str]:
    """What BIDS asks of a PET and nobody knows, in a sentence."""
    if not unknown:
        return []
    options = ", ".join(dict.fromkeys(HINTS[name] for name in unknown))
    return [
        f"not known of the PET, though BIDS asks for it: {', '.join(unknown)} (options: {options})"
    ]


def _from_scan_start(n_frames: int) -> dict[str, Any]:
    """Times where nothing is known of the injection: the scan's start is the time zero."""
    times: dict[str, Any] = {"TimeZero": MIDNIGHT, "ScanStart": 0}
    return times | ({"FrameTimesStart": [0]} if n_frames == 1 else {})


def times_from_injection(
    metadata: Mapping[str, Any], n_frames: int, source: Path
) -> dict[str, Any]:
    """The times of a sidecar in seconds from the injection, or from its own time zero.

    Times of day, as some sidecars have them, become seconds; what cannot be related to the frames
    is left out.

    Parameters
    ----------
    metadata
        Fields of a sidecar as it was found.
    n_frames
        Frames of its image.
    source
        Of the image, for errors.

    Raises
    ------
    DataError
        When the times cannot be those of the image.
    """
    timing = frame_timing(metadata, n_frames, source)
    if timing.starts is None:
        return {}
    names = (
        *("ScanStart", "InjectionStart", "InjectionEnd", "InfusionStart"),
        "ImageDecayCorrectionTime",
    )
    read = {name: scan_time(metadata, name, timing)[0] for name in names}
    zero = read["InjectionStart"] or 0.0
    moved = {name: value - zero for name, value in read.items() if value is not None}
    kept = ("ImageDecayCorrected", "DecayCorrectionFactor")
    return {
        "TimeZero": MIDNIGHT,
        **moved,
        "FrameTimesStart": [start - zero for start in timing.starts],
        **({} if timing.durations is None else {"FrameDuration": list(timing.durations)}),
        **{name: metadata[name] for name in kept if name in metadata},
    }
