import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch

from fusionprep.training.log import read_log
from fusionprep.training.options import TrainingOptions
from fusionprep.training.recipes import get_recipe
from fusionprep.training.recipes.matr import NOISE, region_information
from fusionprep.training.run import train

torch.set_num_threads(1)

OPTIONS = TrainingOptions(epochs=3, steps_per_epoch=6, batch_size=2, crop=24, seed=3)


def noise(seed, deviation=1.0, side=200):
    return deviation * torch.randn(2, 1, side, side, generator=torch.Generator().manual_seed(seed))


def test_independent_images_tell_nothing_of_each_other():
    told = region_information(noise(0), noise(1))
    assert told.shape == (2,)
    assert told.min() >= 0
    assert told.max() < 0.001


@pytest.mark.parametrize("correlation", [0.5, 0.9])
def test_information_of_correlated_white_noise_is_the_known_one(correlation):
    first = noise(0)
    second = correlation * first + math.sqrt(1 - correlation**2) * noise(1)
    expected = -math.log(1 - correlation**2) / 2
    told = region_information(first, second)
    torch.testing.assert_close(told, torch.full((2,), expected), atol=0.02, rtol=0.02)


def test_gray_level_and_sign_do_not_matter_but_blur_does():
    image = noise(0)
    assert torch.allclose(
        region_information(image, noise(1) + image),
        region_information(image, 0.3 - noise(1) - image),
        atol=1e-5,
    )
    blurred = torch.nn.functional.avg_pool2d(image, 3, stride=1, padding=1)
    assert (region_information(image, blurred) < region_information(image, image) / 2).all()


def test_variance_below_the_noise_tells_little():
    faint = noise(0, deviation=0.1 * NOISE**0.5)
    assert region_information(faint, faint).max() < 0.001
    # Black crops have no variance at all.
    black = torch.zeros(1, 1, 16, 16)
    assert region_information(black, black).item() == pytest.approx(0, abs=1e-6)


def test_a_mean_of_both_sources_is_better_than_a_flat_image():
    recipe = get_recipe("matr")
    sources = noise(0, 0.1, 40) + 0.5, noise(1, 0.1, 40) + 0.5
    batch = dict(zip(("anatomical", "functional"), sources, strict=True))
    terms = {
        name: recipe.loss_terms(SimpleNamespace(unbounded=lambda *_, f=fused: f), batch, None)
        for name, fused in (("flat", torch.full_like(sources[0], 0.5)), ("mean", sum(sources) / 2))
    }
    assert terms["mean"]["information"] < terms["flat"]["information"] - 0.1
    assert terms["mean"]["structure"] < terms["flat"]["structure"]
    assert set(terms["mean"]) == set(recipe.loss_weights)


def test_the_loss_falls_and_is_that_of_its_terms(slices, tmp_path):
    train("matr", slices, tmp_path, dataclasses.replace(OPTIONS, learning_rate=3e-3))
    records = read_log(tmp_path / "log.csv")
    assert records[2].losses["train/loss"] < records[0].losses["train/loss"]
    assert records[2].validation_loss < records[0].validation_loss
    terms = [records[2].losses[f"val/{name}"] for name in get_recipe("matr").loss_weights]
    assert records[2].validation_loss == pytest.approx(sum(terms), rel=1e-4)
