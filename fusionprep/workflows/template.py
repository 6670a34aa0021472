"""T1w to a template, and the T1w there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids import names
from fusionprep.bids.earlier import EarlierFiles, earlier_work
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config
from fusionprep.interfaces.registration import RegisterTemplate, Resample
from fusionprep.interfaces.reports import PlotNormalization
from fusionprep.spaces import NATIVE, TemplateSpace
from fusionprep.workflows.anatomical import t1w_output, t1w_path
from fusionprep.workflows.earlier import describe_transform, earlier_inputs
from fusionprep.workflows.memory import GB_OF_ANTS
from fusionprep.workflows.methods import Stage, describe
from fusionprep.workflows.nodes import (
    Port,
    Space,
    derivative_node,
    figure_node,
    lesion_fields,
    node,
    template_images,
)

BACKENDS = {
    "greedy": "a rigid transform by *greedy* [@greedy], refined to an affine one by mutual "
    "information [@mattes] in *SimpleITK* [@simpleitk], then a diffeomorphic one by *greedy* with "
    "normalised cross-correlation, inverted in *SimpleITK*",
    "ants": "an affine transform, then a diffeomorphic one by the SyN algorithm [@syn] of *ANTs*, "
    "as packaged in *ANTsPy* [@antspy]",
}
DESCRIPTION = """
The brain-extracted T1w was registered to {template} [@mni] at 2 mm: {backend}. Images were brought
to template space in one interpolation through the concatenated transforms.
"""
LESION_TEXT = """
For this registration the lesion was filled from the other side of the brain
[@enantiomorphic], or with the template's intensities where that had a lesion, too, or was less like
what is around it.
"""

REGISTRATION = "registration"
"""What the field begins with that hands over how good the registration is."""


@dataclass(frozen=True)
class _Image:
    """An image of the T1w that is brought to templates.

    ``scored`` is the one whose sidecar says how good the registration is.
    """

    interpolation: str
    metadata: dict[str, str]
    scored: bool = False


IMAGES: Mapping[str, _Image] = {
    "t1w": _Image("cubic", {"Description": "Preprocessed T1w in template space"}, scored=True),
    "mask": _Image(
        "nearest",
        {"Description": "Brain mask of the subject in template space", "Type": "Brain"},
    ),
    "gm": _Image(
        "linear",
        {"Description": "Fraction of GM of the subject in template space"},
    ),
    names.LESION: _Image(
        "nearest",
        {"Description": "Lesion of the subject in template space", "Type": "Lesion"},
    ),
}


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
    t1w, brain, mask, gm, metadata, and the T1w's lesion where it has one
        Outputs of :func:`~fusionprep.workflows.anatomical.init_anatomical_wf`.

    Outputs
    -------
    template_from_t1w_<template>, t1w_from_template_<template>, and the images of each space
        As :func:`~fusionprep.workflows.nodes.anatomy_fields` names them.
    registration_<template>
        The sidecar's ``Registration`` field.
    """
    workflow = LiterateWorkflow(name=name)
    template, processing = spaces[0].template, config.processing
    if template is None:
        raise ValueError("the T1w's own space is not a template")
    lesion = lesion_fields(t1w)
    earlier = earlier_work(config, t1w).templates.get(template.name)
    text = _methods(template.name, processing.registration_backend, lesion, earlier)
    describe(workflow, Stage.TEMPLATE, text)
    fields = ["t1w", "brain", "mask", "gm", "metadata", *lesion]
    inputnode = pe.Node(niu.IdentityInterface(fields=fields), name="inputnode")
    interface = RegisterTemplate(
        template=str(template),
        backend=processing.registration_backend,
        seed=processing.random_seed,
        sloppy=processing.sloppy,
        **earlier_inputs(earlier),
    )
    more_gb = GB_OF_ANTS * (processing.registration_backend == "ants")
    register = node(interface, "register", config, on=[t1w], more_gb=more_gb)
    computed = pe.Node(niu.Merge(2), name="computed_metadata")
    workflow.connect([
        (inputnode, register, [("brain", "t1w_brain")]),
        (inputnode, register, [(field, field) for field in ("mask", "gm", *lesion)]),
        (inputnode, computed, [("metadata", "in1")]),
        (register, computed, [("metadata", "in2")]),
    ])  # fmt: skip
    outputs = _write_transforms(workflow, config, t1w, template.name, register)
    outputs[f"{REGISTRATION}_{template.name}"] = register, "metadata"
    for space in spaces:
        for image in template_images(config.fusion, t1w):
            moved = _resample_node(config, t1w, space, image)
            workflow.connect([
                (inputnode, moved, [(image, "in_file")]),
                (register, moved, [("template_from_t1w", "transforms")]),
            ])  # fmt: skip
            write = _write_node(config, t1w, space, image)
            workflow.connect(moved, "out_file", write, "in_file")
            if IMAGES[image].scored:
                workflow.connect(computed, "out", write, "computed")
            outputs[space.anatomy_field(image)] = moved, "out_file"
    figure = figure_node(
        config,
        PlotNormalization,
        t1w_path(t1w, desc=names.NORM, space=template.name),
        ".svg",
        f"plot{spaces[0].tag}",
        template=str(template),
    )
    for field in ("t1w", *lesion):
        drawn = outputs[spaces[0].anatomy_field(field)]
        workflow.connect(drawn[0], drawn[1], figure, field)
    outputnode = pe.Node(niu.IdentityInterface(fields=list(outputs)), name="outputnode")
    for name, port in outputs.items():
        workflow.connect(port[0], port[1], outputnode, name)
    return workflow


def _methods(
    template: str, backend: str, lesion: Sequence[str], earlier: EarlierFiles | None
) -> str:
    text = DESCRIPTION.format(template=template, backend=BACKENDS[backend])
    if lesion:
        text += LESION_TEXT.lstrip()
    return text + describe_transform(earlier, template)


def _write_transforms(
    workflow: pe.Workflow, config: Config, t1w: ImageFile, template: str, register: pe.Node
) -> dict[str, Port]:
    """Write both transforms; the outputs they are."""
    ports: dict[str, Port] = {}
    for direction, ends in (
        ("template_from_t1w", (NATIVE, template)),
        ("t1w_from_template", (template, NATIVE)),
    ):
        out_path = t1w_path(t1w, names.XFM, ".h5", from_=ends[0], to=ends[1], mode="image")
        write = derivative_node(config, out_path, f"ds_{direction}")
        workflow.connect(register, direction, write, "in_file")
        ports[f"{direction}_{template}"] = register, direction
    return ports


def _resample_node(config: Config, t1w: ImageFile, space: Space, image: str) -> pe.Node:
    interface = Resample(template=str(space.template), interpolation=IMAGES[image].interpolation)
    grids: list[ImageFile | TemplateSpace] = [t1w]
    if space.template is not None:
        grids.append(space.template)
    return node(interface, f"resample_{space.anatomy_field(image)}", config, on=grids)


def _write_node(config: Config, t1w: ImageFile, space: Space, image: str) -> pe.Node:
    sources = {"Sources": [names.own_uri(t1w_output(t1w, image))]}
    return derivative_node(
        config,
        t1w_output(t1w, image, **space.entities),
        f"ds_{space.anatomy_field(image)}",
        space=space.code,
        metadata={**IMAGES[image].metadata, **sources, **space.metadata},
    )
