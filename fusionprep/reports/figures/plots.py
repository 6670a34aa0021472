"""Figures of the reports: nibabel images in, one file out.

Figures carry no date, so the same images give the same bytes. Left of the subject is on the left.
"""

from pathlib import Path

import nibabel as nib
import numpy as np

from fusionprep.image.segmentation import GRAY, WHITE
from fusionprep.modalities import PET
from fusionprep.reports.figures.mosaic import plot_fused_mosaic
from fusionprep.reports.figures.rows import draw_rows
from fusionprep.reports.figures.slices import Volume, spans_of

__all__ = [
    "plot_coregistration",
    "plot_denoised",
    "plot_fused_mosaic",
    "plot_normalization",
    "plot_region",
    "plot_tissue",
]

Image = nib.spatialimages.SpatialImage

# After Okabe and Ito: distinct for every kind of colour vision, and on gray.
_BRAIN_COLOUR = "#22C990"
_GRAY_COLOUR = "#F0B323"
_WHITE_COLOUR = "#56B4E9"
_REGION_COLOUR = "#F0B323"
_LESION_COLOUR = "#E8602C"


def plot_tissue(
    t1w: Image, dseg: Image, mask: Image, out_svg: Path, *, lesion: Image | None = None
) -> Path:
    """Draw the brain mask, the tissues' borders and a lesion on the T1w.

    Parameters
    ----------
    t1w, mask
        T1w and brain mask.
    dseg
        Tissues: 0 background, 1 GM, 2 WM, 3 CSF.
    out_svg
        File to write.
    lesion
        Mask of what belongs to no tissue.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    contours = {
        "brain mask": (_BRAIN_COLOUR, Volume.of_mask(mask)),
        "gray matter, outer": (_GRAY_COLOUR, _labels(dseg, GRAY, WHITE)),
        "white matter": (_WHITE_COLOUR, _labels(dseg, WHITE)),
        **_lesion(lesion),
    }
    layers = {"T1w": Volume.from_image(t1w)}
    return draw_rows(layers, contours, mask, out_svg, title="T1w", description="Tissues on the T1w")


def plot_denoised(before: Image, after: Image, mask: Image, out_svg: Path) -> Path:
    """Draw a T1w before and after its noise was taken out, in one window of gray.

    Under the pointer, the picture shows the T1w before; otherwise it shows it after.

    Parameters
    ----------
    before, after, mask
        T1w and brain mask, on one grid.
    out_svg
        File to write.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    layers = {"denoised": Volume.from_image(after), "before": Volume.from_image(before)}
    return draw_rows(
        layers,
        {},
        mask,
        out_svg,
        title="Noise of the T1w",
        description="T1w with and without noise",
        windowed_as="denoised",
    )


def plot_coregistration(
    t1w: Image,
    moving_before: Image,
    moving_after: Image,
    mask: Image,
    out_svg: Path,
    *,
    dseg: Image | None = None,
    moving_name: str = "PET",
) -> Path:
    """Draw an image before and after its registration to the T1w, with the T1w's contours on both.

    The T1w is above each row. Under the pointer, the lower row alternates between before and after;
    otherwise it shows after.

    Parameters
    ----------
    t1w, mask
        T1w and brain mask.
    moving_before, moving_after
        The PET, CT or FLAIR placed by its header alone, and by the registration. Any grid: they are
        sampled in world coordinates, so the image need not be resampled to the T1w first.
    out_svg
        File to write.
    dseg
        Tissues (2 WM); adds the contour of the white matter.
    moving_name
        What the moving image is called in the figure.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    contours = {"brain mask": (_BRAIN_COLOUR, Volume.of_mask(mask))}
    if dseg is not None:
        contours["white matter"] = (_WHITE_COLOUR, _labels(dseg, WHITE))
    layers = {
        f"{moving_name} after registration": Volume.from_image(moving_after),
        f"{moving_name} before registration": Volume.from_image(moving_before),
    }
    title = f"{moving_name} to T1w"
    return draw_rows(
        layers,
        contours,
        mask,
        out_svg,
        title=title,
        description=f"{title}: before and after registration",
        still=("T1w", Volume.from_image(t1w)),
        margin_mm=16.0,
    )


def plot_normalization(
    template: Image,
    t1w_in_template: Image,
    contour: Image,
    out_svg: Path,
    *,
    mask: Image | None = None,
    lesion: Image | None = None,
    template_name: str = "template",
    contour_name: str = "template contour",
) -> Path:
    """Draw the T1w in template space alternating with the template under the pointer.

    Parameters
    ----------
    template, t1w_in_template
        The template, and the T1w registered to it.
    contour
        Mask in template space (brain or grey matter, > 0.5) whose contour is drawn on both.
    out_svg
        File to write.
    mask
        Brain mask in template space for the choice of slices; ``contour`` where None.
    lesion
        Mask of it in template space.
    template_name, contour_name
        What they are called in the figure.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    layers = {
        "T1w in template space": Volume.from_image(t1w_in_template),
        template_name: Volume.from_image(template),
    }
    title = f"T1w to {template_name}"
    return draw_rows(
        layers,
        {contour_name: (_BRAIN_COLOUR, Volume.of_mask(contour)), **_lesion(lesion)},
        contour if mask is None else mask,
        out_svg,
        title=title,
        description=f"{title}: T1w and template",
    )


def plot_region(
    t1w: Image,
    pet: Image,
    region: Image,
    mask: Image,
    out_svg: Path,
    *,
    region_name: str = "reference region",
) -> Path:
    """Draw the contour of a reference region on the T1w and, below it, on the PET.

    Parameters
    ----------
    t1w, pet
        T1w and PET in its space.
    region, mask
        Masks of the region, through which the slices are chosen, and of the brain; on one grid.
    out_svg
        File to write.
    region_name
        What the region is called in the figure.

    Returns
    -------
    pathlib.Path
        ``out_svg``.

    Raises
    ------
    DataError
        When the region or the brain mask is empty.
    """
    return draw_rows(
        {PET.label: Volume.from_image(pet)},
        {region_name: (_REGION_COLOUR, Volume.of_mask(region))},
        mask,
        out_svg,
        title="Reference region of SUVR",
        description=f"Reference region of SUVR, {region_name}, on the T1w and on the PET",
        still=("T1w", Volume.from_image(t1w)),
        spans=spans_of(region, mask),
    )


def plot_corrected(
    t1w: Image, pet: Image, corrected: Image, mask: Image, out_svg: Path, *, method: str
) -> Path:
    """Draw a PET before and after its correction for partial volume, in one window of gray.

    The T1w is above each row. Under the pointer, the lower row shows the PET before; otherwise it
    shows it after.

    Parameters
    ----------
    t1w, pet, corrected, mask
        On one grid.
    out_svg
        File to write.
    method
        What the correction is called in the figure.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    layers = {f"corrected ({method})": corrected, "not corrected": pet}
    return draw_rows(
        {name: Volume.from_image(image) for name, image in layers.items()},
        {},
        mask,
        out_svg,
        title=f"Partial volume of the {PET.label}",
        description=f"The {PET.label} corrected for partial volume, {method}, and before",
        still=("T1w", Volume.from_image(t1w)),
        windowed_as=f"corrected ({method})",
    )


def _lesion(mask: Image | None) -> dict[str, tuple[str, Volume]]:
    """The contour of a lesion, where there is one."""
    if mask is None or not (volume := Volume.of_mask(mask)).voxels.any():
        return {}
    return {"lesion": (_LESION_COLOUR, volume)}


def _labels(dseg: Image, *values: int) -> Volume:
    volume = Volume.from_image(dseg)
    inside = np.logical_or.reduce([volume.voxels == value for value in values])
    return Volume(inside.astype(np.uint8), volume.affine)
