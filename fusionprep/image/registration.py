"""Rigid registration of PET, CT or FLAIR to the T1w, and how well it went."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from fusionprep.image.resample import downsample, itk_from_ras, ras_from_itk

if TYPE_CHECKING:
    import SimpleITK as sitk

COARSE_MM = 4.0
# Mutual information (nats) below which the scores mean nothing: noise and a PET share 0.002, the
# T1w and PET of a head 0.3 or more.
LEAST_INFORMATION = 0.02


@dataclass(frozen=True)
class RigidResult:
    """A rigid registration and its scores.

    Attributes
    ----------
    t1w_from_moving
        (4, 4) RAS, maps world coordinates of the moving image to those of the T1w.
    method
        ``rigid``, or ``identity`` where the header's own alignment was kept.
    mi_before, mi_after
        Mattes mutual information (nats, higher is better) at 4 mm, with the header's alignment
        and with the result.
    """

    t1w_from_moving: np.ndarray
    method: str
    mi_before: float
    mi_after: float

    @property
    def rotation_degrees(self) -> float:
        cosine = (np.trace(self.t1w_from_moving[:3, :3]) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def register_rigid(
    t1w: nib.Nifti1Image,
    moving: nib.Nifti1Image,
    *,
    method: str = "rigid",
    n_threads: int = 1,
    sloppy: bool = False,
) -> RigidResult:
    """Find the rigid transform that maximises Mattes mutual information (Mattes et al., 2003).

    Headers can be far off, so the search starts from the header's own alignment, from aligned
    grid centres and from aligned centres of mass; each is optimised at 8 mm, and the best of
    them is refined at 4 and 2 mm. Sampling is regular, so results repeat exactly for the same
    number of threads.

    Parameters
    ----------
    t1w, moving
        3-D images, whole heads.
    method
        ``rigid``; ``identity`` keeps the header's alignment; ``auto`` keeps it when its mutual
        information reaches 98% of what the search found.
    sloppy
        Stop at 4 mm.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(n_threads)
    fixed, floating = downsample(t1w, 1.0), downsample(moving, 1.0)
    mi_before = mutual_information(fixed, floating, np.eye(4))
    if method == "identity":
        return RigidResult(np.eye(4), "identity", mi_before, mi_before)
    # A header can place the images so far apart that its start has nothing to optimise.
    coarse = [
        _optimise(fixed, floating, start, shrink=[8], smoothing=[6])
        for start in _starts(fixed, floating)
        if mutual_information(fixed, floating, ras_from_itk(start)) > 0
    ]
    best = max(coarse, key=lambda t: mutual_information(fixed, floating, ras_from_itk(t)))
    levels = (
        {"shrink": [4], "smoothing": [4]} if sloppy else {"shrink": [4, 2], "smoothing": [4, 2]}
    )
    t1w_from_moving = ras_from_itk(_optimise(fixed, floating, best, **levels))
    mi_after = mutual_information(fixed, floating, t1w_from_moving)
    if method == "auto" and mi_before >= 0.98 * mi_after:
        return RigidResult(np.eye(4), "identity", mi_before, mi_before)
    return RigidResult(t1w_from_moving, "rigid", mi_before, mi_after)


def _starts(fixed: "sitk.Image", moving: "sitk.Image") -> "list[sitk.Euler3DTransform]":
    import SimpleITK as sitk

    centred = sitk.CenteredTransformInitializerFilter
    # Air at -1000 HU would count as negative mass and push the centre out of the head.
    images = [sitk.Clamp(image, lowerBound=0.0) for image in (fixed, moving)]
    starts = [
        sitk.Euler3DTransform(
            sitk.CenteredTransformInitializer(*images, sitk.Euler3DTransform(), how)
        )
        for how in (centred.GEOMETRY, centred.MOMENTS)
    ]
    header = sitk.Euler3DTransform(starts[0])
    header.SetTranslation((0.0, 0.0, 0.0))
    return [*starts, header]


def _optimise(
    fixed: "sitk.Image",
    moving: "sitk.Image",
    start: "sitk.Euler3DTransform",
    *,
    shrink: list[int],
    smoothing: list[float],
) -> "sitk.Euler3DTransform":
    import SimpleITK as sitk

    registration = _mattes(samples=0.25 if shrink[0] <= 4 else 1.0)
    registration.SetOptimizerAsRegularStepGradientDescent(
        1.0, 1e-3, 100, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-6
    )
    registration.SetOptimizerScalesFromPhysicalShift()
    registration.SetShrinkFactorsPerLevel(shrink)
    registration.SetSmoothingSigmasPerLevel(smoothing)
    registration.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    moved = sitk.Euler3DTransform(start)
    registration.SetInitialTransform(moved, inPlace=True)
    registration.Execute(fixed, moving)
    return moved


def _mattes(samples: float) -> "sitk.ImageRegistrationMethod":
    import SimpleITK as sitk

    registration = sitk.ImageRegistrationMethod()
    registration.SetMetricAsMattesMutualInformation(40)
    registration.SetMetricSamplingStrategy(registration.REGULAR)
    registration.SetMetricSamplingPercentage(samples, 1)
    registration.SetInterpolator(sitk.sitkLinear)
    return registration


def mutual_information(
    fixed: "sitk.Image", moving: "sitk.Image", fixed_from_moving: np.ndarray
) -> float:
    """Mattes mutual information in nats at 4 mm; 0 where the images do not overlap."""
    import SimpleITK as sitk

    step = [max(1, round(COARSE_MM / size)) for size in fixed.GetSpacing()]
    registration = _mattes(samples=1.0)
    registration.SetInitialTransform(itk_from_ras(fixed_from_moving))
    smoothed = sitk.SmoothingRecursiveGaussian(moving, COARSE_MM / 2)
    try:
        return -registration.MetricEvaluate(sitk.BinShrink(fixed, step), smoothed)
    except RuntimeError as error:
        # ITK has no return value for "all samples outside", only this exception
        if "map outside moving image buffer" in str(error):
            return 0.0
        raise


@dataclass(frozen=True)
class Verdict:
    """Whether a registration can be trusted: ``pass``, ``review`` (look at it) or ``fail``."""

    verdict: str
    reason: str

    def as_fields(self) -> dict[str, str]:
        """The sidecar's fields."""
        return {"Verdict": self.verdict, "VerdictReason": self.reason}


def brain_overlap(moved: np.ndarray, brain: np.ndarray) -> float:
    """Share of the brain that is among the brightest voxels of the image brought to it.

    As many voxels count as bright as the brain has, so that the figure does not depend on
    intensity units: 1 is a bright object of exactly the brain's shape.

    Parameters
    ----------
    moved, brain
        (X, Y, Z) on the T1w grid.
    """
    brain = brain > 0
    n_brain = int(brain.sum())
    threshold = np.partition(moved.ravel(), moved.size - n_brain)[moved.size - n_brain]
    return float((moved[brain] >= max(threshold, np.finfo(np.float32).tiny)).mean())


def judge_rigid(result: RigidResult, overlap: float | None) -> Verdict:
    """Turn the scores of a rigid registration into a verdict.

    Parameters
    ----------
    overlap
        :func:`brain_overlap`; None for images in which the brain is not the bright part (CT,
        FLAIR).
    """
    if result.mi_after <= 0:
        return Verdict("fail", "the images do not overlap")
    if result.mi_after < LEAST_INFORMATION:
        return Verdict("fail", "the images have nothing in common")
    if result.mi_after < 0.95 * result.mi_before:
        return Verdict("fail", "mutual information fell")
    if overlap is not None and overlap < 0.5:
        return Verdict("fail", f"only {overlap:.0%} of the brain is covered by uptake")
    if overlap is not None and overlap < 0.65:
        return Verdict("review", f"only {overlap:.0%} of the brain is covered by uptake")
    if result.rotation_degrees > 30:
        return Verdict("review", f"rotated by {result.rotation_degrees:.0f} degrees")
    return Verdict("pass", "scores are in the expected range")


def describe_rigid(
    result: RigidResult, verdict: Verdict, overlap: float | None, centre: np.ndarray
) -> dict[str, object]:
    """The scores as the sidecar's ``Registration`` field.

    Parameters
    ----------
    centre
        (3,) world coordinates of the brain's centre in the T1w: the translation is what happens
        there, since the translation at the origin depends on where that lies.
    """
    import SimpleITK as sitk

    moving_centre = np.linalg.inv(result.t1w_from_moving) @ np.append(centre, 1.0)
    shift = np.linalg.norm(np.asarray(centre) - moving_centre[:3])
    return {
        "Method": result.method,
        "Software": f"SimpleITK {sitk.Version_VersionString()}",
        "MattesMIBefore": round(result.mi_before, 4),
        "MattesMIAfter": round(result.mi_after, 4),
        "BrainOverlap": None if overlap is None else round(overlap, 4),
        "RotationDegrees": round(result.rotation_degrees, 3),
        "TranslationMillimetres": round(float(shift), 3),
        **verdict.as_fields(),
    }
