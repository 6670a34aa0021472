"""Applying the fusion models in one space."""

from functools import partial

from nipype.interfaces import utility as niu
from nipype.interfaces.base import Undefined
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids.derivatives import own_uri
from fusionprep.config import Config
from fusionprep.interfaces.fusion import Fuse
from fusionprep.interfaces.reports import PlotFused
from fusionprep.models.entry import ModelEntry
from fusionprep.models.registry import get_model
from fusionprep.workflows.nodes import Space, derivative_node, figure_node, node

DESCRIPTION = """
T1w and {modality} were scaled to [0, 1] and fused slice by slice with {models}. {planes}
"""
PLANES = {
    "axial": "Slices were axial.",
    "triplanar": "Slices were axial, coronal and sagittal, and the three results were averaged.",
}


def init_fusion_wf(
    config: Config,
    modality: str,
    out_path: partial,
    figure_like: partial | None,
    sources: list[str],
    metadata: dict,
    name: str,
    *,
    tracer: str | None = None,
    space_code: str = "aligned",
) -> LiterateWorkflow:
    """Fuse a pair with every model of the configuration, write and draw the results.

    Parameters
    ----------
    modality
        ``pet`` or ``ct``.
    out_path, figure_like
        Called with ``desc=`` to name the derivative and its figure; no figure where it is None.
    sources
        Output paths of the anatomical and of the functional image.
    metadata
        Sidecar fields of the space.

    Inputs
    ------
    anatomical, functional, mask
        Images on one grid.
    """
    workflow = LiterateWorkflow(name=name)
    entries = [get_model(model, config.fusion_weights.get(model)) for model in config.fusion_models]
    workflow.__desc__ = DESCRIPTION.format(
        modality=modality.upper(),
        models=", ".join(map(_cited, entries)),
        planes=PLANES[config.planes],
    )
    fields = ["anatomical", "functional", "mask"]
    inputnode = pe.Node(niu.IdentityInterface(fields=fields), name="inputnode")
    prefix = "fused" if modality == "pet" else "fusedCT"
    uris = [own_uri(source) for source in sources]
    for entry in entries:
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
        workflow.connect([(inputnode, fuse, [(field, field) for field in fields])])
        results = [("out_file", "", "scalar, 0 to 1")]
        if modality == "pet":
            colour = "RGB: lightness from the fusion, hue from the PET"
            results.append(("out_colour", "Color", colour))
        for field, ending, what in results:
            desc = f"{prefix}{entry.label}{ending}"
            sidecar = {
                "Description": f"T1w and {modality.upper()} fused by {entry.label} ({what})",
                "SkullStripped": modality == "pet",
                "Sources": uris,
                **metadata,
            }
            name = f"ds_{entry.name}{ending}"
            write = derivative_node(
                config, out_path(desc=desc), name, space=space_code, metadata=sidecar
            )
            workflow.connect([
                (fuse, write, [(field, "in_file"), ("metadata", "computed")]),
            ])  # fmt: skip
        if figure_like is None:
            continue
        figure = figure_node(
            config,
            PlotFused,
            figure_like(desc=f"{prefix}{entry.label}"),
            ".png",
            f"plot_{entry.name}",
            functional_name=modality.upper(),
        )
        workflow.connect([
            (inputnode, figure, [(field, field) for field in fields]),
            (fuse, figure, [("out_file", "fused")]),
        ])  # fmt: skip
        if modality == "pet":
            workflow.connect(fuse, "out_colour", figure, "colour")
    return workflow


def connect_fusion(
    workflow: pe.Workflow, fuse: LiterateWorkflow, space: Space, image: tuple[pe.Node, str]
) -> None:
    """Hand the T1w, its mask and the image of one space to a fusion workflow."""
    workflow.connect([
        (workflow.get_node("inputnode"), fuse, [
            (space.anatomy_field("t1w"), "inputnode.anatomical"),
            (space.anatomy_field("mask"), "inputnode.mask"),
        ]),
        (image[0], fuse, [(image[1], "inputnode.functional")]),
    ])  # fmt: skip


def _cited(entry: ModelEntry) -> str:
    key = entry.bibliography_key
    cited = f"{entry.label} [@{key}]" if key else f"{entry.label} ({entry.citation})"
    return f"{cited} with weights of an own training" if entry.own_weights else cited
