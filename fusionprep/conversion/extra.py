"""Packages that only the converters need, which are installed on demand."""

import importlib
from typing import Any

from fusionprep.errors import DataError

INSTALL = "pip install 'fusionprep[convert]'"


def needed(package: str) -> Any:
    """A package of the extra ``convert``.

    Raises
    ------
    DataError
        When it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise DataError(f"{package} is not installed: {INSTALL}") from error
