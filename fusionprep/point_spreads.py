"""How much scanners blur. Imports nothing of ours but errors, since options are read with it."""

import math
import re
from dataclasses import dataclass

from fusionprep.errors import UsageError

FWHM_LIMITS_MM = (1.0, 25.0)
"""No scanner of people is sharper, and no image of a brain more blurred."""

_NEMA = "NEMA NU 2 resolution at 1 cm from the centre, filtered backprojection"
_HSU = f"{_NEMA}: Hsu et al., J Nucl Med 2017;58:1511, and its comparison of scanners"
_COMPARED = f"{_NEMA}: table 6 of doi:10.1038/s41598-019-51898-z"


@dataclass(frozen=True)
class Scanner:
    """A model of scanner.

    Attributes
    ----------
    name
        Of manufacturer and model.
    pattern
        Found in manufacturer and model, as small letters, digits and plus signs.
    fwhm
        Point spread across the bore, twice, and along it, mm.
    source
        Where that is from.
    """

    name: str
    pattern: str
    fwhm: tuple[float, float, float]
    source: str


SCANNERS = (
    Scanner("GE Discovery MI", "discoverymi(?!dr)", (4.15, 4.15, 4.48), _HSU),
    Scanner("GE Discovery 690/710", "discovery(690|710)", (4.70, 4.70, 4.74), _HSU),
    Scanner("GE SIGNA PET/MR", "signapet", (4.27, 4.27, 5.35), _HSU),
    Scanner(
        "Siemens Biograph mMR",
        "mmr",
        (4.3, 4.3, 4.3),
        f"{_HSU}, across the bore; along it taken to be the same",
    ),
    Scanner("Siemens Biograph mCT", "mct", (4.33, 4.33, 4.25), _COMPARED),
    Scanner(
        "Siemens Biograph Vision",
        "vision",
        (3.35, 3.35, 3.8),
        f"{_NEMA}: Prenosil et al., J Nucl Med 2022;63:476 (Quadra, of the same detectors)",
    ),
    Scanner("Siemens HRRT", "hrrt", (2.65, 2.65, 3.0), _COMPARED),
    Scanner(
        "Siemens ECAT EXACT HR+",
        r"hr\+",
        (4.3, 4.3, 4.1),
        "resolution at the centre, 3-D mode: Brix et al., IEEE Trans Nucl Sci 1997;44:1172",
    ),
    Scanner(
        "Philips Vereos",
        "vereos",
        (4.01, 4.01, 3.96),
        f"{_NEMA}: Zhang et al., EJNMMI Res 2018, doi:10.1186/s13550-018-0448-7",
    ),
    Scanner("Philips Ingenuity TF", "ingenuitytf", (4.84, 4.84, 4.73), _COMPARED),
    Scanner("Philips Gemini TF", "geminitf", (4.95, 4.95, 4.73), _COMPARED),
)


def find_scanner(manufacturer: str, model: str) -> Scanner | None:
    """The scanner that a sidecar names; None where :data:`SCANNERS` does not have it.

    Examples
    --------
    >>> find_scanner("Siemens", "Biograph128_mCT").name
    'Siemens Biograph mCT'
    >>> find_scanner("", "962 (ECAT HR+)").fwhm
    (4.3, 4.3, 4.1)
    >>> find_scanner("GE", "Advance") is None
    True
    """
    text = re.sub(r"[^a-z0-9+]", "", f"{manufacturer} {model}".lower())
    return next((scanner for scanner in SCANNERS if re.search(scanner.pattern, text)), None)


def check_fwhm(option: str, width: float) -> None:
    """Refuse a width that no image of a brain has.

    Raises
    ------
    UsageError
    """
    low, high = FWHM_LIMITS_MM
    if not low <= width <= high:
        raise UsageError(
            f"{option} takes a full width at half maximum of {low:g} to {high:g} mm, not {width:g}"
        )


def parse_fwhm(text: str) -> tuple[float, float, float]:
    """Read a point spread as ``--psf`` takes it.

    Raises
    ------
    UsageError
        When it is not one or three widths in :data:`FWHM_LIMITS_MM`.

    Examples
    --------
    >>> parse_fwhm("6"), parse_fwhm("5.5x5.5x6")
    ((6.0, 6.0, 6.0), (5.5, 5.5, 6.0))
    """
    low, high = FWHM_LIMITS_MM
    try:
        widths = [float(part) for part in text.lower().split("x")]
    except ValueError:
        widths = []
    if len(widths) == 1:
        widths *= 3
    if len(widths) != 3 or not all(math.isfinite(w) and low <= w <= high for w in widths):
        raise UsageError(
            f"--psf takes a full width at half maximum of {low:g} to {high:g} mm, as 6, or one for"
            f" each axis (left to right, back to front, feet to head), as 5.5x5.5x6; not {text}"
        )
    x, y, z = widths
    return x, y, z
