"""Smoothing of a PET, between its average and all that is made of it."""

from dataclasses import replace
from typing import Any

from fusionprep.bids.types import PETFacts
from fusionprep.image.smoothing import told_mm
from fusionprep.interfaces.smoothing import SmoothPET
from fusionprep.workflows.coregistration import Branch
from fusionprep.workflows.nodes import node

SMOOTHING = "Smoothing"
"""Field of sidecars."""

TO_RESOLUTION = """
Before it was brought to the T1w, the PET, with a point spread of {spread} ({source}), was brought
to a resolution of {resolution} with a Gaussian of {kernel} along the axes of the scanner, linear
interpolation included, so that scans of different scanners are alike [@harmonised]. It was
registered{corrected} as it was.
"""
BY_KERNEL = """
Before it was brought to the T1w, the PET was smoothed with a Gaussian of {kernel}, in the brain by
normalised convolution [@normalised], so that nothing is lost at its edge{resolution}. It was
registered{corrected} as it was.
"""


def smoothing_fields(facts: PETFacts) -> dict[str, Any]:
    """Sidecar fields of what is made of a smoothed PET."""
    return {} if facts.smoothing is None else {SMOOTHING: facts.smoothing.to_dict()}


def describe_smoothing(facts: PETFacts) -> str:
    """Sentences for the methods text; empty where nothing is smoothed."""
    done = facts.smoothing
    if done is None:
        return ""
    corrected = " and corrected for partial volume" if facts.point_spread is not None else ""
    kernel = told_mm(done.kernel)
    if done.target is not None and done.spread is not None and done.resolution is not None:
        return TO_RESOLUTION.format(
            spread=told_mm(done.spread.fwhm),
            source=done.spread.source,
            resolution=told_mm(done.resolution),
            kernel=kernel,
            corrected=corrected,
        )
    reached = f", to {told_mm(done.resolution)}" if done.resolution is not None else ""
    return BY_KERNEL.format(kernel=kernel, resolution=reached, corrected=corrected)


def add_smoothing(branch: Branch, facts: PETFacts) -> Branch:
    """The branch of the smoothed PET; the branch itself where nothing is smoothed.

    PET is smoothed on its own grid: the blur of a scanner differs along its own axes, which those
    of the T1w are not. Frames that are aligned are smoothed one by one, before their interpolation.
    """
    if facts.smoothing is None:
        return branch
    grids = [branch.pairing.image, branch.pairing.t1w]
    smooth = node(SmoothPET(), "smooth", branch.config, on=grids)
    branch.connect(branch.source, smooth, "in_file")
    smoothed = replace(branch, smoothing=facts.smoothing, unsmoothed=branch)
    smoothed.smooth_frames(smooth)
    return smoothed.of_part(
        (smooth, "out_file"), "resample_smoothed", moves=branch.moves, frames=branch.frames
    )
