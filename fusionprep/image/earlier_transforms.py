"""Checks of transforms that other software found for the same images.

Each function raises :class:`~fusionprep.errors.DataError` with the reason, a phrase, where a
transform cannot be right.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError
from fusionprep.image.masks import box_corners
from fusionprep.image.registration import FINE, MIDDLE, NEAR_MM, WORKING_MM, RigidResult, refine
from fusionprep.image.registration_quality import OFF_MM
from fusionprep.image.resample import LPS_FROM_RAS, downsample, ras_from_itk
from fusionprep.image.rigid import Brain, near_brain
from fusionprep.image.similarity import Similarity, emphasised
from fusionprep.image.template import Template

if TYPE_CHECKING:
    import SimpleITK as sitk

EDGE_MM = 4.5
"""By which the field of a warp may end before or beyond the grid of its template; grids of other
MNI templates end 6 mm or more away."""

LARGEST_WARP_MM = 40.0
"""Displacement in the brain beside the affine part."""

SCALES = (0.5, 2.0)
"""Of the affine part, along any direction."""

ROUND_TRIP_MM = 2.0
"""Mean distance in the brain from where both directions, one after the other, come back to."""

RIGID_SCALE = 0.01
"""By which a rigid transform may scale, being written in single precision or found with more
degrees of freedom."""

POINTS = 3000


def read_pair(
    template_from_t1w: Path, t1w_from_template: Path, template: Template
) -> "tuple[sitk.Transform, sitk.Transform]":
    """Read a transform to a template and its inverse, where they can be that.

    Parameters
    ----------
    template_from_t1w, t1w_from_template
        ITK files; the first maps points of the template to the T1w.
    template
        The one they are said to lead to and from.

    Raises
    ------
    DataError
        When they cannot be read, lie on the grid of another template, tear or scale the brain, or
        are not the inverse of each other.
    """
    there, back = (_read(path) for path in (template_from_t1w, t1w_from_template))
    _check_field(there, template.brain)
    points = _points_of(template.mask)
    in_t1w = _through(there, points)
    if not np.isfinite(in_t1w).all():
        raise DataError("it maps parts of the brain to nowhere")
    ones = np.column_stack([points, np.ones(len(points))])
    linear, *_ = np.linalg.lstsq(ones, in_t1w, rcond=None)
    scales = np.linalg.svd(linear[:3], compute_uv=False)
    if scales.min() < SCALES[0] or scales.max() > SCALES[1]:
        raise DataError(f"it scales the brain by {scales.min():.2g} to {scales.max():.2g}")
    warp = float(np.linalg.norm(in_t1w - ones @ linear, axis=1).max())
    if warp > LARGEST_WARP_MM:
        raise DataError(f"it bends the brain by {warp:.0f} mm")
    off = float(np.linalg.norm(_through(back, in_t1w) - points, axis=1).mean())
    if not off <= ROUND_TRIP_MM:
        raise DataError(
            f"there and back leads {off:.1f} mm away on average: the files do not belong together"
        )
    return there, back


def _read(path: Path) -> "sitk.Transform":
    import SimpleITK as sitk

    try:
        return sitk.ReadTransform(str(path))
    except RuntimeError as error:
        raise DataError(f"{path.name} is not an ITK transform that can be read") from error


def _check_field(transform: "sitk.Transform", grid: nib.Nifti1Image) -> None:
    """Refuse a warp whose field does not cover the grid of its template and no more."""
    corners = box_corners(np.zeros(3) - 0.5, np.array(grid.shape[:3]) - 0.5)
    wanted = nib.affines.apply_affine(LPS_FROM_RAS @ grid.affine, corners)
    for field in _fields(transform):
        size = np.array(field.GetSize())
        ends = box_corners(np.zeros(3) - 0.5, size - 0.5)
        found = np.array([field.TransformContinuousIndexToPhysicalPoint(end) for end in ends])
        off = max(
            float(np.abs(found.min(axis=0) - wanted.min(axis=0)).max()),
            float(np.abs(found.max(axis=0) - wanted.max(axis=0)).max()),
        )
        if off > EDGE_MM:
            raise DataError(
                f"its warp ends {off:.0f} mm off the template's grid: it is of another template"
            )


def _fields(transform: "sitk.Transform") -> "Iterator[sitk.Image]":
    import SimpleITK as sitk

    kind = transform.GetName()
    if kind == "CompositeTransform":
        whole = sitk.CompositeTransform(transform)
        for number in range(whole.GetNumberOfTransforms()):
            yield from _fields(whole.GetNthTransform(number))
    elif kind == "DisplacementFieldTransform":
        yield sitk.DisplacementFieldTransform(transform).GetDisplacementField()


def _points_of(mask: nib.Nifti1Image) -> np.ndarray:
    """Points (N, 3) all over a mask, LPS."""
    voxels = np.argwhere(np.asarray(mask.dataobj) > 0.5)
    chosen = voxels[:: max(1, len(voxels) // POINTS)]
    return nib.affines.apply_affine(LPS_FROM_RAS @ mask.affine, chosen)


def _through(transform: "sitk.Transform", points: np.ndarray) -> np.ndarray:
    return np.array([transform.TransformPoint(point) for point in points.tolist()])


def read_rigid(path: Path) -> np.ndarray:
    """Read a rigid transform as ``t1w_from_moving`` (4, 4), RAS.

    Raises
    ------
    DataError
        When it cannot be read, or is not rigid.
    """
    transform = _read(path)
    if not transform.IsLinear():
        raise DataError("it is not linear")
    matrix = ras_from_itk(transform)
    scales = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    if not np.isfinite(matrix).all() or np.abs(scales - 1).max() > RIGID_SCALE:
        raise DataError(f"it is not rigid: it scales by {scales.min():.3f} to {scales.max():.3f}")
    return matrix


def score_rigid(
    t1w: nib.Nifti1Image,
    moving: nib.Nifti1Image,
    mask: nib.Nifti1Image,
    t1w_from_moving: np.ndarray,
    *,
    n_threads: int = 1,
    sloppy: bool = False,
) -> RigidResult:
    """Score a rigid registration of a PET as :func:`register_rigid` does its own.

    Instead of a search over all poses, the pose is optimised from where it is at 4 mm, and must not
    move by more than :data:`~fusionprep.image.registration_quality.OFF_MM`.

    Parameters
    ----------
    t1w, mask
        T1w before bias correction, and its brain mask.
    moving
        3-D PET on its own grid.

    Raises
    ------
    DataError
        When the images fit better elsewhere.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(n_threads)
    brain = Brain.from_mask(mask)
    head, moving = emphasised(t1w, mask, WORKING_MM), downsample(moving, WORKING_MM)
    near = middle = Similarity.from_images(head, moving, MIDDLE, None)
    best = refine(middle, t1w_from_moving, brain.centre, step_mm=4.0)
    off = brain.distance(t1w_from_moving, best)
    if off > OFF_MM:
        raise DataError(f"the images fit better {off:.1f} mm away")
    if not sloppy:
        fine = Similarity.from_images(head, moving, FINE, None)
        near = fine.only(near_brain(fine.points, t1w_from_moving, mask, NEAR_MM))
    before, after = near(np.eye(4)), near(t1w_from_moving)
    return RigidResult(t1w_from_moving, "taken over", before, after, off_optimum_mm=off)
