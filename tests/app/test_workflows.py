"""What is built for a plan, without running it."""

import hashlib
import math
import os
from pathlib import Path

import pytest
from nipype.interfaces.base import isdefined
from nipype.pipeline.engine.utils import generate_expanded_graph

from fusionprep.bids.types import ImageFile, SubjectPlan
from fusionprep.config import Config
from fusionprep.modalities import CT, PET, get_modality
from fusionprep.workflows.base import init_fusionprep_wf
from tests.app.said import methods
from tests.bids.skeleton import (
    PET_SIDECAR,
    make_config,
    pair,
    plans_of,
    write_dataset,
    write_image,
)

FRAMES = {"FrameTimesStart": [0, 60, 120], "FrameDuration": [60, 60, 120], "Units": "kBq/mL"}


def workflow(tmp_path: Path, n_frames: int = 1, sidecar: dict | None = None, **options):
    """The workflow of a subject with T1w, PET and CT; the sidecar is the PET's."""
    config = Config.from_options(
        bids_dir=tmp_path / "raw",
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
        **{"modalities": ("pet", "ct"), **options},
    )

    def image(folder: str, suffix: str) -> ImageFile:
        path = config.bids_dir / "sub-01" / folder / f"sub-01_{suffix}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        frames, metadata = ((n_frames,), FRAMES) if suffix == "pet" and n_frames > 1 else ((), {})
        metadata = {**metadata, **(sidecar or {})} if suffix == "pet" else metadata
        return ImageFile(path, {"sub": "01"}, suffix, metadata, shape=(9, 9, 9, *frames))

    t1w = image("anat", "T1w")
    pairings = [pair(m, image(m.name, m.name), t1w) for m in (PET, CT)]
    return init_fusionprep_wf(config, [SubjectPlan("01", tuple(pairings))])


@pytest.mark.parametrize("method", ["rigid", "identity", "auto"])
def test_the_method_for_pet_leaves_ct_alone(tmp_path, method):
    built = workflow(tmp_path, pet2anat_method=method)
    found = {
        name.split(".")[-3]: built.get_node(name).inputs.method
        for name in built.list_node_names()
        if name.endswith("coregistration_wf.register")
    }
    assert found == {"pet_wf": method, "ct_wf": "rigid"}


def test_what_the_plan_says_of_images_reaches_verdicts_and_sidecars(tmp_path):
    config = make_config(tmp_path / "raw", modalities=("pet", "flair"))
    write_dataset(config.bids_dir, "sub-01/anat/sub-01_FLAIR.nii.gz", sidecar=PET_SIDECAR)
    # 12 slices of 4 mm
    write_image(config.bids_dir / "sub-01/anat/sub-01_UNIT1.nii.gz", (60, 60, 12), 4.0)
    write_image(config.bids_dir / "sub-01/pet/sub-01_sess-a_pet.nii.gz", sidecar=PET_SIDECAR)
    built = init_fusionprep_wf(
        config, list(plans_of(config.bids_dir, modalities=("pet", "flair")).values())
    )
    nodes = {name: built.get_node(name) for name in built.list_node_names()}
    doubts = [node.inputs.doubts for name, node in nodes.items() if name.endswith(".doubt")]
    assert len(doubts) == 2
    assert all("the field of view of 48 mm is outside 120" in told for (told,) in doubts)
    notes = {
        node.inputs.out_path: node.inputs.metadata["Notes"]
        for node in nodes.values()
        if node.name.startswith("ds_") and "Notes" in (node.inputs.metadata or {})
    }
    assert notes["sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"] == [
        "a UNIT1 serves as T1w, as there is none"
    ]
    assert notes["sub-01/ses-a/pet/sub-01_ses-a_trc-FDG_space-T1w_desc-preproc_pet.nii.gz"] == [
        "the part sess-a of its name is read as ses-a"
    ]


@pytest.mark.parametrize(
    ("planes", "said"), [("axial", "Slices were axial."), ("triplanar", "results were averaged")]
)
def test_the_planes_reach_every_fusion_and_the_methods_text(tmp_path, planes, said):
    built = workflow(tmp_path, planes=planes, batch_size=9, models=("average", "max"))
    fusions = [built.get_node(n) for n in built.list_node_names() if ".fuse_" in n]
    assert len(fusions) == 8  # two models, PET and CT, T1w and template
    assert {(node.inputs.planes, node.inputs.batch_size) for node in fusions} == {(planes, 9)}
    assert said in methods(built)


def test_own_weights_reach_their_model_and_the_methods_text(tmp_path, write_weights):
    def fusions():
        options = {"models": ("average", "unet"), "weights": {"unet": path}}
        built = workflow(tmp_path, **options)
        nodes = [built.get_node(name) for name in built.list_node_names() if ".fuse_" in name]
        return built, {node.name: node.inputs for node in nodes}

    path, _ = write_weights("unet")
    built, inputs = fusions()
    assert inputs["fuse_unet"].weights_file == str(path)
    assert inputs["fuse_unet"].weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not isdefined(inputs["fuse_average"].weights_file)
    assert "UNet [@unet] with weights trained by the user" in methods(built)
    assert "with weights" not in methods(workflow(tmp_path, models=("average",)))
    # Weights of the same size and time, but from another training run, are fused with again.
    hashes, before = {name: item.get_hashval()[1] for name, item in inputs.items()}, path.stat()
    write_weights("unet", seed=1)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    _, again = fusions()
    changed = {name for name, item in again.items() if item.get_hashval()[1] != hashes[name]}
    assert changed == {"fuse_unet"}
    # Where they lie does not matter.
    path = path.rename(tmp_path / "moved.safetensors")
    _, moved = fusions()
    assert moved["fuse_unet"].get_hashval()[1] == again["fuse_unet"].get_hashval()[1]


def anatomical_inputs(built) -> dict[tuple[str, ...], tuple[str, str, str]]:
    """For each fusion its modality, space and model; where its anatomical image comes from, and
    what the sidecar will name as such."""
    found = {}
    for origin, target, edge in generate_expanded_graph(built._create_flat_graph()).edges.data():
        for field, into in edge["connect"]:
            if ".fuse_" in target.fullname and into == "anatomical":
                place = tuple(target.fullname.split(".")[-3:])
                found[place] = (origin.name, field, target.inputs.sources[0])
    return found


def test_models_of_the_gray_matter_get_its_map_and_leave_the_ct_out(tmp_path):
    built = workflow(tmp_path, models=("average", "gmpet"))
    template, stem = "MNI152NLin2009aSym", "bids::sub-01/anat/sub-01_"
    t1w = ("denoise", "out_file", f"{stem}desc-preproc_T1w.nii.gz")
    gm = ("segment", "out_gm", f"{stem}label-GM_probseg.nii.gz")
    there = f"{stem}space-{template}_res-1_"
    t1w_there = (f"resample_t1w_{template}_1", "out_file", f"{there}desc-preproc_T1w.nii.gz")
    gm_there = (f"resample_gm_{template}_1", "out_file", f"{there}label-GM_probseg.nii.gz")
    assert anatomical_inputs(built) == {
        ("pet_wf", "fusion_t1w_wf", "fuse_average"): t1w,
        ("pet_wf", "fusion_t1w_wf", "fuse_gmpet"): gm,
        ("pet_wf", f"fusion_{template}_1_wf", "fuse_average"): t1w_there,
        ("pet_wf", f"fusion_{template}_1_wf", "fuse_gmpet"): gm_there,
        ("ct_wf", "fusion_t1w_wf", "fuse_average"): t1w,
        ("ct_wf", f"fusion_{template}_1_wf", "fuse_average"): t1w_there,
    }
    # What the sidecars name is written.
    nodes = map(built.get_node, built.list_node_names())
    written = {
        f"bids::{node.inputs.out_path}" for node in nodes if hasattr(node.inputs, "out_path")
    }
    assert {source for *_, source in (t1w, gm, t1w_there, gm_there)} <= written
    assert "The PET and CT were fused with the T1w slice by slice by Average" in methods(built)
    assert "GMPET [@gmpet] is the PET where gray matter is more likely" in methods(built)


def test_without_models_of_the_gray_matter_its_map_stays_in_the_t1w_space(tmp_path):
    names = workflow(tmp_path, models=("average",)).list_node_names()
    assert not [name for name in names if "_gm_" in name]
    # A CT that no model fuses is not brought to the template either.
    names = workflow(tmp_path, models=("gmpet",)).list_node_names()
    assert [name for name in names if "pet_wf.fusion" in name]
    ct = [name.split(".", 2)[2] for name in names if ".ct_wf." in name]
    assert "coregistration_wf.register" in ct
    assert not [name for name in ct if "fus" in name or "MNI" in name]


def test_no_two_nodes_write_the_same_file(tmp_path):
    template = "MNI152NLin2009aSym"
    built = workflow(tmp_path, output_spaces=("T1w", f"{template}:res-1", f"{template}:res-2"))
    nodes = map(built.get_node, built.list_node_names())
    written = [node.inputs.out_path for node in nodes if hasattr(node.inputs, "out_path")]
    assert len(written) > 30
    assert len(set(written)) == len(written)


def partnered(tmp_path: Path, modalities=("pet", "ct", "flair"), **options):
    config = Config.from_options(
        bids_dir=tmp_path / "raw",
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
        modalities=modalities,
        models=("average", "gmpet"),
        **options,
    )
    t1w, *images = (
        ImageFile(
            config.bids_dir / "sub-01" / f"sub-01_{suffix}.nii.gz",
            {"sub": "01"},
            suffix,
            shape=(9, 9, 9),
        )
        for suffix in ("T1w", *modalities)
    )
    for image in (t1w, *images):
        image.path.parent.mkdir(parents=True, exist_ok=True)
        image.path.touch()
    kinds = map(get_modality, modalities)
    pairings = [pair(kind, image, t1w) for kind, image in zip(kinds, images, strict=True)]
    return init_fusionprep_wf(config, [SubjectPlan("01", tuple(pairings))])


@pytest.mark.parametrize("contrast", ["FLAIR", "T2w"])
def test_pet_and_ct_are_fused_with_another_contrast(tmp_path, contrast):
    modalities = ("pet", "ct", contrast.lower())
    built = partnered(tmp_path, modalities, anat_contrast=contrast)
    graph = generate_expanded_graph(built._create_flat_graph())
    fusions = [node for node in graph.nodes if node.name == "fuse_average"]
    assert len(fusions) == 4  # PET and CT, T1w and template
    for fusion in fusions:
        source = next(
            before
            for before, _, edge in graph.in_edges(fusion, data=True)
            if ("out_file", "anatomical") in edge["connect"]
        )
        assert f"{contrast.lower()}_wf" in source.fullname
        assert f"space-T1w_desc-preproc_{contrast}" in fusion.inputs.sources[0]
    gray = next(node for node in graph.nodes if node.name == "fuse_gmpet")
    assert "label-GM_probseg" in gray.inputs.sources[0]
    # No FLAIR goes into the gray matter's PET, and so none is in its name, judges it or is drawn.
    of_gray = [node.inputs.out_path for node in graph.nodes if node.name.startswith("ds_gmpet")]
    assert of_gray
    assert all("_desc-fusedGMPET" in path for path in of_gray)
    judged_by = next(s for s, _, e in graph.in_edges(gray, data=True) if "reference" in str(e))
    assert "anatomical" in judged_by.fullname
    assert next(n for n in graph.nodes if n.name == "plot_gmpet").inputs.contrast == "t1w"
    written = [node.inputs.out_path for node in graph.nodes if node.name.startswith("ds_average")]
    assert all(f"{contrast}Average" in path for path in written)
    assert f"The PET and CT were fused with the {contrast} slice by slice by" in methods(built)


def test_the_t1w_is_the_contrast_unless_asked_for_another(tmp_path):
    graph = generate_expanded_graph(partnered(tmp_path)._create_flat_graph())
    fusion = next(node for node in graph.nodes if node.name == "fuse_average")
    assert fusion.inputs.sources[0].endswith("desc-preproc_T1w.nii.gz")


def figures(built) -> dict[str, set[str]]:
    """Names of the figures by the word that begins their ``desc``."""
    nodes = map(built.get_node, built.list_node_names())
    paths = [node.inputs.out_path for node in nodes if hasattr(node.inputs, "out_path")]
    names = [path.rsplit("/", 1)[-1] for path in paths if "/figures/" in path]
    words = ("thumb", "planes", "frames", "fused")
    return {word: {name for name in names if f"_desc-{word}" in name} for word in words}


def test_small_pictures_are_named_after_the_fused_images(tmp_path):
    options = {
        "models": ("average", "gmpet"),
        "output_spaces": ("T1w", "MNI152NLin2009aSym:res-2", "MNI152NLin2009aSym:res-1"),
    }
    found = figures(workflow(tmp_path, **options))
    images = {"CTAverage_T1w.png", "Average_pet.png", "GMPET_pet.png"}
    assert found["thumb"] == {f"sub-01_space-T1w_desc-thumb{image}" for image in images}
    template = "sub-01_space-MNI152NLin2009aSym"
    assert found["planes"] == {f"{template}_desc-planes{image}" for image in images}
    assert not found["frames"]


def test_small_pictures_of_pet_are_in_colour(tmp_path):
    spaces = ("T1w", "MNI152NLin2009aSym:res-2")
    built = workflow(tmp_path, models=("average",), output_spaces=spaces)
    graph = built._create_flat_graph()
    small = [n for n in graph if n.name in ("thumbnail_average", "planes_average")]
    given = {
        node.inputs.out_path.rsplit("/", 1)[-1]: any(
            target == "colour"
            for *_, data in graph.in_edges(node, data=True)
            for _, target in data["connect"]
        )
        for node in small
    }
    assert len(given) == 4
    assert all(coloured == name.endswith("_pet.png") for name, coloured in given.items())


def test_mosaics_show_every_model_in_t1w_space_and_one_in_the_template(tmp_path):
    found = figures(workflow(tmp_path, models=("average", "gmpet")))["fused"]
    t1w, template = "sub-01_space-T1w_desc-fused", "sub-01_space-MNI152NLin2009aSym_desc-fused"
    assert found == {
        *(f"{t1w}{name}.jpg" for name in ("CTAverage_T1w", "Average_pet", "GMPET_pet")),
        *(f"{template}{name}.jpg" for name in ("CTAverage_T1w", "Average_pet")),
    }


def test_only_a_dynamic_pet_has_a_figure_of_its_frames(tmp_path):
    built = workflow(tmp_path, n_frames=3)
    assert figures(built)["frames"] == {"sub-01_desc-frames_pet.svg"}
    node = next(built.get_node(n) for n in built.list_node_names() if n.endswith("plot_frames"))
    assert node.inputs.durations == [60.0, 60.0, 120.0]
    assert node.inputs.starts == [0.0, 60.0, 120.0]
    assert (node.inputs.units, node.inputs.factor) == ("Bq/mL", 1000.0)


def test_frames_that_were_not_corrected_for_decay_are(tmp_path):
    said = {
        "ImageDecayCorrected": False,
        "TracerRadionuclide": "C11",
        "DecayCorrection": "NONE",
        "DecayCorrectionFactor": [1, 1, 1],
    }
    built = workflow(tmp_path, n_frames=3, sidecar=said)
    nodes = {name.split(".")[-1]: built.get_node(name) for name in built.list_node_names()}
    rate = math.log(2) / (20.361 * 60)
    expected = [
        math.exp(rate * start) * rate * length / (1 - math.exp(-rate * length))
        for start, length in [(0, 60), (60, 60), (120, 120)]
    ]
    assert nodes["average_frames"].inputs.frame_factors == pytest.approx(expected)
    assert nodes["plot_frames"].inputs.frame_factors == pytest.approx(expected)
    metadata = nodes["ds_preproc_t1w"].inputs.metadata
    assert metadata["ImageDecayCorrected"] is True
    assert metadata["ImageDecayCorrectionTime"] == 0
    assert not {"DecayCorrection", "DecayCorrectionFactor"} & metadata.keys()
    assert any("corrected to TimeZero as C11" in note for note in metadata["Notes"])
    assert "All frames of dynamic PET were corrected for decay and averaged" in methods(built)


def test_frames_of_an_unknown_nuclide_have_no_suvr(tmp_path):
    built = workflow(tmp_path, n_frames=3, sidecar={"ImageDecayCorrected": False})
    nodes = {name.split(".")[-1]: built.get_node(name) for name in built.list_node_names()}
    assert "ds_suvr_t1w" not in nodes
    told = nodes["ds_preproc_t1w"].inputs.metadata["SUVRNotComputed"]
    assert told == "frames are not decay-corrected and the radionuclide is not given"
    assert nodes["assess"].inputs.doubts == [told]


def test_what_averaging_finds_reaches_the_verdict(tmp_path):
    built = workflow(tmp_path, n_frames=3)
    edges = generate_expanded_graph(built._create_flat_graph()).edges.data()
    assert ("doubts", "found_doubts") in [
        connection
        for origin, target, edge in edges
        if origin.name == "average_frames" and target.name == "assess"
        for connection in edge["connect"]
    ]


def test_all_frames_are_registered_and_those_of_the_window_are_the_image(tmp_path):
    sidecar = {"InjectionStart": 0, "FrameTimesStart": [0, 1800, 3000], "TracerName": "PiB"}
    sidecar |= {"FrameDuration": [1800, 1200, 1200]}
    built = workflow(tmp_path, n_frames=3, sidecar=sidecar)
    taken = {
        (target.name, into): (origin.name, field)
        for origin, target, edge in generate_expanded_graph(built._create_flat_graph()).edges.data()
        for field, into in edge["connect"]
        if ".pet_wf" in target.fullname
    }
    every, chosen = ("average_frames", "all_frames"), ("average_frames", "out_file")
    assert taken["register", "moving"] == taken["plot_coregistration", "moving"] == every
    static = "resample_t1w"
    assert taken[static, "in_file"] == taken["assess", "static"] == chosen
    assert taken[static, "transforms"] == ("register", "transform")
    for target in (("assess", "pet"), ("suvr_reference", "pet"), ("ds_preproc_t1w", "in_file")):
        assert taken[target] == (static, "out_file")
    there = "resample_MNI152NLin2009aSym_1"
    assert taken[there, "in_file"] == chosen
    assert taken["fuse_readfuse", "functional"] in ((static, "out_file"), (there, "out_file"))
    nodes = {name.split(".")[-1]: built.get_node(name) for name in built.list_node_names()}
    assert nodes["average_frames"].inputs.chosen == nodes["plot_frames"].inputs.chosen == [2]
    assert nodes["ds_preproc_t1w"].inputs.metadata["FrameSelection"]["Frames"] == [3]
    text = " ".join(methods(built).split())
    assert (
        "The frames of dynamic PET with PiB whose middle was 50 to 70 min after injection" in text
    )
    assert "Standardised uptake value ratios of PiB refer to the mean uptake of the cereb" in text


def test_the_gray_matter_models_are_judged_by_the_t1w(tmp_path):
    built = workflow(tmp_path, models=("average", "gmpet"))
    found = {}
    for origin, target, edge in generate_expanded_graph(built._create_flat_graph()).edges.data():
        for field, into in edge["connect"]:
            if into == "reference" and ".fuse_" in target.fullname:
                found[tuple(target.fullname.split(".")[-2:])] = (origin.name, field)
    template = "MNI152NLin2009aSym_1"
    assert found == {
        ("fusion_t1w_wf", "fuse_gmpet"): ("denoise", "out_file"),
        (f"fusion_{template}_wf", "fuse_gmpet"): (f"resample_t1w_{template}", "out_file"),
    }


@pytest.mark.parametrize(("units", "written"), [("g/mL", True), ("kBq/mL", False)])
def test_an_image_that_came_in_suv_is_written_as_suv(tmp_path, units, written):
    built = workflow(tmp_path, sidecar={"Units": units})
    suv = [built.get_node(n) for n in built.list_node_names() if n.split(".")[-1] == "ds_suv_t1w"]
    assert bool(suv) == written
    for node in suv:
        assert node.inputs.metadata["SUV"] == {"Factor": 1.0, "Origin": "the image came in SUV"}
        assert "the image came in SUV (g/mL)" in node.inputs.metadata["Notes"][0]


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda"])
def test_the_brain_mask_and_the_fusion_are_made_on_the_same_device(tmp_path, device):
    built = workflow(tmp_path, device=device)
    nodes = [built.get_node(name) for name in built.list_node_names()]
    steps = [node for node in nodes if "device" in node.interface.inputs.traits()]
    assert {type(step.interface).__name__ for step in steps} == {"ExtractBrain", "Fuse"}
    assert {step.inputs.device for step in steps} == {device}
