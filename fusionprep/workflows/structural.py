"""CT and FLAIR: to the T1w, and the fusion of CT with the T1w."""

from functools import partial

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids.derivatives import derivative_path, still_true
from fusionprep.bids.plan import Pairing
from fusionprep.config import Config
from fusionprep.image.intensity import AIR
from fusionprep.interfaces.anatomical import Conform
from fusionprep.workflows.anatomical import t1w_path
from fusionprep.workflows.coregistration import (
    FROM_T1W,
    ModalityPaths,
    init_coregistration_wf,
    paired_metadata,
    to_template,
)
from fusionprep.workflows.fusion import connect_fusion, fusion_entries, init_fusion_wf
from fusionprep.workflows.nodes import (
    Space,
    anatomy_fields,
    derivative_node,
    is_drawn,
    node,
    output_spaces,
)


def init_structural_wf(config: Config, pairing: Pairing, name: str) -> LiterateWorkflow:
    """Bring a CT or FLAIR to the T1w; fuse a CT with it in every output space.

    Models of the gray matter leave the CT out.

    Inputs
    ------
    The fields of :func:`~fusionprep.workflows.nodes.anatomy_fields`.
    """
    workflow = LiterateWorkflow(name=name)
    modality = pairing.modality
    paths = ModalityPaths(pairing)
    inputnode = pe.Node(niu.IdentityInterface(fields=anatomy_fields(config)), name="inputnode")
    conform = node(
        Conform(
            in_file=str(pairing.image.path),
            name=modality.upper(),
            missing=AIR if modality == "ct" else 0.0,
        ),
        "conform",
        config,
    )
    coregister = init_coregistration_wf(config, pairing, paths)
    metadata = {**still_true(pairing.image.metadata), **paired_metadata(config, pairing)}
    units = {"Units": "HU"} if modality == "ct" else {}
    write = derivative_node(
        config,
        paths(desc="preproc", space="T1w"),
        "ds_preproc",
        metadata={"Description": f"{modality.upper()} in T1w space", **metadata, **units},
    )
    workflow.connect([
        (inputnode, coregister, [(n, f"inputnode.{n}") for n in FROM_T1W]),
        (conform, coregister, [("out_file", "inputnode.moving")]),
        (coregister, write, [
            ("outputnode.moved", "in_file"), ("outputnode.metadata", "computed"),
        ]),
    ])  # fmt: skip
    if modality == "ct" and fusion_entries(config, modality):
        for space in output_spaces(config):
            _fuse(workflow, config, pairing, paths, space)
    return workflow


def _fuse(
    workflow: pe.Workflow, config: Config, pairing: Pairing, paths: ModalityPaths, space: Space
) -> None:
    image = (workflow.get_node("coregistration_wf"), "outputnode.moved")
    if space.template is not None:
        conformed = (workflow.get_node("conform"), "out_file")
        image = to_template(workflow, config, space, conformed, outside=AIR)
    t1w = pairing.t1w
    fused_path = partial(
        derivative_path, t1w.subject, pairing.image.session, "anat", "T1w", ".nii.gz",
        **paths.entities,
    )  # fmt: skip
    sources = {
        "t1w": t1w_path(t1w, desc="preproc", **space.t1w_entities),
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
        f"fusion{space.tag}_wf",
        space_code=space.code,
    )
    connect_fusion(workflow, fuse, space, image)
