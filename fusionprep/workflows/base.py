"""The whole run: one workflow per subject, one anatomical workflow per T1w."""

import itertools
import re
from pathlib import Path

from nipype.pipeline import engine as pe
from niworkflows.engine.workflows import LiterateWorkflow

from fusionprep._version import __version__
from fusionprep.bids.pairing import find_contrast
from fusionprep.bids.types import ImageFile, Pairing, SubjectPlan
from fusionprep.config import Config
from fusionprep.spaces import NATIVE
from fusionprep.suvr_regions import ReferenceRegion
from fusionprep.workflows.anatomical import init_anatomical_wf
from fusionprep.workflows.atlases import TISSUES, atlas_fields, init_atlas_wf, t1w_atlases
from fusionprep.workflows.methods import Stage, describe
from fusionprep.workflows.nodes import Port, Space, t1w_images
from fusionprep.workflows.pet import init_pet_wf
from fusionprep.workflows.structural import init_structural_wf
from fusionprep.workflows.suvr import (
    SUVR_REGION,
    TEMPLATE_REGISTRATION,
    has_suvr,
    init_region_wf,
    region_label,
    region_template,
)
from fusionprep.workflows.template import REGISTRATION, init_template_wf

WORKFLOW_NAME = f"fusionprep_{re.sub(r'[^0-9A-Za-z]', '_', __version__)}_wf"
DESCRIPTION = """
Results included in this manuscript come from images processed with *fusionprep* {version}, which
is based on *Nipype* {nipype} [@nipype].
"""


def init_fusionprep_wf(config: Config, plans: list[SubjectPlan]) -> LiterateWorkflow:
    """Build the workflow of every subject that has something to be processed.

    Parameters
    ----------
    plans
        What was found (:func:`fusionprep.bids.plan.plan_dataset`).
    """
    import nipype

    workflow = LiterateWorkflow(name=WORKFLOW_NAME, base_dir=str(config.work_dir))
    text = DESCRIPTION.format(version=__version__, nipype=nipype.__version__)
    describe(workflow, Stage.RUN, text)
    for plan in plans:
        if plan.pairings:
            workflow.add_nodes([init_subject_wf(config, plan)])
    return workflow


def init_subject_wf(config: Config, plan: SubjectPlan) -> LiterateWorkflow:
    """Build one subject's workflow: each T1w once, then every image paired with it."""
    workflow = LiterateWorkflow(name=subject_workflow_name(plan.label))
    for t1w in plan.t1ws:
        pairings = [pairing for pairing in plan.pairings if pairing.t1w.path == t1w.path]
        _add_t1w(workflow, config, t1w, pairings)
    return workflow


def subject_workflow_name(label: str) -> str:
    """Name of a subject's workflow; the plus sign BIDS allows is not allowed in node names."""
    return f"sub_{label.replace('+', '_')}_wf"


def _add_t1w(
    workflow: pe.Workflow, config: Config, t1w: ImageFile, pairings: list[Pairing]
) -> None:
    anatomical = init_anatomical_wf(config, t1w, f"anatomical{_tag(t1w)}_wf")
    workflow.add_nodes([anatomical])
    sources = {name: (anatomical, f"outputnode.{name}") for name in t1w_images(t1w)}
    by_name = itertools.groupby(
        sorted(config.processing.templates, key=lambda template: template.name),
        key=lambda template: template.name,
    )
    for name, templates in by_name:
        registration = init_template_wf(
            config, t1w, [Space(template) for template in templates], f"{name}{_tag(t1w)}_wf"
        )
        workflow.connect([
            (anatomical, registration, [
                (f"outputnode.{field}", f"inputnode.{field}")
                for field in registration.inputs.inputnode.get()
            ]),
        ])  # fmt: skip
        for field in registration.outputs.outputnode.get():
            sources[field] = (registration, f"outputnode.{field}")
    regions = _add_regions(workflow, config, t1w, pairings, sources)
    if any(pairing.modality.tracer for pairing in pairings):
        _add_atlases(workflow, config, t1w, sources)
    contrast = find_contrast(pairings, config.fusion.contrast)
    # The contrast first: the others take its outputs as inputs.
    for pairing in sorted(pairings, key=lambda pairing: pairing is not contrast):
        build = init_pet_wf if pairing.modality.tracer else init_structural_wf
        name = f"{pairing.modality.name}{_tag(pairing.image)}_wf"
        processing = build(config, pairing, name, contrast)
        known = {**sources, **regions.get(pairing.image.path, {})}
        for field in processing.inputs.inputnode.get():
            node, source = known[field]
            workflow.connect(node, source, processing, f"inputnode.{field}")
        if pairing is contrast:
            for field in processing.outputs.outputnode.get():
                sources[field] = (processing, f"outputnode.{field}")


def _add_regions(
    workflow: pe.Workflow,
    config: Config,
    t1w: ImageFile,
    pairings: list[Pairing],
    sources: dict[str, Port],
) -> dict[Path, dict[str, Port]]:
    """Add the reference regions of a T1w's PET images; what each image is given of its own."""
    added: dict[str, Port] = {}
    given: dict[Path, dict[str, Port]] = {}
    for pairing in pairings:
        facts = pairing.image.pet
        if facts is None or not has_suvr(config.processing, facts):
            continue
        label = region_label(facts.region)
        if label not in added:
            added[label] = _add_region(workflow, config, t1w, facts.region, sources)
        ports = given.setdefault(pairing.image.path, {SUVR_REGION: added[label]})
        if template := region_template(config.processing, facts.region):
            ports[TEMPLATE_REGISTRATION] = sources[f"{REGISTRATION}_{template}"]
    return given


def _add_region(
    workflow: pe.Workflow,
    config: Config,
    t1w: ImageFile,
    reference: ReferenceRegion | None,
    sources: dict[str, Port],
) -> Port:
    name = f"suvr_{region_label(reference)}{_tag(t1w)}_wf"
    region = init_region_wf(config, t1w, reference, name)
    fields = {name: name for name in ("t1w", "mask", "gm", "wm")}
    if template := region_template(config.processing, reference):
        fields["t1w_from_template"] = f"t1w_from_template_{template}"
    for field, name in fields.items():
        node, source = sources[name]
        workflow.connect(node, source, region, f"inputnode.{field}")
    return region, f"outputnode.{SUVR_REGION}"


def _add_atlases(
    workflow: pe.Workflow, config: Config, t1w: ImageFile, sources: dict[str, Port]
) -> None:
    """Add the regions of a T1w's atlases to what its PET images are given."""
    for atlas in t1w_atlases(config, t1w):
        labels, table = atlas_fields([atlas])
        regions = init_atlas_wf(config, t1w, atlas, f"{labels}{_tag(t1w)}_wf")
        fields = {name: name for name in ("t1w", "mask", *TISSUES)}
        if atlas.space != NATIVE:
            fields["t1w_from_template"] = f"t1w_from_template_{atlas.space}"
        for field, name in fields.items():
            node, source = sources[name]
            workflow.connect(node, source, regions, f"inputnode.{field}")
        sources[labels] = (regions, "outputnode.labels")
        sources[table] = (regions, "outputnode.table")


def _tag(image: ImageFile) -> str:
    """The entities of an image as the end of a node name."""
    stem = image.path.name.split(".", 1)[0]
    entities = stem.split("_")[1:-1]
    return "".join(f"_{re.sub(r'[^A-Za-z0-9]', '_', entity)}" for entity in entities)
