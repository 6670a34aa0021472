"""The reference region of SUVR in the workflow that is built for a plan."""

from pathlib import Path

import pytest
from nipype.pipeline.engine.utils import generate_expanded_graph

from fusionprep.bids.types import ImageFile, SubjectPlan
from fusionprep.config import Config
from fusionprep.modalities import get_modality
from fusionprep.workflows.base import init_fusionprep_wf
from tests.app.said import methods
from tests.bids.skeleton import pair


def workflow(tmp_path: Path, *images: str, frames: int = 1, **options):
    """The workflow of a subject with images of ``pet/`` and ``ct/`` and one T1w."""
    given = {"modalities": ("pet", "ct"), "models": ("average",), **options}
    config = Config.from_options(
        bids_dir=tmp_path / "raw",
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
        **given,
    )

    def image(folder: str, name: str) -> ImageFile:
        path = config.bids_dir / "sub-01" / folder / f"sub-01_{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        tracer = {"trc": name[4:].split("_")[0]} if name.startswith("trc-") else {}
        suffix = name.split("_")[-1]
        shape = (9, 9, 9, frames) if folder == "pet" and frames > 1 else (9, 9, 9)
        return ImageFile(path, {"sub": "01", **tracer}, suffix, {}, shape=shape)

    t1w = image("anat", "T1w")
    pairings = []
    for name in images:
        modality = name.split("_")[-1]
        found = image(modality, name)
        pairings.append(pair(get_modality(modality), found, t1w, config.processing))
    return init_fusionprep_wf(config, [SubjectPlan("01", tuple(pairings))])


@pytest.mark.parametrize(
    ("region", "label", "said"),
    [
        ("cerebellar-gm", "CerebellarGM", "mean uptake of the cerebellar cortex more than 4 mm"),
        ("cerebellum", "Cerebellum", "Desikan-Killiany atlas [@desikan]"),
        ("inferior-cerebellar-gm", "InferiorCerebellarGM", "below z = -40 mm of the template"),
        ("pons", "Pons", "mean uptake of the pons"),
        ("whole-brain", "WholeBrain", "mean uptake of the whole brain."),
        ("gm", "GM", "gray matter (fraction above 0.5)"),
        ("wm", "WM", "white matter (fraction above 0.5)"),
        ("own/putamen.nii", "Custom", 'the region "putamen.nii"'),
    ],
)
def test_the_reference_region_is_written_once_for_all_pets_of_a_t1w(tmp_path, region, label, said):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "putamen.nii").touch()
    own = "/" in region
    suvr_region = str(tmp_path / region) if own else region
    built = workflow(tmp_path, "trc-FDG_pet", "trc-AV45_pet", "ct", suvr_region=suvr_region)
    nodes = {name: built.get_node(name) for name in built.list_node_names()}
    assert len([name for name in nodes if name.endswith(".suvr_region")]) == 1
    path = f"sub-01/anat/sub-01_label-{label}_desc-suvr_mask.nii.gz"
    paths = {name: getattr(n.inputs, "out_path", "") for name, n in nodes.items()}
    (write,) = [nodes[name] for name, written in paths.items() if written == path]
    sidecar = write.inputs.metadata
    assert sidecar["Description"].startswith("Reference region of SUVR: ")
    assert sidecar["Type"] == "ROI"
    assert sidecar["SpatialReference"] == "bids::sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"
    assert ("Atlas" in sidecar) == ("cerebell" in region or region == "pons")
    assert str(tmp_path) not in str(sidecar)
    # All that is named as its source is written too.
    written = {f"bids::{out_path}" for out_path in paths.values()}
    assert sidecar["Sources"]
    assert set(sidecar["Sources"]) <= written
    # Each PET is measured, drawn and told of in it.
    users = [
        target.fullname.split(".")[-2:]
        for origin, target, _ in generate_expanded_graph(built._create_flat_graph()).edges.data()
        if origin.name == "suvr_region" and target.name != "ds_suvr_region"
    ]
    pets = ("pet_trc_FDG_wf", "pet_trc_AV45_wf")
    assert sorted(users) == sorted([p, "suvr_reference"] for p in pets)
    ratios = [name for name, out_path in paths.items() if out_path.endswith("suvr_pet.nii.gz")]
    assert len(ratios) == 4  # T1w and template
    assert all(f"bids::{path}" in nodes[name].inputs.metadata["Sources"] for name in ratios)
    assert said in methods(built).replace("\n", " ")


def test_each_tracer_has_its_own_region_and_those_that_share_one_share_its_mask(tmp_path):
    tracers = ("AV45", "FBB", "11CPIB", "AV1451", "FDG", "new")
    built = workflow(tmp_path, *(f"trc-{tracer}_pet" for tracer in tracers))
    masks = {
        Path(node.inputs.out_path).name.split("_")[1]
        for name in built.list_node_names()
        if (node := built.get_node(name)).name == "ds_suvr_region"
    }
    assert masks == {
        "label-Cerebellum", "label-CerebellarGM", "label-InferiorCerebellarGM", "label-WholeBrain",
    }  # fmt: skip
    graph = generate_expanded_graph(built._create_flat_graph())
    sources = {
        target.fullname.split(".")[-2]: origin.fullname.split(".")[-2]
        for origin, target, _ in graph.edges.data()
        if target.name == "suvr_reference" and origin.name == "suvr_region"
    }
    assert sources == {
        "pet_trc_AV45_wf": "suvr_Cerebellum_wf",
        "pet_trc_FBB_wf": "suvr_Cerebellum_wf",
        "pet_trc_11CPIB_wf": "suvr_CerebellarGM_wf",
        "pet_trc_AV1451_wf": "suvr_InferiorCerebellarGM_wf",
        "pet_trc_FDG_wf": "suvr_WholeBrain_wf",
        "pet_trc_new_wf": "suvr_WholeBrain_wf",
    }
    # Only a region from the template can be led astray by the registration to it.
    judged = {
        target.fullname.split(".")[-2]
        for origin, target, _ in graph.edges.data()
        if target.name == "suvr_reference" and "MNI152NLin2009aSym_wf" in origin.fullname
    }
    assert judged == {name for name, source in sources.items() if "WholeBrain" not in source}
    references = [
        node.inputs
        for name in built.list_node_names()
        if (node := built.get_node(name)).name == "suvr_reference"
    ]
    assert {given.name: given.reason.split(" (")[0] for given in references} == {
        "cerebellum": "usual for [18F]florbetaben",
        "cerebellar-gm": "usual for [11C]PiB",
        "inferior-cerebellar-gm": "usual for [18F]flortaucipir",
        "whole-brain": "the tracer is not known",
    }


def test_only_a_region_that_was_chosen_is_required(tmp_path):
    for suvr_region, required in (("auto", False), ("cerebellum", True)):
        built = workflow(tmp_path, "trc-AV45_pet", suvr_region=suvr_region)
        nodes = {name.split(".")[-1]: built.get_node(name) for name in built.list_node_names()}
        for name in ("suvr_region", "suvr_reference"):
            assert nodes[name].inputs.required == required
        reached = {
            (target.name, into)
            for origin, target, edge in generate_expanded_graph(
                built._create_flat_graph()
            ).edges.data()
            for field, into in edge["connect"]
            if (origin.name, field) in (("suvr_reference", "region"), ("suvr_reference", "missing"))
        }
        assert ("plot_suvr", "region") in reached
        assert {name for name, _ in reached} == {"plot_suvr", "computed_metadata_t1w"}


def test_without_suvr_or_without_pet_there_is_no_region(tmp_path):
    for built in (
        workflow(tmp_path, "pet", "ct", suvr_region="none"),
        workflow(tmp_path, "ct", suvr_region="pons"),
    ):
        names = built.list_node_names()
        assert [name for name in names if "_wf.ct" in name]
        assert not [name for name in names if "suvr" in name]
