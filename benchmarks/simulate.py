"""A subject with a known answer: a real T1w and an FDG PET simulated from it.

The tissues behind the PET come from thresholds and morphology alone, so they favour neither of the
pipelines that are compared on it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

BQ_PER_ML = {"GM": 20_000.0, "WM": 5_000.0, "CSF": 1_000.0, "scalp": 3_000.0}
PSF_FWHM_MM = 6.0
PET_SHAPE, PET_VOXEL_MM = (128, 128, 89), 2.0
ROTATION_DEGREES = (5.0, -4.0, 5.0)
TRANSLATION_MM = (6.0, -7.0, 4.0)
COUNTS_PER_BQ_ML = 0.02
SCALP_MM, BRIDGE_MM, SULCUS_MM, BRAIN_HEIGHT_MM = 6.0, 4.0, 5.0, 135.0
PLAUSIBLE_LITRES = (0.9, 2.0)


@dataclass(frozen=True)
class Truth:
    """What is known of a simulated subject.

    Attributes
    ----------
    t1w_from_pet
        (4, 4) RAS millimetres: PET world coordinates to T1w world coordinates.
    mask, gm
        Images of 0 and 1 on the grid of the T1w.
    """

    t1w_from_pet: np.ndarray
    mask: nib.Nifti1Image
    gm: nib.Nifti1Image


def write_subject(
    t1w_path: Path, bids: Path, *, brain_path: Path | None = None, seed: int = 0
) -> Truth:
    """Write ``sub-01`` with the given T1w and a simulated static FDG PET.

    Parameters
    ----------
    t1w_path
        A T1w image of a whole head, about 1 mm.
    bids
        Root of the raw BIDS dataset to write.
    brain_path
        The same T1w without the rest of the head; None finds the brain by thresholds.

    Returns
    -------
    Truth
        The displacement of the PET and the tissues it was made from.

    Raises
    ------
    ValueError
        When thresholds find no brain of a plausible size in the T1w.
    """
    image = nib.load(t1w_path)
    t1w = np.asarray(image.dataobj, dtype=np.float32)
    zooms = np.asarray(image.header.get_zooms()[:3], dtype=float)
    head = head_mask(t1w)
    if brain_path is None:
        mask = above_neck(brain_mask(t1w, head, zooms), image.affine)
    else:
        mask = ndimage.binary_fill_holes(np.asarray(nib.load(brain_path).dataobj) > 0)
    litres = np.count_nonzero(mask) * np.prod(zooms) / 1e6
    if not PLAUSIBLE_LITRES[0] < litres < PLAUSIBLE_LITRES[1]:
        raise ValueError(f"no brain found in {t1w_path} by thresholds: {litres:.2f} litres")
    tissues = tissue_labels(flatten(t1w, mask, zooms), mask, zooms)
    activity = np.select(
        [tissues == 1, tissues == 2, tissues == 3, head],
        [BQ_PER_ML[name] for name in ("GM", "WM", "CSF", "scalp")],
        default=0.0,
    )
    centre = image.affine @ [*ndimage.center_of_mass(mask), 1]
    t1w_from_pet = rigid_about(centre[:3])
    pet, pet_affine = acquire(activity, image.affine, zooms, t1w_from_pet, centre, seed)
    write_bids(bids, image, t1w, pet, pet_affine)
    truth = (
        nib.Nifti1Image(array.astype(np.uint8), image.affine) for array in (mask, tissues == 1)
    )
    return Truth(t1w_from_pet, *truth)


def head_mask(t1w: np.ndarray) -> np.ndarray:
    """Largest bright region of a T1w, holes filled slice by slice."""
    from skimage.filters import threshold_otsu

    smooth = ndimage.gaussian_filter(t1w, 2)
    bright = largest_component(smooth > 0.5 * threshold_otsu(smooth))
    return np.stack([ndimage.binary_fill_holes(plane) for plane in np.moveaxis(bright, 2, 0)], 2)


def flatten(t1w: np.ndarray, mask: np.ndarray, zooms: np.ndarray) -> np.ndarray:
    """Divide a T1w by its mean over a broad neighbourhood inside `mask`."""
    broad = 25.0 / zooms
    weight = ndimage.gaussian_filter(mask.astype(np.float32), broad)
    mean = ndimage.gaussian_filter(t1w * mask, broad) / np.maximum(weight, 1e-3)
    return np.where(mask, t1w / np.maximum(mean, 1e-3), 0).astype(np.float32)


def brain_mask(t1w: np.ndarray, head: np.ndarray, zooms: np.ndarray) -> np.ndarray:
    """Brain of a T1w: the largest tissue-bright region that an erosion cuts off from the scalp.

    Only the threshold, the depth under the skin and the width of the erosion shape it; they were
    set by eye on one MPRAGE.
    """
    from skimage.filters import threshold_multiotsu

    smooth = ndimage.gaussian_filter(t1w, 0.7 / zooms)
    low, high = threshold_multiotsu(smooth[head], classes=3)
    deep = ndimage.distance_transform_edt(head, sampling=zooms) > SCALP_MM
    tissue = (smooth > 0.8 * low) & (smooth < 2.2 * high - 1.2 * low) & deep
    core = largest_component(ndimage.distance_transform_edt(tissue, sampling=zooms) > BRIDGE_MM)
    grown = ndimage.distance_transform_edt(~core, sampling=zooms) < BRIDGE_MM + 1
    closed = ndimage.distance_transform_edt(~(grown & tissue), sampling=zooms) < SULCUS_MM
    closed = ndimage.distance_transform_edt(closed, sampling=zooms) > SULCUS_MM
    return ndimage.binary_fill_holes(largest_component(closed))


def above_neck(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Drop what lies more than a brain's height below the top of `mask`: the spinal cord."""
    i, j, k = np.ogrid[tuple(slice(size) for size in mask.shape)]
    height = affine[2, 0] * i + affine[2, 1] * j + affine[2, 2] * k
    return mask & (height > height[mask].max() - BRAIN_HEIGHT_MM)


def tissue_labels(flat: np.ndarray, mask: np.ndarray, zooms: np.ndarray) -> np.ndarray:
    """Labels 1 GM, 2 WM, 3 CSF inside `mask`: three-class Otsu of a flattened T1w."""
    from skimage.filters import threshold_multiotsu

    smooth = ndimage.gaussian_filter(flat, 0.5 / zooms)
    low, high = threshold_multiotsu(smooth[mask], classes=3)
    labels = np.select([smooth > high, smooth > low], [2, 1], default=3)
    return (labels * mask).astype(np.uint8)


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest connected region of a boolean array."""
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def rigid_about(centre: np.ndarray) -> np.ndarray:
    """The displacement of the simulated PET: a rotation about `centre`, then a translation."""
    rigid = np.eye(4)
    rigid[:3, :3] = Rotation.from_euler("xyz", ROTATION_DEGREES, degrees=True).as_matrix()
    rigid[:3, 3] = centre - rigid[:3, :3] @ centre + TRANSLATION_MM
    return rigid


def acquire(
    activity: np.ndarray,
    affine: np.ndarray,
    zooms: np.ndarray,
    t1w_from_pet: np.ndarray,
    centre: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Blur, displace, sample and add Poisson noise.

    Returns
    -------
    pet
        (128, 128, 89) float32, Bq/mL.
    pet_affine
        (4, 4) of the 2 mm grid, centred on the displaced brain.
    """
    sigma = PSF_FWHM_MM / np.sqrt(8 * np.log(2)) / zooms
    blurred = ndimage.gaussian_filter(activity.astype(np.float32), sigma)
    pet_centre = (np.linalg.inv(t1w_from_pet) @ centre)[:3]
    pet_affine = np.diag([PET_VOXEL_MM] * 3 + [1.0])
    pet_affine[:3, 3] = pet_centre - PET_VOXEL_MM * (np.array(PET_SHAPE) - 1) / 2
    voxel_from_voxel = np.linalg.inv(affine) @ t1w_from_pet @ pet_affine
    sampled = ndimage.affine_transform(
        blurred, voxel_from_voxel, output_shape=PET_SHAPE, order=1, mode="constant"
    )
    counts = np.random.default_rng(seed).poisson(np.maximum(sampled, 0) * COUNTS_PER_BQ_ML)
    return (counts / COUNTS_PER_BQ_ML).astype(np.float32), pet_affine


def write_bids(
    bids: Path, image: nib.Nifti1Image, t1w: np.ndarray, pet: np.ndarray, pet_affine: np.ndarray
) -> None:
    """Write both images, their sidecars and the description of the dataset."""
    anat, pet_dir = bids / "sub-01" / "anat", bids / "sub-01" / "pet"
    for folder in (anat, pet_dir):
        folder.mkdir(parents=True, exist_ok=True)
    for path, array, affine in (
        (anat / "sub-01_T1w.nii.gz", t1w.astype(image.get_data_dtype()), image.affine),
        (pet_dir / "sub-01_trc-18FFDG_pet.nii.gz", pet, pet_affine),
    ):
        written = nib.Nifti1Image(array, affine)
        written.header.set_xyzt_units("mm", "sec")
        written.to_filename(path)
    for path, content in (
        (bids / "dataset_description.json", {"Name": "Benchmark", "BIDSVersion": "1.10.0"}),
        (anat / "sub-01_T1w.json", {"Modality": "MR"}),
        (pet_dir / "sub-01_trc-18FFDG_pet.json", pet_sidecar()),
    ):
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def pet_sidecar() -> dict[str, object]:
    """Sidecar of the simulated PET, with every field BIDS requires."""
    return {
        "Manufacturer": "simulated",
        "ManufacturersModelName": "simulated",
        "Units": "Bq/mL",
        "BodyPart": "brain",
        "TracerName": "FDG",
        "TracerRadionuclide": "F18",
        "InjectedRadioactivity": 185.0,
        "InjectedRadioactivityUnits": "MBq",
        "InjectedMass": "n/a",
        "InjectedMassUnits": "n/a",
        "SpecificRadioactivity": "n/a",
        "SpecificRadioactivityUnits": "n/a",
        "ModeOfAdministration": "bolus",
        "TimeZero": "12:00:00",
        "InjectionStart": 0,
        "ScanStart": 2400,
        "FrameTimesStart": [0],
        "FrameDuration": [1200],
        "AcquisitionMode": "list mode",
        "ImageDecayCorrected": True,
        "ImageDecayCorrectionTime": 0,
        "ReconMethodName": "none",
        "ReconMethodParameterLabels": ["none"],
        "ReconFilterType": "none",
        "AttenuationCorrection": "none",
    }
