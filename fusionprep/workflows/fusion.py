"""Applying the fusion models to a pair in one space."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nipype.interfaces import utility as niu
from nipype.interfaces.base import Undefined
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep._version import __version__
from fusionprep.bids import fused_names, names
from fusionprep.bids.types import ImageFile, Pairing
from fusionprep.config import Config, Fusion
from fusionprep.devices import SLICES_ON_CPU
from fusionprep.interfaces.fusion import Fuse
from fusionprep.interfaces.reports import PlotFused, PlotPlanes, PlotThumbnail
from fusionprep.modalities import T1W, Modality
from fusionprep.models.entry import ModelEntry
from fusionprep.models.registry import get_model
from fusionprep.spaces import NATIVE
from fusionprep.workflows.anatomical import t1w_output
from fusionprep.workflows.coregistration import Branch, paired_metadata
from fusionprep.workflows.dicom import add_dicom
from fusionprep.workflows.memory import GB_OF_SLICE
from fusionprep.workflows.methods import Stage, describe
from fusionprep.workflows.nodes import (
    CONTRAST,
    Port,
    Space,
    derivative_node,
    figure_node,
    is_drawn,
    lesion_fields,
    node,
)
from fusionprep.workflows.smoothing import smoothing_fields

DESCRIPTION = """
The {modality} was fused with the {anatomy} slice by slice by {models}, intensities being scaled to
[0, 1]. {planes}
"""
COLOUR = """
In colour images, lightness tells mostly the {anatomy}, and hue and chroma, from gray through red
and orange to yellow, the uptake of the {modality} (colour map {colour_map}); the models have no
part in them.
"""
GRAY_MATTER = """
The {modality}, scaled to [0, 1], was confined to the gray matter of the T1w: {models}.
"""
PLANES_TEXT = {
    "axial": "Slices were axial.",
    "triplanar": "Slices were axial, coronal and sagittal, and the three results were averaged.",
}


SCALING = "scaling"
"""Field of how a CT without Hounsfield units is scaled."""


@dataclass(frozen=True)
class FusionPair:
    """What is fused in one space.

    Attributes
    ----------
    outputs
        Names of what is made of the functional image.
    t1w
        What it is paired with.
    sources
        Output paths of what the workflow is given: ``t1w``, ``gm``, ``functional`` and, where PET
        and CT are fused with another contrast, that.
    metadata
        Sidecar fields of the space and the pairing.
    tracer
        Of a PET, for its scaling.
    """

    outputs: names.OutputNames
    t1w: ImageFile
    space: Space
    sources: Mapping[str, str]
    metadata: Mapping[str, Any]
    tracer: str = ""

    @property
    def modality(self) -> Modality:
        """Of the functional image."""
        return self.outputs.modality


def fuse_in_space(
    branch: Branch, space: Space, image: Port, functional: str, contrast: Pairing | None
) -> None:
    """Fuse an image with its T1w, or with another contrast, in one space.

    Parameters
    ----------
    image
        The functional image there, and ...
    functional
        ... the output path of what it is made of.
    contrast
        The FLAIR or T2w that it is fused with; None stands for the T1w.
    """
    config, pairing, t1w = branch.config, branch.pairing, branch.pairing.t1w
    sources = {
        **{name: t1w_output(t1w, name, **space.t1w_entities) for name in ("t1w", "gm")},
        "functional": functional,
    }
    if contrast is not None:
        # In template space none is written: it is brought there straight from its own grid.
        of_contrast = names.OutputNames(contrast.image, contrast.modality)
        sources[CONTRAST] = of_contrast(desc=names.PREPROC, space=NATIVE)
    paired = paired_metadata(config, pairing)
    facts = pairing.image.pet
    metadata = {
        "SpatialReference": paired["SpatialReference"],
        **space.metadata,
        **({**facts.tracer_fields(), **smoothing_fields(facts)} if facts else {}),
        "Pairing": paired["Pairing"],
    }
    tracer = (facts and facts.tracer_name) or ""
    pair = FusionPair(branch.outputs, t1w, space, sources, metadata, tracer)
    fuse = init_fusion_wf(config, pair)
    ports = {"functional": image, SCALING: (branch.source[0], SCALING)}
    for name in fuse.inputs.inputnode.get():
        port = ports.get(name) or (branch.inputnode, space.anatomy_field(name))
        branch.connect(port, fuse, f"inputnode.{name}")


def init_fusion_wf(config: Config, pair: FusionPair) -> LiterateWorkflow:
    """Fuse a pair with every model of the configuration, write and draw the results.

    Inputs
    ------
    functional, mask
        The image to fuse, and the brain mask, on one grid.
    t1w, gm, contrast
        T1w, its probability of gray matter, and the FLAIR or T2w that is fused in its place there;
        only what a model uses.
    scaling
        Of a CT without Hounsfield units, for the sidecar.
    lesion
        Of a T1w that has one.
    """
    workflow = LiterateWorkflow(name=f"fusion{pair.space.tag}_wf")
    entries = fusion_entries(config.fusion, pair.modality)
    describe(workflow, Stage.FUSION, _describe(config.fusion, pair.modality, entries))
    anatomy = [field for entry in entries for field in _anatomy(config.fusion, entry)]
    lesion = lesion_fields(pair.t1w)
    fields = [*dict.fromkeys(anatomy), "mask", "functional", *lesion]
    if pair.modality.hounsfield:
        fields.append(SCALING)
    inputnode = pe.Node(niu.IdentityInterface(fields=fields), name="inputnode")
    drawn = is_drawn(config.processing, pair.space)
    for entry in entries:
        desc = fused_names.FusedDesc.for_model(entry, pair.modality, config.fusion.contrast)
        given, shown = _anatomy(config.fusion, entry)
        fuse = _fuse_node(config, pair, entry, given)
        workflow.connect([
            (inputnode, fuse, [
                (given, "anatomical"), ("functional", "functional"), ("mask", "mask"),
            ]),
        ])  # fmt: skip
        if given != shown:
            workflow.connect(inputnode, shown, fuse, "reference")
        for field in filter(fields.__contains__, (SCALING, names.LESION)):
            workflow.connect(inputnode, field, fuse, field)
        _write(workflow, config, pair, entry, desc, fuse)
        if not drawn:
            continue
        # In template space one model is enough; all of them would make a report with many models
        # too large to pass on.
        if pair.space.template is None or entry is entries[0]:
            mosaic = _mosaic_node(config, pair, entry, desc)
            workflow.connect([
                (inputnode, mosaic, [
                    (shown, "anatomical"), ("functional", "functional"), ("mask", "mask"),
                ]),
                (fuse, mosaic, [("out_file", "fused")]),
            ])  # fmt: skip
            if pair.modality.tracer:
                workflow.connect(fuse, "out_colour", mosaic, "colour")
        small = _small_node(config, pair, entry, desc)
        workflow.connect(fuse, "out_file", small, "fused")
        if pair.space.template is None:
            workflow.connect([
                (inputnode, small, [("functional", "functional"), ("mask", "mask")]),
            ])  # fmt: skip
        if pair.modality.tracer:
            workflow.connect(fuse, "out_colour", small, "colour")
    return workflow


def _anatomy(fusion: Fusion, entry: ModelEntry) -> tuple[str, str]:
    """Fields of what a model is given beside the functional image, and of what it is judged by."""
    image = "t1w" if fusion.contrast == T1W else CONTRAST
    return (image, image) if entry.takes_image else ("gm", "t1w")


def _fuse_node(config: Config, pair: FusionPair, entry: ModelEntry, given: str) -> pe.Node:
    fusion, own = config.fusion, entry.own_weights
    interface = Fuse(
        modality=pair.modality.name,
        model=entry.name,
        sources=[names.own_uri(pair.sources[name]) for name in (given, "functional")],
        weights_sha256=entry.weights_sha256() or "",
        weights_file=str(own.path) if own else Undefined,
        tracer=pair.tracer,
        planes=fusion.planes,
        colour_map=fusion.colour_map,
        batch_size=fusion.batch_size or Undefined,
        device=fusion.device,
        use_gpu=fusion.device != "cpu",
    )
    grids = [pair.space.template] if pair.space.template else [pair.t1w]
    slices = GB_OF_SLICE * (fusion.batch_size or SLICES_ON_CPU)
    return node(interface, f"fuse_{entry.name}", config, on=grids, more_gb=slices)


def _write(
    workflow: pe.Workflow,
    config: Config,
    pair: FusionPair,
    entry: ModelEntry,
    desc: fused_names.FusedDesc,
    fuse: pe.Node,
) -> None:
    """Write the fused image and, of a PET, that in colour."""
    modality = pair.modality
    first = entry.name == fusion_entries(config.fusion, modality)[0].name
    results = [(False, "out_file", "metadata", "scalar, 0 to 1")]
    if modality.tracer:
        what = (
            f"RGB: lightness tells mostly the {desc.contrast.label}, hue and chroma the"
            f" {modality.label}; the model has no part in it"
        )
        results.append((True, "out_colour", "colour_metadata", what))
    for colour, field, computed, what in results:
        label = str(replace(desc, colour=colour))
        write = derivative_node(
            config,
            pair.outputs.fused(desc=label, **pair.space.entities),
            f"ds_{entry.name}{'_colour' * colour}",
            space=pair.space.code,
            metadata={
                "Description": f"{fused_names.describe_fused(entry, desc)} ({what})",
                "SkullStripped": not modality.hounsfield,
                "Sources": list(fuse.inputs.sources),
                **pair.metadata,
            },
        )
        workflow.connect([(fuse, write, [(field, "in_file"), (computed, "computed")])])
        # the image in colour is the same beside every model
        if pair.space.template is None and not (colour and not first):
            shown = f"{desc.contrast.label} and {modality.label}"
            shown = f"{shown} in colour" if colour else f"{entry.label} of {shown}"
            description = write.inputs.metadata["Description"]
            told = shown, f"{description}, by fusionprep {__version__}"
            add_dicom(workflow, config, pair.t1w, (fuse, field), write.inputs.out_path, told)


def _figure_like(pair: FusionPair, desc: fused_names.FusedDesc, kind: str) -> str:
    """What a figure is named after: without the resolution, as one is drawn of each template."""
    return pair.outputs.fused(desc=desc.figure(kind), space=pair.space.entities["space"])


def _mosaic_node(
    config: Config, pair: FusionPair, entry: ModelEntry, desc: fused_names.FusedDesc
) -> pe.Node:
    """The mosaic of a fused image and its sources."""
    return figure_node(
        config,
        PlotFused,
        _figure_like(pair, desc, fused_names.FUSED),
        ".jpg",
        f"plot_{entry.name}",
        contrast=desc.contrast.name,
        modality=desc.modality.name,
        colour_map=config.fusion.colour_map,
    )


def _small_node(
    config: Config, pair: FusionPair, entry: ModelEntry, desc: fused_names.FusedDesc
) -> pe.Node:
    """The small picture of a fused image for the group report."""
    if pair.space.template is None:
        like, name = _figure_like(pair, desc, fused_names.THUMBNAIL), f"thumbnail_{entry.name}"
        return figure_node(
            config,
            PlotThumbnail,
            like,
            ".png",
            name,
            colour_map=config.fusion.colour_map,
        )
    like, name = _figure_like(pair, desc, fused_names.PLANES), f"planes_{entry.name}"
    template = str(pair.space.template)
    return figure_node(config, PlotPlanes, like, ".png", name, template=template)


def fusion_entries(fusion: Fusion, modality: Modality) -> list[ModelEntry]:
    """The models of the configuration that can fuse a modality."""
    entries = (get_model(name, fusion.weights.get(name)) for name in fusion.models)
    return [entry.of(modality) for entry in entries if entry.fuses(modality)]


def _describe(fusion: Fusion, modality: Modality, entries: list[ModelEntry]) -> str:
    fused = [_cited(entry) for entry in entries if entry.takes_image]
    confined = [
        f"{_cited(entry)} is the {entry.title}" for entry in entries if not entry.takes_image
    ]
    text = ""
    if fused:
        text += DESCRIPTION.format(
            anatomy=fusion.contrast.label,
            modality=modality.label,
            models=", ".join(fused),
            planes=PLANES_TEXT[fusion.planes],
        )
    if entries and modality.tracer:
        text += COLOUR.format(
            anatomy=fusion.contrast.label, modality=modality.label, colour_map=fusion.colour_map
        )
    if confined:
        text += GRAY_MATTER.format(modality=modality.label, models=", ".join(confined))
    return text


def _cited(entry: ModelEntry) -> str:
    key = entry.bibliography_key
    cited = f"{entry.label} [@{key}]" if key else f"{entry.label} ({entry.citation})"
    return f"{cited} with weights trained by the user" if entry.own_weights else cited
