"""Whether the tissues found in a T1w can be those of a head."""

from collections.abc import Mapping

import numpy as np

from fusionprep.image.masks import tight_box
from fusionprep.image.registration_quality import Verdict
from fusionprep.image.segmentation import TISSUES
from fusionprep.plausibility import (
    ADULT,
    ADULT_BRAIN_ML,
    ADULT_TISSUES_ML,
    CHILD_BRAIN_ML,
    CHILD_TISSUES_ML,
)

MANY_VOXELS = 1_000_000
"""Above this number, depths below the surface of the tissues are those of a sample."""


def check_tissues(
    acquired: np.ndarray,
    dseg: np.ndarray,
    volumes_ml: Mapping[str, float],
    brain_ml: float,
    age: float | None = None,
) -> list[str]:
    """What is doubtful about the tissues of a T1w, a phrase each.

    Parameters
    ----------
    acquired
        (X, Y, Z) T1w before bias correction.
    dseg
        (X, Y, Z) labels: 1 gray, 2 white matter, 3 cerebrospinal fluid.
    volumes_ml
        By the names of :data:`~fusionprep.image.segmentation.TISSUES`.
    brain_ml
        Of the brain mask.
    age
        In years; None takes the limits of adults.
    """
    child = age is not None and age < ADULT
    limits = CHILD_TISSUES_ML if child else ADULT_TISSUES_ML
    whose = f" (a child of {age:g} years)" if child else " (adults; the age is not given)"
    whose = whose if age is None or child else ""
    brain = CHILD_BRAIN_ML if child else ADULT_BRAIN_ML
    problems = [brain.problem(brain_ml)]
    problems += [limits[name].problem(volumes_ml[name]) for name in TISSUES]
    doubts = [problem + whose for problem in problems if problem]
    return doubts + _out_of_order(acquired, dseg)


def verdict_on(doubts: list[str]) -> Verdict:
    """``review`` with the doubts as its reason, or ``pass``."""
    if doubts:
        return Verdict("review", "; ".join(doubts))
    return Verdict("pass", "volumes and intensities of tissues are in the expected range")


def _out_of_order(acquired: np.ndarray, dseg: np.ndarray) -> list[str]:
    """Intensities must rise from fluid to gray to white matter, which lies deepest."""
    from scipy import ndimage

    # the background that is nearest to tissue lies at most one voxel beyond
    box = tight_box(dseg > 0, 1)
    acquired, dseg = (np.ascontiguousarray(image[box]) for image in (acquired, dseg))
    gray, white, fluid = (acquired[dseg == label] for label in (1, 2, 3))
    if not min(gray.size, white.size, fluid.size):
        return [
            f"the T1w has no {name}"
            for name, values in zip(
                ("gray matter", "white matter", "cerebrospinal fluid"),
                (gray, white, fluid),
                strict=True,
            )
            if not values.size
        ]
    means = [float(np.mean(values, dtype=np.float64)) for values in (fluid, gray, white)]
    doubts = []
    if not means[0] < means[1] < means[2]:
        doubts.append(
            "mean intensities do not rise from cerebrospinal fluid to gray to white matter"
            f" ({means[0]:.4g}, {means[1]:.4g}, {means[2]:.4g})"
        )
    # 60 bytes for each voxel; every other one along each axis shows as much
    labels = dseg[::2, ::2, ::2] if dseg.size > MANY_VOXELS else dseg
    depth = ndimage.distance_transform_edt(labels > 0)
    if depth[labels == 2].mean() <= depth[labels == 1].mean():
        doubts.append(
            "what is taken for white matter lies no deeper than gray matter, as in a T2w or an"
            " inverted image"
        )
    return doubts
