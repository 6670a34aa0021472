"""The images of every subject that the options of a run keep, and why others are left out."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionprep.bids.contents import is_dark_fluid
from fusionprep.bids.filters import (
    PYBIDS_NAMES,
    check_filters,
    default_filter,
    options_used,
    session_kept,
    tracer_kept,
    user_filter,
)
from fusionprep.bids.layout import EXTENSIONS, plain_label
from fusionprep.bids.metadata import tracer_label
from fusionprep.bids.names import BIDS
from fusionprep.bids.odd_names import read_odd_parts
from fusionprep.bids.sidecars import read_metadata
from fusionprep.bids.types import FoundImages, ImageFile, Problem
from fusionprep.bids.unread import some
from fusionprep.config import Selection
from fusionprep.errors import DataError, UsageError
from fusionprep.modalities import APP_MODALITIES, FLAIR, T1W, T2W, Modality

if TYPE_CHECKING:
    from bids import BIDSLayout

_NOT_ENTITIES = ("datatype", "extension", "scans", "fmap")
_ENTITIES = {pybids: entity for entity, pybids in PYBIDS_NAMES.items()}
_DEFACED = re.compile("(?:de|re)fac|anonymi[sz]ed", re.IGNORECASE)

# Images whose sidecars have not been read, of one subject and of all.
_Selected = Mapping[Modality, list[ImageFile]]
_Collected = dict[str, dict[Modality, list[ImageFile]]]
# Session and suffix of images other than derivatives, by subject.
_Present = Mapping[str, set[tuple[str | None, str]]]


def find_images(layout: BIDSLayout, bids_dir: Path, selection: Selection) -> dict[str, FoundImages]:
    """Find the images of every modality that the options of the run keep.

    Session labels restrict all but the T1w, which may well come from another session
    (``anat_session`` and the ``t1w`` filter restrict it); tracer, reconstruction and run labels
    restrict PET. A single tracer label becomes the entity ``trc`` of a PET image whose name and
    sidecar give none. Files with ``space-`` or ``desc-`` are taken for derivatives and left out
    unless a filter names these entities; a defaced image (``desc-defaced``) is taken where a
    session has no other of its modality. A filter overrides the option of the same name.

    A UNIT1 (MP2RAGE) serves as T1w for a subject without any. A T2w whose sidecar or ``acq-`` says
    that its fluid is dark is a FLAIR.

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
    index.add_stand_ins(selected)
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
            path: _image(bids_dir / Path(path).relative_to(root), found)
            for path, found in entities.items()
            if "sub" in found and (not asked or found["sub"] in asked)
        }

    def folder_label(self, image: ImageFile) -> str:
        """The subject by its folder: pybids reads `sub-a_b` as subject a."""
        return image.path.relative_to(self._bids_dir).parts[0].removeprefix("sub-")

    def select(self, modalities: Iterable[Modality] = APP_MODALITIES, **changes: Any) -> _Collected:
        """The images of each subject that pass the filters; ``changes`` replace default ones."""
        selected: _Collected = defaultdict(lambda: {modality: [] for modality in APP_MODALITIES})
        for modality in modalities:
            default = default_filter(modality, self._selection)
            filters = {**default, **changes, **user_filter(modality, self._selection)}
            try:
                paths = self._layout.get(**{**filters, "return_type": "filename"})
            except ValueError as error:
                raise UsageError(
                    f"the BIDS filter for {modality.name} cannot be used: {error}"
                ) from error
            for path in paths:
                image = self.images.get(path)
                if image is not None and session_kept(image, modality, self._selection):
                    selected[self.folder_label(image)][modality].append(image)
        return selected

    def add_stand_ins(self, selected: _Collected) -> None:
        """Add images that serve where there is no better one: defaced ones, a UNIT1 as T1w."""
        plain: dict[str, set[tuple[str | None, str]]] = defaultdict(set)
        for image in self.images.values():
            if not {"space", "desc"} & image.entities.keys():
                plain[self.folder_label(image)].add((image.session, image.suffix))
        if any(map(_is_defaced, self.images.values())):
            self._add_defaced(selected, plain)
        present = {suffix for found in plain.values() for _, suffix in found}
        for modality, bids in BIDS.items():
            if present.intersection(bids.stand_ins):
                self._add_of_other_suffix(modality, selected, plain)

    def _add_defaced(self, selected: _Collected, plain: _Present) -> None:
        from bids.layout import Query

        for subject, by_modality in self.select(desc=Query.ANY).items():
            for modality, images in by_modality.items():
                chosen = {image.path for image in selected[subject][modality]}
                selected[subject][modality] += [
                    _noted(image, "it is defaced (desc-) and taken since there is no other")
                    for image in images
                    if _is_defaced(image) and image.path not in chosen
                    if not {(image.session, suffix) for suffix in BIDS[modality].raw_suffixes}
                    & plain[subject]
                ]

    def _add_of_other_suffix(
        self, modality: Modality, selected: _Collected, plain: _Present
    ) -> None:
        bids = BIDS[modality]
        for subject, found in self.select([modality], suffix=list(bids.stand_ins)).items():
            present = {suffix for _, suffix in plain[subject]}
            if not selected[subject][modality] and not present.intersection(bids.raw_suffixes):
                selected[subject][modality] += [
                    _noted(image, f"a {image.suffix} serves as {modality.label}, as there is none")
                    for image in found[modality]
                ]


def _is_defaced(image: ImageFile) -> bool:
    return _DEFACED.search(image.entities.get("desc", "")) is not None


def _image(path: Path, entities: dict[str, str]) -> ImageFile:
    suffix = entities.pop("suffix", "")
    told, notes = read_odd_parts(path, entities)
    return ImageFile(path, {**entities, **told}, suffix, notes=tuple(notes))


def _noted(image: ImageFile, note: str) -> ImageFile:
    return dataclasses.replace(image, notes=(*image.notes, note))


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
    expected = _left_out(left_out, space, reader.selection)
    return dataclasses.replace(found, notes=(*notes, *found.notes), expected=tuple(expected))


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
        dark = self._take_out_dark_fluid(images, selected)
        seen.update(image.path for image in dark)
        notes: tuple[str, ...] = ()
        if FLAIR in images:
            images[FLAIR] = (*images[FLAIR], *dark)
        elif dark:
            names = some([image.path.name for image in dark])
            notes = (f"left out, a {FLAIR.label} though named {T2W.label}: {names}",)
        return FoundImages(subject, images, tuple(unreadable), notes), frozenset(seen)

    def _take_out_dark_fluid(
        self, images: dict[Modality, tuple[ImageFile, ...]], selected: _Selected
    ) -> list[ImageFile]:
        """The T2w that are a FLAIR, no longer among the T2w."""
        if not {FLAIR, T2W} & images.keys():
            return []
        candidates = images.get(T2W)
        if candidates is None:
            read = (self._read_image(image, T2W) for image in selected[T2W])
            candidates = tuple(image for image in read if isinstance(image, ImageFile))
        told = {image.path: reason for image in candidates if (reason := is_dark_fluid(image))}
        if T2W in images:
            images[T2W] = tuple(image for image in candidates if image.path not in told)
        return [
            _noted(image, f"named {T2W.label}, it is a {FLAIR.label} {told[image.path]}")
            for image in candidates
            if image.path in told
        ]

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
    return [f"left out, {reason}: {some(listed)}" for reason, listed in names.items()]


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
