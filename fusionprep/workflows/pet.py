"""PET: one volume, to the T1w and the templates, SUV and SUVR, fusion."""

import math
from dataclasses import dataclass
from functools import partial

from nipype.interfaces import utility as niu
from nipype.interfaces.base import isdefined
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids import metadata as meta
from fusionprep.bids.names import own_uri, still_true
from fusionprep.bids.suv import body_weight, suv_inputs
from fusionprep.bids.types import Pairing
from fusionprep.config import Config
from fusionprep.interfaces.pet import AverageFrames, ReferenceMean, Scale
from fusionprep.interfaces.quality import AssessPET
from fusionprep.interfaces.reports import PlotFrames, PlotReferenceRegion
from fusionprep.workflows.anatomical import t1w_path
from fusionprep.workflows.coregistration import (
    FROM_T1W,
    ModalityPaths,
    anatomical_path,
    init_coregistration_wf,
    paired_metadata,
    to_template,
)
from fusionprep.workflows.fusion import connect_fusion, init_fusion_wf
from fusionprep.workflows.nodes import (
    Space,
    derivative_node,
    figure_node,
    fusion_fields,
    is_drawn,
    node,
    output_spaces,
)
from fusionprep.workflows.suvr import describe_region, region_name, region_path

FRAMES = """
Frames of dynamic PET were averaged{weights}, without correction for motion between them.
"""


@dataclass(frozen=True)
class _Quantity:
    """A multiple of the static PET that is written beside it.

    ``factor`` is a number, or the node and field that find it; ``computed`` likewise for sidecar
    fields, None where all are known. ``sources`` are further files it is made from.
    """

    desc: str
    description: str
    units: str
    factor: float | tuple[pe.Node, str]
    metadata: dict
    computed: tuple[pe.Node, str] | None = None
    sources: tuple[str, ...] = ()


def init_pet_wf(
    config: Config, pairing: Pairing, name: str, partner: Pairing | None = None
) -> LiterateWorkflow:
    """Process one PET image.

    Parameters
    ----------
    partner
        The FLAIR or T2w that it is fused with; None stands for the T1w.

    Inputs
    ------
    The fields of :func:`~fusionprep.workflows.nodes.fusion_fields`, and ``suvr_region``, the mask
    on the T1w grid, unless there is to be no SUVR.
    """
    workflow = LiterateWorkflow(name=name)
    fields = [*fusion_fields(config), *(["suvr_region"] if config.suvr_region != "none" else [])]
    inputnode = pe.Node(niu.IdentityInterface(fields=fields), name="inputnode")
    paths = ModalityPaths(pairing, meta.tracer_label(pairing.image))
    average, metadata = _average_node(config, pairing)
    workflow.__desc__ = _describe(config, pairing, average)
    coregister = init_coregistration_wf(config, pairing, paths)
    computed = pe.Node(niu.Merge(2), name="computed_metadata")
    workflow.connect([
        (inputnode, coregister, [(n, f"inputnode.{n}") for n in FROM_T1W]),
        (average, coregister, [("out_file", "inputnode.moving")]),
        (average, computed, [("metadata", "in1")]),
        (coregister, computed, [("outputnode.metadata", "in2")]),
    ])  # fmt: skip
    moved = (coregister, "outputnode.moved")
    assessed = _assess(workflow, config)
    if pairing.image.n_frames > 1:
        _draw_frames(workflow, config, pairing, paths)
    description = "PET, mean over frames" if pairing.image.n_frames > 1 else "PET"
    quantities = [
        *_suv(config, pairing, metadata),
        *_suvr(workflow, config, pairing, paths, moved),
    ]
    for space in output_spaces(config):
        image = moved
        if space.template is not None:
            image = to_template(workflow, config, space, (average, "out_file"))
        fields = {**metadata, **space.metadata}
        write = derivative_node(
            config,
            paths(desc="preproc", **space.entities),
            f"ds_preproc{space.tag}",
            space=space.code,
            metadata={"Description": description, **fields},
        )
        workflow.connect([
            (image[0], write, [(image[1], "in_file")]),
            (assessed if space.template is None else computed, write, [("out", "computed")]),
        ])  # fmt: skip
        for quantity in quantities:
            _write_quantity(workflow, config, quantity, paths, space, fields, image)
        _fuse(workflow, config, pairing, paths, space, fields, image, partner)
    return workflow


def _average_node(config: Config, pairing: Pairing) -> tuple[pe.Node, dict]:
    image = pairing.image
    timing = meta.frame_timing(image.metadata, image.n_frames, image.path)
    units, factor = meta.units_factor(image.metadata)
    interface = AverageFrames(in_file=str(image.path), factor=factor)
    # float32 frames, and sums of one frame in float64
    mem_gb = 0.2 + (4 * image.n_frames + 32) * math.prod(image.shape[:3]) / 1e9
    average = node(interface, "average_frames", config, mem_gb=mem_gb)
    if timing.durations is not None:
        average.inputs.durations = list(timing.durations)
    metadata = {
        **still_true(image.metadata),
        **paired_metadata(config, pairing),
        "Units": units,
        "FrameTiming": timing.source,
    }
    if tracer := meta.tracer_name(image):
        metadata["TracerName"] = tracer
    if nuclide := meta.radionuclide(image):
        metadata["TracerRadionuclide"] = nuclide
    return average, metadata


def _assess(workflow: pe.Workflow, config: Config) -> pe.Node:
    """Add what is found on the quality of the PET in T1w space to what is known of it there."""
    coregister = workflow.get_node("coregistration_wf")
    assess = node(AssessPET(), "assess", config)
    computed = pe.Node(niu.Merge(2, ravel_inputs=True), name="computed_metadata_t1w")
    workflow.connect([
        (workflow.get_node("inputnode"), assess, [("dseg", "dseg")]),
        (workflow.get_node("average_frames"), assess, [("out_file", "static")]),
        (coregister, assess, [("outputnode.moved", "pet"), ("outputnode.transform", "transform")]),
        (workflow.get_node("computed_metadata"), computed, [("out", "in1")]),
        (assess, computed, [("metadata", "in2")]),
    ])  # fmt: skip
    return computed


def _draw_frames(workflow: pe.Workflow, config: Config, pairing: Pairing, paths) -> None:
    image = pairing.image
    timing = meta.frame_timing(image.metadata, image.n_frames, image.path)
    units, factor = meta.units_factor(image.metadata)
    times = {"starts": timing.starts, "durations": timing.durations}
    figure = figure_node(
        config,
        PlotFrames,
        paths(desc="frames"),
        ".svg",
        "plot_frames",
        pet=str(image.path),
        factor=factor,
        units=units,
        **{name: list(values) for name, values in times.items() if values is not None},
    )
    coregister = workflow.get_node("coregistration_wf")
    workflow.connect([
        (workflow.get_node("inputnode"), figure, [("mask", "mask"), ("dseg", "dseg")]),
        (coregister, figure, [("outputnode.transform", "transform")]),
    ])  # fmt: skip


def _describe(config: Config, pairing: Pairing, average: pe.Node) -> str:
    weighted = isdefined(average.inputs.durations)
    text = ""
    if pairing.image.n_frames > 1:
        text = FRAMES.format(weights=", weighted by their duration" if weighted else "")
    if config.suvr_region != "none":
        text += describe_region(config)
    return text


def _suv(config: Config, pairing: Pairing, metadata: dict) -> list[_Quantity]:
    image = pairing.image
    weight = body_weight(config.bids_dir, image.subject, image.metadata)
    inputs, reason = suv_inputs(image.metadata, weight, image.n_frames)
    if inputs is None:
        metadata["SUVNotComputed"] = reason
        return []
    fields = {"SUV": inputs.to_dict()}
    return [_Quantity("suv", "Standardised uptake value", "g/mL", inputs.factor, fields)]


def _suvr(workflow, config: Config, pairing: Pairing, paths, moved) -> list[_Quantity]:
    if config.suvr_region == "none":
        return []
    name = region_name(config)
    reference = node(ReferenceMean(name=name), "suvr_reference", config)
    like = paths(desc="suvr")
    figure = figure_node(config, PlotReferenceRegion, like, ".svg", "plot_suvr", region_name=name)
    inputnode = workflow.get_node("inputnode")
    workflow.connect([
        (inputnode, reference, [("suvr_region", "region")]),
        (inputnode, figure, [("t1w", "t1w"), ("mask", "mask"), ("suvr_region", "region")]),
        (moved[0], reference, [(moved[1], "pet")]),
        (moved[0], figure, [(moved[1], "pet")]),
    ])  # fmt: skip
    return [
        _Quantity(
            "suvr",
            "Standardised uptake value ratio",
            "arbitrary",
            (reference, "factor"),
            {},
            (reference, "metadata"),
            (region_path(config, pairing.t1w),),
        )
    ]


def _write_quantity(workflow, config, quantity: _Quantity, paths, space, fields, image) -> None:
    name = f"{quantity.desc}{space.tag}"
    scale = node(Scale(), name, config)
    metadata = {
        **fields,
        "Description": quantity.description,
        "Units": quantity.units,
        "Sources": list(map(own_uri, (paths(desc="preproc", **space.entities), *quantity.sources))),
        **quantity.metadata,
    }
    out_path = paths(desc=quantity.desc, **space.entities)
    write = derivative_node(config, out_path, f"ds_{name}", space=space.code, metadata=metadata)
    workflow.connect([
        (image[0], scale, [(image[1], "in_file")]),
        (scale, write, [("out_file", "in_file")]),
    ])  # fmt: skip
    if isinstance(quantity.factor, tuple):
        workflow.connect(*quantity.factor, scale, "factor")
    else:
        scale.inputs.factor = quantity.factor
    if quantity.computed is not None:
        workflow.connect(*quantity.computed, write, "computed")


def _fuse(workflow, config, pairing, paths, space: Space, fields, image, partner) -> None:
    kept = ("SpatialReference", "Resolution", "TracerName", "TracerRadionuclide", "Pairing")
    fuse = init_fusion_wf(
        config,
        "pet",
        partial(paths, **space.entities),
        partial(paths, space=space.entities["space"]) if is_drawn(config, space) else None,
        {
            "t1w": anatomical_path(pairing, partner, space),
            "gm": t1w_path(pairing.t1w, "probseg", label="GM", **space.t1w_entities),
            "functional": paths(desc="preproc", **space.entities),
        },
        {name: fields[name] for name in kept if name in fields},
        space,
        tracer=fields.get("TracerName"),
    )
    connect_fusion(workflow, config, fuse, space, image)
