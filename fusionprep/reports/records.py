"""What a subject's outputs say: derivatives and their sidecars, read from the output root alone."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionprep.errors import DataError

_DATATYPES = ("anat", "pet", "ct")
_SCAN_ENTITIES = ("ses", "task", "acq", "trc", "rec", "run")
VERDICTS = ("fail", "review", "pass")


@dataclass(frozen=True)
class Derivative:
    """An image of the outputs with its sidecar.

    Attributes
    ----------
    image
        Path of the ``.nii.gz``.
    entities
        Entities as they stand in the name, ``{"sub": "01", "space": "T1w", …}``.
    suffix
        ``pet``, ``T1w``, …
    metadata
        The sidecar.
    """

    image: Path
    entities: Mapping[str, str]
    suffix: str
    metadata: Mapping[str, Any]

    @property
    def space(self) -> str:
        """Space and resolution as one label, e.g. ``MNI152NLin2009aSym_res-1``."""
        space, resolution = self.entities.get("space", "T1w"), self.entities.get("res")
        return f"{space}_res-{resolution}" if resolution else space

    @property
    def modality(self) -> str:
        """``PET``, ``CT``, ``FLAIR``, ``T2w`` or ``T1w``: what the image, or the fused source, is.

        The suffix of any other image.
        """
        if self.suffix == "T1w":
            return "CT" if self.entities.get("desc", "").startswith("fusedCT") else "T1w"
        return {"pet": "PET", "ct": "CT"}.get(self.suffix, self.suffix)

    def get(self, *keys: str) -> Any:
        """A value of the sidecar; None where any key on the way is missing."""
        value: Any = self.metadata
        for key in keys:
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value


@dataclass(frozen=True)
class Scan:
    """A PET, CT, FLAIR or T2w image brought to the T1w, and what was made of it.

    Attributes
    ----------
    entities
        Session, tracer, reconstruction and run of the source (``ses``, ``trc``, ``rec``, ``run``).
    modality
        ``PET``, ``CT``, ``FLAIR`` or ``T2w``.
    native
        The image in T1w space; None where only fused images are left.
    variants
        Further images of the scan by ``desc``: ``suv``, ``suvr``.
    fused
        Scalar fused images, all models and spaces.
    """

    entities: Mapping[str, str]
    modality: str
    native: Derivative | None
    variants: Mapping[str, Derivative]
    fused: tuple[Derivative, ...]

    @property
    def label(self) -> str:
        """E.g. ``PET ses-01 trc-18FFDG``."""
        return " ".join(
            [self.modality, *(f"{key}-{value}" for key, value in self.entities.items())]
        )


@dataclass(frozen=True)
class SubjectRecord:
    """All that the outputs hold on one subject.

    Attributes
    ----------
    derivatives
        Every image with a readable sidecar, ordered by path.
    problems
        One line for each sidecar that cannot be read.
    """

    label: str
    derivatives: tuple[Derivative, ...]
    problems: tuple[str, ...]

    @property
    def sessions(self) -> tuple[str, ...]:
        found = {item.entities["ses"] for item in self.derivatives if "ses" in item.entities}
        return tuple(sorted(found))

    def anatomies(self) -> tuple[Derivative, ...]:
        """The preprocessed T1w images in their own space, one for each session that has any."""
        return tuple(self.find("T1w", desc="preproc", space=None))

    def find(self, suffix: str, **entities: str | None) -> list[Derivative]:
        """Derivatives of a suffix; an entity given as None must be absent."""
        return [
            item
            for item in self.derivatives
            if item.suffix == suffix
            and all(item.entities.get(key) == value for key, value in entities.items())
        ]

    def beside(self, anatomy: Derivative, suffix: str, **entities: str | None) -> Derivative | None:
        """The first derivative of the same session as an anatomical image."""
        found = self.find(suffix, ses=anatomy.entities.get("ses"), **entities)
        return found[0] if found else None

    def anatomy_of(self, scan: Scan) -> Derivative | None:
        """The T1w a scan was brought to, by its recorded pairing, else by its session."""
        anatomies = self.anatomies()
        uri = scan.native.get("Pairing", "T1w") if scan.native is not None else None
        session = split_name(uri.rsplit("/", 1)[-1])[0].get("ses") if isinstance(uri, str) else None
        for wanted in (session, scan.entities.get("ses")):
            for anatomy in anatomies:
                if wanted is not None and anatomy.entities.get("ses") == wanted:
                    return anatomy
        return anatomies[0] if len(anatomies) == 1 else None

    def scans(self) -> tuple[Scan, ...]:
        """PET, CT, FLAIR and T2w images, in this order, then by session, tracer, rec and run."""
        groups: dict[tuple[int, tuple[str, ...]], list[Derivative]] = {}
        order = ("PET", "CT", "FLAIR", "T2w")
        for item in self.derivatives:
            if item.modality in order:
                key = tuple(item.entities.get(name, "") for name in _SCAN_ENTITIES)
                groups.setdefault((order.index(item.modality), key), []).append(item)
        return tuple(_scan(order[rank], items) for (rank, _), items in sorted(groups.items()))


def _scan(modality: str, items: Iterable[Derivative]) -> Scan:
    items = list(items)
    native, variants, fused = None, {}, []
    for item in items:
        description = item.entities.get("desc", "")
        if description.startswith("fused"):
            if not description.endswith("Color"):
                fused.append(item)
        elif item.entities.get("space") == "T1w":
            if description == "preproc":
                native = item
            else:
                variants[description] = item
    entities = {
        name: items[0].entities[name] for name in _SCAN_ENTITIES if name in items[0].entities
    }
    return Scan(entities, modality, native, variants, tuple(fused))


def split_name(name: str) -> tuple[dict[str, str], str]:
    """Split a BIDS file name into its entities (``key-value``) and its suffix."""
    *pairs, suffix = name.split(".", 1)[0].split("_")
    return dict(pair.split("-", 1) for pair in pairs if "-" in pair), suffix


def model_name(fused: Derivative) -> str:
    """The fusion model of a fused image: from the sidecar, else from ``desc``."""
    recorded = fused.get("FusionModel", "Label") or fused.get("FusionModel", "Name")
    if isinstance(recorded, str):
        return recorded
    return re.sub(r"^fused(CT)?", "", fused.entities.get("desc", ""))


def fused_title(fused: Derivative) -> str:
    """The fusion model, and the anatomical image where that was not the T1w."""
    found = re.match(r"fused(?:CT)?(FLAIR|T2w)", fused.entities.get("desc", ""))
    return f"{model_name(fused)} with {found[1]}" if found else model_name(fused)


def model_version(fused: Derivative) -> Any:
    """Version of the model of a fused image, and the file of own weights where it had such."""
    version, own = (fused.get("FusionModel", key) for key in ("Version", "WeightsFile"))
    return f"{version or 'unknown'} (own weights {own})" if own else version


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
    derivatives, problems = [], []
    for level in ("", "ses-*/"):
        for datatype in _DATATYPES:
            for sidecar in sorted(root.glob(f"{level}{datatype}/*.json")):
                image = sidecar.with_suffix(".nii.gz")
                if not image.exists():
                    continue
                try:
                    metadata = read_sidecar(sidecar)
                except DataError as error:
                    problems.append(str(error))
                    continue
                entities, suffix = split_name(sidecar.name)
                derivatives.append(Derivative(image, entities, suffix, metadata))
    return SubjectRecord(label, tuple(derivatives), tuple(problems))


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read a sidecar.

    Raises
    ------
    DataError
        When it cannot be read or is not a JSON object.
    """
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the sidecar {path.name}: {error}") from error
    if not isinstance(metadata, dict):
        raise DataError(f"the sidecar {path.name} is not a JSON object; run the subject again")
    return metadata


def worst(verdicts: Iterable[Any]) -> str | None:
    """The worst of some verdicts; None where there is none."""
    found = list(verdicts)
    return next((verdict for verdict in VERDICTS if verdict in found), None)


def finite(value: Any) -> float | None:
    """A number of a sidecar, or None for anything that is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
