"""What a subject's outputs say: images and their sidecars, read from the output root alone."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fusionprep.bids import fused_names, names
from fusionprep.bids.types import ImageFile
from fusionprep.errors import DataError, UnreadableFileError
from fusionprep.modalities import MOVED, T1W, Modality
from fusionprep.reading import read_json_object
from fusionprep.spaces import NATIVE

VERDICTS = ("fail", "review", "pass")


@dataclass(frozen=True)
class Scan:
    """An image brought to the T1w, and what was made of it.

    Attributes
    ----------
    entities
        Of the source: its session, and what derivatives of the modality keep.
    native
        The image in T1w space; None where only fused images are left.
    variants
        Further images of the scan by ``desc``: ``suv``, ``suvr``.
    fused
        Scalar fused images, all models and spaces.
    colour
        The fused images in colour.
    """

    entities: Mapping[str, str]
    modality: Modality
    native: ImageFile | None
    variants: Mapping[str, ImageFile]
    fused: tuple[ImageFile, ...]
    colour: tuple[ImageFile, ...]

    @property
    def label(self) -> str:
        """E.g. ``PET ses-01 trc-18FFDG``."""
        return " ".join(
            [self.modality.label, *(f"{key}-{value}" for key, value in self.entities.items())]
        )


@dataclass(frozen=True)
class SubjectRecord:
    """Everything the outputs hold on one subject.

    Attributes
    ----------
    derivatives
        Every image with a readable sidecar, by folder and name.
    unknown
        Names of images whose ``desc-fused…`` this version never writes; no other derivatives.
    problems
        One line for each sidecar that cannot be read.
    """

    label: str
    derivatives: tuple[ImageFile, ...]
    unknown: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def sessions(self) -> tuple[str, ...]:
        found = {item.entities["ses"] for item in self.derivatives if "ses" in item.entities}
        return tuple(sorted(found))

    def anatomies(self) -> tuple[ImageFile, ...]:
        """The preprocessed T1w images in their own space, one for each session that has any."""
        return tuple(self.t1ws(space=None))

    def t1ws(self, **entities: str | None) -> list[ImageFile]:
        """The preprocessed T1w images, in their own space and in those of templates."""
        return self.find(names.BIDS[T1W].suffix, desc=names.PREPROC, **entities)

    def find(self, suffix: str, **entities: str | None) -> list[ImageFile]:
        """Images of a suffix; an entity given as None must be absent."""
        return [
            item
            for item in self.derivatives
            if item.suffix == suffix
            and all(item.entities.get(key) == value for key, value in entities.items())
        ]

    def beside(self, anatomy: ImageFile, suffix: str, **entities: str | None) -> ImageFile | None:
        """The first derivative of the same session as an anatomical image."""
        found = self.find(suffix, ses=anatomy.entities.get("ses"), **entities)
        return found[0] if found else None

    def anatomy_of(self, scan: Scan) -> ImageFile | None:
        """The T1w a scan was brought to, by its recorded pairing, else by its session."""
        anatomies = self.anatomies()
        uri = scan.native.get("Pairing", "T1w") if scan.native is not None else None
        paired = names.parse_name(uri.rsplit("/", 1)[-1])[0] if isinstance(uri, str) else {}
        for wanted in (paired.get("ses"), scan.entities.get("ses")):
            for anatomy in anatomies:
                if wanted is not None and anatomy.entities.get("ses") == wanted:
                    return anatomy
        return anatomies[0] if len(anatomies) == 1 else None

    def scans(self) -> tuple[Scan, ...]:
        """Images brought to the T1w: by modality, then by session and other entities."""
        groups: dict[tuple[int, tuple[str, ...]], list[ImageFile]] = {}
        for item in self.derivatives:
            modality = fused_names.modality_of(item)
            if modality in MOVED:
                key = tuple(item.entities.get(name, "") for name in _entities_of(modality))
                groups.setdefault((MOVED.index(modality), key), []).append(item)
        return tuple(_scan(MOVED[rank], items) for (rank, _), items in sorted(groups.items()))


def taken_from(image: ImageFile | None, *keys: str) -> str:
    """The software that made an image, or a registration, before; empty where we did.

    Parameters
    ----------
    keys
        Of the sidecar's field that says so, e.g. ``"Registration"``; none for the image itself.
    """
    software = None if image is None else image.get(*keys, names.TAKEN_OVER, "Software")
    return software if isinstance(software, str) else ""


def _entities_of(modality: Modality) -> tuple[str, ...]:
    """What tells the scans of a modality apart."""
    return ("ses", *names.BIDS[modality].kept)


def _scan(modality: Modality, items: Sequence[ImageFile]) -> Scan:
    native, variants = None, {}
    fused: dict[bool, list[ImageFile]] = {False: [], True: []}
    for item in items:
        label = item.entities.get("desc", "")
        if desc := fused_names.FusedDesc.parse(label):
            fused[desc.colour].append(item)
        elif item.entities.get("space") == NATIVE:
            if label == names.PREPROC:
                native = item
            else:
                variants[label] = item
    first = items[0].entities
    entities = {name: first[name] for name in _entities_of(modality) if name in first}
    return Scan(entities, modality, native, variants, tuple(fused[False]), tuple(fused[True]))


def fused_desc(fused: ImageFile) -> fused_names.FusedDesc:
    """What the name of a fused image says.

    Raises
    ------
    ValueError
        When it is not the name of a fused image; a :class:`Scan` holds none of these.
    """
    desc = fused_names.FusedDesc.parse(fused.entities.get("desc", ""))
    if desc is None:
        raise ValueError(f"{fused.path.name} is not the name of a fused image")
    return desc


def model_name(fused: ImageFile) -> str:
    """The fusion model of a fused image: from the sidecar, else from its name."""
    recorded = fused.get("FusionModel", "Label") or fused.get("FusionModel", "Name")
    return recorded if isinstance(recorded, str) else fused_desc(fused).model


def fused_title(fused: ImageFile) -> str:
    """The fusion model, and the anatomical image where that was not the T1w."""
    return replace(fused_desc(fused), model=model_name(fused)).title


def model_version(fused: ImageFile) -> Any:
    """Version of the model of a fused image, and the user's weights file where there is one."""
    version, own = (fused.get("FusionModel", key) for key in ("Version", "WeightsFile"))
    return f"{version or 'unknown'} (user's weights {own})" if own else version


def notes_of(image: ImageFile) -> list[str]:
    """What the sidecar says was corrected or assumed, a phrase each."""
    notes = image.get(names.NOTES)
    return [str(note) for note in notes] if isinstance(notes, list) else []


def read_subject(output_dir: Path, label: str) -> SubjectRecord:
    """Read the sidecars of a subject.

    Parameters
    ----------
    output_dir
        Output root.
    label
        Participant label without ``sub-``.

    Returns
    -------
    SubjectRecord
        Empty where the subject has no outputs.
    """
    root = Path(output_dir) / f"sub-{label}"
    derivatives, unknown, problems = [], [], []
    for level, datatype in itertools.product(("", "ses-*/"), names.DATATYPES):
        for sidecar in sorted(root.glob(f"{level}{datatype}/*.json")):
            image = sidecar.with_suffix(names.IMAGE)
            if not image.exists():
                continue
            entities, suffix = names.parse_name(sidecar.name)
            desc = entities.get("desc", "")
            if desc.startswith(fused_names.FUSED) and fused_names.FusedDesc.parse(desc) is None:
                unknown.append(image.name)
                continue
            try:
                metadata = read_sidecar(sidecar)
            except DataError as error:
                problems.append(str(error))
                continue
            derivatives.append(ImageFile(image, entities, suffix, metadata))
    return SubjectRecord(label, tuple(derivatives), tuple(unknown), tuple(problems))


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read a sidecar.

    Raises
    ------
    DataError
        When it cannot be read or is not a JSON object.
    """
    try:
        return read_json_object(path)
    except UnreadableFileError as error:
        raise DataError(
            f"cannot read the sidecar {path.name}: {error.reason}; run the subject again"
        ) from error


def worst(verdicts: Iterable[Any]) -> str | None:
    """The worst of some verdicts; None where there is none."""
    found = list(verdicts)
    return next((verdict for verdict in VERDICTS if verdict in found), None)


def finite(value: Any) -> float | None:
    """A number of a sidecar, or None for anything that is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def minutes_of(image: ImageFile) -> tuple[float, float] | None:
    """Minutes after injection at which the frames averaged begin and end, where that is known."""
    given = image.get("FrameSelection", "MinutesAfterInjection")
    if not isinstance(given, list) or len(given) != 2:
        return None
    begin, end = (finite(item) for item in given)
    return None if begin is None or end is None else (begin, end)
