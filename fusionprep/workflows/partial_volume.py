"""Partial-volume correction of a PET in T1w space."""

from typing import Any

from nipype.pipeline import engine as pe

from fusionprep.bids import names
from fusionprep.bids.types import PETFacts
from fusionprep.config import Processing
from fusionprep.image.partial_volume.brain import BRAIN_TISSUES
from fusionprep.interfaces.partial_volume import TABLE_COLUMNS, CorrectPartialVolume
from fusionprep.interfaces.pet import Scale
from fusionprep.interfaces.pet_figures import PlotCorrected
from fusionprep.suvr_regions import ReferenceRegion
from fusionprep.workflows.anatomical import t1w_output
from fusionprep.workflows.coregistration import Branch
from fusionprep.workflows.nodes import Port, Space, derivative_node, figure_node, node
from fusionprep.workflows.suvr import SUVR_REGION, has_suvr, region_name, region_path

GTM = "gtm"
DESCRIPTION = """
PET in T1w space was corrected for partial volume by {methods}, with the fractions of gray matter,
white matter and cerebrospinal fluid and a Gaussian point spread of {fwhm} mm ({source}), to which
that of the interpolation was added.
"""
METHODS = {
    "mg": "the method of Müller-Gärtner [@mullergartner], the activities of other tissues being"
    " those of the geometric transfer matrix [@gtm]",
    "gtm": "the geometric transfer matrix [@gtm], for means of tissues",
    "rbv": "region-based voxelwise correction [@rbv]",
    "iy": "the iterative method of Yang [@iy]",
}
COLUMNS = {
    "index": {"Description": "Number of the row"},
    "name": {
        "Description": "Tissue; a part of one in the reference region of SUVR, the tissue then"
        " being what is left of it; what is near the brain, and what is outside of it"
    },
    "volume-mm3": {"Description": "Sum of the fractions of its voxels", "Units": "mm3"},
    "mean": {"Description": "Mean activity by the geometric transfer matrix, in Units"},
    "uncorrected": {"Description": "Mean activity as seen, weighted with the fractions, in Units"},
    "variance": {
        "Description": "Variance of mean by noise, in Units squared; what the means leave"
        " unexplained in the brain is taken for noise as blurred as the PET"
    },
}


def describe_correction(processing: Processing, facts: PETFacts) -> str:
    """Sentences for the methods text; empty without correction."""
    if facts.point_spread is None or not processing.corrections:
        return ""
    widths = [f"{width:.3g}" for width in facts.point_spread.fwhm]
    return DESCRIPTION.format(
        methods="; by ".join(METHODS[method] for method in processing.corrections),
        fwhm=widths[0] if len(set(widths)) == 1 else " x ".join(widths),
        source=facts.point_spread.source,
    )


def add_partial_volume(branch: Branch, facts: PETFacts, metadata: dict[str, Any]) -> pe.Node | None:
    """Correct the PET on the T1w grid, and write the results with their figures.

    Parameters
    ----------
    metadata
        Sidecar fields of every image made of the PET.

    Returns
    -------
    nipype.Node or None
        Of :class:`~fusionprep.interfaces.partial_volume.CorrectPartialVolume`; None where nothing
        is corrected.
    """
    methods = branch.config.processing.corrections
    if facts.point_spread is None or not methods:
        return None
    with_suvr = has_suvr(branch.config.processing, facts)
    correct = _correct_node(branch, facts, with_suvr)
    inputs = [branch.outputs(desc=names.PREPROC, **Space().entities)]
    inputs += [t1w_output(branch.pairing.t1w, name) for name in ("mask", "gm", "wm")]
    for method in methods:
        told = {
            **metadata,
            "Description": names.DESCRIPTIONS[names.corrected(method)],
            "Sources": [names.own_uri(path) for path in inputs],
        }
        if method == GTM:
            _write_table(branch, correct, told)
            continue
        image = (correct, f"out_{method}")
        told["SkullStripped"] = True
        out_path = branch.outputs(desc=names.corrected(method), **Space().entities)
        _write(branch, out_path, image, (correct, f"metadata_{method}"), told)
        _draw(branch, method, image)
        if with_suvr:
            region = region_path(facts.region, branch.pairing.t1w)
            _write_suvr(branch, method, correct, told, (out_path, region))
    return correct


def _correct_node(branch: Branch, facts: PETFacts, with_suvr: bool) -> pe.Node:
    config = branch.config
    interface = CorrectPartialVolume(
        methods=list(config.processing.corrections),
        region_required=not config.processing.region_by_tracer,
    )
    correct = node(interface, "correct_partial_volume", config, on=[branch.pairing.t1w])
    hand_brain_over(branch, facts, correct, with_suvr)
    return correct


def hand_brain_over(branch: Branch, facts: PETFacts, correct: pe.Node, with_suvr: bool) -> None:
    """Give a node the inputs of :class:`~fusionprep.interfaces.partial_volume.BrainInputSpec`."""
    config, spread = branch.config, facts.point_spread
    if spread is None:
        raise ValueError("nothing is known of the point spread")
    interface = correct.interface
    interface.inputs.fwhm = list(spread.fwhm)
    interface.inputs.fwhm_source = spread.source
    branch.connect(branch.moved, correct, "pet")
    branch.connect(branch.source, correct, "static")
    branch.connect(branch.transform, correct, "transform")
    for name in ("mask", "gm", "wm"):
        branch.connect((branch.inputnode, name), correct, name)
    if with_suvr:
        branch.connect((branch.inputnode, SUVR_REGION), correct, "region")
        interface.inputs.region_name = region_name(config.processing, facts.region)
        tissues, parted = _of_region(facts.region)
        interface.inputs.region_tissues = list(tissues)
        interface.inputs.region_parted = parted


def _of_region(region: ReferenceRegion | None) -> tuple[tuple[str, ...], bool]:
    """Tissues that count in the reference region, and whether it is but a part of them."""
    if region is None or region.tissue is None:
        gray = region is not None and region.gray_matter
        return (BRAIN_TISSUES[:1] if gray else BRAIN_TISSUES), True
    of_tissue = {"gm": ("GM",), "wm": ("WM",)}
    return of_tissue.get(region.tissue, BRAIN_TISSUES), False


def _write(
    branch: Branch, out_path: str, image: Port, computed: Port, metadata: dict[str, Any]
) -> None:
    name = f"ds_{names.parse_name(out_path)[0]['desc']}"
    space = Space().code
    write = derivative_node(branch.config, out_path, name, space=space, metadata=metadata)
    branch.connect(image, write, "in_file")
    branch.connect(computed, write, "computed")


def _write_suvr(
    branch: Branch,
    method: str,
    correct: pe.Node,
    metadata: dict[str, Any],
    sources: tuple[str, str],
) -> None:
    """Write the SUVR of a corrected image; `sources` are that image and the reference region."""
    desc = names.corrected_suvr(method)
    scale = node(Scale(), desc, branch.config)
    branch.connect((correct, f"out_{method}"), scale, "in_file")
    branch.connect((correct, f"factor_{method}"), scale, "factor")
    told = {
        **metadata,
        "Description": names.DESCRIPTIONS[desc],
        "Units": "arbitrary",
        "Sources": [names.own_uri(path) for path in sources],
    }
    out_path = branch.outputs(desc=desc, **Space().entities)
    computed = (correct, f"suvr_metadata_{method}")
    _write(branch, out_path, (scale, "out_file"), computed, told)


def _write_table(branch: Branch, correct: pe.Node, metadata: dict[str, Any]) -> None:
    columns = {name: COLUMNS[name] for name in TABLE_COLUMNS}
    out_path = branch.outputs(names.MORPH, names.TABLE, desc=names.corrected(GTM))
    computed = (correct, f"metadata_{GTM}")
    _write(branch, out_path, (correct, "out_table"), computed, {**metadata, **columns})


def _draw(branch: Branch, method: str, image: Port) -> None:
    desc = names.corrected(method)
    figure = figure_node(
        branch.config,
        PlotCorrected,
        branch.outputs(desc=desc),
        ".svg",
        f"plot_{desc}",
        method=names.CORRECTIONS[method],
    )
    branch.connect(image, figure, "corrected")
    branch.connect(branch.moved, figure, "pet")
    branch.connect((branch.inputnode, "t1w"), figure, "t1w")
    branch.connect((branch.inputnode, "mask"), figure, "mask")
