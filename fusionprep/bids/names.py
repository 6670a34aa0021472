"""Names of derivatives, their URIs and the files that describe the dataset."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from fusionprep.bids.sidecars import FRAME_TABLE
from fusionprep.bids.types import ImageFile, Modality
from fusionprep.errors import DataError

ENTITY_ORDER = (
    "task",
    "acquisition",
    "tracer",
    "reconstruction",
    "run",
    "space",
    "resolution",
    "label",
    "from",
    "to",
    "mode",
    "desc",
)
ENTITY_KEYS = {
    "acquisition": "acq",
    "tracer": "trc",
    "reconstruction": "rec",
    "resolution": "res",
}
# BIDS allows acq- on anatomical images but not on PET, whose tracer goes to trc-.
KEPT_ENTITIES: dict[Modality, tuple[str, ...]] = {
    "pet": ("task", "tracer", "reconstruction", "run"),
    "flair": ("acquisition", "run"),
    "ct": ("acquisition", "run"),
    "t2w": ("acquisition", "run"),
}


def derivative_path(
    subject: str, session: str | None, datatype: str, suffix: str, extension: str, **entities: str
) -> str:
    """Path of a derivative relative to the output root, entities in the order of BIDS.

    Parameters
    ----------
    entities
        Names of :data:`ENTITY_ORDER` (``from_`` for ``from``) to labels; None is left out.

    Examples
    --------
    >>> derivative_path("01", None, "pet", "pet", ".nii.gz", desc="preproc", tracer="18FFDG",
    ...                 space="T1w")
    'sub-01/pet/sub-01_trc-18FFDG_space-T1w_desc-preproc_pet.nii.gz'
    """
    given = {name.rstrip("_"): value for name, value in entities.items() if value is not None}
    unknown = set(given) - set(ENTITY_ORDER)
    if unknown:
        raise ValueError(f"unknown entities: {sorted(unknown)}")
    for name, value in {"subject": subject, "session": session or "0", **given}.items():
        if re.fullmatch(r"[A-Za-z0-9+]+", value) is None:
            raise DataError(f"{name} label {value!r} may hold letters and digits only; rename it")
    stem = [f"sub-{subject}", *([f"ses-{session}"] if session else [])]
    labels = [f"{ENTITY_KEYS.get(n, n)}-{given[n]}" for n in ENTITY_ORDER if n in given]
    return str(PurePosixPath(*stem, datatype, "_".join([*stem, *labels, suffix]) + extension))


def figure_path(derivative: str, extension: str) -> str:
    """Where the figure that goes with a derivative is written.

    Examples
    --------
    >>> figure_path("sub-01/ses-2/pet/sub-01_ses-2_desc-coreg_pet.nii.gz", ".svg")
    'sub-01/figures/sub-01_ses-2_desc-coreg_pet.svg'
    """
    path = PurePosixPath(derivative)
    stem = path.name.removesuffix(".nii.gz")
    return str(PurePosixPath(path.parts[0], "figures", stem + extension))


def kept_entities(image: ImageFile, modality: Modality, tracer: str | None) -> dict[str, str]:
    """The entities of a source image that its derivatives keep."""
    entities = {**image.entities, **({"tracer": tracer} if tracer else {})}
    return {name: entities[name] for name in KEPT_ENTITIES[modality] if name in entities}


def raw_uri(image: ImageFile, bids_dir: Path) -> str:
    """BIDS URI of a raw file, by the ``raw`` entry of DatasetLinks."""
    return f"bids:raw:{PurePosixPath(image.path.relative_to(bids_dir))}"


def own_uri(relative: str) -> str:
    """BIDS URI of a file of this derivative dataset."""
    return f"bids::{relative}"


# Raw fields that processing makes untrue, or that describe frames which no longer exist.
STALE_FIELDS = frozenset(
    {
        FRAME_TABLE,
        "FrameTimesStart",
        "FrameDuration",
        "Time",
        "Units",
        "DecayCorrectionFactor",
        "DecayFactor",
        "FrameReferenceTime",
        "ScatterFraction",
        "PromptRate",
        "RandomRate",
        "SinglesRate",
        "SkullStripped",
        "ImageOrientation",
        "ImageOrientationText",
        "ImageOrientationPatientDICOM",
        "IntendedFor",
        "SpatialReference",
        "Resolution",
        "Sources",
        "RawSources",
        "Description",
        "ConversionSoftware",
        "ConversionSoftwareVersion",
    }
)


def still_true(metadata: Mapping[str, object]) -> dict[str, object]:
    """The fields of a raw sidecar that hold for a static image made from it."""
    return {name: value for name, value in metadata.items() if name not in STALE_FIELDS}
