"""The file of ``--bids-filter-file``. Imports no pybids."""

import json
from pathlib import Path
from typing import Any

from fusionprep.config_checks import check_filter_values
from fusionprep.errors import UsageError
from fusionprep.given import read_given, shown


def read_filters(file: Path) -> dict[str, Any]:
    """Pybids filters by the name of a modality, from a JSON file, which may be a pipe.

    Raises
    ------
    UsageError
        When the file cannot be read, or no query can be made of what it holds.
    """
    text = read_given(file, "BIDS filter file")
    try:
        filters = json.loads(text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"cannot read the BIDS filter file {file}: {error}") from error
    if not isinstance(filters, dict) or not all(isinstance(v, dict) for v in filters.values()):
        raise UsageError(f'{file} must hold an object of objects, e.g. {{"pet": {{"run": 1}}}}')
    try:
        check_filter_values(filters)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error
    return filters


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{shown(twice)} is given twice")
    return found
