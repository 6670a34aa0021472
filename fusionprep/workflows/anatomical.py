"""T1w: conform, brain mask, bias correction, tissues, and their derivatives."""

from functools import partial

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids.names import derivative_path, own_uri, raw_uri, still_true
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config
from fusionprep.interfaces.anatomical import Conform, CorrectBias, ExtractBrain, Segment
from fusionprep.interfaces.quality import AssessT1w
from fusionprep.interfaces.reports import PlotTissue
from fusionprep.workflows.nodes import derivative_node, figure_node, node

DESCRIPTION = """
The T1-weighted (T1w) image was reoriented to RAS without resampling. {brain}
Intensity non-uniformity was corrected with N4 [@n4] inside the brain mask, as implemented in
*SimpleITK* [@simpleitk], on voxels of about 6 mm. Gray matter, white matter and
cerebrospinal fluid were segmented with a three-class Gaussian mixture (*scikit-learn*
[@sklearn]) and one update of a neighbourhood prior in the manner of @hmrf.
"""
BRAIN = {
    "auto": "The brain was extracted with *deepbet* [@deepbet], unless the image showed it alone.",
    "force": "The brain was extracted with *deepbet* [@deepbet].",
    "skip": "The image was taken as skull-stripped already.",
}


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
        Brain mask, labels (1 GM, 2 WM, 3 CSF) and probabilities on the T1w grid.
    metadata
        The T1w's sidecar field ``SkullStripped``.
    """
    workflow = LiterateWorkflow(name=name)
    workflow.__desc__ = DESCRIPTION.format(brain=BRAIN[config.skull_strip_t1w])
    outputs = ("conformed", "t1w", "brain", "mask", "dseg", "gm", "wm", "csf", "metadata")
    outputnode = pe.Node(niu.IdentityInterface(fields=list(outputs)), name="outputnode")
    conform = node(Conform(in_file=str(t1w.path)), "conform", config)
    source = str(t1w.path.relative_to(config.bids_dir))
    extract = node(
        ExtractBrain(method=config.skull_strip_t1w, source=source),
        "extract_brain",
        config,
        mem_gb=1.6,
    )
    iterations = [10, 10, 5] if config.sloppy else [50, 50, 30]
    correct = node(CorrectBias(iterations=iterations), "correct_bias", config, mem_gb=0.8)
    segment = node(Segment(seed=config.random_seed), "segment", config, mem_gb=1.2)
    assess = node(AssessT1w(), "assess", config)
    workflow.connect([
        (conform, assess, [("out_file", "acquired")]),
        (correct, assess, [("out_file", "t1w")]),
        (segment, assess, [("out_dseg", "dseg")]),
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
    _write_outputs(workflow, config, t1w, extract=extract, correct=correct, segment=segment)
    return workflow


def t1w_path(t1w: ImageFile, suffix: str = "T1w", **entities: str) -> str:
    """Path of a derivative of a T1w.

    A session has one T1w that is used, so ``acq-`` and ``run-`` need not tell them apart.
    """
    return derivative_path(t1w.subject, t1w.session, "anat", suffix, ".nii.gz", **entities)


def _write_outputs(workflow, config: Config, t1w: ImageFile, *, extract, correct, segment) -> None:
    path = partial(t1w_path, t1w)
    sources = {"Sources": [raw_uri(t1w, config.bids_dir)]}
    reference = own_uri(path(desc="preproc"))
    preproc = {"Sources": [reference], "SpatialReference": reference}
    files = [
        ("t1w", correct, "out_file", path(desc="preproc"), {
            "Description": "T1w corrected for intensity non-uniformity",
            "BiasCorrection": "N4", **still_true(t1w.metadata), **sources,
        }),
        ("mask", extract, "out_mask", path("mask", desc="brain"), {
            "Description": "Brain mask", "Type": "Brain", **preproc,
        }),
        ("dseg", segment, "out_dseg", path("dseg"), {
            "Description": "Tissue classes: 1 gray matter, 2 white matter, 3 cerebrospinal fluid",
            **preproc,
        }),
    ]  # fmt: skip
    for tissue in ("GM", "WM", "CSF"):
        description = {"Description": f"Probability of {tissue}", **preproc}
        field = f"out_{tissue.lower()}"
        files.append((tissue, segment, field, path("probseg", label=tissue), description))
    for name, source, field, out_path, metadata in files:
        write = derivative_node(config, out_path, f"ds_{name}", space="scanner", metadata=metadata)
        workflow.connect(source, field, write, "in_file")
        if name in ("mask", "dseg"):
            workflow.connect(source, "metadata", write, "computed")
        if name == "t1w":
            computed = pe.Node(niu.Merge(2), name="computed_metadata")
            workflow.connect([
                (extract, computed, [("t1w_metadata", "in1")]),
                (workflow.get_node("assess"), computed, [("metadata", "in2")]),
                (computed, write, [("out", "computed")]),
            ])  # fmt: skip
    figure = figure_node(config, PlotTissue, path(desc="tissue"), ".svg", "plot_tissue")
    workflow.connect([
        (correct, figure, [("out_file", "t1w")]),
        (extract, figure, [("out_mask", "mask")]),
        (segment, figure, [("out_dseg", "dseg")]),
    ])  # fmt: skip
