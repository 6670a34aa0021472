"""Write the demo dataset and read its truth back."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from fusionprep.bids.raw_files import TRUTH_DIR, RawImage, write, write_image, write_json
from fusionprep.demo import phantom, scanner, sidecars
from fusionprep.demo.subject import (
    Grid,
    Lesion,
    Subject,
    Template,
    Traits,
    load_template,
    make_subject,
    sample,
)
from fusionprep.errors import NoInputError, OutputError
from fusionprep.files import table_text

# Bq/mL of one unit of activity: grey matter at an SUV of 7.5 for 185 MBq in 75 kg.
BECQUEREL_PER_UNIT = 7.5 * sidecars.INJECTED_MEGABECQUEREL * 1e6 / 75e3 / phantom.GREY_MATTER.pet
STATIC = scanner.Frames((2400.0,), (1200.0,))
DYNAMIC = scanner.Frames(
    (0.0, 60.0, 180.0, 480.0, 1080.0, 2280.0), (60.0, 120.0, 300.0, 600.0, 1200.0, 1320.0)
)


@dataclass(frozen=True)
class Person:
    """A participant: what the table says and how the head and the scan differ.

    Attributes
    ----------
    detector_fwhm_mm, t1w_noise
        Of the scanners.
    more
        Further columns of the table of participants.
    """

    age: int
    sex: str
    weight_kg: float
    height_m: float
    traits: Traits
    frames: scanner.Frames
    detector_fwhm_mm: float = scanner.DETECTOR_FWHM_MM
    t1w_noise: float = scanner.T1W_NOISE
    more: Mapping[str, str] = field(default_factory=dict)


YOUNG = Person(34, "F", 64.0, 1.68, Traits((1.02, 0.97, 1.00), 1.0, 3.0), STATIC)
OLD = Person(67, "M", 78.0, 1.76, Traits((0.97, 1.01, 1.03), 1.8, 5.0), DYNAMIC)


@dataclass(frozen=True)
class SubjectTruth:
    """What was simulated for one subject.

    Attributes
    ----------
    t1w_from_pet, t1w_from_ct, t1w_from_flair
        (4, 4) float64; map world coordinates (RAS mm) of the scan to those of the T1w.
    gm, wm, csf
        NIfTI files in T1w space: fraction of each voxel, in [0, 1]; their sum is the brain's share.
    brain_mask
        Brain mask in T1w space.
    template_displacement
        (X, Y, Z, 3) vectors in mm (RAS) in T1w space, coarse: the MNI152NLin2009aSym point of T1w
        point x is x + displacement(x), interpolated linearly.
    activity
        Duration-weighted mean activity of ``GM``, ``WM`` and ``CSF``, Bq/mL.
    lesion
        Its mask in T1w space; None where there is none.
    """

    t1w_from_pet: np.ndarray
    t1w_from_ct: np.ndarray
    t1w_from_flair: np.ndarray
    gm: Path
    wm: Path
    csf: Path
    brain_mask: Path
    template_displacement: Path
    activity: Mapping[str, float]
    lesion: Path | None = None


def write_demo_dataset(
    out: Path,
    *,
    seed: int = 0,
    voxel_size: float = 1.0,
    subjects: Sequence[str] = ("01", "02"),
    lesion: bool = False,
) -> dict[str, SubjectTruth]:
    """Write a raw BIDS dataset of simulated people with T1w, FLAIR, FDG PET and CT.

    Parameters
    ----------
    out
        Folder to create; may exist when it is empty.
    seed
        Same seed, same bytes.
    voxel_size
        Of the T1w, mm; the other images scale with it. 1 mm is the size for demonstrations,
        2 mm is quick.
    subjects
        Labels; odd places get a static PET scan, even places a dynamic one.
    lesion
        Leave an old infarct of 30 mm in each brain, and its mask beside the T1w.

    Returns
    -------
    dict
        Label to truth, as :func:`read_truth` reads it later.

    Raises
    ------
    OutputError
        When ``out`` is not empty or cannot be written.
    """
    out = Path(out)
    people = {}
    for index, label in enumerate(subjects):
        person = (YOUNG, OLD)[index % 2]
        traits = dataclasses.replace(person.traits, lesion=Lesion() if lesion else None)
        people[label] = dataclasses.replace(person, traits=traits)
    write_people(out, people, load_template(), seed=seed, voxel_size=voxel_size)
    return read_truth(out)


def write_people(
    out: Path,
    people: Mapping[str, Person],
    template: Template,
    *,
    seed: int,
    voxel_size: float,
    columns: Mapping[str, Any] = MappingProxyType({}),
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Write a raw BIDS dataset of simulated people, by label; see :func:`write_demo_dataset`.

    Parameters
    ----------
    columns
        What further columns of the table of participants hold.
    tell
        Called with the label of each who is done.
    """
    require_empty(out)
    lesion = any(person.traits.lesion is not None for person in people.values())
    _write_tables(out, people, seed, ("ct", *(["*_roi.nii.gz"] if lesion else [])), columns)
    for index, (label, person) in enumerate(people.items()):
        # Streams of their own keep head and poses the same at every voxel size.
        shape_rng, pose_rng, noise_rng = np.random.default_rng([seed, index]).spawn(3)
        subject = make_subject(template, person.traits, voxel_size, shape_rng)
        poses = {name: phantom.random_rigid(pose_rng) for name in ("pet", "ct", "flair")}
        _write_truth(out, label, subject, poses)
        _write_scans(out / f"sub-{label}", person, subject, poses, voxel_size, noise_rng)
        tell(label)


def read_truth(bids_dir: Path) -> dict[str, SubjectTruth]:
    """Truth of each subject of a dataset written by :func:`write_demo_dataset`.

    Raises
    ------
    NoInputError
        When the dataset holds no truth.
    """
    root = Path(bids_dir) / TRUTH_DIR
    files = sorted(root.glob("sub-*/sub-*_truth.json"))
    if not files:
        raise NoInputError(f"no simulated truth in {root}; write one with `fusionapp demo`")
    return {path.parent.name.removeprefix("sub-"): _read_subject(path) for path in files}


def _read_subject(path: Path) -> SubjectTruth:
    values = json.loads(path.read_text(encoding="utf-8"))
    stem = str(path).removesuffix("_truth.json")
    lesion = Path(f"{stem}_label-lesion_mask.nii.gz")
    return SubjectTruth(
        **{
            name: np.array(values[name], np.float64)
            for name in ("t1w_from_pet", "t1w_from_ct", "t1w_from_flair")
        },
        gm=Path(f"{stem}_label-GM_probseg.nii.gz"),
        wm=Path(f"{stem}_label-WM_probseg.nii.gz"),
        csf=Path(f"{stem}_label-CSF_probseg.nii.gz"),
        brain_mask=Path(f"{stem}_desc-brain_mask.nii.gz"),
        template_displacement=Path(f"{stem}_from-T1w_to-MNI152NLin2009aSym_displacement.nii.gz"),
        activity=values["activity"],
        lesion=lesion if lesion.exists() else None,
    )


def require_empty(out: Path) -> None:
    """Raise :class:`OutputError` unless a folder is empty or does not exist."""
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OutputError(f"{out} is not an empty folder; name a new one")
    except OSError as error:
        raise OutputError(f"cannot read {out}: {error.strerror}") from error


def _write_tables(
    out: Path,
    people: Mapping[str, Person],
    seed: int,
    ignored: Sequence[str],
    columns: Mapping[str, Any],
) -> None:
    write_json(out / "dataset_description.json", sidecars.dataset_description(seed))
    write(out / "README.md", sidecars.README.encode())
    write(out / ".bidsignore", "".join(f"{name}\n" for name in ignored).encode())
    rows = [
        {
            "participant_id": f"sub-{label}",
            "age": str(person.age),
            "sex": person.sex,
            "weight": str(person.weight_kg),
            "height": str(person.height_m),
            **person.more,
        }
        for label, person in people.items()
    ]
    write(out / "participants.tsv", table_text(list(rows[0]), rows).encode())
    write_json(out / "participants.json", {**sidecars.PARTICIPANTS_JSON, **columns})


def _write_truth(out: Path, label: str, subject: Subject, poses: Mapping[str, np.ndarray]) -> None:
    stem = str(out / TRUTH_DIR / f"sub-{label}" / f"sub-{label}")
    affine = subject.t1w_grid.affine
    for name, fraction in zip(("GM", "WM", "CSF"), subject.fractions, strict=True):
        stored = subject.crop_to_t1w(fraction)
        _write_image(f"{stem}_label-{name}_probseg", stored, affine, np.uint8, 1 / 255)
    mask = subject.crop_to_t1w(subject.mask)
    _write_image(f"{stem}_desc-brain_mask", mask.astype(np.uint8), affine, np.uint8)
    if subject.lesion.any():
        lesion = subject.crop_to_t1w(subject.lesion).astype(np.uint8)
        _write_image(f"{stem}_label-lesion_mask", lesion, affine, np.uint8)
        drawn = out / f"sub-{label}" / "anat" / f"sub-{label}_label-lesion_roi"
        _write_image(str(drawn), lesion, affine, np.uint8)
    field = np.moveaxis(subject.displacement, 0, -1)
    _write_image(
        f"{stem}_from-T1w_to-MNI152NLin2009aSym_displacement",
        field,
        subject.field_grid.affine,
        np.float32,
    )
    tissues = {
        "GM": phantom.GREY_MATTER,
        "WM": phantom.WHITE_MATTER,
        "CSF": phantom.CEREBROSPINAL_FLUID,
    }
    values = {f"t1w_from_{name}": pose.tolist() for name, pose in poses.items()}
    values["activity"] = {name: tissue.pet * BECQUEREL_PER_UNIT for name, tissue in tissues.items()}
    write_json(Path(f"{stem}_truth.json"), values)


def _write_scans(
    folder: Path,
    person: Person,
    subject: Subject,
    poses: Mapping[str, np.ndarray],
    voxel_size: float,
    rng: np.random.Generator,
) -> None:
    label = folder.name
    signal = subject.crop_to_t1w(subject.signals["t1w"])
    t1w = scanner.acquire_mr(signal, rng, noise=person.t1w_noise)
    path = f"{folder}/anat/{label}_T1w"
    _write_image(path, t1w, subject.t1w_grid.affine, np.int16, metadata=sidecars.mr("T1w"))

    grid = _field_of_view(subject, poses["flair"], (224, 240, 192), (voxel_size,) * 3)
    flair = scanner.displaced(subject, "flair", grid, poses["flair"])
    flair = scanner.acquire_mr(flair, rng, noise=0.03)
    path = f"{folder}/anat/{label}_FLAIR"
    _write_image(path, flair, grid.affine, np.int16, metadata=sidecars.mr("FLAIR"))

    sizes = (voxel_size, voxel_size, voxel_size + 1.5)
    grid = _field_of_view(subject, poses["ct"], (240, 256, 205), sizes)
    ct = scanner.acquire_ct(scanner.displaced(subject, "ct", grid, poses["ct"]), rng)
    _write_image(f"{folder}/ct/{label}_ct", ct, grid.affine, np.int16, metadata=sidecars.ct())

    _write_pet(f"{folder}/pet/{label}_trc-18FFDG_pet", person, subject, poses["pet"], rng)


def _write_pet(
    path: str, person: Person, subject: Subject, pose: np.ndarray, rng: np.random.Generator
) -> None:
    size = float(subject.t1w_grid.voxel_size[0]) + 1.0
    grid = _field_of_view(subject, pose, (256, 256, 200), (size,) * 3)
    blurred = scanner.blurred_activity(subject, person.detector_fwhm_mm)
    activity = sample(blurred, subject.grid.affine, grid, pose, 0.0)
    image = scanner.acquire_pet(activity, grid.voxel_size, person.frames, rng)
    image = image.squeeze(axis=-1) if len(person.frames.starts) == 1 else image
    image = image * np.float32(BECQUEREL_PER_UNIT)
    metadata = sidecars.pet(person.frames, person.weight_kg, person.detector_fwhm_mm)
    slope = float(image.max()) / 32000
    _write_image(path, image, grid.affine, np.int16, slope, metadata=metadata)


def _field_of_view(
    subject: Subject,
    pose: np.ndarray,
    extent_mm: tuple[float, float, float],
    voxel_size: tuple[float, float, float],
) -> Grid:
    """A scanner's grid of about the given extent around the brain of the displaced head."""
    shape = tuple(round(extent / size) for extent, size in zip(extent_mm, voxel_size, strict=True))
    return scanner.scanner_grid(scanner.brain_centre_in(pose, subject), shape, voxel_size)


def _write_image(
    stem: str,
    array: np.ndarray,
    affine: np.ndarray,
    dtype: type,
    slope: float = 1.0,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write an array divided by ``slope`` and rounded to ``dtype``."""
    write_image(stem, RawImage.rounded(array, affine, dtype, slope=slope), metadata)
