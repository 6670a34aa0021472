"""Quantities and their units as sidecars and tables write them."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fusionprep.bids.metadata import text_value

# Lower case, after which `m` is mega before Bq and milli before Ci, as nobody writes the others.
_BECQUEREL = {
    "bq": 1.0, "kbq": 1e3, "mbq": 1e6, "gbq": 1e9,
    "ci": 3.7e10, "mci": 3.7e7, "uci": 3.7e4, "nci": 37.0,
}  # fmt: skip
_PER_MILLILITRE = {
    "ml": 1.0, "cc": 1.0, "ccm": 1.0, "cm3": 1.0, "l": 1e-3, "dm3": 1e-3, "m3": 1e-6, "mm3": 1e3,
}  # fmt: skip
_CONCENTRATION = re.compile(
    rf"({'|'.join(_BECQUEREL)})(?:/|per)?({'|'.join(sorted(_PER_MILLILITRE, key=len)[::-1])})"
)
_OTHER_UNITS = {
    "cnts": "CNTS", "counts": "CNTS", "count": "CNTS", "cps": "CPS", "counts/s": "CPS",
    "propcnts": "PROPCNTS", "propcounts": "PROPCNTS", "propcps": "PROPCPS",
    "g/ml": "g/mL", "gml": "g/mL", "g/cc": "g/mL", "g/cm3": "g/mL",
    "suv": "g/mL", "suvbw": "g/mL", "suvg/ml": "g/mL", "suvbwg/ml": "g/mL",
}  # fmt: skip
_KILOGRAM = {
    "kg": 1.0, "kgs": 1.0, "kilo": 1.0, "kilos": 1.0, "kilogram": 1.0, "kilograms": 1.0,
    "kilogramme": 1.0, "kilogrammes": 1.0,
    "g": 1e-3, "gram": 1e-3, "grams": 1e-3,
    "lb": 0.45359237, "lbs": 0.45359237, "pound": 0.45359237, "pounds": 0.45359237,
    "st": 6.35029318, "stone": 6.35029318, "stones": 6.35029318,
}  # fmt: skip
_WORDS = {
    "becquerels": "bq", "becquerel": "bq", "curies": "ci", "curie": "ci",
    "millilitre": "ml", "milliliter": "ml", "litre": "l", "liter": "l",
    "kilo": "k", "mega": "m", "giga": "g", "milli": "m", "micro": "u", "nano": "n",
    "µ": "u", "μ": "u", "³": "3", "⁻": "-", "¹": "1", "ml-1": "ml", "cm-3": "cm3", "l-1": "l",
}  # fmt: skip
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(.*)", re.IGNORECASE)
_NOT_GIVEN = ("", "n/a", "na", "none", "nan", "null", "unknown")


def units_factor(metadata: Mapping[str, Any]) -> tuple[str, float]:
    """Units of the image after multiplication, and the factor that brings its values there.

    Read from ``Units``, or ``Unit`` as drafts of PET-BIDS had it.

    Returns
    -------
    units
        ``"Bq/mL"`` for any activity concentration, ``"CNTS"``, ``"PROPCNTS"``, ``"CPS"``,
        ``"PROPCPS"``, ``"g/mL"`` for an image in SUV by body weight, else ``"arbitrary"``.
    factor
        E.g. 1000 for an image in kBq/mL; 1 where the units are not activity concentration.
    """
    found = {_concentration(text) for text in _units_written(metadata)}
    return found.pop() if len(found) == 1 else ("arbitrary", 1.0)


def written_units(metadata: Mapping[str, Any]) -> str:
    """Units of the image as its sidecar has them; empty where it has none."""
    return " and ".join(dict.fromkeys(_units_written(metadata)))


def _units_written(metadata: Mapping[str, Any]) -> list[str]:
    return [text for key in ("Units", "Unit") if (text := text_value(metadata, key))]


def _concentration(text: str) -> tuple[str, float]:
    plain = _plain(text)
    if match := _CONCENTRATION.fullmatch(plain):
        return "Bq/mL", _BECQUEREL[match[1]] * _PER_MILLILITRE[match[2]]
    return _OTHER_UNITS.get(plain, "arbitrary"), 1.0


def _plain(text: str) -> str:
    """A unit in lower case, without spaces, in short words."""
    plain = re.sub(r"[\s^*·⋅.()\[\]]", "", text).lower()
    for word, short in _WORDS.items():
        plain = plain.replace(word, short)
    return plain


def becquerels(unit: str) -> float | None:
    """How many Bq a unit of radioactivity has; None for anything else.

    Examples
    --------
    >>> becquerels("MBq"), becquerels("µCi"), becquerels("furlong")
    (1000000.0, 37000.0, None)
    """
    return _BECQUEREL.get(_plain(unit))


def kilograms(unit: str) -> float | None:
    """How many kg a unit of weight has; None for anything else.

    Examples
    --------
    >>> kilograms("kg"), kilograms("lbs"), kilograms("furlong")
    (1.0, 0.45359237, None)
    """
    return _KILOGRAM.get(unit.strip().strip(".").lower())


def is_given(value: Any) -> bool:
    """Whether a field or cell says anything at all."""
    text = value.strip().lower() if isinstance(value, str) else value
    return text is not None and text not in _NOT_GIVEN


def number_and_unit(value: Any) -> tuple[float, str] | None:
    """A finite number and the unit written behind it; None for anything else.

    Examples
    --------
    >>> number_and_unit(185), number_and_unit("185 MBq"), number_and_unit("77,5kg")
    ((185.0, ''), (185.0, 'MBq'), (77.5, 'kg'))
    >>> number_and_unit("185,000") is None  # of thousands or of decimals
    True
    """
    if isinstance(value, str):
        decimal = re.sub(r"^(\s*[+-]?\d+),(\d{1,2}(?!\d))", r"\1.\2", value).strip()
        match = _NUMBER.fullmatch(decimal)
        if match is None or match[2][:1] in (",", "."):
            return None
        number, unit = float(match[1]), match[2].strip()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number, unit = float(value), ""
    else:
        return None
    return (number, unit) if math.isfinite(number) else None


def in_unit(
    value: Any, units: Iterable[Any], scale_of: Callable[[str], float | None]
) -> tuple[float | None, str]:
    """A quantity by a value and every statement of its unit.

    Parameters
    ----------
    value
        A number, or text of a number with or without a unit.
    units
        What other places say of the unit; those that say nothing do not count.
    scale_of
        E.g. :func:`becquerels`.

    Returns
    -------
    quantity
        None where the value is not a number, or the unit missing, unknown or contradicted.
    problem
        What is wrong, as the predicate of a sentence; empty otherwise.
    """
    read = number_and_unit(value)
    if read is None:
        return None, f"is {value!r}, not a number"
    number, own_unit = read
    stated = [str(unit).strip() for unit in (own_unit, *units) if is_given(unit)]
    if not stated:
        return None, f"is {value} without a unit"
    scales = [scale_of(unit) for unit in stated]
    for unit, scale in zip(stated, scales, strict=True):
        if scale is None:
            return None, f"is {value} in {unit!r}, an unknown unit"
    if len(set(scales)) > 1:
        return None, f"is {value} both in {' and in '.join(stated)}"
    return number * (scales[0] or 0.0), ""
