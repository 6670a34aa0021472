"""Options and BIDS filters of a run as pybids queries, one for each modality."""

from __future__ import annotations

from typing import Any

from fusionprep.bids.layout import EXTENSIONS, LABEL_PREFIXES, PYBIDS_CONFIGS, plain_label
from fusionprep.bids.metadata import tracer_label
from fusionprep.bids.names import BIDS, DSEG, ENTITY_ORDER, PROBSEG
from fusionprep.bids.types import ImageFile
from fusionprep.config import Selection
from fusionprep.config_checks import REGEX_SEARCH
from fusionprep.errors import UsageError
from fusionprep.given import shown
from fusionprep.modalities import APP_MODALITIES, T1W, Modality

PYBIDS_NAMES = {
    "sub": "subject",
    "ses": "session",
    "acq": "acquisition",
    "ce": "ceagent",
    "trc": "tracer",
    "rec": "reconstruction",
    "dir": "direction",
}
"""Entities that pybids calls by another name than files do."""

EARLIER_QUERIES = ("brain_mask", DSEG, PROBSEG)
"""What is looked for among the derivatives that the user names."""


def check_filters(selection: Selection) -> None:
    """Refuse BIDS filters for images that are never looked for, and by entities there are not.

    Raises
    ------
    UsageError
    """
    if not selection.bids_filters:
        return
    from bids.layout import Config

    queries = [modality.name for modality in APP_MODALITIES]
    known = {name for config in PYBIDS_CONFIGS for name in Config.load(config).entities}
    for query, entities in selection.bids_filters.items():
        if query in EARLIER_QUERIES:
            _check_earlier(query, selection)
            continue
        if query not in queries:
            raise UsageError(
                f"unknown query in the BIDS filter: {shown(query)}; use"
                f" {', '.join([*queries, *EARLIER_QUERIES])}"
            )
        named = [PYBIDS_NAMES.get(entity, entity) for entity in entities]
        for entity, name in zip(entities, named, strict=True):
            # anything else could be an option of pybids itself
            if name not in known and name != REGEX_SEARCH:
                raise UsageError(
                    f"the BIDS filter for {query}: {shown(entity)} is not an entity; use"
                    f" {', '.join(sorted(known))}"
                )
            if named.count(name) > 1:
                raise UsageError(f"the BIDS filter for {query} names {shown(name)} twice")


def _check_earlier(query: str, selection: Selection) -> None:
    if not selection.derivatives:
        raise UsageError(f"the BIDS filter for {query} is for --derivatives; name a dataset")
    for entity in selection.bids_filters[query]:
        if _short_name(entity) not in ENTITY_ORDER[2:]:
            raise UsageError(
                f"the BIDS filter for {query}: {shown(entity)} is not an entity that can be chosen"
                f" by; use {', '.join(ENTITY_ORDER[2:])}"
            )


def _short_name(entity: str) -> str:
    """An entity as names of files have it."""
    return {long: short for short, long in PYBIDS_NAMES.items()}.get(entity, entity)


def earlier_filter(query: str, selection: Selection) -> dict[str, Any]:
    """The user's filter for one of :data:`EARLIER_QUERIES`, by entities as file names have them.

    None stands for absence, ``"*"`` for any value, a list for one of several.
    """
    words = {"Query.NONE": None, "Query.ANY": "*"}

    def plain(entity: str, value: Any) -> Any:
        if isinstance(value, str) and value in words:
            return words[value]
        return plain_label(value, f"{entity}-") if isinstance(value, str) else value

    named = {
        _short_name(key): value for key, value in selection.bids_filters.get(query, {}).items()
    }
    return {
        entity: [plain(entity, item) for item in value]
        if isinstance(value, (list, tuple))
        else plain(entity, value)
        for entity, value in named.items()
    }


def default_filter(modality: Modality, selection: Selection) -> dict[str, Any]:
    """The pybids query for a modality by the options of the run, but for sessions.

    See :func:`session_kept`.
    """
    from bids.layout import Query

    filters: dict[str, Any] = {
        "suffix": list(BIDS[modality].raw_suffixes),
        "extension": EXTENSIONS,
        "space": Query.NONE,
        "desc": Query.NONE,
    }
    if selection.participant_label:
        filters["subject"] = [plain_label(label, "sub-") for label in selection.participant_label]
    if modality.magnitude_only:
        filters["part"] = [Query.NONE, "mag"]
    if modality.tracer and selection.rec_label:
        filters["reconstruction"] = [plain_label(label, "rec-") for label in selection.rec_label]
    if modality.tracer and selection.run_label:
        filters["run"] = [plain_label(label, "run-") for label in selection.run_label]
    return filters


def user_filter(modality: Modality, selection: Selection) -> dict[str, Any]:
    """The user's BIDS filter for a modality, its entities by their pybids names."""
    own = selection.bids_filters.get(modality.name, {})
    named = {PYBIDS_NAMES.get(key, key): value for key, value in own.items()}
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


def session_kept(image: ImageFile, modality: Modality, selection: Selection) -> bool:
    """Whether the options of the run keep the session of an image, however its name gives it."""
    if modality == T1W or not selection.session_label:
        return True
    if "session" in user_filter(modality, selection):
        return True
    return image.session in {plain_label(label, "ses-") for label in selection.session_label}


def tracer_kept(image: ImageFile, labels: tuple[str, ...]) -> bool:
    """Whether the tracer is asked for; an image without one is kept if just one is asked for."""
    if not labels:
        return True
    asked = {plain_label(label, "trc-").lower() for label in labels}
    tracer = tracer_label(image)
    return len(asked) == 1 if tracer is None else tracer.lower() in asked


def options_used(modality: Modality, selection: Selection) -> list[str]:
    """The options, as users write them, that restrict a query."""
    options = {"session": selection.session_label} if modality != T1W else {}
    if modality.tracer:
        options["tracer"] = selection.tracer_label
        options["rec"] = selection.rec_label
        options["run"] = selection.run_label
    used = [f"--{option}-label {' '.join(labels)}" for option, labels in options.items() if labels]
    return used + ["the BIDS filter"] * bool(selection.bids_filters.get(modality.name))
