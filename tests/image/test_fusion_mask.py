"""Where two images are fused when nobody says."""

import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.image.fusion_mask import fusion_mask, head_of, shown_by_either
from fusionprep.modalities import CT, PET

SIDE = 128
ROWS, COLUMNS = np.ogrid[-SIDE // 2 : SIDE // 2, -SIDE // 2 : SIDE // 2]
RADIUS = np.hypot(ROWS, COLUMNS)
HEAD, BRAIN = RADIUS < 50, RADIUS < 40


@pytest.fixture
def mri():
    """A slice: scalp, a skull as dark as air, brain with black ventricles."""
    levels = np.select([RADIUS < 8, BRAIN, RADIUS < 45, HEAD], [0.0, 100.0, 0.0, 150.0], default=0)
    return levels.astype(np.float32)


@pytest.fixture
def pet():
    """Uptake in the brain, smooth at its edge."""
    return (1000 / (1 + np.exp((RADIUS - 40) / 2)) + 1).astype(np.float32)


def differ(first, second):
    return np.count_nonzero(first != second) / np.count_nonzero(first)


def test_ventricles_and_skull_are_inside_and_air_is_not(mri, pet):
    mask = fusion_mask(mri, pet, PET)
    assert mask[HEAD].all()
    assert not mask[RADIUS > 53].any()


@pytest.mark.parametrize(
    "change",
    [
        lambda mri: (mri - mri[BRAIN].mean()) / mri[BRAIN].std(),
        lambda mri: -mri,
        lambda mri: mri + 100,
        lambda mri: mri - 1,
    ],
    ids=["z-scored", "negative", "background of 100", "background of -1"],
)
def test_sign_and_background_play_no_role(mri, pet, change):
    assert np.array_equal(fusion_mask(change(mri), pet, PET), fusion_mask(mri, pet, PET))


def test_a_brain_z_scored_inside_its_mask_has_no_holes(pet):
    noise = np.random.default_rng(0).normal(size=(SIDE, SIDE))
    stripped = np.where(BRAIN, noise, 0)
    assert np.mean(stripped[BRAIN] > 0) < 0.55
    assert fusion_mask(stripped, np.zeros_like(pet), PET)[RADIUS < 37].all()


def test_noise_is_not_head(mri, pet):
    rng = np.random.default_rng(0)
    noisy = np.abs(mri + rng.normal(0, 4, mri.shape)), pet + rng.normal(0, 20, pet.shape)
    assert differ(fusion_mask(mri, pet, PET), fusion_mask(*noisy, PET)) < 0.02


@pytest.mark.parametrize("which", [0, 1])
def test_a_bright_square_outside_the_head_is_left_out(mri, pet, which):
    images = [mri, pet]
    images[which] = images[which].copy()
    images[which][4:14, 4:14] = 5 * images[which].max()
    with_square = fusion_mask(*images, PET)
    assert not with_square[:15, :15].any()
    assert differ(fusion_mask(mri, pet, PET), with_square) < 0.01


def test_uptake_beyond_a_stripped_mri_is_kept_and_its_scatter_is_not(mri, pet):
    stripped = np.where(RADIUS < 30, mri, 0)
    mask = fusion_mask(stripped, pet, PET)
    assert mask[pet > 300].all()
    assert not mask[pet < 50].any()


def test_bone_where_the_mri_shows_nothing_is_kept(mri):
    ct = np.select([BRAIN, RADIUS < 45, HEAD], [40.0, 1200.0, 20.0], default=-1000)
    assert fusion_mask(np.where(BRAIN, mri, 0), ct, CT)[HEAD].all()


def test_all_sizeable_parts_of_a_slice_count_and_the_largest_of_a_volume(pet):
    parts = np.zeros((SIDE, SIDE), np.float32)
    parts[70:110, 40:90] = 100
    parts[30:50, 20:40] = parts[30:50, 90:110] = 80
    parts[2:6, 60:64] = 90
    shown = head_of(parts)
    assert shown[parts > 0][parts[parts > 0] != 90].mean() > 0.98
    assert not shown[2:6, 60:64].any()
    volume = head_of(np.stack([parts] * 6, axis=2))
    assert not volume[30:50].any()
    assert volume[80, 60].all()


def test_nothing_shown_is_an_error(pet):
    empty = np.zeros_like(pet)
    with pytest.raises(DataError, match="both are constant"):
        fusion_mask(empty, empty, PET)


def test_a_picture_cut_to_the_head_has_no_background(mri):
    tissue = np.tile(np.linspace(0, 245, SIDE), (SIDE, 1))
    assert head_of(tissue).all()
    assert not head_of(np.full_like(mri, 3)).any()


def test_levels_of_a_windowed_ct_count_as_those_of_any_image(mri):
    picture = np.select([BRAIN, RADIUS < 45, HEAD], [31.0, 255.0, 28.0], default=0)
    mask = shown_by_either(np.where(BRAIN, mri, 0), picture)
    assert mask[RADIUS < 45].all()
    assert not mask[RADIUS > 53].any()
