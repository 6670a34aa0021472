"""CT, FLAIR and T2w: to the T1w, and the fusion of CT."""

from functools import partial

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids.names import derivative_path, still_true
from fusionprep.bids.types import Pairing
from fusionprep.config import Config
from fusionprep.image.intensity import AIR
from fusionprep.interfaces.anatomical import Conform, RemoveTable
from fusionprep.interfaces.quality import AssessCT
from fusionprep.workflows.coregistration import (
    FROM_T1W,
    SUFFIXES,
    ModalityPaths,
    anatomical_path,
    init_coregistration_wf,
    paired_metadata,
    to_template,
)
from fusionprep.workflows.fusion import connect_fusion, fusion_entries, init_fusion_wf
from fusionprep.workflows.nodes import (
    PARTNER,
    Space,
    anatomy_fields,
    derivative_node,
    fusion_fields,
    is_drawn,
    node,
    output_spaces,
)


def init_structural_wf(
    config: Config, pairing: Pairing, name: str, partner: Pairing | None = None
) -> LiterateWorkflow:
    """Bring a CT, FLAIR or T2w to the T1w; fuse a CT in every output space.

    Models of the gray matter leave the CT out.

    Parameters
    ----------
    partner
        The FLAIR or T2w that a CT is fused with; None stands for the T1w.

    Inputs
    ------
    The fields of :func:`~fusionprep.workflows.nodes.fusion_fields`, for a FLAIR or T2w those of
    :func:`~fusionprep.workflows.nodes.anatomy_fields`.

    Outputs
    -------
    For the contrast that PET and CT are fused with: the image in every output space.
    """
    workflow = LiterateWorkflow(name=name)
    modality = pairing.modality
    paths = ModalityPaths(pairing)
    fields = fusion_fields(config) if modality == "ct" else anatomy_fields(config)
    inputnode = pe.Node(niu.IdentityInterface(fields=fields), name="inputnode")
    conform = node(
        Conform(
            in_file=str(pairing.image.path),
            name=modality.upper(),
            missing=AIR if modality == "ct" else 0.0,
        ),
        "conform",
        config,
    )
    source = conform
    if modality == "ct":
        source = node(RemoveTable(), "remove_table", config)
        workflow.connect(conform, "out_file", source, "in_file")
    coregister = init_coregistration_wf(config, pairing, paths)
    metadata = {**still_true(pairing.image.metadata), **paired_metadata(config, pairing)}
    units = {"Units": "HU"} if modality == "ct" else {}
    description = f"{SUFFIXES[modality]} in T1w space"
    if modality == "ct":
        description = "CT in T1w space, table and headrest removed"
    write = derivative_node(
        config,
        paths(desc="preproc", space="T1w"),
        "ds_preproc",
        metadata={"Description": description, **metadata, **units},
    )
    workflow.connect([
        (inputnode, coregister, [(n, f"inputnode.{n}") for n in FROM_T1W]),
        (source, coregister, [("out_file", "inputnode.moving")]),
        (coregister, write, [("outputnode.moved", "in_file")]),
    ])  # fmt: skip
    if modality == "ct":
        _assess(workflow, config, write)
    else:
        workflow.connect(coregister, "outputnode.metadata", write, "computed")
    if modality == "ct" and fusion_entries(config, modality):
        for space in output_spaces(config):
            _fuse(workflow, config, pairing, paths, space, partner)
    if modality == config.anat_contrast.lower():
        _hand_over(workflow, config)
    return workflow


def _assess(workflow: pe.Workflow, config: Config, write: pe.Node) -> None:
    """Add the quality of the CT to what is found on its registration."""
    coregister = workflow.get_node("coregistration_wf")
    assess = node(AssessCT(), "assess", config)
    computed = pe.Node(niu.Merge(2), name="computed_metadata")
    workflow.connect([
        (workflow.get_node("inputnode"), assess, [("mask", "mask")]),
        (coregister, assess, [("outputnode.moved", "ct")]),
        (coregister, computed, [("outputnode.metadata", "in1")]),
        (assess, computed, [("metadata", "in2")]),
        (computed, write, [("out", "computed")]),
    ])  # fmt: skip


def _hand_over(workflow: pe.Workflow, config: Config) -> None:
    """Add the outputs that PET and CT are fused with."""
    spaces = output_spaces(config)
    names = [space.anatomy_field(PARTNER) for space in spaces]
    outputnode = pe.Node(niu.IdentityInterface(fields=names), name="outputnode")
    for space, name in zip(spaces, names, strict=True):
        workflow.connect(*_in_space(workflow, config, space), outputnode, name)


def _in_space(
    workflow: pe.Workflow, config: Config, space: Space, *, outside: float = 0.0
) -> tuple[pe.Node, str]:
    """Node and field of the image in an output space."""
    if space.template is None:
        return workflow.get_node("coregistration_wf"), "outputnode.moved"
    source = workflow.get_node("remove_table") or workflow.get_node("conform")
    return to_template(workflow, config, space, (source, "out_file"), outside=outside)


def _fuse(
    workflow: pe.Workflow,
    config: Config,
    pairing: Pairing,
    paths: ModalityPaths,
    space: Space,
    partner: Pairing | None,
) -> None:
    image = _in_space(workflow, config, space, outside=AIR)
    t1w = pairing.t1w
    fused_path = partial(
        derivative_path, t1w.subject, pairing.image.session, "anat", "T1w", ".nii.gz",
        **paths.entities,
    )  # fmt: skip
    sources = {
        "t1w": anatomical_path(pairing, partner, space),
        "functional": paths(desc="preproc", space="T1w"),
    }
    paired = paired_metadata(config, pairing)
    metadata = {name: paired[name] for name in ("Pairing", "SpatialReference")} | space.metadata
    fuse = init_fusion_wf(
        config,
        "ct",
        partial(fused_path, **space.entities),
        partial(fused_path, space=space.entities["space"]) if is_drawn(config, space) else None,
        sources,
        metadata,
        space,
    )
    connect_fusion(workflow, config, fuse, space, image)
