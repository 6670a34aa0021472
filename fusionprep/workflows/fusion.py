"""Applying the fusion models in one space."""

from collections.abc import Mapping
from functools import partial

from nipype.interfaces import utility as niu
from nipype.interfaces.base import Undefined
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids.names import own_uri
from fusionprep.config import Config
from fusionprep.interfaces.fusion import Fuse
from fusionprep.interfaces.reports import PlotFused, PlotPlanes, PlotThumbnail
from fusionprep.models.entry import ModelEntry
from fusionprep.models.registry import get_model
from fusionprep.workflows.nodes import PARTNER, Space, derivative_node, figure_node, node

DESCRIPTION = """
{anatomy} and {modality} were scaled to [0, 1] and fused slice by slice with {models}. {planes}
"""
GRAY_MATTER = """
The {modality}, scaled to [0, 1], was confined to the gray matter of the T1w: {models}.
"""
FIELDS = {"image": "t1w", "gm_probseg": "gm"}
PLANES = {
    "axial": "Slices were axial.",
    "triplanar": "Slices were axial, coronal and sagittal, and the three results were averaged.",
}


def init_fusion_wf(
    config: Config,
    modality: str,
    out_path: partial,
    figure_like: partial | None,
    sources: Mapping[str, str],
    metadata: dict,
    space: Space,
    *,
    tracer: str | None = None,
) -> LiterateWorkflow:
    """Fuse a pair with every model of the configuration, write and draw the results.

    Parameters
    ----------
    modality
        ``pet`` or ``ct``.
    out_path, figure_like
        Called with ``desc=`` to name the derivative and its figures; no figures where it is None.
    sources
        Output paths of ``t1w``, ``gm`` (where a model uses it) and ``functional``.
    metadata
        Sidecar fields of the space.
    space
        Where the images are.

    Inputs
    ------
    t1w, mask, functional
        Images on one grid; the FLAIR or T2w in place of the T1w where the configuration says so.
    gm
        Probability of gray matter there; only where a model uses it.
    """
    workflow = LiterateWorkflow(name=f"fusion{space.tag}_wf")
    entries = fusion_entries(config, modality)
    workflow.__desc__ = _describe(config, modality, entries)
    anatomy = dict.fromkeys(["t1w", *(FIELDS[entry.anatomical_input] for entry in entries)])
    fields = [*anatomy, "mask", "functional"]
    inputnode = pe.Node(niu.IdentityInterface(fields=fields), name="inputnode")
    contrast = "" if config.anat_contrast == "T1w" else config.anat_contrast
    prefix = "fused" + ("CT" if modality == "ct" else "") + contrast
    for entry in entries:
        anatomical = FIELDS[entry.anatomical_input]
        uris = [own_uri(sources[name]) for name in (anatomical, "functional")]
        fuse = node(
            Fuse(
                modality=modality,
                model=entry.name,
                sources=uris,
                weights_sha256=entry.weights_sha256() or "",
                weights_file=str(entry.own_weights.path) if entry.own_weights else Undefined,
                tracer=tracer or "",
                planes=config.planes,
                batch_size=config.batch_size,
                device=config.device,
                use_gpu=config.device != "cpu",
            ),
            f"fuse_{entry.name}",
            config,
            # A network holds about 0.1 GB for each 256 x 256 slice.
            mem_gb=1.1 + 0.1 * config.batch_size,
        )
        workflow.connect([
            (inputnode, fuse, [
                (anatomical, "anatomical"), ("functional", "functional"), ("mask", "mask"),
            ]),
        ])  # fmt: skip
        if anatomical != "t1w":
            workflow.connect(inputnode, "t1w", fuse, "reference")
        results = [("out_file", "metadata", "", "scalar, 0 to 1")]
        if modality == "pet":
            colour = "RGB: lightness from the fusion, hue from the PET"
            results.append(("out_colour", "colour_metadata", "Color", colour))
        anatomy = config.anat_contrast if anatomical == "t1w" else entry.anatomy
        fused = f"{anatomy} and {modality.upper()} fused by {entry.label}"
        for field, computed, ending, what in results:
            desc = f"{prefix}{entry.label}{ending}"
            sidecar = {
                "Description": f"{fused} ({what})",
                "SkullStripped": modality == "pet",
                "Sources": uris,
                **metadata,
            }
            name = f"ds_{entry.name}{ending}"
            write = derivative_node(
                config, out_path(desc=desc), name, space=space.code, metadata=sidecar
            )
            workflow.connect([
                (fuse, write, [(field, "in_file"), (computed, "computed")]),
            ])  # fmt: skip
        if figure_like is not None:
            desc = f"{prefix}{entry.label}"
            # In template space one model shows what is to be seen there; all would make a report
            # of many models too large to pass on.
            if space.template is None or entry is entries[0]:
                _draw_mosaic(workflow, config, modality, figure_like, fuse, desc)
            _draw_small(workflow, config, modality, figure_like, space, fuse, desc)
    return workflow


def _draw_mosaic(
    workflow: pe.Workflow,
    config: Config,
    modality: str,
    figure_like: partial,
    fuse: pe.Node,
    desc: str,
) -> None:
    """Add the mosaic of a fused image and its sources."""
    inputnode, model = workflow.get_node("inputnode"), fuse.name.removeprefix("fuse_")
    mosaic = figure_node(
        config,
        PlotFused,
        figure_like(desc=desc),
        ".jpg",
        f"plot_{model}",
        anatomical_name=config.anat_contrast,
        functional_name=modality.upper(),
    )
    workflow.connect([
        (inputnode, mosaic, [
            ("t1w", "anatomical"), ("functional", "functional"), ("mask", "mask"),
        ]),
        (fuse, mosaic, [("out_file", "fused")]),
    ])  # fmt: skip
    if modality == "pet":
        workflow.connect(fuse, "out_colour", mosaic, "colour")


def _draw_small(
    workflow: pe.Workflow,
    config: Config,
    modality: str,
    figure_like: partial,
    space: Space,
    fuse: pe.Node,
    desc: str,
) -> None:
    """Add the small pictures of a fused image for the group report."""
    inputnode, model = workflow.get_node("inputnode"), fuse.name.removeprefix("fuse_")
    rest = desc.removeprefix("fused")
    if space.template is None:
        like, name = figure_like(desc=f"thumb{rest}"), f"thumbnail_{model}"
        thumbnail = figure_node(config, PlotThumbnail, like, ".png", name, modality=modality)
        workflow.connect([
            (inputnode, thumbnail, [("functional", "functional"), ("mask", "mask")]),
            (fuse, thumbnail, [("out_file", "fused")]),
        ])  # fmt: skip
    else:
        like, template = figure_like(desc=f"planes{rest}"), str(space.template)
        planes = figure_node(config, PlotPlanes, like, ".png", f"planes_{model}", template=template)
        workflow.connect(fuse, "out_file", planes, "fused")


def connect_fusion(
    workflow: pe.Workflow,
    config: Config,
    fuse: LiterateWorkflow,
    space: Space,
    image: tuple[pe.Node, str],
) -> None:
    """Hand the anatomical images it asks for and the image of one space to a fusion workflow."""
    anatomy = [name for name in fuse.inputs.inputnode.get() if name != "functional"]
    given = {"t1w": "t1w" if config.anat_contrast == "T1w" else PARTNER}
    workflow.connect([
        (workflow.get_node("inputnode"), fuse, [
            (space.anatomy_field(given.get(name, name)), f"inputnode.{name}") for name in anatomy
        ]),
        (image[0], fuse, [(image[1], "inputnode.functional")]),
    ])  # fmt: skip


def fusion_entries(config: Config, modality: str) -> list[ModelEntry]:
    """The models of the configuration that can fuse a modality."""
    entries = (get_model(name, config.fusion_weights.get(name)) for name in config.fusion_models)
    return [entry for entry in entries if entry.fuses(modality)]


def _describe(config: Config, modality: str, entries: list[ModelEntry]) -> str:
    fused = [_cited(entry) for entry in entries if entry.anatomical_input == "image"]
    confined = [
        f"{_cited(entry)} is the {entry.title}"
        for entry in entries
        if entry.anatomical_input == "gm_probseg"
    ]
    name, text = modality.upper(), ""
    if fused:
        planes = PLANES[config.planes]
        text += DESCRIPTION.format(
            anatomy=config.anat_contrast, modality=name, models=", ".join(fused), planes=planes
        )
    if confined:
        text += GRAY_MATTER.format(modality=name, models=", ".join(confined))
    return text


def _cited(entry: ModelEntry) -> str:
    key = entry.bibliography_key
    cited = f"{entry.label} [@{key}]" if key else f"{entry.label} ({entry.citation})"
    return f"{cited} with weights of an own training" if entry.own_weights else cited
