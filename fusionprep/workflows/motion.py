"""Frames of a dynamic PET: motion of the head between them, and the frames that are kept."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids import names
from fusionprep.bids.decay_reference import FACTOR_FIELDS
from fusionprep.bids.radionuclides import HALF_LIVES, decay_constant
from fusionprep.bids.runs import raw_uris
from fusionprep.bids.types import ImageFile, PETFacts
from fusionprep.config import Config
from fusionprep.image.motion import FD_RADIUS_MM, PARAMETERS, STILL_MM
from fusionprep.interfaces.motion import (
    FRAMEWISE_DISPLACEMENT,
    STANDARD_ERROR,
    FindMotion,
    KeepFrames,
)
from fusionprep.interfaces.pet_figures import PlotMotion
from fusionprep.spaces import NATIVE
from fusionprep.workflows.coregistration import Branch
from fusionprep.workflows.nodes import Port, derivative_node, figure_node, node

UNCORRECTED = """
Motion of the head between frames was not corrected.
"""
CORRECTED = """
Motion of the head between frames was found by aligning them rigidly, on voxels of 4 mm smoothed to
about 8 mm: first each with a mean of those that had enough counts, tissues that are alike bright
there being free to have any activity in the frame; then all with each other, so that the time
courses of few tissues explain them best. Frames with too few counts were given the place of the
nearest other one. {when}ach frame was brought to the output space in one linear interpolation, its
own transform and those that follow being put together, before frames were averaged. Motion within
frames was not corrected, nor was the mismatch of the head with the attenuation map that motion
leaves.
"""
WHEN = {
    "auto": f"Where a part of the brain moved by more than {STILL_MM:g} mm between frames, e",
    "on": "E",
}
KEPT_FIELDS = (
    *FACTOR_FIELDS,
    *("FrameReferenceTime", "ScatterFraction", "PromptRate", "RandomRate", "SinglesRate"),
)
"""Of a raw sidecar, with a value for each frame."""


def corrects_motion(config: Config, image: ImageFile) -> bool:
    """Whether motion between the frames of a PET is looked for."""
    return image.n_frames > 1 and config.processing.hmc != "off"


def describe_motion(config: Config, image: ImageFile) -> str:
    """Sentences on motion between frames for the methods text."""
    if image.n_frames == 1:
        return ""
    if config.processing.hmc == "off":
        return UNCORRECTED.lstrip()
    return CORRECTED.lstrip().format(when=WHEN[config.processing.hmc])


def add_motion(
    workflow: LiterateWorkflow,
    config: Config,
    image: ImageFile,
    facts: PETFacts,
    outputs: names.OutputNames,
) -> pe.Node | None:
    """Find how the head moves between frames; write the table and its figure.

    Returns
    -------
    nipype.pipeline.engine.Node or None
        With the outputs of :class:`~fusionprep.interfaces.motion.FindMotion`; none where motion is
        not looked for.
    """
    if not corrects_motion(config, image):
        return None
    timing = facts.timing
    find = node(
        FindMotion(
            in_file=str(image.path),
            mode=config.processing.hmc,
            **known(durations=timing.durations, remaining=_remaining(facts)),
        ),
        "find_motion",
        config,
        on=[image],
    )
    out_path = outputs(names.TIMESERIES, names.TABLE, desc=names.CONFOUNDS)
    metadata = {
        "Description": names.DESCRIPTIONS[names.CONFOUNDS],
        "Sources": raw_uris(image, config.bids_dir),
        **_columns(),
    }
    write = derivative_node(config, out_path, "ds_confounds", metadata=metadata)
    figure = figure_node(
        config,
        PlotMotion,
        outputs(desc=names.MOTION),
        ".svg",
        "plot_motion",
        **known(starts=timing.starts, durations=timing.durations),
    )
    workflow.connect([
        (find, write, [("table", "in_file"), ("metadata", "computed")]),
        (find, figure, [("table", "table"), ("moves", "moves")]),
    ])  # fmt: skip
    return find


def known(**values: Sequence[float] | Sequence[int] | None) -> dict[str, list[Any]]:
    """Values of each frame as interfaces take them, those that are known."""
    return {name: list(given) for name, given in values.items() if given is not None}


def _remaining(facts: PETFacts) -> list[float] | None:
    """Share of the activity left in the middle of each frame, where frames had it made good."""
    timing, half_life = facts.timing, HALF_LIVES.get(facts.radionuclide or "")
    if facts.frame_factors is not None or half_life is None:
        return None
    if timing.starts is None or timing.durations is None:
        return None
    middles = [
        start + duration / 2 - timing.starts[0]
        for start, duration in zip(timing.starts, timing.durations, strict=True)
    ]
    return [math.exp(-decay_constant(half_life) * middle) for middle in middles]


def _columns() -> dict[str, dict[str, str]]:
    shift = "Shift of the middle of the brain from its mean place along {axis}"
    turn = "Rotation of the brain about its middle about {axis}; about x, y and z in turn"
    axes = {"x": "x, to the right", "y": "y, to the front", "z": "z, to the head"}
    described = {
        name: {
            "Description": (shift if name.startswith("trans") else turn).format(
                axis=axes[name[-1]]
            ),
            "Units": "mm" if name.startswith("trans") else "rad",
        }
        for name in PARAMETERS
    }
    return {
        **described,
        FRAMEWISE_DISPLACEMENT: {
            "Description": "Sum of the absolute changes of the six since the frame before,"
            f" rotations as arcs of {FD_RADIUS_MM:g} mm radius (Power et al., NeuroImage"
            " 2012;59:2142-2154)",
            "Units": "mm",
        },
        STANDARD_ERROR: {
            "Description": "Of the frame's place, where it is largest in the brain; n/a where there"
            " were too few counts and the frame has the place of the nearest other one",
            "Units": "mm",
        },
    }


def keep_frames(
    branch: Branch, facts: PETFacts, metadata: Mapping[str, Any], *computed: Port
) -> None:
    """Write the frames in T1w space, where that is asked for.

    Parameters
    ----------
    metadata, computed
        Sidecar fields of every image made of the PET.
    """
    image, config = branch.pairing.image, branch.config
    if image.n_frames == 1 or not config.processing.keep_frames:
        return
    interface = KeepFrames(
        in_file=str(image.path),
        count=image.n_frames,
        factor=facts.factor,
        **known(frame_factors=facts.frame_factors),
    )
    keep = node(interface, "keep_frames", config, on=[image, image])
    branch.give_frames(keep, "in_file")
    branch.smooth_frames(keep)
    branch.connect((branch.inputnode, "t1w"), keep, "t1w")
    branch.connect(branch.transform, keep, "transforms")
    if branch.moves is not None:
        branch.connect(branch.moves, keep, "moves")
    timing = facts.timing
    written = {
        **metadata,
        **{name: image.metadata[name] for name in KEPT_FIELDS if name in image.metadata},
        **known(FrameTimesStart=timing.starts, FrameDuration=timing.durations),
        "Description": names.DESCRIPTIONS[names.FRAMES],
        "Resolution": "Voxel size of the PET",
    }
    # of the static image
    del written["FrameSelection"]
    for name in facts.changed:
        written.pop(name, None)
    written |= {name: value for name, value in facts.changed.items() if value is not None}
    out_path = branch.outputs(space=NATIVE, desc=names.FRAMES)
    write = derivative_node(config, out_path, "ds_frames", metadata=written)
    branch.connect((keep, "out_file"), write, "in_file")
    branch.connect(merged(branch, "computed_metadata_frames", *computed), write, "computed")


def merged(branch: Branch, name: str, *ports: Port) -> Port:
    """Sidecar fields that several nodes found, in one list."""
    merge = pe.Node(niu.Merge(len(ports), ravel_inputs=True), name=name)
    for number, port in enumerate(ports, start=1):
        branch.connect(port, merge, f"in{number}")
    return merge, "out"
