"""T1w to a template, and the T1w there."""

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids.names import derivative_path, own_uri
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config
from fusionprep.interfaces.registration import RegisterTemplate, Resample
from fusionprep.interfaces.reports import PlotNormalization
from fusionprep.workflows.anatomical import t1w_path
from fusionprep.workflows.nodes import Space, derivative_node, figure_node, node, template_images

BACKENDS = {
    "greedy": "a rigid transform by *greedy* [@greedy], refined to an affine one by mutual "
    "information [@mattes] in *SimpleITK* [@simpleitk], then a diffeomorphic one by *greedy* with "
    "normalised cross-correlation",
    "ants": "an affine transform, then a diffeomorphic one by the SyN algorithm [@syn] of *ANTs*, "
    "as packaged in *ANTsPy* [@antspy]",
}
DESCRIPTION = """
The brain-extracted T1w was registered to {template} [@mni] at 2 mm: {backend}. Images were brought
to template space in one interpolation through the concatenated transforms.
"""


def init_template_wf(
    config: Config, t1w: ImageFile, spaces: list[Space], name: str
) -> LiterateWorkflow:
    """Register a T1w to a template once and write it there at every resolution asked for.

    Parameters
    ----------
    spaces
        One template's resolutions; the first is the grid of the scores.

    Inputs
    ------
    t1w, brain, mask, gm, metadata
        Outputs of :func:`~fusionprep.workflows.anatomical.init_anatomical_wf`.

    Outputs
    -------
    template_from_t1w_<template>, t1w_from_template_<template>, and the images of each space
        As :func:`~fusionprep.workflows.nodes.anatomy_fields` names them.
    """
    workflow = LiterateWorkflow(name=name)
    template = spaces[0].template.name
    backend = BACKENDS[config.registration_backend]
    workflow.__desc__ = DESCRIPTION.format(template=template, backend=backend)
    inputnode = pe.Node(
        niu.IdentityInterface(fields=["t1w", "brain", "mask", "gm", "metadata"]), name="inputnode"
    )
    directions = {
        "template_from_t1w": {"from_": "T1w", "to": template},
        "t1w_from_template": {"from_": template, "to": "T1w"},
    }
    grids = [space.anatomy_field(image) for space in spaces for image in template_images(config)]
    fields = [f"{direction}_{template}" for direction in directions] + grids
    outputnode = pe.Node(niu.IdentityInterface(fields=fields), name="outputnode")
    register = node(
        RegisterTemplate(
            template=str(spaces[0].template),
            backend=config.registration_backend,
            seed=config.random_seed,
            sloppy=config.sloppy,
        ),
        "register",
        config,
        mem_gb=1.6,
    )
    workflow.connect(inputnode, "brain", register, "t1w_brain")
    workflow.connect([(inputnode, register, [("mask", "mask"), ("gm", "gm")])])
    for direction, ends in directions.items():
        out_path = derivative_path(
            t1w.subject, t1w.session, "anat", "xfm", ".h5", **ends, mode="image"
        )
        write = derivative_node(config, out_path, f"ds_{direction}")
        workflow.connect([
            (register, write, [(direction, "in_file")]),
            (register, outputnode, [(direction, f"{direction}_{template}")]),
        ])  # fmt: skip
    computed = pe.Node(niu.Merge(2), name="computed_metadata")
    workflow.connect([
        (inputnode, computed, [("metadata", "in1")]),
        (register, computed, [("metadata", "in2")]),
    ])  # fmt: skip
    for space in spaces:
        _resample(workflow, config, t1w, space)
    _draw(workflow, config, t1w, spaces[0])
    return workflow


def _resample(workflow: pe.Workflow, config: Config, t1w: ImageFile, space: Space) -> None:
    inputnode, register, outputnode = map(
        workflow.get_node, ("inputnode", "register", "outputnode")
    )
    images = {
        "t1w": ("cubic", {"desc": "preproc"}, "T1w", {
            "Description": "Preprocessed T1w in template space",
        }),
        "mask": ("nearest", {"desc": "brain"}, "mask", {
            "Description": "Brain mask of the subject in template space", "Type": "Brain",
        }),
        "gm": ("linear", {"label": "GM"}, "probseg", {
            "Description": "Probability of GM of the subject in template space",
        }),
    }  # fmt: skip
    for image in template_images(config):
        interpolation, entities, suffix, metadata = images[image]
        name = space.anatomy_field(image)
        resample = node(
            Resample(template=str(space.template), interpolation=interpolation),
            f"resample_{name}",
            config,
        )
        sources = {"Sources": [own_uri(t1w_path(t1w, suffix, **entities))]}
        write = derivative_node(
            config,
            t1w_path(t1w, suffix, **entities, **space.entities),
            f"ds_{name}",
            space=space.code,
            metadata={**metadata, **sources, **space.metadata},
        )
        workflow.connect([
            (inputnode, resample, [(image, "in_file")]),
            (register, resample, [("template_from_t1w", "transforms")]),
            (resample, write, [("out_file", "in_file")]),
            (resample, outputnode, [("out_file", name)]),
        ])  # fmt: skip
        if image == "t1w":
            workflow.connect(workflow.get_node("computed_metadata"), "out", write, "computed")


def _draw(workflow: pe.Workflow, config: Config, t1w: ImageFile, space: Space) -> None:
    figure = figure_node(
        config,
        PlotNormalization,
        t1w_path(t1w, desc="norm", space=space.template.name),
        ".svg",
        f"plot{space.tag}",
        template=str(space.template),
    )
    resampled = workflow.get_node(f"resample_{space.anatomy_field('t1w')}")
    workflow.connect(resampled, "out_file", figure, "t1w")
