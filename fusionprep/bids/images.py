"""The images of every subject that the options of a run keep, and why others are left out."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionprep.bids.filters import (
    EXTENSIONS,
    MAGNITUDE_ONLY,
    SUFFIXES,
    check_filters,
    default_filter,
    options_used,
    tracer_kept,
    user_filter,
)
from fusionprep.bids.layout import plain_label
from fusionprep.bids.metadata import tracer_label
from fusionprep.bids.sidecars import read_metadata
from fusionprep.bids.types import KINDS, FoundImages, ImageFile, Problem
from fusionprep.config import Config
from fusionprep.errors import DataError, UsageError

if TYPE_CHECKING:
    from bids import BIDSLayout

_NOT_ENTITIES = ("extension", "scans", "fmap")
_MOST_NAMES = 3

# Query name (``t1w``, …) to images whose sidecars have not been read.
_Selection = Mapping[str, list[ImageFile]]


def find_images(layout: BIDSLayout, config: Config) -> dict[str, FoundImages]:
    """Find the T1w, PET, CT, FLAIR and T2w images that the options of the run keep.

    Session labels restrict all but the T1w, which may well come from another session
    (``anat_session`` and the ``t1w`` filter restrict it); tracer, reconstruction and run labels
    restrict PET. A single tracer label becomes the ``tracer`` entity of a PET image whose name and
    sidecar tell none. Files with ``space-`` or ``desc-`` are taken for derivatives and left out
    unless a filter names these entities. A filter overrides the option of the same name.

    A subject that has no T1w without ``space-`` comes from an aligned release: its images are then
    those of one ``space-`` label that its T1w shares with others, the label that covers most of
    the modalities asked for, then the first by name.

    Returns
    -------
    dict of str to FoundImages
        By subject label without ``sub-``; none for a subject without any image. Images are in
        natural order of their paths; one whose sidecar is unreadable is left out and listed as
        unreadable.

    Raises
    ------
    UsageError
        When a filter names an unknown query or entity.
    """
    from bids.layout import Query

    check_filters(config)
    indexed = _indexed_images(layout, config)
    everything: dict[str, list[ImageFile]] = defaultdict(list)
    for image in indexed.values():
        everything[_folder_label(image, config)].append(image)
    selected = _select(layout, indexed, config)
    aligned = {
        subject
        for subject, images in everything.items()
        if not selected[subject]["t1w"] and not _has_plain_t1w(images)
    }
    with_space = _select(layout, indexed, config, space=Query.ANY) if aligned else {}
    reader = _Reader(config)
    return {
        subject: _found(
            subject,
            images,
            selected[subject],
            with_space.get(subject) if subject in aligned else None,
            reader,
        )
        for subject, images in everything.items()
    }


def _has_plain_t1w(images: Iterable[ImageFile]) -> bool:
    # Whether or not the filters keep it: derivatives must not stand in for a raw T1w.
    return any(
        image.entities.get("suffix") in SUFFIXES["t1w"]
        and not {"space", "desc"} & image.entities.keys()
        for image in images
    )


def _indexed_images(layout: BIDSLayout, config: Config) -> dict[str, ImageFile]:
    """Every image by its path in the index, where its path below ``bids_dir`` may differ."""
    from bids.layout.models import Tag
    from sqlalchemy import or_

    # One query for all: entities of pybids files are loaded file by file otherwise.
    is_image = or_(*(Tag.file_path.endswith(extension) for extension in EXTENSIONS))
    entities: dict[str, dict[str, str]] = defaultdict(dict)
    for tag in layout.session.query(Tag).filter(is_image):
        if tag.entity_name not in _NOT_ENTITIES:
            entities[tag.file_path][tag.entity_name] = str(tag.value)
    asked = {plain_label(label, "sub-") for label in config.participant_label}
    root = Path(layout.root)
    return {
        # A kept index may know the dataset by another path, e.g. through a link.
        path: ImageFile(config.bids_dir / Path(path).relative_to(root), found)
        for path, found in entities.items()
        if "subject" in found and (not asked or found["subject"] in asked)
    }


def _folder_label(image: ImageFile, config: Config) -> str:
    # pybids reads `sub-a_b` as subject a; the folder tells them apart.
    return image.path.relative_to(config.bids_dir).parts[0].removeprefix("sub-")


def _select(
    layout: BIDSLayout, indexed: Mapping[str, ImageFile], config: Config, **changes: Any
) -> Mapping[str, _Selection]:
    """The images of each subject that pass the filters; ``changes`` replace default ones."""
    selected: dict[str, dict[str, list[ImageFile]]] = defaultdict(lambda: {n: [] for n in SUFFIXES})
    for name in SUFFIXES:
        filters = {**default_filter(name, config), **changes, **user_filter(name, config)}
        try:
            paths = layout.get(**{**filters, "return_type": "filename"})
        except ValueError as error:
            raise UsageError(f"the BIDS filter for {name} cannot be used: {error}") from error
        for path in paths:
            if image := indexed.get(path):
                selected[_folder_label(image, config)][name].append(image)
    return selected


def _found(
    subject: str,
    images: Iterable[ImageFile],
    selected: _Selection,
    with_space: _Selection | None,
    reader: _Reader,
) -> FoundImages:
    found, seen, space = *reader.read(subject, selected), None
    # Where the user's filter names a space, what it has found is what is wanted.
    if with_space is not None and not reader.names("t1w", "space"):
        aligned = _aligned(subject, with_space, reader)
        if aligned is not None:
            found, seen, space = aligned
    notes = [f"images are those of space-{space}, as there is no T1w without space-"] * bool(space)
    left_out = [image for image in images if image.path not in seen]
    return dataclasses.replace(found, notes=(*notes, *_left_out(left_out, space, reader.config)))


class _Reader:
    """Reads the metadata of images and drops those of tracers that are not asked for."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._filters = {name: user_filter(name, config) for name in SUFFIXES}
        self._listed: dict[Path, list[Path]] = {}

    def names(self, query: str, entity: str) -> bool:
        """Whether the user's filter for a query names an entity."""
        return entity in self._filters[query]

    def read(self, subject: str, selected: _Selection) -> tuple[FoundImages, frozenset[Path]]:
        """The images asked for, and which files they or their problems are of."""
        images: dict[str, tuple[ImageFile, ...]] = {}
        unreadable: list[tuple[str, Problem]] = []
        seen: set[Path] = set()
        for name in ("t1w", *self.config.modalities):
            results = {image.path: self._read_image(image, name) for image in selected[name]}
            images[name] = tuple(r for r in results.values() if isinstance(r, ImageFile))
            unreadable.extend((name, r) for r in results.values() if isinstance(r, Problem))
            seen.update(path for path, result in results.items() if result is not None)
        return FoundImages(subject, **images, unreadable=tuple(unreadable)), frozenset(seen)

    def _read_image(self, image: ImageFile, name: str) -> ImageFile | Problem | None:
        """The image with its metadata, what is wrong with them, or None for an unwanted tracer."""
        by_tracer = name == "pet" and not self.names("pet", "tracer")
        tracers = self.config.tracer_label if by_tracer else ()
        if image.entities.get("tracer") and not tracer_kept(image, tracers):
            return None
        try:
            metadata = read_metadata(image.path, self.config.bids_dir, self._listed)
        except DataError as error:
            return Problem(image.subject, "data", str(error))
        image = dataclasses.replace(image, metadata=metadata)
        if not tracer_kept(image, tracers):
            return None
        if tracers and tracer_label(image) is None:
            entities = {**image.entities, "tracer": plain_label(tracers[0], "trc-")}
            image = dataclasses.replace(image, entities=entities)
        return image


def _aligned(
    subject: str, with_space: _Selection, reader: _Reader
) -> tuple[FoundImages, frozenset[Path], str] | None:
    """Images of the one ``space-`` label to use, the files seen, and the label."""
    best, most = None, 1
    spaces = {image.entities["space"] for image in with_space["t1w"]}
    # Images that were warped to a template are the second choice.
    for space in sorted(spaces, key=lambda label: (label.upper().startswith("MNI"), label)):
        selected = {
            name: [image for image in images if image.entities.get("space") == space]
            for name, images in with_space.items()
        }
        found, seen = reader.read(subject, selected)
        names = {name for name in SUFFIXES if getattr(found, name)}
        # An unreadable sidecar must be named rather than another label taken without a word.
        names |= {name for name, _ in found.unreadable}
        if "t1w" in names and len(names) > most:
            best, most = (found, seen, space), len(names)
    return best


def _left_out(images: Iterable[ImageFile], space: str | None, config: Config) -> list[str]:
    """One line for each reason why images of the subject are not used."""
    names: dict[str, list[str]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.path):
        for name, suffixes in SUFFIXES.items():
            if image.entities.get("suffix") in suffixes:
                names[_reason(image, name, space, config)].append(image.path.name)
    return [f"left out, {reason}: {_some(listed)}" for reason, listed in names.items()]


def _reason(image: ImageFile, name: str, space: str | None, config: Config) -> str:
    if name != "t1w" and name not in config.modalities:
        return f"{KINDS[name]} is not among --modalities"
    if "desc" in image.entities:
        return "taken for a derivative because of desc-"
    if space is not None and image.entities.get("space") != space:
        return f"not of space-{space}"
    if space is None and "space" in image.entities:
        return "taken for a derivative because of space-"
    if image.entities.get("part", "mag") != "mag" and name in MAGNITUDE_ONLY:
        return "not a magnitude image (part-)"
    return f"excluded by {' and '.join(options_used(name, config)) or 'the filters'}"


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
