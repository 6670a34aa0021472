"""Scores of a pipeline's outputs, the same code for every pipeline."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from simulate import Truth

from fusionprep.evaluation.registration import target_registration_error
from fusionprep.image.masks import dice
from fusionprep.image.resample import ras_from_itk, read_transforms

if TYPE_CHECKING:
    import nibabel as nib

SPACE = "MNI152NLin2009aSym"


@dataclass(frozen=True)
class Scores:
    """How good the outputs for ``sub-01`` are.

    Attributes
    ----------
    tre_mean_mm, tre_max_mm
        Error of PET→T1w over the voxels of an independent brain mask.
    gm_dice
        Overlap of the template's GM with the pipeline's own GM, carried by its own transform.
    gm_dice_same_tissue
        The same with one GM for every pipeline (thresholds, :mod:`simulate`): the transform alone.
    """

    tre_mean_mm: float
    tre_max_mm: float
    gm_dice: float
    gm_dice_same_tissue: float


def score(output: Path, truth: Truth) -> Scores:
    """Score the derivatives under `output` against the simulated subject's truth."""
    import nibabel as nib
    from nilearn.datasets import load_mni152_gm_template

    anat = output / "sub-01" / "anat"
    pet_xfm = only(output / "sub-01" / "pet", "*_from-pet_to-T1w_mode-image_xfm.txt")
    t1w_from_pet = ras_from_itk(read_transforms([pet_xfm]))
    error = target_registration_error(t1w_from_pet, truth.t1w_from_pet, truth.mask)
    template = load_mni152_gm_template(resolution=1)
    template_gm = np.asarray(template.dataobj) > 0.5
    xfm = only(anat, f"*_from-T1w_to-{SPACE}_mode-image_xfm.h5")
    own = nib.load(only(anat, "*_label-GM_probseg.nii.gz"))
    own_dice, same_dice = (
        dice(warp(image, template, xfm) > 0.5, template_gm) for image in (own, truth.gm)
    )
    return Scores(float(error.mean()), float(error.max()), own_dice, same_dice)


def only(folder: Path, pattern: str) -> Path:
    """The one file of `folder` matching `pattern`.

    Raises
    ------
    FileNotFoundError
        When none or several match.
    """
    found = sorted(path for path in folder.glob(pattern) if "_space-" not in path.name)
    if len(found) != 1:
        raise FileNotFoundError(f"expected one {pattern} in {folder}, found {len(found)}")
    return found[0]


def warp(image: "nib.Nifti1Image", grid: "nib.Nifti1Image", xfm: Path) -> np.ndarray:
    """Resample an image onto the grid of another through an ITK composite, linearly."""
    import SimpleITK as sitk

    warped = sitk.Resample(
        itk_image(image), itk_image(grid), sitk.ReadTransform(str(xfm)), sitk.sitkLinear, 0.0
    )
    return sitk.GetArrayFromImage(warped).T


def itk_image(image: "nib.Nifti1Image") -> object:
    """A nibabel image as a SimpleITK one: RAS millimetres become LPS."""
    import SimpleITK as sitk

    converted = sitk.GetImageFromArray(np.asarray(image.dataobj, dtype=np.float32).T)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    zooms = np.linalg.norm(lps[:3, :3], axis=0)
    converted.SetSpacing(zooms.tolist())
    converted.SetOrigin(lps[:3, 3].tolist())
    converted.SetDirection((lps[:3, :3] / zooms).ravel().tolist())
    return converted
