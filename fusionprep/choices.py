"""Closed options, each once, for the command lines, the configuration and the functions.

Open ones have tables: modalities, fusion models, reference regions, templates.
"""

from typing import Any, Literal, get_args

AnalysisLevel = Literal["participant", "group"]
Method = Literal["rigid", "identity", "auto"]
"""Registration to the T1w: always, never, or where the header's alignment is worse."""

Backend = Literal["greedy", "ants"]
"""Registration of the T1w to a template."""

SkullStrip = Literal["auto", "skip", "force"]
Denoising = Literal["auto", "on", "off"]
"""Whether noise is taken out of the T1w: where there is much of it, always, or never."""

Planes = Literal["axial", "triplanar"]
"""Fusion of axial slices, or the mean of the three orientations."""

ColourMapName = Literal["clear", "vivid"]
"""Colours of fused PET and SPECT: the first is the default and reads best."""

Correction = Literal["mg", "gtm", "rbv", "iy"]
"""Partial-volume corrections beside ``none``: Müller-Gärtner, geometric transfer matrix,
region-based voxelwise, iterative Yang."""

NO_CORRECTION = "none"

ReaderTask = Literal["choose", "mark"]
"""Of a reader study: which of two images has a lesion, or where in an image one is, if anywhere."""

SourceView = Literal["anatomical", "functional", "side-by-side"]
"""What a reader study can show beside fused images: a source alone, or both."""

Ignored = Literal["lesions"]
"""What is found in a dataset and used, unless it is to be ignored."""

MotionCorrection = Literal["auto", "on", "off"]
"""Of the head between frames of dynamic PET: where it moves, always, or never."""

Bringing = Literal["as is", "resample", "register"]
"""How a second file comes to the grid of the first: it lies there, by the headers, or by
registration."""

Device = Literal["auto", "cpu", "cuda"]


def choices(option: Any) -> tuple[str, ...]:
    """What a closed option may be.

    Examples
    --------
    >>> choices(Planes)
    ('axial', 'triplanar')
    """
    return get_args(option)
