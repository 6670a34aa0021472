"""Tiny BIDS datasets with the names and sidecars of real ones."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from bids import BIDSLayout

from fusionprep.bids.images import find_images
from fusionprep.bids.layout import open_layout
from fusionprep.bids.pet_facts import pet_facts
from fusionprep.bids.plan import plan_dataset
from fusionprep.bids.types import FoundImages, ImageFile, Pairing, SubjectPlan
from fusionprep.config import Config, Processing
from fusionprep.modalities import Modality, get_modality

PET_SIDECAR = {
    "Units": "Bq/mL",
    "TracerName": "FDG",
    "TracerRadionuclide": "F18",
    "InjectedRadioactivity": 200,
    "InjectedRadioactivityUnits": "MBq",
    "TimeZero": "10:00:00",
    "InjectionStart": 0,
    "ScanStart": 1800,
    "FrameTimesStart": [1800],
    "FrameDuration": [600],
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 0,
}


def write_image(
    path: Path,
    shape: tuple[int, ...] = (4, 4, 4),
    voxel_size: float = 2.0,
    sidecar: Mapping[str, Any] | None = None,
) -> Path:
    """Write a NIfTI image of zeros and, when given, its sidecar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([voxel_size] * 3 + [1.0])
    nib.save(nib.Nifti1Image(np.zeros(shape, np.int16), affine), path)
    if sidecar is not None:
        write_json(path.with_name(path.name.split(".")[0] + ".json"), sidecar)
    return path


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_dataset(root: Path, *images: str, sidecar: Mapping[str, Any] | None = None) -> Path:
    """Write a dataset of 3-D images named by their paths; the sidecar goes to every PET.

    Every T1w is as large as a head.
    """
    write_json(root / "dataset_description.json", {"Name": "Skeleton", "BIDSVersion": "1.10.0"})
    for image in images:
        is_pet = "_pet." in image
        size = 50.0 if "_T1w." in image else 2.0
        write_image(root / image, voxel_size=size, sidecar=sidecar if is_pet else None)
    return root


def make_config(root: Path, **options: Any) -> Config:
    beside = root.parent / f"{root.name}-results"
    folders = {"output_dir": beside / "out", "work_dir": beside / "work"}
    return Config.from_options(bids_dir=root, **folders, **options)


def layout_of(config: Config) -> BIDSLayout:
    return open_layout(config.bids_dir, config.selection)


def images_of(config: Config) -> dict[str, FoundImages]:
    return find_images(layout_of(config), config.bids_dir, config.selection)


def plans_of(root: Path, **options: Any) -> dict[str, SubjectPlan]:
    """Plans of all subjects by label."""
    config = make_config(root, **options)
    return {plan.label: plan for plan in plan_dataset(layout_of(config), config)}


def image_names(root: Path, subject: str = "01", query: str = "pet", **options: Any) -> list[str]:
    """Names of the images found for a query when every modality is asked for."""
    config = make_config(root, **{"modalities": ("pet", "ct", "flair", "t2w"), **options})
    images = images_of(config)[subject]
    return [image.path.name for image in images.of(get_modality(query))]


def pair(
    modality: Modality, image: ImageFile, t1w: ImageFile, processing: Processing | None = None
) -> Pairing:
    """A pairing as a plan has it, for an image that no dataset holds."""
    if modality.tracer:
        image = replace(image, pet=pet_facts(image, image.path.parent, processing))
    return Pairing(modality, image, t1w, "same session")


def t1w(session: str | None = None, rest: str = "", subject: str = "01") -> str:
    """Path of a T1w in the dataset; ``rest`` holds further entities, e.g. ``"_run-01"``."""
    ses = f"_ses-{session}" if session else ""
    folder = f"ses-{session}/" if session else ""
    return f"sub-{subject}/{folder}anat/sub-{subject}{ses}{rest}_T1w.nii.gz"


def pet(session: str | None = None, rest: str = "", subject: str = "01") -> str:
    """Path of a PET in the dataset, like :func:`t1w`."""
    return t1w(session, rest, subject).replace("anat/", "pet/").replace("_T1w", "_pet")


def only_plan(root: Path, **options: Any) -> SubjectPlan:
    return plans_of(root, **options)["01"]


def only_pairing(root: Path, **options: Any) -> Pairing:
    plan = only_plan(root, **options)
    assert not plan.problems
    (pairing,) = plan.pairings
    return pairing
