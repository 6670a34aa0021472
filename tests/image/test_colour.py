import nibabel as nib
import numpy as np
import pytest
from skimage.color import rgb2lab
from skimage.io import imsave

from fusionprep.errors import DataError, NoInputError
from fusionprep.image.colour import (
    colour_table,
    fuse_colour,
    read_colormap,
    read_level,
    read_luminance,
    rgb24_image,
)


@pytest.fixture(scope="module")
def lab():
    return rgb2lab(colour_table())


def test_lightness_is_that_of_the_fused_image(lab):
    expected = 100 * np.linspace(0, 1, 256)[:, None]
    # One 8-bit step of sRGB is up to 0.9 in lightness.
    assert np.abs(lab[..., 0] - expected).max() < 1


def test_without_uptake_the_colour_is_gray(lab):
    assert np.hypot(lab[:, 0, 1], lab[:, 0, 2]).max() < 0.1


def test_black_is_black_whatever_the_uptake():
    assert not colour_table()[0].any()


def test_uptake_is_colourful_at_medium_lightness(lab):
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    assert chroma[100:200, 64:].min() > 25


def test_hue_turns_steadily_from_violet_to_yellow(lab):
    middle = lab[150, 64:]
    hue = np.unwrap(np.arctan2(middle[:, 2], middle[:, 1]))
    turns = np.degrees(np.diff(hue[::8]))
    assert (turns > 0).all()
    assert turns.max() < 20


def test_colours_are_looked_up_inside_the_mask_only():
    fused = np.array([[0.0, 0.5], [1.0, 0.5]])
    functional = np.array([[0.0, 1.0], [0.0, 1.0]])
    mask = np.array([[True, True], [True, False]])
    colours = fuse_colour(fused, functional, mask)
    table = colour_table()
    assert colours.dtype == np.uint8
    assert colours[0, 0].tolist() == [0, 0, 0]
    assert colours[0, 1].tolist() == table[128, 255].tolist()
    assert colours[1, 0].tolist() == [255, 255, 255]
    assert colours[1, 1].tolist() == [0, 0, 0]


def test_without_a_mask_everything_is_coloured():
    colours = fuse_colour(np.full((3, 3, 3), 0.5), np.zeros((3, 3, 3)))
    assert np.ptp(colours) == 0
    assert colours[0, 0, 0, 0] > 100


def test_rgb24_survives_a_file(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), np.uint8)
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    rgb24_image(rgb, affine).to_filename(tmp_path / "colour.nii.gz")
    image = nib.load(tmp_path / "colour.nii.gz")
    assert image.shape == (4, 5, 6)
    assert image.header["datatype"] == 128
    assert image.header.get_xyzt_units()[0] == "mm"
    voxels = np.asarray(image.dataobj)
    for index, channel in enumerate("RGB"):
        assert np.array_equal(voxels[channel], rgb[..., index])


def test_luminance_is_bt601(tmp_path):
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[0, 0], rgb[0, 1], rgb[1, 0], rgb[1, 1] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)
    imsave(tmp_path / "colour.png", rgb, check_contrast=False)
    assert read_luminance(tmp_path / "colour.png").tolist() == [[76, 150], [29, 9]]


def test_gray_images_are_read_as_they_are(tmp_path):
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    imsave(tmp_path / "gray.png", gray, check_contrast=False)
    assert np.array_equal(read_luminance(tmp_path / "gray.png"), gray)


def test_unreadable_images_are_named(tmp_path):
    with pytest.raises(NoInputError, match=r"none\.png"):
        read_luminance(tmp_path / "none.png")
    (tmp_path / "broken.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"broken\.png"):
        read_luminance(tmp_path / "broken.png")
    imsave(tmp_path / "deep.png", np.zeros((4, 4), np.uint16), check_contrast=False)
    with pytest.raises(DataError, match="8-bit"):
        read_luminance(tmp_path / "deep.png")


def write_colormap(path):
    """A map of five colours that are not grays: black through blue and red to yellow."""
    colours = np.array([(0, 0, 0), (0, 0, 160), (160, 0, 80), (255, 80, 0), (255, 255, 0)])
    path.write_text("# R,G,B\n" + "\n".join(",".join(map(str, row)) for row in colours))
    return colours


def test_pseudo_colour_is_read_back_as_its_level(tmp_path):
    colours = write_colormap(tmp_path / "map.csv")
    levels = np.array([[0, 1, 2], [3, 4, 1]])
    noise = np.array([[0], [-3], [2], [-1], [-2]])
    rgb = np.clip(colours + noise, 0, 255)[levels].astype(np.uint8)
    imsave(tmp_path / "pet.png", rgb, check_contrast=False)
    found = read_level(tmp_path / "pet.png", read_colormap(tmp_path / "map.csv"))
    assert found.tolist() == np.rint(levels * 255 / 4).astype(int).tolist()


def test_gray_images_have_no_colour_to_look_up(tmp_path):
    write_colormap(tmp_path / "map.csv")
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    imsave(tmp_path / "gray.png", gray, check_contrast=False)
    colours = read_colormap(tmp_path / "map.csv")
    assert np.array_equal(read_level(tmp_path / "gray.png", colours), gray)


@pytest.mark.parametrize("text", ["1,2\n3,4\n", "0,0,0\n0,0,300\n", "a,b,c\n", "1,2,3\n"])
def test_a_table_that_is_no_colour_map_is_named(tmp_path, text):
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(DataError, match=r"map\.csv"):
        read_colormap(tmp_path / "map.csv")
