"""BrainWeb's anatomical models as a dataset, with a PET simulated from their classes."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from fusionprep.bids.names import IMAGE, TABLE
from fusionprep.bids.raw_files import SIDECAR, RawImage, nifti_bytes
from fusionprep.conversion.brainweb_files import is_volume, plain_name, read_brainweb
from fusionprep.conversion.brainweb_model import (
    CSF,
    GREY,
    ONE_BRAIN,
    TWENTY_BRAINS,
    WHITE,
    Classes,
    class_table,
    halved,
    labels_of,
    signal_of,
    uptake_levels,
)
from fusionprep.conversion.dataset import Origin, Scan, Subject, add_subject, label_of
from fusionprep.conversion.requests import Outcome
from fusionprep.demo import phantom, scanner, sidecars
from fusionprep.demo.dataset import BECQUEREL_PER_UNIT, STATIC
from fusionprep.demo.subject import Grid, sample
from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.files import json_text
from fusionprep.image.partial_volume.partition import FWHM_PER_SIGMA
from fusionprep.modalities import PET, T1W, T2W, Modality

RATIO = phantom.GREY_MATTER.pet / phantom.WHITE_MATTER.pet
"""Uptake of gray over white matter that is customary in FDG PET simulated from BrainWeb."""

PSF_MM = round(math.hypot(scanner.DETECTOR_FWHM_MM, scanner.FILTER_FWHM_MM), 2)
"""Width of the point spread of the simulated scanner."""

WEIGHT_KG = 75.0
_TRACER = "18FFDG"
_FIELD_MM = (256.0, 256.0, 200.0)
_CLASS_MAP = re.compile("crisp|discrete|phantom")
_CONTRASTS = ((T1W, re.compile("(?<![a-z0-9])t1")), (T2W, re.compile("(?<![a-z0-9])t2")))
_WHO = re.compile(r"subject_?(\d+)|(normal)|(msles\d?)")
# One millimetre is as fine as scanners see; the classes of half a millimetre become parts of it.
_FINE_MM = 0.75

ORIGIN = Origin(
    "brainweb",
    "Anatomical models and MRI are those of BrainWeb (McConnell Brain Imaging Centre, Montreal"
    " Neurological Institute). The PET was simulated by fusionprep from the tissue classes: a level"
    " of uptake for each, the blur and the counting noise of a scanner, in a pose of its own. What"
    f" was simulated is in `sourcedata/truth`: `t1w_from_pet` in `*_truth{SIDECAR}` maps world"
    " coordinates (mm) of the PET to those of the T1w, and `*_dseg` holds the classes.",
    {
        "Authors": ["The fusionprep developers", "The authors of BrainWeb"],
        "HowToAcknowledge": "Cite Cocosco et al., NeuroImage 1997;5(4):S425, and Collins et al.,"
        " IEEE Trans Med Imaging 1998;17(3):463-468.",
        "SourceDatasets": [{"URL": "https://brainweb.bic.mni.mcgill.ca/brainweb/"}],
    },
)


@dataclass(frozen=True)
class Simulation:
    """How a PET is simulated.

    Attributes
    ----------
    ratio
        Uptake of gray over white matter.
    psf
        Width of the point spread, FWHM, mm; above that of the reconstruction's filter.
    counts
        Counts relative to a scan of 20 minutes 40 minutes after 185 MBq.
    voxel_size
        Of the PET, mm.
    seed
        Of pose and noise.
    """

    ratio: float = RATIO
    psf: float = PSF_MM
    counts: float = 1.0
    voxel_size: float = 2.0
    seed: int = 0


@dataclass(frozen=True)
class _Model:
    """Files of one brain."""

    label: str
    classes: Path
    mri: dict[Modality, Path]


def convert_brainweb(
    source: Path,
    out: Path,
    simulation: Simulation,
    *,
    subject: str | None = None,
    overwrite: bool = False,
    authors: Sequence[str] = (),
) -> list[Outcome]:
    """Write the models in a folder of BrainWeb's files as subjects of a BIDS dataset.

    Parameters
    ----------
    source
        Folder with a class map (discrete model) for each brain, and its MRI where there is one.
    out
        Root of the dataset.
    simulation
        Of the PET.
    subject
        Label of the only brain; None takes BrainWeb's name of each.
    overwrite
        Replace what is there.
    authors
        Of the dataset, where it is made; BrainWeb's and ours where none are named.

    Raises
    ------
    DataError, NoInputError, UsageError, OutputError
        When a volume cannot be read, it is unclear what it is, or nothing can be written.
    """
    low = scanner.FILTER_FWHM_MM
    if simulation.psf <= low:
        raise UsageError(
            f"--psf must be above {low:g} mm, the width of the reconstruction's filter"
        )
    outcomes = []
    for model in _models(source, subject):
        converted, notes = _converted(model, simulation)
        add_subject(out, converted, ORIGIN.by(authors), overwrite=overwrite)
        outcomes.append(Outcome(out / converted.folder, notes))
    return outcomes


def _models(source: Path, subject: str | None) -> list[_Model]:
    if not source.is_dir():
        raise NoInputError(f"{source} is not a folder")
    groups: dict[str, list[Path]] = {}
    for path in sorted(source.iterdir()):
        if is_volume(path):
            who = _WHO.search(path.name.lower())
            label = next(filter(None, who.groups()), "") if who else ""
            groups.setdefault(label, []).append(path)
    if not groups:
        raise NoInputError(
            f"{source} holds no volume of BrainWeb (.mnc, .rawb, .raws, or these .gz)"
        )
    if subject is not None:
        if len(groups) > 1:
            raise UsageError(f"{source} holds {len(groups)} brains; leave out --subject")
        groups = {label_of(subject, "--subject"): next(iter(groups.values()))}
    if "" in groups:
        raise UsageError(f"nothing tells which brain {groups[''][0].name} is of; give --subject")
    return [_model(label, paths) for label, paths in groups.items()]


def _model(label: str, paths: Sequence[Path]) -> _Model:
    maps = [path for path in paths if _CLASS_MAP.search(path.name.lower())]
    names = ", ".join(path.name for path in paths)
    if len(maps) != 1:
        raise DataError(
            f"sub-{label}: {len(maps)} of its files ({names}) are a discrete model, whose names"
            " have 'crisp', 'discrete' or 'phantom'; one is needed"
        )
    mri = {}
    for modality, pattern in _CONTRASTS:
        found = [path for path in paths if path not in maps and pattern.search(plain_name(path))]
        if len(found) > 1:
            listed = ", ".join(path.name for path in found)
            raise DataError(f"sub-{label} has several {modality.label}: {listed}; leave one")
        if found:
            mri[modality] = found[0]
    return _Model(label, maps[0], mri)


def _converted(model: _Model, simulation: Simulation) -> tuple[Subject, list[str]]:
    values, stored_grid = read_brainweb(model.classes)
    fine = stored_grid.voxel_size.max() < _FINE_MM
    classes = TWENTY_BRAINS if fine or model.label.isdigit() else ONE_BRAIN
    labels = labels_of(values, len(classes), model.classes.name)
    # the same brain has the same pose and noise, whichever others are converted with it
    streams = [simulation.seed, *model.label.encode()]
    pose_rng, pet_rng, mri_rng = np.random.default_rng(streams).spawn(3)
    pose = phantom.random_rigid(pose_rng)
    scans, notes = [], []
    for modality, path in model.mri.items():
        image, grid = read_brainweb(path)
        fields = {"Modality": modality.dicom, "SeriesDescription": f"BrainWeb {path.name}"}
        scans.append(Scan(modality, _stored(image, grid), fields))
    if T1W not in model.mri:
        clear = signal_of(labels, classes, T1W.name)
        clear, grid = halved(clear, stored_grid) if fine else (clear, stored_grid)
        image = scanner.acquire_mr(clear, mri_rng)
        scans.append(Scan(T1W, RawImage(image, grid.affine), sidecars.mr(T1W.label)))
        notes.append(f"no {T1W.label} beside {model.classes.name}: simulated from its classes")
    scans.append(_pet(labels, classes, stored_grid, pose, simulation, pet_rng))
    notes.append(f"{PET.label}: simulated from the classes of {model.classes.name}")
    person = {"weight": f"{WEIGHT_KG:g}"}
    truth = _truth(model.label, labels, classes, stored_grid, pose, simulation)
    return Subject(model.label, scans, None, person, truth), notes


def _stored(values: np.ndarray, grid: Grid) -> RawImage:
    """Whole numbers of 16 bits as they are, others as float32."""
    whole = (values == np.rint(values)).all() and np.abs(values).max() < 2**15
    return RawImage(values.astype(np.int16 if whole else np.float32), grid.affine)


def _pet(
    labels: np.ndarray,
    classes: Classes,
    stored_grid: Grid,
    pose: np.ndarray,
    simulation: Simulation,
    rng: np.random.Generator,
) -> Scan:
    activity, grid = uptake_levels(classes, simulation.ratio)[labels], stored_grid
    if grid.voxel_size.max() < _FINE_MM:
        activity, grid = halved(activity, grid)
    detector = math.sqrt(simulation.psf**2 - scanner.FILTER_FWHM_MM**2)
    sigma = detector / FWHM_PER_SIGMA / grid.voxel_size
    blurred = ndimage.gaussian_filter(activity, sigma, truncate=3.0)
    size = simulation.voxel_size
    shape = tuple(round(extent / size) for extent in _FIELD_MM)
    brain = np.isin(labels, (GREY, WHITE))
    pet_grid = scanner.scanner_grid(_centre(brain, stored_grid, pose), shape, (size,) * 3)
    seen = sample(blurred, grid.affine, pet_grid, pose, 0.0)
    counts = scanner.COUNTS_PER_UNIT_SECOND * simulation.counts
    image = scanner.acquire_pet(seen, pet_grid.voxel_size, STATIC, rng, counts)[..., 0]
    image = image * np.float32(BECQUEREL_PER_UNIT)
    slope = float(image.max()) / 32000
    stored = RawImage(np.rint(image / slope).astype(np.int16), pet_grid.affine, slope)
    fields: dict[str, Any] = sidecars.pet(STATIC, WEIGHT_KG)
    fields["ReconMethodParameterValues"] = [round(detector, 3)]
    return Scan(PET, stored, fields, {"trc": _TRACER})


def _centre(brain: np.ndarray, grid: Grid, t1w_from_pet: np.ndarray) -> np.ndarray:
    """Middle of the brain's bounding box in the world of the PET, mm, rounded to 1 mm."""
    found = np.argwhere(brain)
    middle = np.append((found.min(axis=0) + found.max(axis=0)) / 2, 1.0)
    return np.round((np.linalg.inv(t1w_from_pet) @ grid.affine @ middle)[:3])


def _truth(
    label: str,
    labels: np.ndarray,
    classes: Classes,
    grid: Grid,
    pose: np.ndarray,
    simulation: Simulation,
) -> dict[str, bytes]:
    """Files that tell what was simulated."""
    levels = uptake_levels(classes, simulation.ratio) * BECQUEREL_PER_UNIT
    values = {
        "t1w_from_pet": pose.tolist(),
        "activity": {
            name: float(levels[i]) for name, i in (("GM", GREY), ("WM", WHITE), ("CSF", CSF))
        },
        "psf_fwhm_mm": simulation.psf,
        "counts": simulation.counts,
        "seed": simulation.seed,
    }
    stem = f"sub-{label}"
    return {
        f"{stem}_truth{SIDECAR}": json_text(values).encode(),
        f"{stem}_dseg{IMAGE}": nifti_bytes(RawImage(labels, grid.affine)),
        f"{stem}_dseg{TABLE}": class_table(classes).encode(),
    }
