import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fusionprep.models.nets.dmfnet import DMFNet
from fusionprep.training.options import TrainingOptions
from fusionprep.training.recipes.dmfnet import (
    DETAIL_STEPS,
    SIDE,
    DMFNetPriorRecipe,
    image_grid,
)
from fusionprep.training.run import train

OPTIONS = TrainingOptions(epochs=1, steps_per_epoch=2, batch_size=2, crop=24, seed=3)


@pytest.fixture(scope="module")
def stage_one(slices, tmp_path_factory):
    out_dir = tmp_path_factory.mktemp("stage_one")
    train("dmfnet_prior", slices, out_dir, OPTIONS)
    return out_dir


def part(path, name):
    return {key: value for key, value in load_file(path).items() if key.startswith(name)}


def equal(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


def random_weights(options):
    """As a training run with these options makes them."""
    torch.manual_seed(options.seed)
    return DMFNet().state_dict()


def test_stage_one_trains_the_prior_alone(stage_one):
    before = random_weights(OPTIONS)
    path = stage_one / "dmfnet_prior.safetensors"
    assert not equal(part(path, "prior."), before)
    assert equal(part(path, "head."), before)


def test_the_card_of_stage_one_claims_no_fusion(stage_one):
    card = json.loads((stage_one / "dmfnet_prior.json").read_text())
    assert card["name"] == "dmfnet_prior"
    assert "does not fuse yet" in card["description"]
    assert card["eval_metrics"] is None
    with Image.open(stage_one / "samples.png") as grid:
        assert grid.size == (8 * 3 * SIDE, 2 * 3 * SIDE)
        assert np.ptp(np.asarray(grid)) > 50


def test_stage_two_starts_from_stage_one_and_leaves_it(slices, stage_one, tmp_path):
    start = stage_one / "dmfnet_prior.safetensors"
    options = TrainingOptions(**(vars(OPTIONS) | {"initial_weights": str(start)}))
    path = train("dmfnet", slices, tmp_path, options)
    assert equal(part(path, "prior."), part(start, "prior."))
    assert not equal(part(path, "head."), part(start, "head."))
    card = json.loads((tmp_path / "dmfnet.json").read_text())
    stage_one_card = json.loads((stage_one / "dmfnet_prior.json").read_text())
    assert card["training"]["before"] == stage_one_card["training"]
    assert card["eval_metrics"]


def test_without_stage_one_the_prior_is_trained_along(slices, tmp_path):
    path = train("dmfnet", slices, tmp_path, OPTIONS)
    before = random_weights(OPTIONS)
    assert not equal(part(path, "prior."), before)
    assert not equal(part(path, "head."), before)


def test_only_early_steps_see_crops_in_full_resolution():
    anatomical = np.random.default_rng(0).random((96, 96), np.float32)
    functional = 1 - anatomical
    wholes = [
        image.reshape(SIDE, 96 // SIDE, SIDE, 96 // SIDE).mean(axis=(1, 3))
        for image in (anatomical, functional)
    ]
    recipe, whole = DMFNetPriorRecipe(), {True: 0, False: 0}
    for seed in range(200):
        sample = recipe.prepare(anatomical, functional, np.random.default_rng(seed))
        step = sample["step"].item()
        is_whole = any(np.allclose(sample["image"], image, atol=1e-6) for image in wholes)
        assert sample["image"].shape == sample["noise"].shape == (SIDE, SIDE)
        assert 1 <= step <= 2000
        assert is_whole or step <= DETAIL_STEPS
        whole[is_whole] += 1
    assert 30 < whole[False] < 70


def test_crops_keep_their_resolution():
    image = np.arange(96 * 96, dtype=np.float32).reshape(96, 96) / 96**2
    samples = [
        DMFNetPriorRecipe().prepare(image, image, np.random.default_rng(s)) for s in range(9)
    ]
    slopes = [np.diff(sample["image"], axis=1).mean() * 96**2 for sample in samples]
    assert sorted({round(float(slope)) for slope in slopes}) == [1, 96 // SIDE]


def test_slices_that_are_not_square_are_padded():
    image = np.ones((20, 2 * SIDE), np.float32)
    rng = np.random.default_rng(1)
    while (sample := DMFNetPriorRecipe().prepare(image, image, rng))["step"] <= DETAIL_STEPS:
        pass
    assert sample["image"].sum() == pytest.approx(10 * SIDE, rel=1e-5)
    assert sample["image"][0].max() == 0
    assert sample["image"][SIDE // 2].min() == 1


def test_images_stand_row_by_row_in_a_grid():
    images = torch.arange(6).view(6, 1, 1, 1).expand(-1, 1, 2, 3) / 5
    with Image.open(io.BytesIO(image_grid(images, columns=4))) as picture:
        grid = np.asarray(picture)
    assert grid.shape == (2 * 2 * 3, 4 * 3 * 3)
    corners = grid[::6, ::9]
    assert corners.tolist() == [[0, 51, 102, 153], [204, 255, 0, 0]]
