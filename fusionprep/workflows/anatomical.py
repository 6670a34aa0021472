"""T1w: conform, brain mask, bias correction, tissues, and their derivatives."""

from collections.abc import Mapping
from typing import Any

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids import names
from fusionprep.bids.earlier import earlier_work
from fusionprep.bids.participants import participant_age
from fusionprep.bids.sidecars import still_true
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config
from fusionprep.image.segmentation import TISSUES
from fusionprep.interfaces.anatomical import Conform, CorrectBias, ExtractBrain, Segment
from fusionprep.interfaces.quality import AssessT1w
from fusionprep.interfaces.reports import PlotTissue
from fusionprep.modalities import T1W
from fusionprep.workflows.earlier import add_earlier, describe_earlier
from fusionprep.workflows.nodes import Port, derivative_node, figure_node, node

DESCRIPTION = """
The T1-weighted (T1w) image was reoriented to RAS without resampling. {brain}
Intensity non-uniformity was corrected with N4 [@n4] inside the brain mask, as implemented in
*SimpleITK* [@simpleitk], on voxels of about 6 mm. The fractions of gray matter, white matter and
cerebrospinal fluid in each voxel were estimated with a Gaussian mixture of the three and of voxels
that hold two of them [@pve], starting from *scikit-learn* [@sklearn], and one update of a
neighbourhood prior in the manner of @hmrf.
"""
BRAIN_TEXT = {
    "auto": "The brain was extracted with *deepbet* [@deepbet], unless the image showed only that.",
    "force": "The brain was extracted with *deepbet* [@deepbet].",
    "skip": "The image was taken to be skull-stripped already.",
}
OUTPUT_FILES: Mapping[str, tuple[str, dict[str, str]]] = {
    "t1w": (names.BIDS[T1W].suffix, {"desc": names.PREPROC}),
    "mask": (names.MASK, {"desc": names.BRAIN}),
    "dseg": (names.DSEG, {}),
    **{tissue.lower(): (names.PROBSEG, {"label": tissue}) for tissue in TISSUES},
}
"""Suffix and entities of the files that outputs of the T1w's workflow are written to."""


def init_anatomical_wf(
    config: Config, t1w: ImageFile, name: str = "anatomical_wf"
) -> LiterateWorkflow:
    """Process one T1w and write its derivatives.

    Outputs
    -------
    conformed
        T1w in RAS, intensities as acquired.
    t1w
        The same, bias-corrected.
    brain
        The same inside the brain mask.
    mask, dseg, gm, wm, csf
        Brain mask, labels (1 GM, 2 WM, 3 CSF) and fractions on the T1w grid.
    metadata
        The T1w's sidecar field ``SkullStripped``.
    """
    workflow = LiterateWorkflow(name=name)
    earlier = earlier_work(config, t1w)
    workflow.__desc__ = DESCRIPTION.format(brain=BRAIN_TEXT[config.processing.skull_strip_t1w])
    workflow.__desc__ += describe_earlier(earlier)
    outputs = ("conformed", "t1w", "brain", "mask", "dseg", "gm", "wm", "csf", "metadata")
    outputnode = pe.Node(niu.IdentityInterface(fields=list(outputs)), name="outputnode")
    read = Conform(in_file=str(t1w.path), name=T1W.label, from_zero=True)
    conform = node(read, "conform", config, on=[t1w])
    source = str(t1w.path.relative_to(config.bids_dir))
    processing, device = config.processing, config.fusion.device
    method = processing.skull_strip_t1w
    interface = ExtractBrain(method=method, source=source, device=device)
    extract = node(interface, "extract_brain", config, on=[t1w])
    iterations = [10, 10, 5] if processing.sloppy else [50, 50, 30]
    correct = node(CorrectBias(iterations=iterations), "correct_bias", config, on=[t1w])
    segment = node(Segment(seed=processing.random_seed), "segment", config, on=[t1w])
    assess = node(AssessT1w(), "assess", config, on=[t1w])
    age = participant_age(config.bids_dir, t1w.subject)
    if age is not None:
        assess.inputs.age = age
    workflow.connect([
        (conform, assess, [("out_file", "acquired")]),
        (correct, assess, [("out_file", "t1w")]),
        (segment, assess, [("out_dseg", "dseg"), ("metadata", "tissues")]),
        (extract, assess, [("metadata", "brain")]),
        (conform, extract, [("out_file", "in_file")]),
        (conform, correct, [("out_file", "in_file")]),
        (extract, correct, [("out_mask", "mask")]),
        (correct, segment, [("out_file", "in_file")]),
        (extract, segment, [("out_mask", "mask")]),
        (correct, outputnode, [("out_file", "t1w"), ("out_brain", "brain")]),
        (conform, outputnode, [("out_file", "conformed")]),
        (extract, outputnode, [("out_mask", "mask"), ("t1w_metadata", "metadata")]),
        (segment, outputnode, [
            ("out_dseg", "dseg"), ("out_gm", "gm"), ("out_wm", "wm"), ("out_csf", "csf"),
        ]),
    ])  # fmt: skip
    computed = [(extract, "t1w_metadata"), (assess, "metadata"), (conform, "metadata")]
    computed += add_earlier(workflow, config, t1w, earlier, (conform, extract, segment))
    found = _merged(workflow, computed)
    origin = None if earlier.tissues is None else (segment, "origin")
    images: dict[str, tuple[Port, Port | None]] = {
        "t1w": ((correct, "out_file"), found),
        "mask": ((extract, "out_mask"), (extract, "metadata")),
        "dseg": ((segment, "out_dseg"), (segment, "metadata")),
        **{name: ((segment, f"out_{name}"), origin) for name in ("gm", "wm", "csf")},
    }
    _write(workflow, config, t1w, images)
    figure = figure_node(
        config, PlotTissue, t1w_path(t1w, desc=names.TISSUE), ".svg", "plot_tissue"
    )
    workflow.connect([
        (correct, figure, [("out_file", "t1w")]),
        (extract, figure, [("out_mask", "mask")]),
        (segment, figure, [("out_dseg", "dseg")]),
    ])  # fmt: skip
    return workflow


def _merged(workflow: pe.Workflow, ports: list[Port]) -> Port:
    found = pe.Node(niu.Merge(len(ports)), name="computed_metadata")
    for number, port in enumerate(ports, start=1):
        workflow.connect(port[0], port[1], found, f"in{number}")
    return found, "out"


def t1w_path(
    t1w: ImageFile,
    suffix: str = names.BIDS[T1W].suffix,
    extension: str = names.IMAGE,
    **entities: str | None,
) -> str:
    """Path of a derivative of a T1w.

    One T1w is used per session, so ``acq-`` and ``run-`` are not needed to tell them apart.
    """
    own = {"sub": t1w.subject, "ses": t1w.session}
    return names.derivative_path(names.BIDS[T1W].datatype, suffix, extension, **own, **entities)


def t1w_output(t1w: ImageFile, output: str, **entities: str | None) -> str:
    """Path of one of :data:`OUTPUT_FILES`."""
    suffix, own = OUTPUT_FILES[output]
    return t1w_path(t1w, suffix, names.IMAGE, **own, **entities)


def _sidecars(config: Config, t1w: ImageFile) -> dict[str, dict[str, Any]]:
    """What is known beforehand about each of :data:`OUTPUT_FILES`."""
    reference = names.own_uri(t1w_output(t1w, "t1w"))
    preproc = {"Sources": [reference], "SpatialReference": reference}
    classes = "Tissue classes: 1 gray matter, 2 white matter, 3 cerebrospinal fluid"
    return {
        "t1w": {
            "Description": "T1w corrected for intensity non-uniformity",
            "BiasCorrection": "N4",
            **still_true(t1w.metadata),
            **({names.NOTES: list(t1w.notes)} if t1w.notes else {}),
            "Sources": [names.raw_uri(t1w, config.bids_dir)],
        },
        "mask": {"Description": names.DESCRIPTIONS[names.BRAIN], "Type": "Brain", **preproc},
        "dseg": {"Description": classes, **preproc},
        **{
            tissue.lower(): {"Description": f"Fraction of {tissue} in each voxel", **preproc}
            for tissue in TISSUES
        },
    }


def _write(
    workflow: pe.Workflow,
    config: Config,
    t1w: ImageFile,
    images: Mapping[str, tuple[Port, Port | None]],
) -> None:
    """Write the images, each with the fields of its sidecar that are computed, if any."""
    for output, metadata in _sidecars(config, t1w).items():
        out_path = t1w_output(t1w, output)
        write = derivative_node(
            config, out_path, f"ds_{output}", space="scanner", metadata=metadata
        )
        image, computed = images[output]
        workflow.connect(image[0], image[1], write, "in_file")
        if computed is not None:
            workflow.connect(computed[0], computed[1], write, "computed")
