"""How well a T1w registered to a template fits it."""

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from fusionprep.image.registration_quality import Verdict
from fusionprep.image.resample import downsample, resample
from fusionprep.image.template import WARP_MM, Template

if TYPE_CHECKING:
    import SimpleITK as sitk

BLOCKS = 3
"""A brain is judged in this many parts along each axis."""

REACH_MM = 12.0
"""Largest displacement that is looked for, along each axis."""

LEAST_BRAIN = 0.25
"""A block is judged when it holds this share of the brain of an average one."""

REVIEW_MM = 3.2
FAIL_MM = 8.0
"""Limits of a block's displacement; see docs/validation/registration.md for how they were set."""


def largest_displacement(
    fixed: np.ndarray, moved: np.ndarray, mask: np.ndarray, voxel_sizes: np.ndarray
) -> float:
    """Millimetres by which a part of the brain would have to move to fit the template best.

    The brain is cut into 3 x 3 x 3 blocks. Each block of the template is moved over the T1w by up
    to 12 mm along each axis, to where the two correlate best. In contrast to overlaps, this says
    how far off the anatomy is, and does not depend on how much of it is gray matter.

    Parameters
    ----------
    fixed, moved
        (X, Y, Z) brain of the template, and of the T1w brought to it.
    mask
        (X, Y, Z) brain of the template.
    voxel_sizes
        (3,) mm.
    """
    reach = np.maximum(np.round(REACH_MM / np.asarray(voxel_sizes)), 1).astype(int)
    margins = [(n, n) for n in reach]
    fixed, moved, mask = (np.pad(a, margins) for a in (fixed, moved, mask))
    voxels = np.argwhere(mask)
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    cuts = [
        np.linspace(a, b, BLOCKS + 1).round().astype(int) for a, b in zip(low, high, strict=True)
    ]
    enough = LEAST_BRAIN * len(voxels) / BLOCKS**3
    largest = 0.0
    for index in np.ndindex(BLOCKS, BLOCKS, BLOCKS):
        ends = [(cut[i], cut[i + 1]) for cut, i in zip(cuts, index, strict=True)]
        block = tuple(slice(a, b) for a, b in ends)
        around = tuple(slice(a - n, b + n) for (a, b), n in zip(ends, reach, strict=True))
        if np.count_nonzero(mask[block]) >= enough:
            fit = _correlations(fixed[block], mask[block], moved[around])
            shift = _peak(fit) - reach
            largest = max(largest, float(np.linalg.norm(shift * voxel_sizes)))
    return largest


def _correlations(block: np.ndarray, mask: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Pearson's correlation inside a mask, for every place of a block in a larger image."""
    from scipy import fft

    weight = mask.astype(np.float64)
    centred = np.where(mask, block - block[mask].mean(), 0.0)
    around = around.astype(np.float64)
    size = [fft.next_fast_len(n, real=True) for n in around.shape]
    # what wraps around falls on places where the block is not all inside, which are cut off
    places = tuple(slice(a - b + 1) for a, b in zip(around.shape, block.shape, strict=True))
    image, square, kernel, mean = (
        fft.rfftn(data, size) for data in (around, around**2, centred, weight)
    )

    def slide(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return fft.irfftn(image * kernel.conj(), size)[places]

    total = slide(image, mean)
    variation = slide(square, mean) - total**2 / weight.sum()
    # where there is nothing but background, rounding is all that varies
    varies = variation > 1e-3 * variation.max()
    scale = np.sqrt(np.where(varies, variation, 1.0) * max((centred**2).sum(), 1e-12))
    return np.where(varies, slide(image, kernel) / scale, -1.0)


def _peak(values: np.ndarray) -> np.ndarray:
    """Where values are largest (3,), by a parabola through the neighbours along each axis."""
    place = np.array(np.unravel_index(values.argmax(), values.shape))
    found = place.astype(np.float64)
    for axis, step in enumerate(np.eye(3, dtype=int)):
        if 0 < place[axis] < values.shape[axis] - 1:
            before, here, after = (values[tuple(place + n * step)] for n in (-1, 0, 1))
            curvature = before - 2 * here + after
            if curvature < 0:
                found[axis] += 0.5 * (before - after) / curvature
    return found


def judge_template(mask_dice: float, gm_dice: float | None, displacement_mm: float) -> Verdict:
    """Whether a registration to the template can be trusted."""
    off = f"part of the brain fits better {displacement_mm:.1f} mm away"
    if mask_dice < 0.85:
        return Verdict("fail", f"brain masks overlap by {mask_dice:.2f} (Dice)")
    if displacement_mm > FAIL_MM:
        return Verdict("fail", off)
    if mask_dice < 0.93:
        return Verdict("review", f"brain masks overlap by {mask_dice:.2f} (Dice)")
    if displacement_mm > REVIEW_MM:
        return Verdict("review", off)
    if gm_dice is not None and gm_dice < 0.6:
        return Verdict("review", f"gray matter overlaps by {gm_dice:.2f} (Dice)")
    return Verdict("pass", "overlaps and displacements are in the expected range")


def assess_template(
    template: Template,
    brain: nib.Nifti1Image,
    mask: nib.Nifti1Image,
    gm: nib.Nifti1Image,
    template_from_t1w: "sitk.Transform",
    *,
    lesion: nib.Nifti1Image | None = None,
) -> dict[str, float | str | None]:
    """Scores and verdict of a registration, as the sidecar has them.

    Parameters
    ----------
    brain, mask, gm
        Skull-stripped T1w, brain mask and probability of gray matter, on any grid of T1w space.
    lesion
        Mask there of what has no counterpart in the template and is not judged.
    """
    from fusionprep.image.masks import dice

    def overlap(image: nib.Nifti1Image, target: nib.Nifti1Image) -> float:
        # some hundred thousand voxels tell as much as all of them
        steps = np.maximum(WARP_MM // nib.affines.voxel_sizes(target.affine), 1).astype(int)
        target = target.slicer[tuple(slice(None, None, step) for step in steps)]
        moved = resample(image, target, template_from_t1w)
        judged = healthy(target)
        return dice(
            (np.asarray(moved.dataobj) > 0.5) & judged, (np.asarray(target.dataobj) > 0.5) & judged
        )

    def healthy(grid: nib.Nifti1Image) -> np.ndarray | bool:
        if lesion is None:
            return True
        return np.asarray(resample(lesion, grid, template_from_t1w).dataobj) < 0.5

    coarse = downsample(template.brain, WARP_MM)
    inside = (np.asarray(resample(template.mask, coarse).dataobj) > 0.5) & healthy(coarse)
    displacement = largest_displacement(
        np.asarray(coarse.dataobj),
        np.asarray(resample(brain, coarse, template_from_t1w).dataobj),
        inside,
        nib.affines.voxel_sizes(coarse.affine),
    )
    mask_dice = overlap(mask, template.mask)
    gm_dice = None if template.gm is None else overlap(gm, template.gm)
    return {
        "MaskDice": round(mask_dice, 4),
        "GMDice": None if gm_dice is None else round(gm_dice, 4),
        "DisplacementMillimetres": round(displacement, 2),
        **judge_template(mask_dice, gm_dice, displacement).as_fields(),
    }
