"""Scores of a rigid registration, and a verdict on it.

The limits were set on deliberately misregistered images (``benchmarks/registration.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from fusionprep.image.io import new_image
from fusionprep.image.registration import RigidResult
from fusionprep.image.rigid import Brain
from fusionprep.modalities import Modality

LEAST_INFORMATION = 0.1
"""Mutual information (nats) of images that have something in common."""

AMBIGUOUS, UNDECIDED = 0.8, 0.93
"""Runner-up's share of the best mutual information: limits for review and for fail."""

UNSURE_MM, LOST_MM = 3.0, 10.0
"""Uncertainty (:func:`uncertainty`): limits for review and for fail."""

OFF_MM, FAR_OFF_MM = 3.0, 6.0
"""Distance of the alignment that was kept from the best one: limits for review and for fail."""

THIN_OVERLAP, LEAST_OVERLAP = 0.75, 0.5
"""Share of the visible brain that shows uptake: review and fail below these."""


OVERLAP_SPACING_MM = 3.0


@dataclass(frozen=True)
class Verdict:
    """Whether a registration can be trusted: ``pass``, ``review`` (look at it) or ``fail``."""

    verdict: str
    reason: str

    def as_fields(self) -> dict[str, str]:
        """The sidecar's fields."""
        return {"Verdict": self.verdict, "VerdictReason": self.reason}


@dataclass(frozen=True)
class Overlap:
    """Where an image brought to the T1w shows the brain.

    Attributes
    ----------
    coverage
        Share of the brain inside the image's field of view.
    bright
        Of what is inside, the share that is among the brightest voxels: as many count as bright as
        there is brain, so that the figure does not depend on units. 1 is a bright object of exactly
        the brain's shape. None for images in which the brain is not the bright part (CT, FLAIR).
    """

    coverage: float
    bright: float | None

    @classmethod
    def from_images(
        cls, moved: np.ndarray, seen: np.ndarray, brain: np.ndarray, *, brain_is_bright: bool
    ) -> "Overlap":
        """Measure coverage and brightness.

        Parameters
        ----------
        moved, seen, brain
            (X, Y, Z) on the T1w grid: the image, its field of view, the brain.
        """
        brain, seen = brain > 0, seen > 0
        inside = brain & seen
        coverage = float(inside.sum() / brain.sum())
        if not brain_is_bright:
            return cls(coverage, None)
        if not inside.any():
            return cls(coverage, 0.0)
        values, n_bright = moved[seen], int(inside.sum())
        threshold = np.partition(values, values.size - n_bright)[values.size - n_bright]
        threshold = max(threshold, np.finfo(np.float32).tiny)
        return cls(coverage, float((moved[inside] >= threshold).mean()))


def assess_rigid(
    result: RigidResult, moving: nib.Nifti1Image, mask: nib.Nifti1Image, modality: Modality
) -> dict[str, object]:
    """Scores and verdict of a registration, as the sidecar's ``Registration`` field.

    Parameters
    ----------
    moving
        The image registered.
    mask
        Brain mask of the T1w.
    """
    from fusionprep.image.resample import downsample, itk_from_ras, resample

    transform = itk_from_ras(result.t1w_from_moving)
    coarse_mask = downsample(mask, OVERLAP_SPACING_MM)
    field_of_view = new_image(np.ones(moving.shape, np.float32), moving.affine)
    moved, seen = (
        np.asarray(resample(image, coarse_mask, transform).dataobj)
        for image in (moving, field_of_view)
    )
    brain = np.asarray(coarse_mask.dataobj) > 0.5
    overlap = Overlap.from_images(moved, seen > 0.5, brain, brain_is_bright=modality.tracer)
    return describe_rigid(
        result, judge_rigid(result, overlap), overlap, Brain.from_mask(mask).centre
    )


def uncertainty(result: RigidResult, overlap: Overlap) -> float | None:
    """Uncertainty of the alignment, in mm; None where it was not measured.

    The largest standard error in the brain, scaled up where the image shows only part of the brain
    and the rest is extrapolated.
    """
    if result.standard_error_mm is None or overlap.coverage == 0:
        return None
    return result.standard_error_mm / overlap.coverage


def judge_rigid(result: RigidResult, overlap: Overlap) -> Verdict:
    """Turn the scores of a rigid registration into a verdict: that of the worst of them."""
    if overlap.coverage == 0 or result.mi_after <= 0:
        return Verdict("fail", "the images do not overlap")
    if result.mi_after < LEAST_INFORMATION:
        return Verdict("fail", "the images have nothing in common")
    scores = [
        (
            result.off_optimum_mm,
            (OFF_MM, FAR_OFF_MM),
            "the header's alignment is {:.1f} mm off the best one",
        ),
        (
            result.runner_up,
            (AMBIGUOUS, UNDECIDED),
            "another alignment explains the images {:.0%} as well",
        ),
        (
            uncertainty(result, overlap),
            (UNSURE_MM, LOST_MM),
            "the uncertainty of the alignment is {:.1f} mm",
        ),
        (
            None if overlap.bright is None else 1 - overlap.bright,
            (1 - THIN_OVERLAP, 1 - LEAST_OVERLAP),
            "{:.0%} of the brain shows no uptake",
        ),
    ]
    for limit, verdict in ((1, "fail"), (0, "review")):
        for score, limits, reason in scores:
            if score is not None and score > limits[limit]:
                return Verdict(verdict, reason.format(score))
    return Verdict("pass", "scores are in the expected range")


def with_doubt(registration: Mapping[str, object], doubt: str) -> dict[str, object]:
    """The sidecar's ``Registration`` field of an image that is itself in doubt.

    Parameters
    ----------
    registration
        As :func:`describe_rigid` gives it.
    doubt
        What is wrong with the image; empty where nothing is.

    Returns
    -------
    dict
        With the verdict ``review`` in place of ``pass``, and the doubt before other reasons.
    """
    if not doubt:
        return dict(registration)
    if registration.get("Verdict") == "pass":
        return {**registration, **Verdict("review", doubt).as_fields()}
    return {**registration, "VerdictReason": f"{doubt}; {registration.get('VerdictReason')}"}


def describe_rigid(
    result: RigidResult, verdict: Verdict, overlap: Overlap, centre: np.ndarray
) -> dict[str, object]:
    """The scores as the sidecar's ``Registration`` field.

    Parameters
    ----------
    centre
        (3,) world coordinates of the brain's centre in the T1w: the translation is given there,
        since the translation at the origin depends on where that lies.
    """
    import scipy

    moving_centre = nib.affines.apply_affine(np.linalg.inv(result.t1w_from_moving), centre)
    shift = float(np.linalg.norm(np.asarray(centre) - moving_centre))
    return {
        "Method": result.method,
        "Software": f"SciPy {scipy.__version__}",
        "MattesMIBefore": round(result.mi_before, 4),
        "MattesMIAfter": round(result.mi_after, 4),
        "RunnerUp": _rounded(result.runner_up, 3),
        "UncertaintyMillimetres": _rounded(uncertainty(result, overlap), 2),
        "OffOptimumMillimetres": round(result.off_optimum_mm, 2),
        "BrainCoverage": round(overlap.coverage, 4),
        "BrainOverlap": _rounded(overlap.bright, 4),
        "RotationDegrees": round(result.rotation_degrees, 3),
        "TranslationMillimetres": round(shift, 3),
        **verdict.as_fields(),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
