"""The images of every subject that the options of a run keep, and why others are left out."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionprep.bids.filters import (
    EXTENSIONS,
    PYBIDS_NAMES,
    check_filters,
    default_filter,
    options_used,
    tracer_kept,
    user_filter,
)
from fusionprep.bids.layout import plain_label
from fusionprep.bids.metadata import tracer_label
from fusionprep.bids.names import BIDS
from fusionprep.bids.sidecars import read_metadata
from fusionprep.bids.types import FoundImages, ImageFile, Problem
from fusionprep.config import Selection
from fusionprep.errors import DataError, UsageError
from fusionprep.modalities import APP_MODALITIES, T1W, Modality

if TYPE_CHECKING:
    from bids import BIDSLayout

_NOT_ENTITIES = ("datatype", "extension", "scans", "fmap")
_ENTITIES = {pybids: entity for entity, pybids in PYBIDS_NAMES.items()}
_MOST_NAMES = 3

# Images whose sidecars have not been read.
_Selected = Mapping[Modality, list[ImageFile]]


def find_images(layout: BIDSLayout, bids_dir: Path, selection: Selection) -> dict[str, FoundImages]:
    """Find the images of every modality that the options of the run keep.

    Session labels restrict all but the T1w, which may well come from another session
    (``anat_session`` and the ``t1w`` filter restrict it); tracer, reconstruction and run labels
    restrict PET. A single tracer label becomes the entity ``trc`` of a PET image whose name and
    sidecar give none. Files with ``space-`` or ``desc-`` are taken for derivatives and left out
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

    check_filters(selection)
    index = _Index(layout, bids_dir, selection)
    everything: dict[str, list[ImageFile]] = defaultdict(list)
    for image in index.images.values():
        everything[index.folder_label(image)].append(image)
    selected = index.select()
    aligned = {
        subject
        for subject, images in everything.items()
        if not selected[subject][T1W] and not _has_plain_t1w(images)
    }
    with_space = index.select(space=Query.ANY) if aligned else {}
    reader = _Reader(bids_dir, selection)
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
        image.suffix in BIDS[T1W].raw_suffixes and not {"space", "desc"} & image.entities.keys()
        for image in images
    )


class _Index:
    """Every image by its path in the index, where its path below ``bids_dir`` may differ."""

    def __init__(self, layout: BIDSLayout, bids_dir: Path, selection: Selection) -> None:
        from bids.layout.models import Tag
        from sqlalchemy import or_

        self._layout, self._bids_dir, self._selection = layout, bids_dir, selection
        # One query for all: entities of pybids files are loaded file by file otherwise.
        is_image = or_(*(Tag.file_path.endswith(extension) for extension in EXTENSIONS))
        entities: dict[str, dict[str, str]] = defaultdict(dict)
        for tag in layout.session.query(Tag).filter(is_image):
            if tag.entity_name not in _NOT_ENTITIES:
                name = _ENTITIES.get(tag.entity_name, tag.entity_name)
                entities[tag.file_path][name] = str(tag.value)
        asked = {plain_label(label, "sub-") for label in selection.participant_label}
        root = Path(layout.root)
        self.images = {
            # A kept index may know the dataset by another path, e.g. through a link.
            path: ImageFile(bids_dir / Path(path).relative_to(root), found, found.pop("suffix", ""))
            for path, found in entities.items()
            if "sub" in found and (not asked or found["sub"] in asked)
        }

    def folder_label(self, image: ImageFile) -> str:
        """The subject by its folder: pybids reads `sub-a_b` as subject a."""
        return image.path.relative_to(self._bids_dir).parts[0].removeprefix("sub-")

    def select(self, **changes: Any) -> Mapping[str, _Selected]:
        """The images of each subject that pass the filters; ``changes`` replace default ones."""
        selected: dict[str, dict[Modality, list[ImageFile]]] = defaultdict(
            lambda: {modality: [] for modality in APP_MODALITIES}
        )
        for modality in APP_MODALITIES:
            default = default_filter(modality, self._selection)
            filters = {**default, **changes, **user_filter(modality, self._selection)}
            try:
                paths = self._layout.get(**{**filters, "return_type": "filename"})
            except ValueError as error:
                raise UsageError(
                    f"the BIDS filter for {modality.name} cannot be used: {error}"
                ) from error
            for path in paths:
                if image := self.images.get(path):
                    selected[self.folder_label(image)][modality].append(image)
        return selected


def _found(
    subject: str,
    images: Iterable[ImageFile],
    selected: _Selected,
    with_space: _Selected | None,
    reader: _Reader,
) -> FoundImages:
    found, seen, space = *reader.read(subject, selected), None
    # Where the user's filter names a space, what it has found is what is wanted.
    if with_space is not None and not reader.names(T1W, "space"):
        aligned = _aligned(subject, with_space, reader)
        if aligned is not None:
            found, seen, space = aligned
    notes = [f"images are those of space-{space}, as there is no T1w without space-"] * bool(space)
    left_out = [image for image in images if image.path not in seen]
    return dataclasses.replace(found, notes=(*notes, *_left_out(left_out, space, reader.selection)))


class _Reader:
    """Reads the metadata of images and drops those of tracers that are not asked for."""

    def __init__(self, bids_dir: Path, selection: Selection) -> None:
        self.selection = selection
        self._bids_dir = bids_dir
        self._filters = {modality: user_filter(modality, selection) for modality in APP_MODALITIES}
        self._listed: dict[Path, list[Path]] = {}

    def names(self, modality: Modality, entity: str) -> bool:
        """Whether the user's filter for a modality names an entity."""
        return entity in self._filters[modality]

    def read(self, subject: str, selected: _Selected) -> tuple[FoundImages, frozenset[Path]]:
        """The images asked for, and the files that they or their problems belong to."""
        images: dict[Modality, tuple[ImageFile, ...]] = {}
        unreadable: list[tuple[Modality, Problem]] = []
        seen: set[Path] = set()
        for modality in (T1W, *self.selection.moved):
            results = {
                image.path: self._read_image(image, modality) for image in selected[modality]
            }
            images[modality] = tuple(r for r in results.values() if isinstance(r, ImageFile))
            unreadable.extend((modality, r) for r in results.values() if isinstance(r, Problem))
            seen.update(path for path, result in results.items() if result is not None)
        return FoundImages(subject, images, tuple(unreadable)), frozenset(seen)

    def _read_image(self, image: ImageFile, modality: Modality) -> ImageFile | Problem | None:
        """The image with its metadata, what is wrong with them, or None for an unwanted tracer."""
        by_tracer = modality.tracer and not self.names(modality, "tracer")
        tracers = self.selection.tracer_label if by_tracer else ()
        if image.entities.get("trc") and not tracer_kept(image, tracers):
            return None
        try:
            metadata = read_metadata(image.path, self._bids_dir, self._listed)
        except DataError as error:
            return Problem(image.subject, "data", str(error))
        image = dataclasses.replace(image, metadata=metadata)
        if not tracer_kept(image, tracers):
            return None
        if tracers and tracer_label(image) is None:
            entities = {**image.entities, "trc": plain_label(tracers[0], "trc-")}
            image = dataclasses.replace(image, entities=entities)
        return image


def _aligned(
    subject: str, with_space: _Selected, reader: _Reader
) -> tuple[FoundImages, frozenset[Path], str] | None:
    """Images of the one ``space-`` label to use, the files seen, and the label."""
    best, most = None, 1
    spaces = {image.entities["space"] for image in with_space[T1W]}
    # Images that were warped to a template are the second choice.
    for space in sorted(spaces, key=lambda label: (label.upper().startswith("MNI"), label)):
        selected = {
            modality: [image for image in images if image.entities.get("space") == space]
            for modality, images in with_space.items()
        }
        found, seen = reader.read(subject, selected)
        present = {modality for modality, images in found.images.items() if images}
        # An unreadable sidecar must be named rather than another label silently taken.
        present |= {modality for modality, _ in found.unreadable}
        if T1W in present and len(present) > most:
            best, most = (found, seen, space), len(present)
    return best


def _left_out(images: Iterable[ImageFile], space: str | None, selection: Selection) -> list[str]:
    """One line for each reason why images of the subject are not used."""
    names: dict[str, list[str]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.path):
        for modality, bids in BIDS.items():
            if image.suffix in bids.raw_suffixes:
                names[_reason(image, modality, space, selection)].append(image.path.name)
    return [f"left out, {reason}: {_some(listed)}" for reason, listed in names.items()]


def _reason(image: ImageFile, modality: Modality, space: str | None, selection: Selection) -> str:
    if modality not in (T1W, *selection.moved):
        return f"{modality.label} is not among --modalities"
    if "desc" in image.entities:
        return "taken for a derivative because of desc-"
    if space is not None and image.entities.get("space") != space:
        return f"not of space-{space}"
    if space is None and "space" in image.entities:
        return "taken for a derivative because of space-"
    if image.entities.get("part", "mag") != "mag" and modality.magnitude_only:
        return "not a magnitude image (part-)"
    return f"excluded by {' and '.join(options_used(modality, selection)) or 'the filters'}"


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
