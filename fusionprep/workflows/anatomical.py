"""T1w: conform, brain mask, bias correction, tissues, and their derivatives."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep.bids import names
from fusionprep.bids.earlier import earlier_work
from fusionprep.bids.participants import participant_age
from fusionprep.bids.sidecars import still_true
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config, Processing
from fusionprep.image.denoising import FROM_NOISE
from fusionprep.image.segmentation import TISSUES
from fusionprep.interfaces.anatomical import (
    Conform,
    CorrectBias,
    Denoise,
    ExtractBrain,
    Segment,
)
from fusionprep.interfaces.lesions import PlaceLesion
from fusionprep.interfaces.quality import AssessT1w
from fusionprep.interfaces.reports import PlotDenoised, PlotTissue
from fusionprep.modalities import T1W
from fusionprep.workflows.earlier import add_earlier, describe_earlier
from fusionprep.workflows.methods import Stage, describe
from fusionprep.workflows.nodes import (
    Port,
    derivative_node,
    figure_node,
    lesion_fields,
    node,
)

DESCRIPTION = """
The T1-weighted (T1w) image was reoriented to RAS without resampling. {brain}
Intensity non-uniformity was corrected with N4 [@n4] inside the brain mask, as implemented in
*SimpleITK* [@simpleitk], on voxels of about 6 mm. {noise}
The fractions of gray matter, white matter and cerebrospinal fluid in each voxel were estimated with
a Gaussian mixture of the three and of voxels that hold two of them [@pve], starting from
*scikit-learn* [@sklearn], and one update of a neighbourhood prior in the manner of @hmrf.
"""
NOISE_TEXT = {
    "auto": "Noise was measured by the finest differences between voxels of white matter"
    " [@wavelet_noise]; where its standard deviation was at least"
    f" {FROM_NOISE:g} of the contrast of gray and white matter, it was taken out inside the brain"
    " mask by non-local means [@nlm] [@nlm_mri].",
    "on": "Noise was measured by the finest differences between voxels of white matter"
    " [@wavelet_noise], and taken out inside the brain mask by non-local means [@nlm] [@nlm_mri].",
    "off": "",
}
LESION_TEXT = """
A lesion, given as a mask, was left out of the models of intensity non-uniformity and of tissues,
kept in the brain mask, and given to no tissue.
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
    names.LESION: (names.MASK, {"label": names.LESION}),
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
        The same, bias-corrected and, where that is wanted, denoised.
    brain
        The same inside the brain mask.
    mask, dseg, gm, wm, csf
        Brain mask, labels (1 GM, 2 WM, 3 CSF) and fractions on the T1w grid.
    metadata
        The T1w's sidecar fields ``SkullStripped`` and ``Denoised``.
    lesion
        Of a T1w that has one, on its grid.
    """
    workflow, lesion = LiterateWorkflow(name=name), lesion_fields(t1w)
    earlier = earlier_work(config, t1w)
    text = _methods(config.processing, t1w) + describe_earlier(earlier)
    describe(workflow, Stage.ANATOMY, text)
    outputs = ("conformed", "t1w", "brain", "mask", "dseg", "gm", "wm", "csf", "metadata", *lesion)
    outputnode = pe.Node(niu.IdentityInterface(fields=list(outputs)), name="outputnode")
    read = Conform(in_file=str(t1w.path), name=T1W.label, from_zero=True)
    conform = node(read, "conform", config, on=[t1w])
    source = str(t1w.path.relative_to(config.bids_dir))
    processing, device = config.processing, config.fusion.device
    method = processing.skull_strip_t1w
    interface = ExtractBrain(method=method, source=source, device=device)
    extract = node(interface, "extract_brain", config, on=[t1w])
    brain = _with_lesion(workflow, config, t1w, extract) if lesion else extract
    iterations = [10, 10, 5] if processing.sloppy else [50, 50, 30]
    correct = node(CorrectBias(iterations=iterations), "correct_bias", config, on=[t1w])
    remove_noise = node(Denoise(choice=processing.denoise_t1w), "denoise", config, on=[t1w])
    segment = node(Segment(seed=processing.random_seed), "segment", config, on=[t1w])
    assess = _assessed(workflow, config, t1w, (conform, correct, segment, brain))
    told = _merged(
        workflow, "t1w_metadata", [(step, "t1w_metadata") for step in (extract, remove_noise)]
    )
    workflow.connect([
        (conform, extract, [("out_file", "in_file")]),
        (conform, correct, [("out_file", "in_file")]),
        (brain, correct, [("out_mask", "mask")]),
        (correct, remove_noise, [("out_file", "in_file"), ("out_brain", "in_brain")]),
        (brain, remove_noise, [("out_mask", "mask")]),
        (remove_noise, segment, [("out_file", "in_file")]),
        (brain, segment, [("out_mask", "mask")]),
        (remove_noise, outputnode, [("out_file", "t1w"), ("out_brain", "brain")]),
        (conform, outputnode, [("out_file", "conformed")]),
        (brain, outputnode, [("out_mask", "mask")]),
        (told, outputnode, [("out", "metadata")]),
        (segment, outputnode, [
            ("out_dseg", "dseg"), ("out_gm", "gm"), ("out_wm", "wm"), ("out_csf", "csf"),
        ]),
    ])  # fmt: skip
    computed = [(told, "out"), *((step, "metadata") for step in (assess, conform, remove_noise))]
    computed += add_earlier(workflow, config, t1w, earlier, (conform, extract, segment))
    found = _merged(workflow, "computed_metadata", computed)
    origin = None if earlier.tissues is None else (segment, "origin")
    images: dict[str, tuple[Port, Port | None]] = {
        "t1w": ((remove_noise, "out_file"), (found, "out")),
        "mask": ((brain, "out_mask"), (brain, "metadata")),
        "dseg": ((segment, "out_dseg"), (segment, "metadata")),
        **{name: ((segment, f"out_{name}"), origin) for name in ("gm", "wm", "csf")},
        **dict.fromkeys(lesion, ((brain, "out_lesion"), (brain, "lesion_metadata"))),
    }
    _write(workflow, config, t1w, images)
    drawn = {name: image for name, (image, _) in images.items()}
    _draw(workflow, config, t1w, {**drawn, "before": (remove_noise, "before")})
    for field, given in itertools.product(lesion, (correct, segment, outputnode)):
        workflow.connect(brain, "out_lesion", given, field)
    return workflow


def _methods(processing: Processing, t1w: ImageFile) -> str:
    text = DESCRIPTION.format(
        brain=BRAIN_TEXT[processing.skull_strip_t1w], noise=NOISE_TEXT[processing.denoise_t1w]
    )
    return text + (LESION_TEXT.lstrip() if t1w.lesions else "")


def _assessed(
    workflow: pe.Workflow,
    config: Config,
    t1w: ImageFile,
    steps: tuple[pe.Node, pe.Node, pe.Node, pe.Node],
) -> pe.Node:
    """A node that judges the T1w by what conforming, correction, segmentation and mask gave."""
    assess = node(AssessT1w(), "assess", config, on=[t1w])
    age = participant_age(config.bids_dir, t1w.subject)
    if age is not None:
        assess.inputs.age = age
    conform, correct, segment, brain = steps
    workflow.connect([
        (conform, assess, [("out_file", "acquired")]),
        (correct, assess, [("out_file", "t1w")]),
        (segment, assess, [("out_dseg", "dseg"), ("metadata", "tissues")]),
        (brain, assess, [("metadata", "brain")]),
    ])  # fmt: skip
    return assess


def _merged(workflow: pe.Workflow, name: str, ports: Sequence[Port]) -> pe.Node:
    """A node that hands over fields of the sidecar from several nodes as a list."""
    merge = pe.Node(niu.Merge(len(ports)), name=name)
    for number, (source, field) in enumerate(ports, 1):
        workflow.connect(source, field, merge, f"in{number}")
    return merge


def _draw(
    workflow: pe.Workflow, config: Config, t1w: ImageFile, images: Mapping[str, Port]
) -> None:
    """Add the figures of a T1w to the report: its tissues and lesion, and what denoising did."""
    on_t1w = ("t1w", "mask", "dseg", *lesion_fields(t1w))
    for interface, desc, fields in (
        (PlotTissue, names.TISSUE, {field: field for field in on_t1w}),
        (PlotDenoised, names.DENOISED, {"before": "before", "after": "t1w", "mask": "mask"}),
    ):
        figure = figure_node(config, interface, t1w_path(t1w, desc=desc), ".svg", f"plot_{desc}")
        for field, image in fields.items():
            workflow.connect(*images[image], figure, field)


def _with_lesion(
    workflow: pe.Workflow, config: Config, t1w: ImageFile, extract: pe.Node
) -> pe.Node:
    """A node that has what :class:`ExtractBrain` has, the lesion in it, and the lesion."""
    masks = [lesion.path for lesion in t1w.lesions]
    interface = PlaceLesion(in_files=[str(path) for path in masks], names=[p.name for p in masks])
    place = node(interface, "place_lesion", config, on=[t1w])
    workflow.connect(extract, "out_mask", place, "mask")
    workflow.connect(extract, "metadata", place, "brain")
    return place


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
    lesion = {}
    datasets = {**config.selection.derivatives, "raw": config.bids_dir}
    marked = [names.dataset_uri(lesion.path, datasets) for lesion in t1w.lesions]
    if t1w.lesions:
        own = names.own_uri(t1w_output(t1w, names.LESION))
        preproc = {**preproc, "Sources": [reference, own]}
        classes += ", 7 lesion"
        lesion = {
            names.LESION: {
                "Description": "Lesion, as the dataset marks it, on the grid of the T1w",
                "Type": "Lesion",
                "Sources": marked,
                "SpatialReference": reference,
            }
        }
    return {
        "t1w": {
            "Description": "T1w corrected for intensity non-uniformity",
            "BiasCorrection": "N4",
            **still_true(t1w.metadata),
            **({names.NOTES: list(t1w.notes)} if t1w.notes else {}),
            "Sources": [names.raw_uri(t1w, config.bids_dir), *marked],
        },
        "mask": {"Description": names.DESCRIPTIONS[names.BRAIN], "Type": "Brain", **preproc},
        "dseg": {"Description": classes, **preproc},
        **{
            tissue.lower(): {"Description": f"Fraction of {tissue} in each voxel", **preproc}
            for tissue in TISSUES
        },
        **lesion,
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
