"""Options and BIDS filters of a run as pybids queries, one for each kind of image."""

from __future__ import annotations

from typing import Any

from fusionprep.bids.layout import LABEL_PREFIXES, plain_label
from fusionprep.bids.metadata import tracer_label
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config
from fusionprep.errors import UsageError

SUFFIXES = {
    "t1w": ["T1w"],
    "pet": ["pet"],
    "ct": ["ct", "CT", "Ct"],
    "flair": ["FLAIR"],
    "t2w": ["T2w"],
}
MAGNITUDE_ONLY = ("t1w", "flair", "t2w")
EXTENSIONS = [".nii", ".nii.gz"]
_BIDS_KEYS = {
    "ses": "session",
    "acq": "acquisition",
    "ce": "ceagent",
    "trc": "tracer",
    "rec": "reconstruction",
    "dir": "direction",
}


def check_filters(config: Config) -> None:
    """Refuse BIDS filters for images that are never looked for.

    Raises
    ------
    UsageError
    """
    if unknown := sorted(set(config.bids_filters) - set(SUFFIXES)):
        raise UsageError(
            f"unknown query in the BIDS filter: {', '.join(unknown)}; use {', '.join(SUFFIXES)}"
        )


def default_filter(name: str, config: Config) -> dict[str, Any]:
    """The pybids query ``t1w``, ``pet``, ``ct``, ``flair`` or ``t2w`` by the options of the run."""
    from bids.layout import Query

    filters: dict[str, Any] = {
        "suffix": SUFFIXES[name],
        "extension": EXTENSIONS,
        "space": Query.NONE,
        "desc": Query.NONE,
    }
    if config.participant_label:
        filters["subject"] = [plain_label(label, "sub-") for label in config.participant_label]
    if name in MAGNITUDE_ONLY:
        filters["part"] = [Query.NONE, "mag"]
    if name != "t1w" and config.session_label:
        filters["session"] = [plain_label(label, "ses-") for label in config.session_label]
    if name == "pet" and config.rec_label:
        filters["reconstruction"] = [plain_label(label, "rec-") for label in config.rec_label]
    if name == "pet" and config.run_label:
        filters["run"] = [plain_label(label, "run-") for label in config.run_label]
    return filters


def user_filter(name: str, config: Config) -> dict[str, Any]:
    """The user's BIDS filter for a query, its entities by their pybids names."""
    own = config.bids_filters.get(name, {})
    named = {_BIDS_KEYS.get(key, key): value for key, value in own.items()}
    return {
        key: [_filter_value(key, item) for item in value]
        if isinstance(value, (list, tuple))
        else _filter_value(key, value)
        for key, value in named.items()
        if key != "subject"
    }


def _filter_value(key: str, value: Any) -> Any:
    from bids.layout import Query

    if value is None or value == "Query.NONE":
        return Query.NONE
    if value in ("*", "Query.ANY"):
        return Query.ANY
    return plain_label(value, LABEL_PREFIXES.get(key, "")) if isinstance(value, str) else value


def tracer_kept(image: ImageFile, labels: tuple[str, ...]) -> bool:
    """Whether the tracer is asked for; an image that names none is, when one is asked for."""
    if not labels:
        return True
    asked = {plain_label(label, "trc-").lower() for label in labels}
    tracer = tracer_label(image)
    return len(asked) == 1 if tracer is None else tracer.lower() in asked


def options_used(name: str, config: Config) -> list[str]:
    """The options, as users write them, that restrict a query."""
    options = {"session": config.session_label} if name != "t1w" else {}
    if name == "pet":
        options["tracer"] = config.tracer_label
        options["rec"] = config.rec_label
        options["run"] = config.run_label
    used = [f"--{option}-label {' '.join(labels)}" for option, labels in options.items() if labels]
    return used + ["the BIDS filter"] * bool(config.bids_filters.get(name))
