"""What sidecars say about a PET image, in the dialects people have: tracer and units."""

import math
import re
from collections.abc import Mapping
from typing import Any

from fusionprep.bids.types import ImageFile
from fusionprep.tracers import ISOTOPE_PREFIX, is_tracer_label

_ELEMENTS = {
    "carbon": "C",
    "nitrogen": "N",
    "oxygen": "O",
    "fluorine": "F",
    "copper": "Cu",
    "gallium": "Ga",
    "zirconium": "Zr",
    "iodine": "I",
}


def text_value(metadata: Mapping[str, Any], *keys: str) -> str | None:
    """The text at a key path of nested objects; None if absent, blank or ``n/a``."""
    value: Any = metadata
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    text = value.strip() if isinstance(value, str) else ""
    return None if text.lower() in ("", "n/a", "na", "none", "unknown") else text


def number_value(metadata: Mapping[str, Any], key: str) -> float | None:
    """The finite number at a key, also when written as text; None if there is none."""
    value: Any = metadata.get(key)
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def tracer_label(image: ImageFile) -> str | None:
    """The tracer as a BIDS label: letters and digits, e.g. ``"18FFDG"`` or ``"FDG"``.

    Taken from ``trc-``, else from ``acq-`` where it names a known tracer (OASIS-3, older Clinica),
    else from the sidecar, else from whatever ``acq-`` says. None if nothing says.
    """
    if tracer := _alphanumeric(image.entities.get("trc")):
        return tracer
    acquisition = _alphanumeric(image.entities.get("acq"))
    # Only a known tracer in `acq-` can be told from a scan mode (`acq-static`).
    if acquisition and is_tracer_label(acquisition):
        return acquisition
    return _alphanumeric(_sidecar_tracer(image.metadata)) or acquisition


def tracer_name(image: ImageFile) -> str | None:
    """The tracer as the sidecar writes it, e.g. ``"[18F]FDG"``, else its label."""
    return _sidecar_tracer(image.metadata) or tracer_label(image)


def _sidecar_tracer(metadata: Mapping[str, Any]) -> str | None:
    name = (
        text_value(metadata, "TracerName")
        or text_value(metadata, "Radiopharmaceutical")
        or text_value(metadata, "Tracer", "Name")
    )
    # DICOM's code meanings read "FDG -- fluorodeoxyglucose".
    return name.split(" -- ")[0].strip() if name else None


def _alphanumeric(text: str | None) -> str | None:
    return re.sub(r"[^A-Za-z0-9]", "", text or "") or None


def radionuclide(image: ImageFile) -> str | None:
    """The radionuclide as PET-BIDS writes it, e.g. ``"F18"``, from sidecar or tracer label."""
    named = text_value(image.metadata, "TracerRadionuclide") or text_value(
        image.metadata, "Tracer", "Isotope"
    )
    if named:
        return normalised_radionuclide(named)
    return labelled_nuclide(tracer_label(image))


def contradicted_radionuclide(image: ImageFile) -> str:
    """Which radionuclides sidecar and tracer name where these differ; empty where they agree."""
    written = radionuclide(image)
    for name in (tracer_label(image) or "", _alphanumeric(tracer_name(image)) or ""):
        prefix = re.match(ISOTOPE_PREFIX, name)
        if prefix and written not in (None, normalised_radionuclide(prefix[0])):
            own = prefix[0]
            return f"the radionuclide is {written} by its field and {own} by the tracer {name}"
    return ""


def labelled_nuclide(label: str | None) -> str | None:
    """The radionuclide that a tracer's label begins with, e.g. ``"F18"`` of ``18FFDG``."""
    prefix = re.match(ISOTOPE_PREFIX, label or "", re.IGNORECASE)
    return normalised_radionuclide(prefix[0]) if prefix else None


def normalised_radionuclide(text: str) -> str:
    """Element symbol and mass number: ``"F18"`` from ``18F``, ``F-18``, ``Fluorine-18``.

    Text of another form comes back without punctuation.
    """
    plain = re.sub(r"[^A-Za-z0-9]", "", text)
    match = re.fullmatch(r"(\d*)([A-Za-z]+)(\d*)", plain)
    if not match or not (match[1] or match[3]):
        return plain
    element = _ELEMENTS.get(match[2].lower(), match[2].capitalize())
    return f"{element}{match[1] or match[3]}"
