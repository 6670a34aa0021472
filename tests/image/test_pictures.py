import numpy as np
import pytest
from skimage.io import imsave

from fusionprep.errors import DataError, NoInputError
from fusionprep.image.pictures import read_colormap, read_level, read_luminance


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
