"""What values of options can be: checked where a configuration is made, whoever makes it."""

import math
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from fusionprep.choices import choices
from fusionprep.errors import UsageError
from fusionprep.given import check_text, outside, shown

LIMITS: Mapping[str, tuple[int, int]] = {
    "max_day_gap": (0, 10**6),
    # what NumPy and scikit-learn take
    "random_seed": (0, 2**32 - 1),
    "batch_size": (1, 10**6),
    "nprocs": (1, 10**4),
    "omp_nthreads": (1, 10**4),
}
"""Smallest and largest value of whole numbers."""

LARGEST_MEMORY_GB = 10.0**6
_LARGEST_IN_FILTER = 10**9
# a wildcard, a pattern or a path: names of entities have none of these
_NO_LABEL = re.compile(r"[\x00-\x1f\x7f/\\*?\[\](){}|^$<>\"'`]")
REGEX_SEARCH = "regex_search"
"""What pybids understands in a query beside entities."""

RAW = "raw"
"""What BIDS URIs call the dataset that is processed."""

_WORDS = ("*", "Query.ANY", "Query.NONE")


class Checked:
    """A group of options that refuses impossible values."""

    def __post_init__(self) -> None:
        for name, hint in typing.get_type_hints(type(self)).items():
            value = getattr(self, name)
            if hint != Mapping[str, Any]:
                # what filters and plugins hold is checked by itself
                check_all_text(name, value)
            if typing.get_origin(hint) is Literal:
                check_among(name, (value,), choices(hint))
            if name in LIMITS and value is not None:
                check_number(name, value)
            if name.endswith("_label"):
                check_labels(name, value)


def check_among(name: str, values: Sequence[str], allowed: Sequence[str]) -> None:
    """Refuse what is not in a list of choices.

    Raises
    ------
    UsageError
    """
    for value in values:
        if value not in allowed:
            raise UsageError(f"{name} cannot be {shown(value)}; choose from {', '.join(allowed)}")


def check_names(name: str, values: Sequence[str], allowed: Sequence[str]) -> None:
    """Refuse a list that is empty, names one thing twice, or one that is not in `allowed`.

    Raises
    ------
    UsageError
    """
    check_among(name, values, allowed)
    if not values or len(set(values)) < len(values):
        raise UsageError(f"{name} must name one or more, each once: {', '.join(values)}")


def check_number(name: str, value: int) -> None:
    """Refuse a whole number outside its :data:`LIMITS`.

    Raises
    ------
    UsageError
    """
    if problem := outside(value, *LIMITS[name]):
        raise UsageError(f"{name} {problem}")


def check_memory(gigabytes: float) -> None:
    """Refuse what cannot be an amount of memory.

    Raises
    ------
    UsageError
    """
    if not gigabytes > 0:
        raise UsageError(f"mem_gb must be above 0, not {gigabytes}")
    if math.isinf(gigabytes) or gigabytes > LARGEST_MEMORY_GB:
        raise UsageError(f"mem_gb must be at most {LARGEST_MEMORY_GB:.0f}, not {gigabytes}")


def check_labels(name: str, labels: Iterable[str]) -> None:
    """Refuse labels that no file name can hold, such as wildcards and paths.

    Raises
    ------
    UsageError
    """
    for label in labels:
        if not label.strip() or not label.strip(".") or _NO_LABEL.search(label):
            raise UsageError(
                f"{name} cannot be {shown(label)}: a label is what a file name holds, such as 01;"
                " no wildcards, no paths"
            )


def check_all_text(name: str, value: Any) -> None:
    """Refuse text that no file or program takes, wherever an option holds it.

    Raises
    ------
    UsageError
    """
    if isinstance(value, (str, Path)):
        check_text(name, str(value))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_all_text(f"a name in {name}", key)
            check_all_text(f"{name} {key}", item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            check_all_text(name, item)


def check_dataset_names(names: Iterable[str]) -> None:
    """Refuse names that a BIDS URI cannot call a dataset by.

    Raises
    ------
    UsageError
    """
    for name in names:
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is None or name == RAW:
            raise UsageError(
                f"--derivatives cannot be named {shown(name)}: letters, digits, '.', '-' and '_'"
                f" only, and not {RAW!r}, as the dataset itself is called"
            )


def check_filter_values(filters: Mapping[str, Any]) -> None:
    """Refuse BIDS filters that no query of pybids can be made of, whatever the dataset.

    Raises
    ------
    UsageError
    """
    if not all(isinstance(entities, Mapping) for entities in filters.values()):
        raise UsageError('a BIDS filter must be an object of objects, e.g. {"pet": {"run": 1}}')
    for query, entities in filters.items():
        patterns = entities.get(REGEX_SEARCH, False)
        if not isinstance(patterns, bool):
            raise UsageError(
                f"the BIDS filter for {shown(query)}: {REGEX_SEARCH} must be true or false,"
                f" not {shown(patterns)}"
            )
        for entity, value in entities.items():
            if entity != REGEX_SEARCH:
                _check_filter(f"the BIDS filter for {shown(query)}", entity, value, patterns)


def _check_filter(where: str, entity: str, value: Any, patterns: bool) -> None:
    values = value if isinstance(value, (list, tuple)) else [value]
    if not values:
        raise UsageError(f"{where}: {shown(entity)} lists no value; leave it out")
    for item in values:
        if isinstance(item, bool) or not isinstance(item, (str, int, type(None))):
            raise UsageError(
                f"{where}: {shown(entity)} cannot be {shown(item)}; give a text, a whole number,"
                " null, or a list of these"
            )
        if isinstance(item, int) and (problem := outside(item, 0, _LARGEST_IN_FILTER)):
            raise UsageError(f"{where}: {shown(entity)} {problem}")
        if isinstance(item, str):
            check_text(f"{where}: {shown(entity)}", item)
            if patterns and item not in _WORDS:
                _check_pattern(f"{where}: {shown(entity)}", item)


def _check_pattern(where: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"{where} is not a regular expression: {shown(pattern)} ({error})"
        ) from error
