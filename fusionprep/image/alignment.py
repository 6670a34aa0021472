"""Two volumes of one head brought together, when there is no dataset around them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from fusionprep.choices import Device
from fusionprep.errors import DataError
from fusionprep.image.io import new_image
from fusionprep.modalities import PET, Modality

if TYPE_CHECKING:
    from nibabel import Nifti1Image

BRAIN_MASK = "BrainMask"
"""Field of the registration that says where its brain mask is from."""

STRETCH = "StretchPercent"
"""Field: :class:`~fusionprep.image.stretch.Stretch`, None where it was not measured."""

IDENTITY_NOTE = "; whether both images are of one person is not checked"


@dataclass(frozen=True)
class Aligned:
    """A volume that was registered to another one.

    Attributes
    ----------
    moved
        The moving image, float32, on the grid of the fixed one.
    fixed_from_moving
        (4, 4) RAS mm.
    registration
        Scores and verdict (:func:`~fusionprep.image.registration_quality.assess_rigid`), and where
        the brain mask is from.
    """

    moved: "Nifti1Image"
    fixed_from_moving: np.ndarray
    registration: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Whether the verdict is ``fail``."""
        return bool(self.registration["Verdict"] == "fail")

    def in_words(self) -> str:
        """Verdict and reason, and how far the image was moved, in a line for people."""
        told = self.registration
        unsure = told["UncertaintyMillimetres"]
        known = "" if unsure is None else f", uncertain by {unsure:.1f} mm"
        return (
            f"registration: {told['Verdict']} ({told['VerdictReason']}): turned by"
            f" {told['RotationDegrees']:.1f}°, moved by {told['TranslationMillimetres']:.1f} mm"
            f"{known}{IDENTITY_NOTE if told[STRETCH] is None else ''}"
        )


def align_volumes(
    fixed: "Nifti1Image",
    moving: "Nifti1Image",
    modality: Modality = PET,
    *,
    mask: "Nifti1Image | None" = None,
    fixed_name: str = "the MRI",
    moving_name: str = "the image to register",
    device: Device = "auto",
    n_threads: int = 1,
) -> Aligned:
    """Register a volume to an MRI as the App does, from any pose, and bring it to its grid.

    The verdict on a PET or SPECT is ``review``, too, when its brain has another size than that in
    the MRI (:mod:`fusionprep.image.stretch`): nothing else says that both are of one person.

    Parameters
    ----------
    fixed
        MRI of the head, best a T1w, closest to RAS orientation, finite.
    moving
        3-D, finite; a CT in Hounsfield units.
    modality
        Of the moving image.
    mask
        Brain mask on the grid of `fixed`; None makes one
        (:func:`~fusionprep.image.masks.find_brain`).
    fixed_name, moving_name
        What to call the images in messages.
    device
        Where the network that makes the mask runs.

    Raises
    ------
    DataError
        When no brain is found, or the voxel axes of `fixed` are not at right angles.
    UsageError
        When CUDA is asked for and absent.
    """
    from fusionprep.image.registration import register_rigid
    from fusionprep.image.registration_quality import assess_rigid, with_doubt
    from fusionprep.image.resample import itk_from_ras, remove_shear
    from fusionprep.image.stretch import measure_stretch
    from fusionprep.image.zero_level import from_zero

    check_upright(fixed, fixed_name)
    upright = remove_shear(moving, outside=modality.outside)
    levels, _ = from_zero(fixed.get_fdata(dtype=np.float32))
    head, origin = new_image(levels, fixed.affine), "given"
    if mask is None:
        mask, origin = _brain_mask(head, fixed_name, device, n_threads)
    inside = new_image((np.asarray(mask.dataobj) > 0).astype(np.uint8), fixed.affine)
    sought = _without_what_is_not_the_head(upright, modality, moving_name)
    found = register_rigid(head, sought, inside, modality=modality, n_threads=n_threads)
    scores = assess_rigid(found, sought, inside, modality)
    stretch = None
    if modality.tracer and scores["Verdict"] != "fail":
        stretch = measure_stretch(head, inside, sought, found.t1w_from_moving)
    if stretch is not None:
        scores = with_doubt(scores, stretch.doubt)
    scores |= {STRETCH: None if stretch is None else round(stretch.percent, 1), BRAIN_MASK: origin}
    moved = on_grid_of(
        fixed, upright, modality, itk_from_ras(found.t1w_from_moving), n_threads=n_threads
    )
    return Aligned(moved, found.t1w_from_moving, scores)


def on_grid_of(
    fixed: "Nifti1Image",
    moving: "Nifti1Image",
    modality: Modality = PET,
    transform: Any = None,
    *,
    n_threads: int = 1,
) -> "Nifti1Image":
    """Bring a volume to the grid of another one by linear interpolation.

    Parameters
    ----------
    transform
        ITK transform from points of `fixed` to those of `moving`; None trusts both headers.

    Raises
    ------
    DataError
        When the voxel axes of `fixed` are not at right angles.
    """
    from fusionprep.image.resample import remove_shear, resample

    check_upright(fixed, "the first image")
    upright = remove_shear(moving, outside=modality.outside)
    return resample(upright, fixed, transform, outside=modality.outside, n_threads=n_threads)


def overlap(first: "Nifti1Image", second: "Nifti1Image") -> bool:
    """Whether the boxes of two grids have a place in common, by their headers."""
    back = np.linalg.inv(second.affine) @ first.affine
    sides = np.array(first.shape[:3])
    places = np.stack(np.meshgrid(*(np.linspace(0, side - 1, 9) for side in sides)), axis=-1)
    voxels = nib.affines.apply_affine(back, places.reshape(-1, 3))
    inside = (voxels >= -0.5) & (voxels <= np.array(second.shape[:3]) - 0.5)
    return bool(inside.all(axis=1).any())


def check_upright(image: "Nifti1Image", name: str) -> None:
    """Refuse a grid that images cannot be resampled to.

    Raises
    ------
    DataError
        When its voxel axes are not at right angles.
    """
    from fusionprep.image.resample import has_shear

    if has_shear(image.affine):
        raise DataError(
            f"the voxel axes of {name} are not at right angles; resample it to a grid where they"
            " are, e.g. with nibabel.processing.resample_to_output"
        )


def _brain_mask(
    head: "Nifti1Image", name: str, device: Device, n_threads: int
) -> tuple["Nifti1Image", str]:
    """A brain mask of our own, and how it was made."""
    from fusionprep.image import masks

    data = head.get_fdata(dtype=np.float32)
    mask, stripped = masks.find_brain(data, head.affine, device=device, n_threads=n_threads)
    masks.check_brain_volume(mask, head.affine, name, remedy="give a brain mask")
    masks.check_coherence(data, mask, name)
    return new_image(mask.astype(np.uint8), head.affine), masks.made_by(stripped=stripped)


def _without_what_is_not_the_head(
    moving: "Nifti1Image", modality: Modality, name: str
) -> "Nifti1Image":
    """A CT without its table; any other image as it is."""
    from fusionprep.image.masks import head_of_ct, without_table

    if not modality.hounsfield:
        return moving
    data = moving.get_fdata(dtype=np.float32)
    if not head_of_ct(data).any():
        raise DataError(f"{name} shows no head: nothing in it is denser than fat")
    return new_image(without_table(data, modality.outside), moving.affine)
