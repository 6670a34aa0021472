"""What a classifier can be given, by name, and where the App's derivatives have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionprep.bids import names
from fusionprep.bids.fused_names import FusedDesc
from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.given import shown
from fusionprep.image.partial_volume.methods import GRAY
from fusionprep.modalities import PET, T1W
from fusionprep.models.registry import get_model, model_names
from fusionprep.spaces import NATIVE

REGIONS, AGE_SEX = "regions", "age-sex"
TABLES = (REGIONS, AGE_SEX)
"""Inputs that are tables."""

GM, GM_PET = "gm", "gm-pet"
JOIN = "+"


@dataclass(frozen=True)
class ImageKind:
    """A kind of image in template space.

    Attributes
    ----------
    datatype, suffix, labels
        Of its name.
    relative
        Whether its unit means nothing between scans, so that each is divided by its mean.
    """

    datatype: str
    suffix: str
    labels: Mapping[str, str]
    relative: bool = False

    def matches(self, entities: Mapping[str, str], suffix: str) -> bool:
        """Whether a file with these entities and suffix is one."""
        own = {name: entities.get(name) for name in ("desc", "label", "seg")}
        return suffix == self.suffix and own == {**dict.fromkeys(own), **self.labels}


BRAIN_MASK = ImageKind(names.BIDS[T1W].datatype, names.MASK, {"desc": names.BRAIN})


def image_kinds() -> dict[str, ImageKind]:
    """The kinds of image by what users type."""
    anatomical, functional = names.BIDS[T1W], names.BIDS[PET]
    kinds = {
        T1W.name: ImageKind(
            anatomical.datatype, anatomical.suffix, {"desc": names.PREPROC}, relative=True
        ),
        PET.name: ImageKind(
            functional.datatype, functional.suffix, {"desc": names.PREPROC}, relative=True
        ),
        names.SUVR: ImageKind(functional.datatype, functional.suffix, {"desc": names.SUVR}),
        GM: ImageKind(anatomical.datatype, names.PROBSEG, {"label": GRAY}),
    }
    for name in model_names():
        desc = str(FusedDesc(get_model(name).label))
        kinds[name] = ImageKind(functional.fused_datatype, functional.fused_suffix, {"desc": desc})
    kinds[GM_PET] = kinds["gmpet"]
    return kinds


def parse_input(text: str) -> tuple[str, ...]:
    """The parts of an input, e.g. of ``t1w+pet``.

    Raises
    ------
    UsageError
        When a part is unknown or occurs twice.

    Examples
    --------
    >>> parse_input("t1w+pet")
    ('t1w', 'pet')
    """
    parts = tuple(text.split(JOIN))
    known = [*image_kinds(), *TABLES]
    if unknown := [part for part in parts if part not in known]:
        raise UsageError(f"{shown(unknown[0])} is not an input; there are {', '.join(known)}")
    if len(set(parts)) < len(parts):
        raise UsageError(f"{shown(text)} names an input twice")
    return parts


@dataclass(frozen=True, order=True)
class Scan:
    """A visit of a subject: labels with ``sub-`` and ``ses-``; the latter may be empty."""

    subject: str
    session: str

    def __str__(self) -> str:
        return f"{self.subject} {self.session}".strip()


@dataclass(frozen=True)
class Found:
    """Images by scan and kind.

    Attributes
    ----------
    scans
        Those that have every kind, in order.
    files
        For each kind, the image of each scan.
    left_out
        A line for each scan that lacks one.
    """

    scans: tuple[Scan, ...]
    files: Mapping[str, tuple[Path, ...]]
    left_out: tuple[str, ...]


def find_scans(
    root: Path, kinds: Mapping[str, ImageKind], *, space: str = "", tracer: str = ""
) -> Found:
    """Find the images of every visit.

    An anatomical image of another session serves where a subject has just one.

    Parameters
    ----------
    root
        Output folder of the App.
    kinds
        What is needed of each visit.
    space
        Template, e.g. ``MNI152NLin2009aSym``; the only one there is when empty.
    tracer
        Entity ``trc``; any when empty.

    Raises
    ------
    NoInputError
        When no visit has every kind.
    DataError
        When two images fit.
    """
    found = {
        name: _find(root, kind, name, space=space, tracer=tracer) for name, kind in kinds.items()
    }
    functional = [k for k, kind in kinds.items() if kind.datatype != names.BIDS[T1W].datatype]
    visits = {scan for kind in functional or kinds for scan in found[kind]}
    scans, left_out = [], []
    rows: dict[str, list[Path]] = {name: [] for name in kinds}
    for scan in sorted(visits):
        paths = {name: _of(scan, images) for name, images in found.items()}
        missing = [name for name, path in paths.items() if path is None]
        if missing:
            left_out.append(f"{scan}: no {', '.join(missing)}")
            continue
        scans.append(scan)
        for name, path in paths.items():
            rows[name].append(path or Path())
    if not scans:
        raise NoInputError(
            f"{root} holds no visit with {', '.join(kinds)} in template space; run fusionapp with "
            "--output-spaces of a template, and the fusion models that are wanted"
        )
    return Found(tuple(scans), {k: tuple(paths) for k, paths in rows.items()}, tuple(left_out))


def _find(root: Path, kind: ImageKind, name: str, *, space: str, tracer: str) -> dict[Scan, Path]:
    found: dict[Scan, Path] = {}
    levels = ("sub-*", "sub-*/ses-*")
    paths = (p for level in levels for p in root.glob(f"{level}/{kind.datatype}/*{names.IMAGE}"))
    for path in sorted(paths):
        entities, suffix = names.parse_name(path.name)
        if not kind.matches(entities, suffix) or entities.get("space", NATIVE) == NATIVE:
            continue
        if space and entities["space"] != space:
            continue
        if tracer and entities.get("trc", tracer) != tracer:
            continue
        folders = path.relative_to(root).parts[:-2]
        scan = Scan(folders[0], "".join(folders[1:]))
        if scan in found:
            raise DataError(
                f"{scan} has two images for {name}: {found[scan].name} and {path.name}; choose "
                "with --space or --tracer, or move one away"
            )
        found[scan] = path
    return found


def _of(scan: Scan, images: Mapping[Scan, Path]) -> Path | None:
    """The image of a visit, or the only one of its subject where that is anatomical."""
    if scan in images:
        return images[scan]
    others = [path for other, path in images.items() if other.subject == scan.subject]
    anatomical = names.BIDS[T1W].datatype
    return others[0] if len(others) == 1 and others[0].parent.name == anatomical else None


def parts_of(inputs: Sequence[str]) -> list[str]:
    """Every part of inputs, once."""
    return list(dict.fromkeys(part for text in inputs for part in parse_input(text)))
