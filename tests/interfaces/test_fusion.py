import nibabel as nib
import numpy as np
import pytest

from fusionprep._version import __version__
from fusionprep.errors import DataError
from fusionprep.evaluation.volumes import volume_metrics
from fusionprep.image.colour import decode_colour, describe_colours
from fusionprep.image.intensity import ct_scaling, mri_scaling, pet_scaling
from fusionprep.image.io import new_image
from fusionprep.image.masks import head_of_ct
from fusionprep.interfaces.files import load
from fusionprep.interfaces.fusion import Fuse
from fusionprep.models.inference import fuse_volume
from fusionprep.models.registry import get_model

SHAPE = (24, 26, 20)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def write(path, array, affine=AFFINE) -> str:
    nib.save(new_image(array, affine), path)
    return str(path)


@pytest.fixture
def images():
    """T1w and PET of smooth random values, a CT with a head, and a brain mask."""
    rng = np.random.default_rng(0)
    offsets = np.indices(SHAPE) - (np.array(SHAPE) - 1)[:, None, None, None] / 2
    radius = np.sqrt((offsets**2).sum(axis=0))
    mask = radius < 6
    return {
        "t1w": (400 + 100 * rng.random(SHAPE)).astype(np.float32),
        "pet": (1e4 * rng.random(SHAPE)).astype(np.float32),
        "ct": np.where(radius < 9, 40, -1000).astype(np.float32),
        "mask": mask.astype(np.uint8),
    }


def fuse(images, tmp_path, modality, model="average", affine=AFFINE, **options):
    paths = {name: write(tmp_path / f"{name}.nii", array, affine) for name, array in images.items()}
    return Fuse(
        anatomical=paths["t1w"],
        functional=paths[modality],
        mask=paths["mask"],
        modality=modality,
        model=model,
        sources=["bids::t1w", "bids::other"],
        device="cpu",
        **options,
    ).run(cwd=tmp_path)


def test_the_average_of_scaled_pet_and_t1w_inside_the_brain(images, tmp_path):
    found = fuse(images, tmp_path, "pet", tracer="18FFDG").outputs
    fused, affine = load(found.out_file)
    mask = images["mask"] > 0
    scaled = [
        mri_scaling(images["t1w"], mask).apply(images["t1w"]),
        pet_scaling(images["pet"], mask, "18FFDG").apply(images["pet"]),
    ]
    np.testing.assert_allclose(fused[mask], np.mean(scaled, axis=0)[mask], atol=1e-5)
    assert not fused[~mask].any()
    np.testing.assert_array_equal(affine, AFFINE)
    colour = nib.load(found.out_colour)
    assert colour.shape == SHAPE
    assert colour.get_data_dtype().names == ("R", "G", "B")
    rgb = channels(colour)
    assert not rgb[~mask].any()
    for image, read in zip(scaled, decode_colour(rgb), strict=True):
        assert np.abs(image - read)[mask].mean() < 0.01


def channels(colour: nib.Nifti1Image) -> np.ndarray:
    """uint8 (X, Y, Z, 3) of an RGB24 image."""
    voxels = np.asarray(colour.dataobj)
    return np.stack([voxels[channel] for channel in "RGB"], axis=-1)


def test_the_colours_are_those_of_both_images_whatever_the_model_and_can_be_chosen(
    images, tmp_path
):
    found = [fuse(images, tmp_path, "pet", model=model).outputs for model in ("average", "max")]
    first, second = (channels(nib.load(each.out_colour)) for each in found)
    assert np.array_equal(first, second)
    vivid = fuse(images, tmp_path, "pet", colour_map="vivid").outputs
    assert vivid.colour_metadata["ColourMap"]["Name"] == "vivid"
    other = channels(nib.load(vivid.out_colour))
    assert np.abs(other.astype(int) - first)[images["mask"] > 0].mean() > 5


def test_ct_is_fused_over_the_whole_head_without_colour(images, tmp_path):
    found = fuse(images, tmp_path, "ct").outputs
    fused, _ = load(found.out_file)
    head = head_of_ct(images["ct"]) | (images["mask"] > 0)
    assert head.sum() > 2 * images["mask"].sum()
    scaled = [
        mri_scaling(images["t1w"], head).apply(images["t1w"]),
        ct_scaling("wide").apply(images["ct"]),
    ]
    np.testing.assert_allclose(fused[head], np.mean(scaled, axis=0)[head], atol=1e-5)
    assert not fused[~head].any()
    assert not isinstance(found.out_colour, str)


def test_provenance_names_the_model_and_what_went_in(images, tmp_path):
    fields = fuse(images, tmp_path, "pet", model="densefuse").outputs.metadata["FusionModel"]
    entry = get_model("densefuse")
    assert fields["Name"] == "densefuse"
    assert fields["Label"] == "DenseFuse"
    assert fields["WeightsSHA256"] == entry.weights_sha256()
    assert fields["Device"] == "cpu"
    assert fields["Planes"] == "axial"
    roles = {item["Role"]: item for item in fields["Inputs"]}
    assert roles["anatomical"]["Source"] == "bids::t1w"
    assert roles["functional"]["Source"] == "bids::other"
    mask = images["mask"] > 0
    low_high = pet_scaling(images["pet"], mask, None).to_dict()
    assert roles["functional"]["Scaling"]["High"] == pytest.approx(low_high["High"])


def test_a_ct_without_hounsfield_units_is_not_said_to_have_any(images, tmp_path):
    scaling = {"Method": "gray levels of a window", "Low": 0.0, "High": 255.0}
    found = fuse(images, tmp_path, "ct", scaling=scaling).outputs
    told = found.metadata["FusionModel"]["Inputs"]
    assert told[1]["Scaling"] == scaling
    assert told[0]["Scaling"]["Method"].startswith("percentiles")
    plain = fuse(images, tmp_path, "ct").outputs
    assert np.array_equal(load(found.out_file)[0], load(plain.out_file)[0])


@pytest.mark.parametrize("model", ["gmpet", "gmpet_prob"])
def test_the_gray_matter_is_taken_as_it_is(images, tmp_path, model):
    gm = np.linspace(0, 0.9, images["t1w"].size, dtype=np.float32).reshape(SHAPE)
    found = fuse(images | {"t1w": gm}, tmp_path, "pet", model=model, tracer="18FFDG").outputs
    fused, _ = load(found.out_file)
    mask = images["mask"] > 0
    scaled = pet_scaling(images["pet"], mask, "18FFDG").apply(images["pet"])
    share = (gm > 0.5) if model == "gmpet" else gm
    assert 0.2 < (share[mask] > 0.5).mean() < 0.8
    np.testing.assert_allclose(fused, scaled * share * mask, atol=1e-6)
    anatomical = found.metadata["FusionModel"]["Inputs"][0]["Scaling"]
    assert anatomical == {"Method": "probability, not scaled", "Low": 0.0, "High": 1.0}
    colour = np.asarray(nib.load(found.out_colour).dataobj)
    assert not any(colour[channel][share * mask == 0].any() for channel in "RGB")


def test_own_weights_are_used_and_named(images, tmp_path, write_weights):
    weights, network = write_weights("unet", version="2.0")
    digest = get_model("unet", weights).weights_sha256()
    options = {"weights_file": str(weights), "weights_sha256": digest}
    found = fuse(images, tmp_path, "pet", model="unet", **options).outputs
    mask = images["mask"] > 0
    scaled = [
        mri_scaling(images["t1w"], mask).apply(images["t1w"]),
        pet_scaling(images["pet"], mask, None).apply(images["pet"]),
    ]
    np.testing.assert_allclose(
        load(found.out_file)[0], fuse_volume(network, *scaled, mask), atol=1e-5
    )
    fields = found.metadata["FusionModel"]
    assert fields["WeightsSHA256"] == digest
    assert (fields["Version"], fields["WeightsFile"]) == ("2.0", "unet.safetensors")
    # A training run that goes on beside the App must not end in results of two sets of weights.
    write_weights("unet", seed=1)
    with pytest.raises(DataError, match="have changed since the run began"):
        fuse(images, tmp_path, "pet", model="unet", **options)
    with pytest.raises(ValueError, match="weights_sha256"):
        fuse(images, tmp_path, "pet", model="unet", weights_file=str(weights))


@pytest.mark.parametrize("model", ["pca", "guided"])
def test_axial_slices_are_those_of_the_body_not_of_the_array(images, tmp_path, model):
    expected, _ = load(fuse(images, tmp_path, "pet", model).outputs.out_file)
    # Array axes run superior-inferior, anterior-posterior, left-right.
    turned = {name: array.T[::-1, ::-1] for name, array in images.items()}
    affine = np.array([[0, 0, 2, 0], [0, -2, 0, 50], [-2, 0, 0, 38], [0, 0, 0, 1.0]])
    found, written = load(fuse(turned, tmp_path, "pet", model, affine).outputs.out_file)
    assert nib.aff2axcodes(written) == ("I", "P", "R")
    np.testing.assert_allclose(found[::-1, ::-1].T, expected, atol=1e-5)
    # The other planes would not give the same.
    triplanar, _ = load(fuse(images, tmp_path, "pet", model, planes="triplanar").outputs.out_file)
    assert np.abs(triplanar - expected).max() > 0.01


def test_triplanar_fusion_is_recorded_and_does_not_depend_on_the_batch_size(images, tmp_path):
    results = []
    for batch_size in (1, 16):
        options = {"planes": "triplanar", "batch_size": batch_size}
        found = fuse(images, tmp_path, "pet", "laplacian", **options).outputs
        assert found.metadata["FusionModel"]["Planes"] == "triplanar"
        results.append(load(found.out_file)[0])
    assert np.abs(results[0] - results[1]).max() <= 1e-5
    assert not results[0][images["mask"] == 0].any()


def test_the_sidecar_tells_the_metrics_of_the_scaled_slices_and_the_time_of_the_fusion(
    images, tmp_path, monkeypatch
):
    ticks = iter((100.0, 102.5))
    monkeypatch.setattr("fusionprep.models.pair.time.perf_counter", lambda: next(ticks))
    found = fuse(images, tmp_path, "pet").outputs
    mask = images["mask"] > 0
    scaled = [
        mri_scaling(images["t1w"], mask).apply(images["t1w"]),
        pet_scaling(images["pet"], mask, None).apply(images["pet"]),
    ]
    fused, _ = load(found.out_file)
    assert found.metadata["FusionMetrics"] == volume_metrics(*scaled, fused, mask)
    assert found.metadata["FusionModel"]["RunTimeSeconds"] == 2.5
    assert found.metadata["FusionModel"]["Software"] == f"fusionprep {__version__}"
    assert found.colour_metadata == {
        "FusionModel": found.metadata["FusionModel"],
        "ColourMap": describe_colours(),
    }


def test_metrics_of_ct_are_of_slices_of_the_brain_within_the_head(images, tmp_path):
    found = fuse(images, tmp_path, "ct").outputs
    brain = images["mask"] > 0
    head = head_of_ct(images["ct"]) | brain
    scaled = [
        mri_scaling(images["t1w"], head).apply(images["t1w"]),
        ct_scaling("wide").apply(images["ct"]),
    ]
    expected = volume_metrics(*scaled, load(found.out_file)[0], head, brain=brain)
    assert found.metadata["FusionMetrics"] == expected
    assert expected != volume_metrics(*scaled, load(found.out_file)[0], head)


def test_models_of_the_gray_matter_are_judged_by_the_t1w_as_others_are(images, tmp_path):
    gm = np.linspace(0, 0.9, images["t1w"].size, dtype=np.float32).reshape(SHAPE)
    reference = write(tmp_path / "reference.nii", images["t1w"])
    given = images | {"t1w": gm}
    found = fuse(given, tmp_path, "pet", model="gmpet_prob", reference=reference).outputs
    mask = images["mask"] > 0
    sources = [
        mri_scaling(images["t1w"], mask).apply(images["t1w"]),
        pet_scaling(images["pet"], mask, None).apply(images["pet"]),
    ]
    expected = volume_metrics(*sources, load(found.out_file)[0], mask)
    assert found.metadata["FusionMetrics"] == expected
    alone = fuse(given, tmp_path, "pet", model="gmpet_prob").outputs
    assert alone.metadata["FusionMetrics"] != expected
    np.testing.assert_array_equal(load(alone.out_file)[0], load(found.out_file)[0])
