"""The file of ``--use-plugin``: a Nipype plugin and its arguments. Imports no Nipype."""

import math
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionprep.config_checks import LARGEST_MEMORY_GB, LIMITS
from fusionprep.errors import UsageError
from fusionprep.given import check_text, outside, read_given, shown

if TYPE_CHECKING:
    from yaml import Node

LARGEST_COUNT = 10**6
LARGEST_FILE = 2**17
"""Bytes; YAML is read slowly."""

DEEPEST = 5
"""Levels of a file; deeper ones hold nothing that a plugin understands."""

_LOCAL = (
    *("n_procs", "n_threads", "memory_gb", "mp_context", "raise_insufficient", "scheduler"),
    *("max_jobs", "n_gpu_procs", "maxtasksperchild", "non_daemon"),
)
_JOBS = ("template", "max_jobs", "max_tries", "retry_timeout")
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "Linear": _LOCAL,
    "MultiProc": _LOCAL,
    "LegacyMultiProc": _LOCAL,
    "SLURM": (*_JOBS, "sbatch_args", "jobid_re"),
    "SLURMGraph": (*_JOBS, "sbatch_args", "dont_resubmit_completed_jobs"),
    "PBS": (*_JOBS, "qsub_args", "max_jobname_len"),
    "SGE": (*_JOBS, "qsub_args", "qstatProgramPath", "qstatCachedProgramPath"),
    "LSF": (*_JOBS, "bsub_args"),
    "OAR": (*_JOBS, "oarsub_args", "max_jobname_len"),
    "Condor": (*_JOBS, "qsub_args"),
}
"""Plugins that run the whole workflow, and the arguments that each understands."""


def read_plugin_file(path: Path) -> dict[str, Any]:
    """A Nipype plugin's name and ``plugin_args`` from a YAML file, which may be a pipe.

    Raises
    ------
    UsageError
        When the file cannot be read, or as :func:`check_plugin_settings`.
    """
    import yaml

    text = read_given(path, "plugin file", largest=LARGEST_FILE)
    try:
        _check_simple(text)
        # only now: what refers to itself, or is deep, could take forever
        _check_names(yaml.compose(text, yaml.SafeLoader))
        settings = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError, LookupError) as error:
        # dates such as 2020-13-45, numbers of thousands of digits
        reason = " ".join(str(error).split())
        raise UsageError(f"cannot read the plugin file {path}: {reason}") from error
    return check_plugin_settings(f"the plugin file {path}", settings)


def _check_simple(text: str) -> None:
    """Refuse what of YAML no plugin needs: aliases, tags, lists in lists in lists."""
    import yaml

    level = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if getattr(event, "anchor", None) is not None:
            raise ValueError(f"anchors and aliases are not read; write it out (line {line})")
        if (tag := getattr(event, "tag", None)) is not None:
            raise ValueError(f"the tag {tag} is not read; leave it out (line {line})")
        level += isinstance(event, yaml.CollectionStartEvent)
        level -= isinstance(event, yaml.CollectionEndEvent)
        if level > DEEPEST:
            raise ValueError(f"it is nested too deep (line {line})")


def _check_names(node: "Node | None") -> None:
    """Refuse a name that is given twice, of which YAML would take the last."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        names = [name.value for name, _ in node.value if isinstance(name, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{shown(name)} is given twice")
        for _, value in node.value:
            _check_names(value)


def check_plugin_settings(where: str, settings: Any) -> dict[str, Any]:
    """Refuse a plugin that does not run the whole workflow, and arguments that it cannot have.

    Parameters
    ----------
    where
        Names the file in messages.

    Returns
    -------
    dict
        ``plugin``, its name, and ``plugin_args``.

    Raises
    ------
    UsageError
    """
    name = settings.get("plugin") if isinstance(settings, Mapping) else None
    if not isinstance(name, str) or name not in ARGUMENTS:
        raise UsageError(f"{where} must hold plugin: NAME, one of {', '.join(ARGUMENTS)}")
    arguments = settings.get("plugin_args") or {}
    if not isinstance(arguments, Mapping) or set(settings) - {"plugin", "plugin_args"}:
        raise UsageError(f"{where} may hold plugin and plugin_args (names and values), no more")
    for argument, value in arguments.items():
        if argument not in ARGUMENTS[name]:
            raise UsageError(
                f"{where}: {name} has no argument {shown(argument)}; use"
                f" {', '.join(ARGUMENTS[name])}"
            )
        if problem := _CHECKS[argument](value):
            raise UsageError(f"{where}: {argument} {problem}")
    return {"plugin": name, "plugin_args": dict(arguments)}


def _count(smallest: int, largest: int = LARGEST_COUNT) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int):
            return f"must be a whole number, not {shown(value)}"
        return outside(value, smallest, largest)

    return check


def _amount(smallest: float, largest: float) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"must be a number, not {shown(value)}"
        if not smallest < value <= largest or math.isinf(value):
            return f"must be above {smallest:g} and at most {largest:g}, not {shown(value)}"
        return ""

    return check


def _yes_or_no(value: Any) -> str:
    return "" if isinstance(value, bool) else f"must be true or false, not {shown(value)}"


def _among(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value in choices:
            return ""
        return f"must be one of {', '.join(choices)}, not {shown(value)}"

    return check


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return f"must be a text, not {shown(value)}; put it in quotes"
    try:
        check_text("it", value or " ")
    except UsageError as error:
        return f"cannot be used: {error}"
    return ""


def _options(value: Any) -> str:
    """Options of a program, as a shell would read them."""
    if problem := _text(value):
        return problem
    try:
        shlex.split(value)
    except ValueError as error:
        return f"has a quotation mark without its other half ({error}): {shown(value)}"
    return ""


def _pattern(value: Any) -> str:
    if problem := _text(value):
        return problem
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is not a regular expression: {shown(value)} ({error})"
    return ""


_CHECKS: Mapping[str, Callable[[Any], str]] = {
    "n_procs": _count(*LIMITS["nprocs"]),
    "n_threads": _count(*LIMITS["omp_nthreads"]),
    "memory_gb": _amount(0, LARGEST_MEMORY_GB),
    "raise_insufficient": _yes_or_no,
    "scheduler": _among("tsort", "mem_thread"),
    "mp_context": _among("fork", "spawn", "forkserver"),
    "max_jobs": _count(1),
    "n_gpu_procs": _count(0),
    "maxtasksperchild": _count(1),
    "non_daemon": _yes_or_no,
    "template": _text,
    "max_tries": _count(1),
    "retry_timeout": _amount(-1e-9, LARGEST_COUNT),
    "sbatch_args": _options,
    "qsub_args": _options,
    "bsub_args": _options,
    "oarsub_args": _options,
    "jobid_re": _pattern,
    "dont_resubmit_completed_jobs": _yes_or_no,
    "max_jobname_len": _count(1),
    "qstatProgramPath": _text,
    "qstatCachedProgramPath": _text,
}
