"""Another modality to the T1w: the rigid registration, its file and its figure."""

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids.names import derivative_path, kept_entities, own_uri, raw_uri
from fusionprep.bids.types import Pairing
from fusionprep.config import Config
from fusionprep.interfaces.registration import RegisterRigid, Resample
from fusionprep.interfaces.reports import PlotCoregistration
from fusionprep.workflows.anatomical import t1w_path
from fusionprep.workflows.nodes import Space, derivative_node, figure_node, node

FROM_T1W = ("conformed", "t1w", "mask", "dseg")
SUFFIXES = {"pet": "pet", "ct": "ct", "flair": "FLAIR", "t2w": "T2w"}
DATATYPES = {"pet": "pet", "ct": "ct", "flair": "anat", "t2w": "anat"}
DESCRIPTION = """
The {modality} was registered rigidly to the T1w by maximising mutual information [@mattes] from
starts in every orientation, with *SciPy* [@scipy] as optimiser, and brought to the T1w grid in one
linear interpolation (*SimpleITK* [@simpleitk]).
"""
IDENTITY = """
The {modality} was taken as aligned with the T1w by its header, and brought to its grid by linear
interpolation.
"""
AUTO = """
The header's own alignment was kept where it was as good.
"""
DESCRIPTIONS = {"rigid": DESCRIPTION, "identity": IDENTITY, "auto": DESCRIPTION + AUTO.lstrip()}


class ModalityPaths:
    """Output paths of one PET, CT or FLAIR image."""

    def __init__(self, pairing: Pairing, tracer: str | None = None) -> None:
        self.image = pairing.image
        self.modality = pairing.modality
        self.entities = kept_entities(pairing.image, pairing.modality, tracer)

    def __call__(self, extension: str = ".nii.gz", suffix: str | None = None, **entities) -> str:
        return derivative_path(
            self.image.subject,
            self.image.session,
            DATATYPES[self.modality],
            suffix or SUFFIXES[self.modality],
            extension,
            **self.entities,
            **entities,
        )


def init_coregistration_wf(
    config: Config, pairing: Pairing, paths: ModalityPaths
) -> LiterateWorkflow:
    """Register one image to its T1w and resample it there.

    Inputs
    ------
    moving
        Static 3-D image.
    conformed
        T1w before bias correction, which extrapolates outside the brain and would mislead mutual
        information there.
    t1w, mask
        Preprocessed T1w and its brain mask.
    dseg
        Tissue labels, for the contours of the figure.

    Outputs
    -------
    transform
        ITK text file that resamples `moving` onto the T1w grid.
    moved
        `moving` on the T1w grid.
    metadata
        The sidecar's ``Registration`` field.
    """
    workflow = LiterateWorkflow(name="coregistration_wf")
    modality = pairing.modality
    method = config.pet2anat_method if modality == "pet" else "rigid"
    workflow.__desc__ = DESCRIPTIONS[method].format(modality=modality.upper())
    inputnode = pe.Node(niu.IdentityInterface(fields=["moving", *FROM_T1W]), name="inputnode")
    outputnode = pe.Node(
        niu.IdentityInterface(fields=["transform", "moved", "metadata"]), name="outputnode"
    )
    register = node(
        RegisterRigid(
            method=method,
            modality=modality,
            sloppy=config.sloppy,
        ),
        "register",
        config,
        mem_gb=0.8,
    )
    outside = -1000.0 if modality == "ct" else 0.0
    resample = node(Resample(outside=outside), "resample", config, mem_gb=0.8)
    xfm = derivative_node(
        config,
        paths(".txt", "xfm", from_=SUFFIXES[modality], to="T1w", mode="image"),
        "ds_t1w_from_moving",
    )
    figure = figure_node(
        config,
        PlotCoregistration,
        paths(desc="coreg"),
        ".svg",
        "plot_coregistration",
        moving_name=modality.upper(),
    )
    workflow.connect([
        (inputnode, register, [("conformed", "t1w"), ("mask", "mask"), ("moving", "moving")]),
        (inputnode, resample, [("moving", "in_file"), ("t1w", "reference")]),
        (register, resample, [("transform", "transforms")]),
        (register, xfm, [("transform", "in_file")]),
        (inputnode, figure, [(field, field) for field in ("t1w", "mask", "dseg", "moving")]),
        (resample, figure, [("out_file", "moved")]),
        (register, outputnode, [("transform", "transform"), ("metadata", "metadata")]),
        (resample, outputnode, [("out_file", "moved")]),
    ])  # fmt: skip
    return workflow


def anatomical_path(pairing: Pairing, partner: Pairing | None, space: Space) -> str:
    """Output path of what a PET or CT is fused with: the T1w, or a FLAIR or T2w in T1w space.

    Of these no image in template space is written; there they are brought straight from their own.
    """
    if partner is None:
        return t1w_path(pairing.t1w, desc="preproc", **space.t1w_entities)
    return ModalityPaths(partner)(desc="preproc", space="T1w")


def paired_metadata(config: Config, pairing: Pairing) -> dict:
    """Sidecar fields that every image brought to a T1w has."""
    return {
        "Sources": [raw_uri(pairing.image, config.bids_dir)],
        "SkullStripped": False,
        "SpatialReference": own_uri(t1w_path(pairing.t1w, desc="preproc")),
        "Pairing": {
            "T1w": raw_uri(pairing.t1w, config.bids_dir),
            "Reason": pairing.reason,
            "DayGap": pairing.day_gap,
        },
    }


def to_template(
    workflow: pe.Workflow,
    config: Config,
    space: Space,
    source: tuple[pe.Node, str],
    *,
    outside: float = 0.0,
) -> tuple[pe.Node, str]:
    """Add a node that brings an image to a template in one interpolation from its own grid.

    Parameters
    ----------
    workflow
        Has an ``inputnode`` with :func:`~fusionprep.workflows.nodes.anatomy_fields` and a
        ``coregistration_wf``.
    source
        Node and field of the image before registration.
    outside
        Value outside the field of view.

    Returns
    -------
    Node and field of the image on the template's grid.
    """
    inputnode = workflow.get_node("inputnode")
    coregister = workflow.get_node("coregistration_wf")
    chain = pe.Node(niu.Merge(2), name=f"chain{space.tag}")
    interface = Resample(template=str(space.template), outside=outside)
    resample = node(interface, f"resample{space.tag}", config, mem_gb=0.8)
    workflow.connect([
        (inputnode, chain, [(f"template_from_t1w_{space.template.name}", "in1")]),
        (coregister, chain, [("outputnode.transform", "in2")]),
        (chain, resample, [("out", "transforms")]),
        (source[0], resample, [(source[1], "in_file")]),
    ])  # fmt: skip
    return resample, "out_file"
