"""Pictures in colour: what becomes of it when they are fused."""

import json

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from fusionprep.cli import main
from fusionprep.image.colour import decode_colour
from fusionprep.image.pictures import LUMA


def run(*words):
    return main([str(word) for word in words])


@pytest.fixture
def pair(tmp_path):
    """A gray MRI and the levels of a PET that is stored in the colours of ``jet``."""
    y, x = np.mgrid[:64, :72]
    disc = np.hypot(y - 32, x - 36) < 28
    mri = np.where(disc, 60 + 2 * y, 0).astype(np.uint8)
    level = np.where(disc, np.clip((x - 8) / 56, 0, 1), 0)
    jet = np.rint(255 * colormaps["jet"](level)[..., :3]).astype(np.uint8)
    Image.fromarray(mri).save(tmp_path / "mri.png")
    Image.fromarray(np.where(disc[..., None], jet, 0).astype(np.uint8)).save(tmp_path / "pet.png")
    Image.fromarray((255 * disc).astype(np.uint8)).save(tmp_path / "mask.png")
    return tmp_path, disc, mri, level


def test_colour_in_colour_out_with_the_luma_of_the_gray_result(pair):
    folder, disc, _, _ = pair
    words = (folder / "mri.png", folder / "pet.png", "--model", "laplacian")
    assert run("fuse", *words, "-o", folder / "colour.png") == 0
    assert run("fuse", *words, "--gray", "-o", folder / "gray.png") == 0
    colour, gray = (np.asarray(Image.open(folder / f"{name}.png")) for name in ("colour", "gray"))
    assert (colour.shape, gray.shape) == ((*disc.shape, 3), disc.shape)
    assert np.abs(colour @ LUMA - gray).max() <= 1.1
    red, _, blue = np.moveaxis(colour[disc].astype(int), -1, 0)
    assert (np.abs(red - blue) > 30).mean() > 0.5
    assert "pet.png" in json.loads((folder / "colour.json").read_text())["Chroma"]
    assert "Chroma" not in json.loads((folder / "gray.json").read_text())


def test_gray_pictures_stay_gray(pair):
    folder = pair[0]
    words = (folder / "mri.png", folder / "mask.png", "--model", "average")
    assert run("fuse", *words, "-o", folder / "fused.png") == 0
    with Image.open(folder / "fused.png") as fused:
        assert fused.mode == "L"


def test_both_in_colour(pair):
    folder, _, mri, _ = pair
    Image.fromarray(np.stack([mri, mri // 2, mri // 4], axis=-1)).save(folder / "brown.png")
    words = (folder / "brown.png", folder / "pet.png", "--model", "average")
    assert run("fuse", *words, "-o", folder / "fused.png") == 0
    with Image.open(folder / "fused.png") as fused:
        assert fused.mode == "RGB"
    told = json.loads((folder / "fused.json").read_text())["Chroma"]
    assert "brown.png and pet.png" in told


def test_levels_are_read_by_their_colours_for_our_own(pair):
    folder, disc, mri, level = pair
    words = (folder / "mri.png", folder / "pet.png", "--mask", folder / "mask.png", "--colour")
    named = ("--functional-colours", "jet", "-o", folder / "levels.png")
    assert run("fuse", *words, *named) == 0
    first, second = decode_colour(np.asarray(Image.open(folder / "levels.png")))
    assert np.abs(second - level)[disc].max() < 0.03
    assert np.abs(255 * first - mri)[disc].max() < 7
    assert run("fuse", *words, "-o", folder / "luma.png") == 0
    assert "--functional-colours" in json.loads((folder / "luma.json").read_text())["Levels"]
    assert "Levels" not in json.loads((folder / "levels.json").read_text())


def test_a_map_that_is_not_there(pair, capsys):
    folder = pair[0]
    words = (folder / "mri.png", folder / "pet.png", "-o", folder / "f.png")
    assert run("fuse", *words, "--functional-colours", "hott") == 1
    assert "hott is neither a file" in capsys.readouterr().err
