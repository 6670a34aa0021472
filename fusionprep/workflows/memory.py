"""What every kind of step claims of the memory: measured by ``benchmarks/step_memory.py``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fusionprep.bids.types import ImageFile
from fusionprep.spaces import TemplateSpace


@dataclass(frozen=True)
class Claim:
    """Memory of a step beyond that of an idle worker, rounded up.

    Attributes
    ----------
    base_gb
        For its libraries and networks.
    bytes_of_voxel
        For every voxel of the images that it works on, added together.
    """

    base_gb: float
    bytes_of_voxel: float


USUAL = Claim(0.2, 8)
FIGURE = Claim(0.3, 12)
CLAIMS: Mapping[str, Claim] = {
    "AssessPET": Claim(0.2, 12),
    "AssessT1w": Claim(0.25, 12),
    # one frame as stored and in float64, and sums of it, whatever the number of frames
    "AverageFrames": Claim(0.2, 48),
    "BringAtlas": Claim(0.4, 16),
    # two runs' means, and one frame and its spline
    "CombineRuns": Claim(0.4, 48),
    "Conform": Claim(0.1, 12),
    "CorrectBias": Claim(0.2, 26),
    # fractions of five regions, sharp and blurred, and images of them
    "CorrectPartialVolume": Claim(0.25, 100),
    "Denoise": Claim(0.25, 20),
    "ExtractBrain": Claim(1.15, 12),
    "Fuse": Claim(0.3, 50),
    # all frames at 4 mm, and one as stored
    "FindMotion": Claim(0.35, 48),
    # one frame, as stored and resampled
    "KeepFrames": Claim(0.3, 24),
    # places of the labelled voxels, and one frame
    "MeasureFrames": Claim(0.2, 24),
    "MeasureRegions": Claim(0.2, 16),
    "RegisterRigid": Claim(0.35, 8),
    "RegisterTemplate": Claim(0.65, 4),
    "RemoveTable": Claim(0.1, 24),
    "Resample": Claim(0.4, 8),
    # one frame resampled, and sums of frames in float64
    "ResampleStatic": Claim(0.4, 40),
    "Segment": Claim(0.45, 8),
    # the image and the brain as shares of voxels, as they were and smoothed
    "SmoothPET": Claim(0.2, 24),
    "SubjectRegion": Claim(0.1, 12),
    # a map of each tissue as stored and on the grid of the T1w, and the rough brain mask
    "TakeOver": Claim(0.6, 60),
    "WriteDerivative": Claim(0.1, 8),
}
GB_OF_SLICE = 0.1
"""Of each slice of 256 x 256 that a network holds at once."""

GB_OF_ANTS = 0.9
"""What registration by ANTs takes beyond that by greedy."""

TYPICAL_VOXELS = 256**3
"""Of a T1w at 1 mm."""

TEMPLATE_VOXELS = 9_000_000
"""At 1 mm, the finest."""


def claimed_gb(kind: str, grids: Sequence[ImageFile | TemplateSpace]) -> float:
    """What a step claims, in GB.

    Parameters
    ----------
    kind
        Name of the interface's class.
    grids
        What it works on; nothing stands for a typical T1w.
    """
    claim = FIGURE if kind.startswith("Plot") else CLAIMS.get(kind, USUAL)
    voxels = sum(map(_voxels, grids)) if grids else TYPICAL_VOXELS
    return claim.base_gb + claim.bytes_of_voxel * voxels / 1e9


def _voxels(grid: ImageFile | TemplateSpace) -> int:
    if isinstance(grid, TemplateSpace):
        return TEMPLATE_VOXELS
    return math.prod(grid.shape[:3])
