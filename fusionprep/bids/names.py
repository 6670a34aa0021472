"""Names of images: what BIDS calls each modality, and every output's name, written and read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath

from fusionprep.bids.types import ImageFile
from fusionprep.errors import DataError
from fusionprep.modalities import CT, FLAIR, PET, T1W, T2W, Modality


@dataclass(frozen=True)
class BIDSNames:
    """What BIDS says about a modality.

    Attributes
    ----------
    datatype, suffix
        Of its images, raw and derived.
    raw_suffixes
        Suffixes under which raw datasets have it.
    kept
        Entities of a raw image that its derivatives keep.
    fused_datatype, fused_suffix
        Of the images fused from it.
    stand_ins
        Suffixes of images that serve where a subject has none of the raw ones.
    """

    datatype: str
    suffix: str
    raw_suffixes: tuple[str, ...]
    kept: tuple[str, ...]
    fused_datatype: str
    fused_suffix: str
    stand_ins: tuple[str, ...] = ()


def _names(datatype: str, suffix: str, *kept: str) -> BIDSNames:
    return BIDSNames(datatype, suffix, (suffix,), kept, datatype, suffix)


# BIDS allows acq- on anatomical images but not on PET, whose tracer goes to trc-. It does not know
# CT, so that what is fused from one is written as the T1w it was fused with.
BIDS: Mapping[Modality, BIDSNames] = {
    T1W: replace(_names("anat", "T1w"), stand_ins=("UNIT1",)),
    PET: _names("pet", "pet", "task", "trc", "rec", "run"),
    CT: replace(
        _names("ct", "ct", "acq", "run"),
        raw_suffixes=("ct", "CT", "Ct"),
        fused_datatype="anat",
        fused_suffix="T1w",
    ),
    FLAIR: _names("anat", "FLAIR", "acq", "run"),
    T2W: _names("anat", "T2w", "acq", "run"),
}
DATATYPES = tuple(dict.fromkeys(names.datatype for names in BIDS.values()))
"""Folders of images."""

ENTITY_ORDER = (
    "sub", "ses", "task", "acq", "ce", "trc", "rec", "dir", "run", "space", "seg", "res", "label",
    "from", "to", "mode", "desc",
)  # fmt: skip
IMAGE = ".nii.gz"
"""Extension of every image written."""

XFM = "xfm"
MASK, DSEG, PROBSEG = "mask", "dseg", "probseg"
MORPH, TACS = "morph", "tacs"
"""Tables of regions, as petprep calls them: volume and static uptake, time-activity curves."""

TIMESERIES, CONFOUNDS = "timeseries", "confounds"
"""The table of motion between frames, as petprep calls it."""

TABLE = ".tsv"
PREPROC, BRAIN, LESION, SUV, SUVR, SD = "preproc", "brain", "lesion", "suv", "suvr", "sd"
COREG, FRAMES, NORM, TISSUE = "coreg", "frames", "norm", "tissue"
ATLAS, REGIONS, DENOISED, MOTION = "atlas", "regions", "denoised", "motion"
"""Labels of figures."""

SUMMARY, VIEWER, ANATOMICAL, METHODS, ABOUT, ERRORS = (
    "summary", "viewer", "anatomical", "methods", "about", "errors",
)  # fmt: skip
"""Labels of text blocks of the subject report."""

CORRECTIONS = {
    "mg": "Müller-Gärtner",
    "gtm": "geometric transfer matrix",
    "rbv": "region-based voxelwise",
    "iy": "iterative Yang",
}
"""Partial-volume corrections by what users type."""


def corrected(method: str) -> str:
    """The label ``desc-`` of a PET corrected for partial volume.

    Examples
    --------
    >>> corrected("mg"), corrected_suvr("mg")
    ('pvcMG', 'suvrPvcMG')
    """
    return f"pvc{method.upper()}"


def corrected_suvr(method: str) -> str:
    """The same of its SUVR."""
    return f"{SUVR}Pvc{method.upper()}"


JUDGED = ("Registration", "Plausibility")
"""Fields of sidecars that hold a ``Verdict`` and a ``VerdictReason``."""

NOT_COMPUTED = {SUV: "SUVNotComputed", SUVR: "SUVRNotComputed"}
"""Fields that say why a quantity is absent, by its ``desc``."""

NOTES = "Notes"
"""Field of sidecars that lists what was corrected or assumed, a phrase each."""

TAKEN_OVER = "TakenOver"
"""Field that says which other software made an image or a transform."""

DESCRIPTIONS = {
    PREPROC: "Preprocessed image",
    BRAIN: "Brain mask",
    SUV: "Standardised uptake value",
    SUVR: "Standardised uptake value ratio, or the mask of its reference region",
    FRAMES: "Frames of dynamic PET",
    CONFOUNDS: "Motion of the head between frames",
    SD: "Standard deviation over the voxels of each region",
    **{
        corrected(method): f"Corrected for partial volume ({name})"
        for method, name in CORRECTIONS.items()
    },
    **{
        corrected_suvr(method): f"SUVR corrected for partial volume ({name})"
        for method, name in CORRECTIONS.items()
    },
    "suvPvcGTM": "SUV corrected for partial volume (geometric transfer matrix)",
    "variancePvcGTM": "Variance by noise of what is corrected for partial volume",
}


def derivative_path(
    datatype: str, suffix: str, extension: str = IMAGE, /, **entities: str | None
) -> str:
    """Path of a derivative relative to the output root, entities in the order of BIDS.

    Parameters
    ----------
    entities
        Of :data:`ENTITY_ORDER` (``from_`` for ``from``) to labels; None is left out.

    Raises
    ------
    DataError
        When a label is not one.

    Examples
    --------
    >>> derivative_path("pet", "pet", sub="01", desc="preproc", trc="18FFDG", space="T1w")
    'sub-01/pet/sub-01_trc-18FFDG_space-T1w_desc-preproc_pet.nii.gz'
    >>> derivative_path("anat", "dseg", sub="01", ses="A", seg="DK", res="1")
    'sub-01/ses-A/anat/sub-01_ses-A_seg-DK_res-1_dseg.nii.gz'
    """
    given = {name.rstrip("_"): value for name, value in entities.items() if value is not None}
    unknown = set(given) - set(ENTITY_ORDER)
    if unknown:
        raise ValueError(f"unknown entities: {sorted(unknown)}")
    for name, value in given.items():
        if re.fullmatch(r"[A-Za-z0-9+]+", value) is None:
            raise DataError(f"{name} label {value!r} may hold letters and digits only; rename it")
    folders = [f"{name}-{given[name]}" for name in ("sub", "ses") if name in given]
    return str(PurePosixPath(*folders, datatype, file_name(suffix, given) + extension))


def file_name(suffix: str, entities: Mapping[str, str]) -> str:
    """A file name without extension, entities in the order of BIDS; labels are not checked."""
    labels = [f"{name}-{entities[name]}" for name in ENTITY_ORDER if name in entities]
    return "_".join([*labels, suffix])


def parse_name(name: str) -> tuple[dict[str, str], str]:
    """Entities and suffix of a file name.

    Examples
    --------
    >>> parse_name("sub-01_space-T1w_desc-preproc_pet.nii.gz")
    ({'sub': '01', 'space': 'T1w', 'desc': 'preproc'}, 'pet')
    """
    *pairs, suffix = name.split(".", 1)[0].split("_")
    return dict(pair.split("-", 1) for pair in pairs if "-" in pair), suffix


def beside(path: Path, suffix: str, **entities: str | None) -> Path:
    """The image of another suffix, with some other entities, in the folder of a derivative.

    Examples
    --------
    >>> beside(Path("sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"), "mask", desc="brain").name
    'sub-01_desc-brain_mask.nii.gz'
    """
    known, _ = parse_name(path.name)
    other = derivative_path(path.parent.name, suffix, **{**known, **entities})
    return path.with_name(PurePosixPath(other).name)


def sidecar_path(image: Path) -> Path:
    """The sidecar of an image."""
    return image.with_name(image.name.split(".", 1)[0] + ".json")


def figure_path(derivative: str, extension: str) -> str:
    """Where the figure that goes with a derivative is written.

    Examples
    --------
    >>> figure_path("sub-01/ses-2/pet/sub-01_ses-2_desc-coreg_pet.nii.gz", ".svg")
    'sub-01/figures/sub-01_ses-2_desc-coreg_pet.svg'
    """
    path = PurePosixPath(derivative)
    return str(figures_folder(path.parts[0]) / (path.name.removesuffix(IMAGE) + extension))


def dicom_folder(derivative: str) -> str:
    """Where the DICOM slices of a derivative are written.

    Examples
    --------
    >>> dicom_folder("sub-01/ses-2/pet/sub-01_ses-2_space-T1w_desc-fusedReadFuse_pet.nii.gz")
    'sub-01/dicom/sub-01_ses-2_space-T1w_desc-fusedReadFuse_pet'
    """
    path = PurePosixPath(derivative)
    return str(PurePosixPath(path.parts[0], "dicom", path.name.removesuffix(IMAGE)))


def figures_folder(participant: str) -> PurePosixPath:
    """The folder of a participant's figures, relative to the output root.

    Parameters
    ----------
    participant
        With ``sub-``.
    """
    return PurePosixPath(participant, "figures")


def block_name(entities: Mapping[str, str], desc: str, modality: Modality = T1W) -> str:
    """The file name of a text block of a report, without extension.

    Examples
    --------
    >>> block_name({"sub": "01"}, ERRORS)
    'sub-01_desc-errors_T1w'
    """
    return file_name(BIDS[modality].suffix, {**entities, "desc": desc})


def kept_entities(image: ImageFile, modality: Modality) -> dict[str, str]:
    """The entities of a source image that its derivatives keep."""
    tracer = {"trc": image.pet.tracer} if image.pet and image.pet.tracer else {}
    entities = {**image.entities, **tracer}
    return {name: entities[name] for name in BIDS[modality].kept if name in entities}


class OutputNames:
    """Names of what is made of one image.

    Examples
    --------
    >>> pet = ImageFile(Path("sub-01_ses-a_pet.nii"), {"sub": "01", "ses": "a"}, "pet")
    >>> OutputNames(pet, PET)(desc="preproc", space="T1w")
    'sub-01/ses-a/pet/sub-01_ses-a_space-T1w_desc-preproc_pet.nii.gz'
    """

    def __init__(self, image: ImageFile, modality: Modality) -> None:
        self.bids = BIDS[modality]
        self.modality = modality
        self.entities = {
            "sub": image.subject,
            "ses": image.session,
            **kept_entities(image, modality),
        }

    def __call__(
        self, suffix: str | None = None, extension: str = IMAGE, **entities: str | None
    ) -> str:
        """Path of an output, by default of an image of the modality."""
        suffix = suffix or self.bids.suffix
        return derivative_path(self.bids.datatype, suffix, extension, **self.entities, **entities)

    def fused(self, **entities: str | None) -> str:
        """Path of a fused image."""
        names = self.bids
        return derivative_path(
            names.fused_datatype, names.fused_suffix, **self.entities, **entities
        )


def raw_uri(image: ImageFile, bids_dir: Path) -> str:
    """BIDS URI of a raw file, by the ``raw`` entry of DatasetLinks."""
    return dataset_uri(image.path, {"raw": bids_dir})


def dataset_uri(path: Path, datasets: Mapping[str, Path]) -> str:
    """BIDS URI of a file of another dataset, the first of DatasetLinks whose folder it is in.

    Examples
    --------
    >>> dataset_uri(Path("/lab/sub-01/anat/x.nii"), {"raw": Path("/bids"), "lab": Path("/lab")})
    'bids:lab:sub-01/anat/x.nii'
    """
    name = next(name for name, root in datasets.items() if path.is_relative_to(root))
    return f"bids:{name}:{path.relative_to(datasets[name]).as_posix()}"


OWN = "bids::"


def own_uri(relative: str | PurePath) -> str:
    """BIDS URI of a file of this derivative dataset."""
    return f"{OWN}{relative}"


def own_path(uri: object) -> str | None:
    """The path in :func:`own_uri`; None for anything else."""
    return uri.removeprefix(OWN) if isinstance(uri, str) and uri.startswith(OWN) else None
