"""What other software made of a subject before, and the step of ours that it can take the place of.

Found by the names of files alone; whether it is of the same image is for processing to check.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fusionprep import freesurfer
from fusionprep.atlases import file_of_subject
from fusionprep.bids import names
from fusionprep.bids.filters import earlier_filter
from fusionprep.bids.types import ImageFile, Pairing
from fusionprep.config import Config
from fusionprep.errors import UnreadableFileError, UsageError
from fusionprep.modalities import T1W
from fusionprep.reading import read_json_object, read_text
from fusionprep.spaces import NATIVE

TISSUES = ("GM", "WM", "CSF")
_VOLUMES = (".nii.gz", ".nii")
_WARPS, _MATRICES = (".h5",), (".txt", ".mat", ".tfm")


@dataclass(frozen=True)
class EarlierFiles:
    """Files of one dataset that can take the place of a step.

    Attributes
    ----------
    dataset
        Name that the user gave it.
    root
        Its folder.
    software
        That made it, with version where that is known.
    files
        By what they are: ``mask``, ``labels``, ``gm``, ``there``, …
    from_freesurfer
        Whether they are as FreeSurfer has them.
    """

    dataset: str
    root: Path
    software: str
    files: Mapping[str, Path]
    from_freesurfer: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For a sidecar: where it comes from."""
        return {
            "Dataset": self.dataset,
            "Software": self.software,
            "Files": [
                names.dataset_uri(path, {self.dataset: self.root}) for path in self.files.values()
            ],
        }


@dataclass(frozen=True)
class EarlierWork:
    """What there is for one T1w.

    Attributes
    ----------
    brain, tissues
        In the place of the brain's extraction and of the segmentation.
    templates
        In the place of registrations, by the name of the template.
    lacks
        A phrase for each thing that was looked for in vain.
    """

    brain: EarlierFiles | None = None
    tissues: EarlierFiles | None = None
    templates: Mapping[str, EarlierFiles] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()


class _Dataset:
    """A folder that the user named, with the files in it."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root
        self.from_freesurfer = is_freesurfer(root)
        self.software = software_of(name, root)

    def files(self, **files: Path | None) -> EarlierFiles:
        """Those of them that there are."""
        there = {key: path for key, path in files.items() if path is not None}
        return EarlierFiles(self.name, self.root, self.software, there, self.from_freesurfer)

    def mri(self, image: ImageFile, file: Path) -> Path | None:
        """A file of FreeSurfer's."""
        pattern = freesurfer.pattern(self.root, file)
        return file_of_subject(pattern, image.subject, image.session)

    def find(
        self,
        image: ImageFile,
        datatype: str,
        suffix: str,
        extensions: tuple[str, ...],
        wanted: Mapping[str, Any],
    ) -> list[Path]:
        """Files of an image's session, else of its subject outside of sessions.

        Parameters
        ----------
        wanted
            Values of entities, or lists of them; None stands for absence, ``"*"`` for any.
        """
        below = self.root / f"sub-{image.subject}"
        sessions = [image.session, None] if image.session else [None]
        for session in sessions:
            folder = below / f"ses-{session}" / datatype if session else below / datatype
            found = [
                path
                for path in sorted(folder.glob(f"*_{suffix}.*"))
                if path.name.endswith(tuple(f"_{suffix}{end}" for end in extensions))
                and _fits(path, image, session, wanted)
            ]
            if found:
                return found
        return []


def is_freesurfer(folder: Path) -> bool:
    """Whether a folder holds FreeSurfer's subjects."""
    return not (folder / "dataset_description.json").is_file() and any(
        path.is_dir() for path in folder.glob("sub-*/mri")
    )


def check_folder(name: str, folder: Path) -> None:
    """Refuse what holds neither derivatives by subject nor FreeSurfer's subjects.

    Raises
    ------
    UsageError
    """
    if not folder.is_dir():
        raise UsageError(f"--derivatives {name}={folder}: no such folder")
    if not any(path.is_dir() for path in folder.glob("sub-*")):
        raise UsageError(f"--derivatives {name}={folder}: it has no folder sub-*")


def software_of(name: str, root: Path) -> str:
    """The software that made a dataset, with its version; `name` where it does not say."""
    if is_freesurfer(root):
        stamp = next(root.glob(f"sub-*/{freesurfer.STAMP}"), None)
        parts = _text(stamp).strip().split("-") if stamp else []
        version = next((part for part in parts if part[:1].isdigit() and "." in part), "")
        return f"FreeSurfer {version}".strip()
    described = description_of(root)
    generated = described.get("GeneratedBy")
    first = generated[0] if isinstance(generated, list) and generated else None
    if not isinstance(first, dict):
        # as older versions of BIDS had it
        first = described.get("PipelineDescription")
    made_by = first if isinstance(first, dict) else {}
    words = [made_by.get("Name"), made_by.get("Version")]
    return " ".join(str(word) for word in words if isinstance(word, str) and word) or name


def description_of(root: Path) -> dict[str, Any]:
    """The ``dataset_description.json`` of a dataset; empty where there is none to be read."""
    try:
        return read_json_object(root / "dataset_description.json")
    except UnreadableFileError:
        return {}


def _text(path: Path) -> str:
    try:
        return read_text(path, errors="replace")
    except UnreadableFileError:
        return ""


def _fits(path: Path, image: ImageFile, session: str | None, wanted: Mapping[str, Any]) -> bool:
    entities, _ = names.parse_name(path.name)
    if entities.get("sub") != image.subject or entities.get("ses") != session:
        return False
    # an entity of the raw image may be left out, but is no other
    own = ("task", "acq", "ce", "trc", "rec", "run")
    for name in own:
        if name not in wanted and entities.get(name, "") not in ("", image.entities.get(name)):
            return False
    return all(_is_wanted(entities.get(name), value) for name, value in wanted.items())


def _is_wanted(value: str | None, wanted: Any) -> bool:
    options = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    return any(
        value is None
        if option is None
        else value is not None and (option == "*" or _same(value, str(option)))
        for option in options
    )


def _same(value: str, wanted: str) -> bool:
    """Indexes are the same with and without leading zeros."""
    return value == wanted or (
        value.isdecimal() and wanted.isdecimal() and int(value) == int(wanted)
    )


def datasets(config: Config) -> Iterator[_Dataset]:
    """The folders that the user named, in their order."""
    return itertools.starmap(_dataset, config.selection.derivatives.items())


@functools.cache
def _dataset(name: str, root: Path) -> _Dataset:
    return _Dataset(name, root)


def with_lacks(config: Config, pairings: Sequence[Pairing]) -> list[Pairing]:
    """Pairings whose images have notes of what was looked for among earlier work in vain."""
    if not config.selection.derivatives:
        return list(pairings)
    return [
        replace(
            pairing,
            t1w=_noted(pairing.t1w, earlier_work(config, pairing.t1w).lacks),
            image=_noted(pairing.image, earlier_registration(config, pairing)[1]),
        )
        for pairing in pairings
    ]


def _noted(image: ImageFile, notes: Sequence[str]) -> ImageFile:
    return replace(image, notes=(*image.notes, *notes))


def earlier_work(config: Config, t1w: ImageFile) -> EarlierWork:
    """What there is for a T1w; of several datasets the first that has it."""
    if not config.selection.derivatives:
        return EarlierWork()
    lacks: list[str] = []
    named = [template.name for template in config.processing.templates]
    brain = tissues = None
    templates: dict[str, EarlierFiles] = {}
    for dataset in datasets(config):
        if brain is None:
            brain = _brain(dataset, config, t1w, lacks)
        if tissues is None:
            tissues = _tissues(dataset, config, t1w, lacks)
        for name in dict.fromkeys(named):
            if name not in templates and (pair := _to_template(dataset, t1w, name, lacks)):
                templates[name] = pair
    if brain is None and tissues is None and not templates and not lacks:
        lacks = [f"--derivatives has nothing of sub-{t1w.subject}"]
    return EarlierWork(brain, tissues, templates, tuple(lacks))


def _one(found: list[Path], what: str, lacks: list[str]) -> Path | None:
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        lacks.append(
            f"did not take over {what}: there are several ({listed}); choose one with"
            " --bids-filter-file"
        )
        return None
    return found[0] if found else None


def _brain(
    dataset: _Dataset, config: Config, t1w: ImageFile, lacks: list[str]
) -> EarlierFiles | None:
    if dataset.from_freesurfer:
        mask = dataset.mri(t1w, Path(freesurfer.BRAIN))
        labels, acquired = _freesurfer_labels(dataset, t1w)
        return dataset.files(mask=mask, labels=labels, t1w=acquired) if mask else None
    wanted = {"desc": names.BRAIN, "space": [None, NATIVE], "res": None}
    wanted |= earlier_filter("brain_mask", config.selection)
    found = dataset.find(t1w, names.BIDS[T1W].datatype, names.MASK, _VOLUMES, wanted)
    mask = _one(found, f"the brain mask of {dataset.name}", lacks)
    return dataset.files(mask=mask, t1w=_their_t1w(dataset, t1w)) if mask else None


def _tissues(
    dataset: _Dataset, config: Config, t1w: ImageFile, lacks: list[str]
) -> EarlierFiles | None:
    if dataset.from_freesurfer:
        labels, acquired = _freesurfer_labels(dataset, t1w)
        return dataset.files(labels=labels, t1w=acquired) if labels else None
    datatype, what = names.BIDS[T1W].datatype, f"the tissues of {dataset.name}"
    plain = {"desc": None, "space": [None, NATIVE], "res": None, "seg": None, "atlas": None}
    wanted = plain | earlier_filter("probseg", config.selection)
    maps = {
        tissue: dataset.find(t1w, datatype, names.PROBSEG, _VOLUMES, {**wanted, "label": tissue})
        for tissue in TISSUES
    }
    their_t1w = _their_t1w(dataset, t1w)
    if all(maps.values()):
        chosen = {tissue.lower(): _one(found, what, lacks) for tissue, found in maps.items()}
        return dataset.files(**chosen, t1w=their_t1w) if all(chosen.values()) else None
    wanted = {**plain, "label": None} | earlier_filter("dseg", config.selection)
    labels = _one(dataset.find(t1w, datatype, names.DSEG, _VOLUMES, wanted), what, lacks)
    if labels is None:
        return None
    return dataset.files(labels=labels, table=_table_of(labels, dataset.root), t1w=their_t1w)


def _freesurfer_labels(dataset: _Dataset, t1w: ImageFile) -> tuple[Path | None, Path | None]:
    labels = dataset.mri(t1w, Path(freesurfer.STRUCTURES))
    labels = labels or dataset.mri(t1w, Path(freesurfer.REGIONS))
    return labels, dataset.mri(t1w, Path(freesurfer.ACQUIRED))


def _their_t1w(dataset: _Dataset, t1w: ImageFile) -> Path | None:
    """The T1w that a dataset's files are of, by which they are recognised."""
    bids = names.BIDS[T1W]
    wanted = {"desc": names.PREPROC, "space": [None, NATIVE], "res": None}
    found = dataset.find(t1w, bids.datatype, bids.suffix, _VOLUMES, wanted)
    return found[0] if len(found) == 1 else None


def _table_of(labels: Path, root: Path) -> Path | None:
    """The table of labels beside an image or, as BIDS lets it be inherited, above it."""
    stem = labels.name.split(".", 1)[0]
    beside = labels.with_name(f"{stem}{names.TABLE}")
    entities, suffix = names.parse_name(labels.name)
    shared = {key: value for key, value in entities.items() if key not in ("sub", "ses", "run")}
    above = root / (names.file_name(suffix, shared) + names.TABLE)
    return next((path for path in (beside, above) if path.is_file()), None)


def _to_template(
    dataset: _Dataset, t1w: ImageFile, template: str, lacks: list[str]
) -> EarlierFiles | None:
    if dataset.from_freesurfer:
        return None
    datatype = names.BIDS[T1W].datatype

    def find(**ends: Any) -> list[Path]:
        wanted = {"mode": "image", "desc": None, **ends}
        return dataset.find(t1w, datatype, names.XFM, _WARPS, wanted)

    there, back = find(**{"from": NATIVE, "to": template}), find(**{"from": template, "to": NATIVE})
    if len(there) == 1 and len(back) == 1:
        return dataset.files(there=there[0], back=back[0])
    what = f"did not take over the transform of {dataset.name} to {template}"
    if there and back:
        lacks.append(f"{what}: there are several")
    elif there or back:
        lacks.append(f"{what}: the one {'back' if there else 'there'} is missing")
    else:
        others = find(**{"from": NATIVE, "to": "*"})
        to = dict.fromkeys(names.parse_name(path.name)[0]["to"] for path in others)
        listed = ", ".join(name for name in to if name.startswith("MNI"))
        if listed:
            lacks.append(
                f"{dataset.name} has transforms to {listed}, none to {template}: the T1w is"
                " registered to it here"
            )
    return None


def earlier_registration(
    config: Config, pairing: Pairing
) -> tuple[EarlierFiles | None, tuple[str, ...]]:
    """A rigid transform of a PET to its T1w that was found before, and what is amiss.

    Both must be of one session, or the subject have none: names do not say which T1w it leads to.
    """
    image, lacks = pairing.image, list[str]()
    if not pairing.modality.tracer:
        return None, ()
    for dataset in datasets(config):
        if dataset.from_freesurfer:
            continue
        bids = names.BIDS[pairing.modality]
        wanted = {
            "from": [bids.suffix, f"{bids.suffix}ref"],
            "to": NATIVE,
            "mode": "image",
            "desc": None,
        }
        wanted |= names.kept_entities(image, pairing.modality)
        found = dataset.find(image, bids.datatype, names.XFM, _MATRICES, wanted)
        if not found and "trc" in wanted and "trc" not in image.entities:
            # what names of raw images lack is known from their sidecars to us alone
            wanted["trc"] = None
            found = dataset.find(image, bids.datatype, names.XFM, _MATRICES, wanted)
        path = _one(found, f"the transform of {dataset.name} to the T1w", lacks)
        if path is not None:
            return dataset.files(transform=path), tuple(lacks)
    return None, tuple(lacks)
