"""The configuration as a TOML file, a table for each group of options."""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from fusionprep.config import GROUPS, Config, option_hints
from fusionprep.errors import UsageError
from fusionprep.given import check_path, check_text, read_given, shown

CONFIG_FILE = "fusionprep.toml"
"""Name of the file that a run leaves in its folder below ``logs/``."""

_LARGEST_WHOLE = 2**63
_MOST_DOTS = 1000
_EARLIER_NAMES = {"fusion_models": "models", "fusion_weights": "weights"}


def to_toml(config: Config) -> str:
    """The configuration as TOML; unset options are left out."""
    import tomli_w

    return tomli_w.dumps(_plain(dataclasses.asdict(config)))


def _plain(value: Any, key: str = "") -> Any:
    if value is None:
        # TOML has no null; in a filter it stands for "without this entity"
        return "Query.NONE"
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        kept = {k: v for k, v in value.items() if v is not None or key == "bids_filters"}
        inner = "bids_filters" if key == "bids_filters" else ""
        return {k: _plain(v, inner or k) for k, v in kept.items()}
    return value


def read_options(path: Path) -> dict[str, Any]:
    """Read options from a TOML file written by :func:`to_toml`, of this version or earlier.

    Returns
    -------
    dict
        Names of options, whichever their group, to values of their types; only those the file
        holds.

    Raises
    ------
    UsageError
        When the file is missing, is not TOML, or holds an unknown or ill-typed option.
    """
    values, hints = read_values(path), option_hints()
    if unknown := sorted(set(values) - set(hints)):
        raise UsageError(f"unknown option in {path}: {', '.join(unknown)}")
    return {name: _typed(name, value, hints[name], path) for name, value in values.items()}


def read_values(path: Path) -> dict[str, Any]:
    """Read what a run of any version was told, also options that this version does not know.

    Returns
    -------
    dict
        Names of options, whichever their group, to values as TOML has them.

    Raises
    ------
    UsageError
        When the file is missing or is not TOML.
    """
    values = read_toml(path, "configuration file")
    for group in GROUPS:
        table = values.pop(group, {})
        if not isinstance(table, dict):
            raise UsageError(f"{group} in {path} must be a table of options")
        values |= table
    # files of the first release have no tables
    return {_EARLIER_NAMES.get(name, name): value for name, value in values.items()}


def read_logged(folder: Path) -> dict[str, Any] | None:
    """What an earlier run was told, by its folder below ``logs/``.

    Returns
    -------
    dict
        What :func:`read_values` returns; None where the file is missing or damaged.
    """
    path = folder / CONFIG_FILE
    try:
        # a pipe would keep its reader waiting
        return read_values(path) if path.is_file() else None
    except UsageError:
        return None


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file that a user names.

    Parameters
    ----------
    what
        Names the file in messages.

    Raises
    ------
    UsageError
        When the file cannot be read or is not TOML.
    """
    text = read_given(path, what)
    try:
        # the time that tomllib takes grows with the square of a name's parts
        if max((line.count(".") for line in text.splitlines()), default=0) > _MOST_DOTS:
            raise ValueError(f"a line has more than {_MOST_DOTS} dots")
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # an integer of thousands of digits, or brackets in brackets in brackets
        raise UsageError(f"cannot read the {what} {path}: {error}") from error


def _typed(name: str, value: Any, hint: Any, path: Path) -> Any:
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    if typing.get_origin(hint) is Literal:
        hint = str
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_label(name, item, path) for item in value)
    if typing.get_origin(hint) is Mapping and isinstance(value, dict):
        kind = typing.get_args(hint)[1]
        return {key: _typed(f"{name}.{key}", item, kind, path) for key, item in value.items()}
    if hint is Any:
        return value
    if hint is Path and isinstance(value, str):
        check_text(f"option {name} in {path}", value)
        check_path(f"option {name} in {path}", Path(value))
        return Path(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if hint is float and is_whole and abs(value) < _LARGEST_WHOLE:
        return float(value)
    expected = typing.get_origin(hint) or hint
    if not isinstance(value, expected) or (expected is int and not is_whole):
        raise _wrong_type(name, value, path)
    return value


def _label(name: str, value: Any, path: Path) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_WHOLE:
        return str(value)
    if not isinstance(value, str):
        raise _wrong_type(name, value, path)
    return value


def _wrong_type(name: str, value: Any, path: Path) -> UsageError:
    return UsageError(f"option {name} in {path} has the wrong type: {shown(value)}")
