"""Another modality to the T1w: the rigid registration, its file and its figure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids import names
from fusionprep.bids.earlier import earlier_registration
from fusionprep.bids.runs import raw_uris
from fusionprep.bids.smoothing import Smoothing
from fusionprep.bids.types import ImageFile, Pairing
from fusionprep.choices import Method
from fusionprep.config import Config
from fusionprep.interfaces.motion import ResampleStatic
from fusionprep.interfaces.quality import DoubtRegistration
from fusionprep.interfaces.registration import RegisterRigid, Resample
from fusionprep.interfaces.reports import PlotCoregistration
from fusionprep.modalities import Modality
from fusionprep.spaces import NATIVE, TemplateSpace
from fusionprep.workflows.anatomical import t1w_output
from fusionprep.workflows.earlier import RIGID, earlier_inputs
from fusionprep.workflows.methods import Stage, describe
from fusionprep.workflows.nodes import Port, Space, derivative_node, figure_node, node

FROM_T1W = ("conformed", "t1w", "mask", "dseg")
SEARCH = """
The {modality} was registered rigidly to the T1w by maximising mutual information [@mattes] from
starts in every orientation, with *SciPy* [@scipy] as optimiser.
"""
LEAST_SQUARES = """
The {modality} was then moved, by least squares, to where the T1w predicts it best: the intensities
of the T1w were sorted into classes, blurred to the resolution of the {modality}, and each class was
given an activity.
"""
AUTO = """
Where the alignment by the header of the {modality} was as good, it was kept.
"""
RESAMPLED = """
The {modality} was brought to the T1w grid in one linear interpolation (*SimpleITK* [@simpleitk]).
"""
IDENTITY = """
The {modality} was taken to be aligned with the T1w by its header, and resampled to its grid by
linear interpolation.
"""


def _describe(workflow: pe.Workflow, method: Method, modality: Modality) -> None:
    """Add what is done to the methods text."""
    if method == "identity":
        describe(workflow, Stage.REGISTRATION, IDENTITY.format(modality=modality.label))
        return
    texts = [
        (Stage.REGISTRATION, SEARCH),
        (Stage.REFINEMENT, LEAST_SQUARES if modality.tracer else ""),
        (Stage.REFINEMENT, AUTO if method == "auto" else ""),
        (Stage.RESAMPLING, RESAMPLED),
    ]
    for stage, text in texts:
        describe(workflow, stage, text.format(modality=modality.label))


def init_coregistration_wf(
    config: Config, pairing: Pairing, outputs: names.OutputNames
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
    modality, grids = pairing.modality, [pairing.image, pairing.t1w]
    method: Method = config.processing.pet2anat_method if modality.tracer else "rigid"
    _describe(workflow, method, modality)
    earlier, _ = earlier_registration(config, pairing)
    if method == "identity":
        earlier = None
    if earlier is not None:
        text = RIGID.format(modality=modality.label, software=earlier.software)
        describe(workflow, Stage.REFINEMENT, text)
    inputnode = pe.Node(niu.IdentityInterface(fields=["moving", *FROM_T1W]), name="inputnode")
    outputnode = pe.Node(
        niu.IdentityInterface(fields=["transform", "moved", "metadata"]), name="outputnode"
    )
    register = node(
        RegisterRigid(
            method=method,
            modality=modality.name,
            sloppy=config.processing.sloppy,
            **earlier_inputs(earlier),
        ),
        "register",
        config,
        on=grids,
    )
    doubt = node(DoubtRegistration(doubts=list(pairing.doubts)), "doubt", config)
    resample = node(Resample(outside=modality.outside), "resample", config, on=grids)
    xfm = derivative_node(
        config,
        outputs(names.XFM, ".txt", from_=outputs.bids.suffix, to=NATIVE, mode="image"),
        "ds_t1w_from_moving",
    )
    figure = figure_node(
        config,
        PlotCoregistration,
        outputs(desc=names.COREG),
        ".svg",
        "plot_coregistration",
        moving_name=modality.label,
    )
    workflow.connect([
        (inputnode, register, [("conformed", "t1w"), ("mask", "mask"), ("moving", "moving")]),
        (inputnode, resample, [("moving", "in_file"), ("t1w", "reference")]),
        (register, resample, [("transform", "transforms")]),
        (register, xfm, [("transform", "in_file")]),
        (inputnode, figure, [(field, field) for field in ("t1w", "mask", "dseg", "moving")]),
        (resample, figure, [("out_file", "moved")]),
        (register, doubt, [("metadata", "registration")]),
        (register, outputnode, [("transform", "transform")]),
        (doubt, outputnode, [("metadata", "metadata")]),
        (resample, outputnode, [("out_file", "moved")]),
    ])  # fmt: skip
    return workflow


@dataclass(frozen=True)
class Branch:
    """What the steps of one image's workflow share, once it is registered to the T1w.

    Attributes
    ----------
    outputs
        Names of what is made of it.
    inputnode
        With the fields of :func:`~fusionprep.workflows.nodes.anatomy_fields`, or those of
        :func:`~fusionprep.workflows.nodes.fusion_fields`.
    source
        The image on its own grid.
    coregister
        Of :func:`init_coregistration_wf`.
    moved
        The image on the T1w grid.
    moves
        Where the head of each frame lies in the PET's reference; none where frames are taken as
        they are.
    frames
        What is known of the frames, for :class:`~fusionprep.interfaces.motion.ResampleStatic`.
    series
        Frames of a PET whose runs are combined; None where they are those of its file.
    smoothing
        What frames are smoothed by; None where they are taken as they are.
    unsmoothed
        The branch of the PET before that.
    """

    workflow: LiterateWorkflow
    config: Config
    pairing: Pairing
    outputs: names.OutputNames
    inputnode: pe.Node
    source: Port
    coregister: LiterateWorkflow
    moved: Port
    moves: Port | None = None
    frames: Mapping[str, Any] = field(default_factory=dict)
    series: Port | None = None
    smoothing: Smoothing | None = None
    unsmoothed: "Branch | None" = None

    @property
    def registration(self) -> Port:
        """The sidecar's field ``Registration``."""
        return self.coregister, "outputnode.metadata"

    @property
    def transform(self) -> Port:
        """From the image to the T1w."""
        return self.coregister, "outputnode.transform"

    @property
    def sharp(self) -> "Branch":
        """The branch of the PET as it was before it was smoothed."""
        return self if self.unsmoothed is None else self.unsmoothed

    def connect(self, port: Port, target: pe.Node, field: str) -> None:
        """Hand what a port has to a field of a node."""
        self.workflow.connect(port[0], port[1], target, field)

    def give_frames(self, target: pe.Node, field: str) -> None:
        """Hand the frames of a PET to a node that has been given those of its file."""
        if self.series is not None:
            self.connect(self.series, target, field)

    def smooth_frames(self, target: pe.Node) -> None:
        """Tell a node that takes frames what they are smoothed by."""
        if self.smoothing is None:
            return
        target.inputs.kernel = list(self.smoothing.kernel)
        if self.smoothing.target is None:
            self.connect((self.inputnode, "mask"), target, "mask")
            self.connect(self.transform, target, "to_t1w")

    def of_part(
        self,
        source: Port,
        name: str = "resample_t1w",
        *,
        moves: Port | None = None,
        frames: Mapping[str, Any] | None = None,
    ) -> "Branch":
        """The same for another image of the scan, brought along by the same registration.

        Parameters
        ----------
        source
            The image, on the grid of the one that was registered.
        name
            Of the node that brings it to the T1w.
        moves, frames
            See :class:`Branch`.
        """
        part = replace(self, source=source, moves=moves, frames=frames or {})
        resample = part._resampling(name, self.pairing.t1w)
        self.connect((self.inputnode, "t1w"), resample, "reference")
        self.connect(self.transform, resample, "transforms")
        return replace(part, moved=(resample, "out_file"))

    def _resampling(self, name: str, grid: ImageFile | TemplateSpace, **inputs: Any) -> pe.Node:
        """A node that brings the image, or the mean of its aligned frames, to a grid."""
        inputs["outside"] = self.pairing.modality.outside
        interface = (
            Resample(**inputs) if self.moves is None else ResampleStatic(**inputs, **self.frames)
        )
        resample = node(interface, name, self.config, on=[self.pairing.image, grid])
        self.connect(self.source, resample, "in_file")
        if self.moves is not None:
            self.connect(self.moves, resample, "moves")
            self.give_frames(resample, "dynamic")
            self.smooth_frames(resample)
        return resample

    def in_space(self, space: Space) -> Port:
        """The image in an output space, in one interpolation from its own grid."""
        if space.template is None:
            return self.moved
        chain = pe.Node(niu.Merge(2), name=f"chain{space.tag}")
        resample = self._resampling(
            f"resample{space.tag}", space.template, template=str(space.template)
        )
        template_from_t1w = f"template_from_t1w_{space.template.name}"
        self.connect((self.inputnode, template_from_t1w), chain, "in1")
        self.connect(self.transform, chain, "in2")
        self.connect((chain, "out"), resample, "transforms")
        return resample, "out_file"


def add_coregistration(
    workflow: LiterateWorkflow,
    config: Config,
    pairing: Pairing,
    *,
    inputnode: pe.Node,
    source: Port,
) -> Branch:
    """Register an image to its T1w.

    Parameters
    ----------
    inputnode
        Of the workflow, with the T1w's images.
    source
        The image on its own grid, static.
    """
    outputs = names.OutputNames(pairing.image, pairing.modality)
    coregister = init_coregistration_wf(config, pairing, outputs)
    workflow.connect([
        (inputnode, coregister, [(name, f"inputnode.{name}") for name in FROM_T1W]),
        (source[0], coregister, [(source[1], "inputnode.moving")]),
    ])  # fmt: skip
    moved = coregister, "outputnode.moved"
    return Branch(workflow, config, pairing, outputs, inputnode, source, coregister, moved)


def paired_metadata(config: Config, pairing: Pairing) -> dict[str, Any]:
    """Sidecar fields that every image brought to a T1w has."""
    notes = {names.NOTES: list(pairing.notes)} if pairing.notes else {}
    return {
        **notes,
        "Sources": raw_uris(pairing.image, config.bids_dir),
        "SkullStripped": False,
        "SpatialReference": names.own_uri(t1w_output(pairing.t1w, "t1w")),
        "Pairing": {
            "T1w": names.raw_uri(pairing.t1w, config.bids_dir),
            "Reason": pairing.reason,
            "DayGap": pairing.day_gap,
        },
    }
