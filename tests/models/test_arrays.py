"""The call for arrays, as the README shows it."""

import subprocess
import sys

import numpy as np
import pytest

from fusionprep.errors import DataError, UsageError
from fusionprep.image.colour import decode_colour
from fusionprep.image.intensity import ct_scaling, mri_scaling, pet_scaling
from fusionprep.models import fuse
from fusionprep.models.inference import fuse_volume
from fusionprep.models.registry import DEFAULT_MODEL, get_model


@pytest.fixture
def pair():
    """MRI and PET in their own units, 0 outside a ball."""
    rng = np.random.default_rng(0)
    inside = np.linalg.norm(np.indices((26, 24, 12)) - [[[[12]]], [[[11]]], [[[6]]]], axis=0) < 9
    return inside * rng.uniform(200, 900, inside.shape), inside * rng.uniform(0, 3e4, inside.shape)


def test_both_arrays_are_scaled_and_fused_by_the_default_network(pair):
    mri, pet = pair
    fused = fuse(mri, pet)
    inside = mri > 0
    scaled = (mri_scaling(mri, inside).apply(mri), pet_scaling(pet, inside).apply(pet))
    expected = fuse_volume(get_model(DEFAULT_MODEL).load(), *scaled, inside)
    assert fused.dtype == np.float32
    np.testing.assert_allclose(fused, expected, atol=1e-5)
    assert not fused[~inside].any()
    assert [array.max() > 1 for array in pair] == [True, True]  # the inputs are left alone


def test_a_slice_with_a_mask_of_integers(pair):
    mri, pet = (array[..., 6] for array in pair)
    mask = np.zeros(mri.shape, np.uint8)
    mask[8:16, 8:16] = 1
    fused = fuse(mri, pet, mask, model="average", tracer="11CRaclopride")
    inside = mask > 0
    scaled = mri_scaling(mri, inside).apply(mri), pet_scaling(pet, inside, "raclopride").apply(pet)
    np.testing.assert_allclose(fused, np.where(inside, np.mean(scaled, axis=0), 0), atol=1e-6)


def test_in_colour_both_images_can_be_read_back(pair):
    mri, pet = pair
    inside = mri > 0
    scaled = mri_scaling(mri, inside).apply(mri), pet_scaling(pet, inside).apply(pet)
    for planes in ("axial", "triplanar"):
        colours = fuse(mri, pet, inside, colour=True, planes=planes)
        assert colours.dtype == np.uint8
        assert colours.shape == (*mri.shape, 3)
        assert not colours[~inside].any()
        for image, read in zip(scaled, decode_colour(colours), strict=True):
            assert 1 - np.var((image - read)[inside]) / np.var(image[inside]) > 0.99
    vivid = fuse(mri, pet, inside, colour=True, colour_map="vivid", modality="spect")
    assert np.abs(vivid.astype(int) - colours)[inside].mean() > 5
    with pytest.raises(UsageError, match="unknown colour map 'hot'"):
        fuse(mri, pet, inside, colour=True, colour_map="hot")


def test_a_slice_of_ct_in_colour_stays_gray(pair):
    mri, hounsfield = pair[0][..., 6], np.where(pair[0] > 0, 40.0, -1000.0)[..., 6]
    options = {"mask": mri > 0, "model": "max", "modality": "ct"}
    colours = fuse(mri, hounsfield, **options, colour=True)
    assert colours.shape == (*mri.shape, 3)
    gray = np.rint(255 * fuse(mri, hounsfield, **options)).astype(np.uint8)
    assert np.array_equal(colours, np.repeat(gray[..., None], 3, axis=-1))


def test_a_ct_in_stored_values_or_gray_levels_is_fused_as_in_hounsfield_units(pair):
    mri = pair[0]
    bone = np.indices(mri.shape)[0] == 3
    hounsfield = np.select([bone, mri > 0], [900.0, 40.0], -1000.0)
    options = {"model": "max", "modality": "ct"}
    expected = fuse(mri, hounsfield, **options)
    np.testing.assert_allclose(fuse(mri, hounsfield + 1024, **options), expected, atol=1e-6)
    levels = ct_scaling("wide").apply(hounsfield)
    np.testing.assert_allclose(fuse(mri, levels, **options), expected, atol=1e-5)
    with pytest.raises(DataError, match="the CT is not in Hounsfield units"):
        fuse(mri, 3 * hounsfield + 7000, **options)


def test_the_options_reach_the_fusion(pair):
    mri, hounsfield = pair[0], np.where(pair[0] > 0, 40.0, -1000.0)
    fused = fuse(mri, hounsfield, model="max", modality="ct", planes="triplanar", batch_size=2)
    inside = mri > 0
    scaled = mri_scaling(mri, inside).apply(mri), ct_scaling("wide").apply(hounsfield)
    np.testing.assert_allclose(fused, np.maximum(*scaled) * inside, atol=1e-6)
    axial, triplanar = (fuse(*pair, model="pca", planes=p) for p in ("axial", "triplanar"))
    assert np.abs(axial - triplanar).max() > 0.01


def test_own_weights_take_the_place_of_the_packaged_ones(pair, write_weights):
    path, network = write_weights("unet")
    mri, pet = pair
    inside = mri > 0
    scaled = (mri_scaling(mri, inside).apply(mri), pet_scaling(pet, inside).apply(pet))
    expected = fuse_volume(network, *scaled, inside)
    for weights in (path, str(path)):
        np.testing.assert_allclose(fuse(*pair, model="unet", weights=weights), expected, atol=1e-5)
    with pytest.raises(UsageError, match="max has no weights"):
        fuse(*pair, model="max", weights=path)


@pytest.mark.parametrize("model", ["selfuse", "pca"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_bright_square_outside_the_head_changes_nothing_inside(pair, model, which):
    mri, pet = (np.pad(array, [(12, 12), (12, 12), (0, 0)]) for array in pair)
    images = [mri, pet]
    images[which] = images[which].copy()
    images[which][:8, :8] = 5 * images[which].max()
    inside = mri > 0
    change = fuse(*images, model=model) - fuse(mri, pet, model=model)
    assert 255 * np.abs(change[inside]).max() <= 1


def test_what_cannot_be_fused(pair):
    for options, message in [
        ({"model": "best"}, "unknown fusion model"),
        ({"modality": "mri"}, "unknown modality"),
        ({"planes": "oblique"}, "unknown planes"),
        ({"batch_size": 0}, "at least 1"),
        ({"device": "tpu"}, "unknown device"),
    ]:
        with pytest.raises(UsageError, match=message):
            fuse(*pair, **{"model": "max", **options})
    with pytest.raises(DataError, match="differ in shape"):
        fuse(pair[0], pair[1][1:], model="max")
    with pytest.raises(DataError, match="no finite voxel"):
        fuse(pair[0], pair[1], np.zeros(pair[0].shape), model="max")


def test_importing_the_call_imports_no_torch():
    code = (
        "import sys, fusionprep.models as m; m.fuse; print({'torch', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
