"""PET: one volume, to the T1w and the templates, SUV and SUVR, fusion."""

from dataclasses import dataclass, field, replace
from typing import Any

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids import names
from fusionprep.bids.sidecars import still_true
from fusionprep.bids.types import ImageFile, Pairing, PETFacts
from fusionprep.config import Config
from fusionprep.interfaces.pet import AverageFrames, ReferenceMean, Scale
from fusionprep.interfaces.pet_figures import PlotFrames, PlotReferenceRegion
from fusionprep.interfaces.quality import AssessPET
from fusionprep.workflows.atlases import (
    add_regions,
    atlas_fields,
    missing_atlases,
    t1w_atlases,
)
from fusionprep.workflows.coregistration import Branch, add_coregistration, paired_metadata
from fusionprep.workflows.fusion import fuse_in_space
from fusionprep.workflows.methods import Stage, describe
from fusionprep.workflows.motion import (
    add_motion,
    describe_motion,
    keep_frames,
    known,
    merged,
)
from fusionprep.workflows.nodes import (
    Port,
    Space,
    derivative_node,
    figure_node,
    fusion_fields,
    node,
    output_spaces,
)
from fusionprep.workflows.partial_volume import add_partial_volume, describe_correction
from fusionprep.workflows.runs import add_series, describe_runs
from fusionprep.workflows.smoothing import add_smoothing, describe_smoothing, smoothing_fields
from fusionprep.workflows.suvr import (
    SUVR_REGION,
    TEMPLATE_REGISTRATION,
    describe_region,
    has_suvr,
    region_fields,
    region_name,
    region_path,
)

FRAMES_TEXT = """
{which} were {corrected}averaged{weights}.
"""
REGISTERED = """
The mean over all frames was registered to the T1w.
"""


@dataclass(frozen=True)
class _Quantity:
    """A multiple of the static PET that is written beside it.

    ``factor`` is the port of what finds the number, none where the quantity is not written;
    ``computed`` likewise for sidecar fields, None where all are known. ``missing`` hands over what
    the static PET's sidecar says where there turns out to be no such quantity. ``sources`` are
    further files it is made from.
    """

    desc: str
    description: str
    units: str
    factor: Port
    metadata: dict[str, Any] = field(default_factory=dict)
    computed: Port | None = None
    missing: Port | None = None
    sources: tuple[str, ...] = ()


def init_pet_wf(
    config: Config, pairing: Pairing, name: str, contrast: Pairing | None = None
) -> LiterateWorkflow:
    """Process one PET image.

    Parameters
    ----------
    contrast
        The FLAIR or T2w that it is fused with; None stands for the T1w.

    Inputs
    ------
    The fields of :func:`~fusionprep.workflows.nodes.fusion_fields`, those of
    :func:`~fusionprep.workflows.suvr.region_fields`, and of each atlas of the T1w those of
    :func:`~fusionprep.workflows.atlases.atlas_fields`.
    """
    image, facts = pairing.image, pairing.image.pet
    if facts is None:
        raise ValueError(f"the plan of {image.path.name} has no facts about it")
    workflow = LiterateWorkflow(name=name)
    _describe(workflow, config, image, facts)
    atlases = t1w_atlases(config, pairing.t1w)
    fields = [
        *fusion_fields(config, pairing.t1w),
        *region_fields(config.processing, facts),
        *atlas_fields(atlases),
    ]
    inputnode = pe.Node(niu.IdentityInterface(fields=fields), name="inputnode")
    average = _average_node(config, image, facts)
    series = add_series(workflow, config, image)
    if series is not None:
        workflow.connect(*series, average, "in_file")
    branch = add_coregistration(
        workflow, config, pairing, inputnode=inputnode, source=(average, "all_frames")
    )
    branch, found = _aligned(replace(branch, series=series), facts, average)
    branch = add_smoothing(branch, facts)
    static = merged(branch, "computed_metadata", (average, "metadata"), *found)
    assess = _assess_node(branch, facts, average)
    if image.n_frames > 1:
        _draw_frames(branch, facts)
    quantities = [*_suv(facts, assess), *_suvr(branch, facts)]
    missing = [quantity.missing for quantity in quantities if quantity.missing is not None]
    everything = (assess, "metadata"), *missing
    assessed = merged(branch, "computed_metadata_t1w", static, *everything)
    as_acquired = _metadata(config, pairing, facts)
    metadata = {**as_acquired, **smoothing_fields(facts)}
    keep_frames(branch, facts, metadata, *found)
    factors = {quantity.desc: quantity.factor for quantity in quantities}
    correct = add_partial_volume(branch.sharp, facts, as_acquired)
    add_regions(branch, facts, atlases, factors, metadata, correct=correct)
    for space in output_spaces(config.processing):
        moved = branch.in_space(space)
        computed = assessed if space.template is None else static
        preproc = _write_static(branch, space, moved, computed, metadata)
        for quantity in quantities:
            _write_quantity(branch, space, moved, preproc, quantity, metadata)
        fuse_in_space(branch, space, moved, preproc, contrast)
    return workflow


def _average_node(config: Config, image: ImageFile, facts: PETFacts) -> pe.Node:
    interface = AverageFrames(in_file=str(image.path), factor=facts.factor, **_of_frames(facts))
    return node(interface, "average_frames", config, on=[image])


def _of_frames(facts: PETFacts) -> dict[str, list[Any]]:
    """What is known of each frame, and which are averaged, as interfaces take it."""
    # The frames of a mean may have had pauses between them, so that its end is not known.
    starts = facts.timing.starts if facts.timing.averaged == 1 else None
    return known(starts=starts) | _averaged(facts)


def _averaged(facts: PETFacts) -> dict[str, list[Any]]:
    """How frames are averaged."""
    return known(
        durations=facts.timing.durations,
        frame_factors=facts.frame_factors,
        chosen=facts.frames.chosen,
    )


def _metadata(config: Config, pairing: Pairing, facts: PETFacts) -> dict[str, Any]:
    """Sidecar fields of every image made of the PET."""
    gone = {name for name, value in facts.changed.items() if value is None}
    given = still_true({**pairing.image.metadata, **facts.changed})
    paired = paired_metadata(config, pairing)
    if missing := missing_atlases(config, pairing.t1w):
        paired[names.NOTES] = [*paired.get(names.NOTES, []), *missing]
    return {
        **{name: value for name, value in given.items() if name not in gone},
        **paired,
        "Units": facts.units,
        "FrameTiming": facts.timing.source,
        "FrameSelection": facts.frames.to_dict(),
        **facts.tracer_fields(),
        **({names.NOT_COMPUTED[names.SUV]: facts.no_suv} if facts.suv is None else {}),
        **({names.NOT_COMPUTED[names.SUVR]: facts.no_suvr} if facts.no_suvr else {}),
    }


def _describe(
    workflow: LiterateWorkflow, config: Config, image: ImageFile, facts: PETFacts
) -> None:
    describe(workflow, Stage.RUNS, describe_runs(image))
    describe(workflow, Stage.FRAMES, describe_motion(config, image))
    text = ""
    if image.n_frames > 1:
        weighted = facts.timing.durations is not None
        text += FRAMES_TEXT.format(
            weights=", weighted by their duration" if weighted else "",
            corrected="corrected for decay and " if facts.frame_factors else "",
            which=_describe_frames(facts),
        )
        if facts.frames.chosen is not None:
            text += REGISTERED
    describe(workflow, Stage.FRAMES, text)
    describe(workflow, Stage.SMOOTHING, describe_smoothing(facts))
    if has_suvr(config.processing, facts):
        describe(workflow, Stage.UPTAKE, describe_region(config.processing, facts))
    describe(workflow, Stage.PARTIAL_VOLUME, describe_correction(config.processing, facts))


def _describe_frames(facts: PETFacts) -> str:
    """Which frames of which PET, for the methods text."""
    frames = f"frames of dynamic PET{f' with {facts.tracer}' if facts.tracer else ''}"
    if facts.frames.chosen is None or facts.frames.window is None:
        return f"All {frames}"
    begin, end = facts.frames.window
    return f"The {frames} whose middle was {begin:g} to {end:g} min after injection"


def _assess_node(branch: Branch, facts: PETFacts, average: pe.Node) -> pe.Node:
    """Quality of the PET in T1w space, what is doubtful about it, and whether its SUV can be."""
    interface = AssessPET(doubts=list(facts.doubts), tracer=facts.tracer or "")
    if facts.suv is not None:
        interface.inputs.suv_factor = facts.suv.factor
    grids = [branch.pairing.image, branch.pairing.t1w]
    assess = node(interface, "assess", branch.config, on=grids)
    branch.connect((branch.inputnode, "dseg"), assess, "dseg")
    branch.connect(branch.source, assess, "static")
    branch.connect((average, "doubts"), assess, "found_doubts")
    branch.connect(branch.moved, assess, "pet")
    branch.connect(branch.transform, assess, "transform")
    branch.connect(branch.registration, assess, "registration")
    return assess


def _aligned(branch: Branch, facts: PETFacts, average: pe.Node) -> tuple[Branch, list[Port]]:
    """The branch of the frames that are averaged, aligned where the head moved; what is found."""
    found = [branch.registration]
    if branch.series is not None:
        found.append((branch.series[0], "metadata"))
    image = branch.pairing.image
    motion = add_motion(branch.workflow, branch.config, image, facts, branch.outputs)
    if motion is not None:
        branch.give_frames(motion, "in_file")
        branch.connect((motion, "moves"), average, "moves")
        found.append((motion, "metadata"))
        frames = {"dynamic": str(image.path), "factor": facts.factor, **_averaged(facts)}
        moves = (motion, "moves")
        branch = branch.of_part((average, "out_file"), moves=moves, frames=frames)
    elif facts.frames.chosen is not None:
        branch = branch.of_part((average, "out_file"))
    return branch, found


def _draw_frames(branch: Branch, facts: PETFacts) -> None:
    figure = figure_node(
        branch.config,
        PlotFrames,
        branch.outputs(desc=names.FRAMES),
        ".svg",
        "plot_frames",
        pet=str(branch.pairing.image.path),
        factor=facts.factor,
        units=facts.units,
        **_of_frames(facts),
    )
    for name in ("mask", "dseg"):
        branch.connect((branch.inputnode, name), figure, name)
    branch.connect(branch.transform, figure, "transform")
    branch.give_frames(figure, "pet")
    if branch.moves is not None:
        branch.connect(branch.moves, figure, "moves")


def _suv(facts: PETFacts, assess: pe.Node) -> list[_Quantity]:
    if facts.suv is None:
        return []
    description, fields = names.DESCRIPTIONS[names.SUV], {"SUV": facts.suv.to_dict()}
    return [_Quantity(names.SUV, description, "g/mL", (assess, "suv_factor"), fields)]


def _suvr(branch: Branch, facts: PETFacts) -> list[_Quantity]:
    config, processing = branch.config, branch.config.processing
    if not has_suvr(processing, facts):
        return []
    name = region_name(processing, facts.region)
    interface = ReferenceMean(
        name=name, reason=facts.region_reason, required=not processing.region_by_tracer
    )
    reference = node(interface, "suvr_reference", config)
    like = branch.outputs(desc=names.SUVR)
    figure = figure_node(config, PlotReferenceRegion, like, ".svg", "plot_suvr", region_name=name)
    branch.connect(branch.registration, reference, "registration")
    branch.connect((branch.inputnode, SUVR_REGION), reference, "region")
    branch.connect((reference, "region"), figure, "region")
    for target in (reference, figure):
        branch.connect(branch.moved, target, "pet")
    if TEMPLATE_REGISTRATION in region_fields(processing, facts):
        port = branch.inputnode, TEMPLATE_REGISTRATION
        branch.connect(port, reference, "template_registration")
    for image in ("t1w", "mask"):
        branch.connect((branch.inputnode, image), figure, image)
    return [
        _Quantity(
            desc=names.SUVR,
            description="Standardised uptake value ratio",
            units="arbitrary",
            factor=(reference, "factor"),
            computed=(reference, "metadata"),
            missing=(reference, "missing"),
            sources=(region_path(facts.region, branch.pairing.t1w),),
        )
    ]


def _write_static(
    branch: Branch, space: Space, moved: Port, computed: Port, metadata: dict[str, Any]
) -> str:
    """Write the static PET in one space; its output path."""
    dynamic = branch.pairing.image.n_frames > 1
    description = {"Description": "PET, mean over frames" if dynamic else "PET"}
    out_path = branch.outputs(desc=names.PREPROC, **space.entities)
    write = derivative_node(
        branch.config,
        out_path,
        f"ds_preproc{space.tag}",
        space=space.code,
        metadata={**description, **metadata, **space.metadata},
    )
    branch.connect(moved, write, "in_file")
    branch.connect(computed, write, "computed")
    return out_path


def _write_quantity(
    branch: Branch,
    space: Space,
    moved: Port,
    preproc: str,
    quantity: _Quantity,
    metadata: dict[str, Any],
) -> None:
    """Write a multiple of the static PET, whose output path is `preproc`, in one space."""
    name = f"{quantity.desc}{space.tag}"
    scale = node(Scale(), name, branch.config)
    metadata = {
        **metadata,
        **space.metadata,
        "Description": quantity.description,
        "Units": quantity.units,
        "Sources": [names.own_uri(path) for path in (preproc, *quantity.sources)],
        **quantity.metadata,
    }
    out_path = branch.outputs(desc=quantity.desc, **space.entities)
    write = derivative_node(
        branch.config, out_path, f"ds_{name}", space=space.code, metadata=metadata
    )
    branch.connect(moved, scale, "in_file")
    branch.connect((scale, "out_file"), write, "in_file")
    branch.connect(quantity.factor, scale, "factor")
    if quantity.computed is not None:
        branch.connect(quantity.computed, write, "computed")
