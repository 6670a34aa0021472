"""Bringing CT, FLAIR and T2w to the T1w, and fusing the CT."""

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids.names import PREPROC
from fusionprep.bids.sidecars import still_true
from fusionprep.bids.types import Pairing
from fusionprep.config import Config
from fusionprep.image.ct_units import PADDING
from fusionprep.interfaces.anatomical import Conform, RemoveTable
from fusionprep.interfaces.quality import AssessCT
from fusionprep.spaces import NATIVE
from fusionprep.workflows.coregistration import Branch, add_coregistration, paired_metadata
from fusionprep.workflows.fusion import fuse_in_space, fusion_entries
from fusionprep.workflows.nodes import (
    CONTRAST,
    Port,
    anatomy_fields,
    derivative_node,
    fusion_fields,
    node,
    output_spaces,
)


def init_structural_wf(
    config: Config, pairing: Pairing, name: str, contrast: Pairing | None = None
) -> LiterateWorkflow:
    """Bring an image without tracer to the T1w; fuse a CT in every output space.

    Models of the gray matter leave the CT out.

    Parameters
    ----------
    contrast
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
    given = fusion_fields if modality.fused else anatomy_fields
    fields = given(config, pairing.t1w)
    inputnode = pe.Node(niu.IdentityInterface(fields=fields), name="inputnode")
    source = _source(workflow, config, pairing)
    branch = add_coregistration(workflow, config, pairing, inputnode=inputnode, source=source)
    written = _write(branch)
    if fusion_entries(config.fusion, modality):
        for space in output_spaces(config.processing):
            fuse_in_space(branch, space, branch.in_space(space), written, contrast)
    if modality == config.fusion.contrast:
        _hand_over(branch)
    return workflow


def _source(workflow: LiterateWorkflow, config: Config, pairing: Pairing) -> Port:
    """Read the image; bring a CT to Hounsfield units and take the table out of it."""
    modality = pairing.modality
    interface = Conform(
        in_file=str(pairing.image.path),
        name=modality.label,
        missing=modality.outside,
        from_zero=not modality.hounsfield,
    )
    if modality.hounsfield:
        interface.inputs.padding = PADDING
    conform = node(interface, "conform", config, on=[pairing.image])
    if not modality.hounsfield:
        return conform, "out_file"
    remove = node(RemoveTable(), "remove_table", config, on=[pairing.image])
    workflow.connect(conform, "out_file", remove, "in_file")
    return remove, "out_file"


def _write(branch: Branch) -> str:
    """Write the image in T1w space; its output path."""
    config, pairing, modality = branch.config, branch.pairing, branch.pairing.modality
    out_path = branch.outputs(desc=PREPROC, space=NATIVE)
    removed = ", table and headrest removed" if modality.hounsfield else ""
    metadata = {
        "Description": f"{modality.label} in T1w space{removed}",
        **still_true(pairing.image.metadata),
        **paired_metadata(config, pairing),
    }
    write = derivative_node(config, out_path, "ds_preproc", metadata=metadata)
    computed = pe.Node(niu.Merge(2), name="computed_metadata")
    read, _ = branch.source
    branch.connect(branch.moved, write, "in_file")
    branch.connect((read, "metadata"), computed, "in1")
    branch.connect((computed, "out"), write, "computed")
    if not modality.hounsfield:
        branch.connect(branch.registration, computed, "in2")
        return out_path
    assess = node(AssessCT(), "assess", config)
    branch.connect((branch.inputnode, "mask"), assess, "mask")
    branch.connect(branch.moved, assess, "ct")
    branch.connect(branch.registration, assess, "registration")
    branch.connect((read, "doubt"), assess, "doubt")
    branch.connect((assess, "metadata"), computed, "in2")
    return out_path


def _hand_over(branch: Branch) -> None:
    """Add the outputs that PET and CT are fused with."""
    spaces = output_spaces(branch.config.processing)
    names = [space.anatomy_field(CONTRAST) for space in spaces]
    outputnode = pe.Node(niu.IdentityInterface(fields=names), name="outputnode")
    for space, name in zip(spaces, names, strict=True):
        branch.connect(branch.in_space(space), outputnode, name)
