"""The point spread of a PET, from an option, its sidecar or its scanner."""

import math
from collections.abc import Mapping
from typing import Any

from fusionprep.bids.types import ImageFile, PointSpread
from fusionprep.errors import DataError
from fusionprep.point_spreads import FWHM_LIMITS_MM, find_scanner, parse_fwhm

FIELD = "PointSpreadFWHM"
"""Field of a raw sidecar that we read, mm, one number or three; BIDS has none for it."""


def point_spread(image: ImageFile, given: str | None, needed_by: str = "--pvc") -> PointSpread:
    """Decide by how much a PET is blurred.

    Parameters
    ----------
    image
        With its metadata read.
    given
        What ``--psf`` says, which comes first; then there are the sidecar's field
        :data:`FIELD`, and the scanner that it names, with a Gaussian filter after reconstruction.
    needed_by
        The option that asks, for the error.

    Raises
    ------
    DataError
        When nothing says.
    """
    if given is not None:
        return PointSpread(parse_fwhm(given), "given with --psf")
    metadata = image.metadata
    if (own := _widths(metadata.get(FIELD))) is not None:
        return PointSpread(own, f"the sidecar's {FIELD}")
    words = [str(metadata.get(name) or "") for name in ("Manufacturer", "ManufacturersModelName")]
    scanner = find_scanner(*words)
    if scanner is None:
        named = " ".join(filter(None, words)) or "not named"
        raise DataError(
            f"the point spread of {image.path.name} is not known (scanner: {named}): give it with"
            f" --psf FWHM in mm, or as {FIELD} in the sidecar; or leave out {needed_by}"
        )
    filtered = _gaussian_filter(metadata)
    x, y, z = (math.hypot(width, filtered) for width in scanner.fwhm)
    source = f"{scanner.name}, {scanner.source}"
    if filtered:
        source += f"; with the sidecar's Gaussian filter of {filtered:g} mm"
    return PointSpread((x, y, z), source)


def _widths(value: Any) -> tuple[float, float, float] | None:
    listed = value if isinstance(value, list) else [value]
    low, high = FWHM_LIMITS_MM
    numbers = [
        float(item)
        for item in listed
        if isinstance(item, int | float) and not isinstance(item, bool) and low <= item <= high
    ]
    if len(numbers) != len(listed) or len(numbers) not in (1, 3):
        return None
    x, y, z = numbers * (3 // len(numbers))
    return x, y, z


def _gaussian_filter(metadata: Mapping[str, Any]) -> float:
    """FWHM (mm) of the Gaussian filter that an image went through; 0 where none is told of."""
    kinds, sizes = (metadata.get(f"ReconFilter{name}") for name in ("Type", "Size"))
    kinds = kinds if isinstance(kinds, list) else [kinds]
    sizes = sizes if isinstance(sizes, list) else [sizes]
    if len(kinds) != len(sizes):
        return 0.0
    squares = [
        float(size) ** 2
        for kind, size in zip(kinds, sizes, strict=True)
        if isinstance(size, int | float) and 0 < size <= FWHM_LIMITS_MM[1]
        if isinstance(kind, str) and "gauss" in kind.lower()
    ]
    return math.sqrt(sum(squares))
